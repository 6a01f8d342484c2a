"""What a list of people is worth to whoever has to pick from it, against ground truth.

Every face that a scan follows is held against the true faces of its frame; an entry belongs to
whom most of its faces are.  Somebody in movement may be listed twice, an entry may hold two
people, or a hand: these are counted, and each can be drawn.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["Entries", "Mistake", "draw_mistakes", "matches", "overlap", "ranges", "score_entries"]

# Faces of somebody less than half to be seen count for nobody and against nobody.
VISIBLE = 0.5
# So many frames, or this share of an entry, may be of somebody else by a slip of the boxes where
# two faces touch.
SLIP_FRAMES, SLIP_SHARE = 5, 0.04
# A cut may be found so many frames off: blended frames, and the length of a dissolve.
CUT_FRAMES = 4


@dataclass(frozen=True)
class Mistake:
    """Something that is wrong, as faces to look at.

    Attributes:
        kind: such as ``surplus``.
        about: in words.
        faces: ``(frame, box)``; the whole picture where the box is None.
    """

    kind: str
    about: str
    faces: tuple[tuple[int, tuple[float, ...] | None], ...]


@dataclass
class Entries:
    """Counts of one clip, or of several."""

    people: int = 0
    found: int = 0
    found_unsure: int = 0
    surplus: int = 0
    surplus_unsure: int = 0
    nothing: int = 0
    nothing_unsure: int = 0
    bystanders: int = 0
    mixed: int = 0
    right: int = 0
    wrong: int = 0
    missed: int = 0
    false_cuts: int = 0
    missed_cuts: int = 0
    mistakes: list[Mistake] = field(default_factory=list)

    HEAD = (
        f"{'found':>9}{'unsure':>7}{'surplus':>9}{'no face':>9}{'crowd':>6}{'mixed':>6}"
        f"{'recall':>8}{'prec':>8}{'cuts +/-':>9}"
    )

    def add(self, other: Entries) -> None:
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    def row(self) -> str:
        recall = self.right / max(1, self.right + self.missed)
        precision = self.right / max(1, self.right + self.wrong)
        return (
            f"{self.found:>6}/{self.people:<2}{self.found_unsure:>7}"
            f"{f'{self.surplus}+{self.surplus_unsure}':>9}"
            f"{f'{self.nothing}+{self.nothing_unsure}':>9}{self.bystanders:>6}{self.mixed:>6}"
            f"{recall:>8.3f}{precision:>8.3f}{f'{self.false_cuts}/{self.missed_cuts}':>9}"
        )


def overlap(a: Any, b: Any) -> float:
    """Intersection over union of two boxes."""
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    if w <= 0 or h <= 0:
        return 0.0
    area = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return float(w * h / (area - w * h))


def matches(found: Any, true: Any) -> bool:
    """The same face: the boxes overlap by a third, or the centre lies in the middle of the true
    one and the sizes are alike.  (Detectors draw a face's box differently.)"""
    if overlap(found, true) >= 0.33:
        return True
    cx, cy = (found[0] + found[2]) / 2, (found[1] + found[3]) / 2
    w, h = true[2] - true[0], true[3] - true[1]
    centred = (
        abs(cx - (true[0] + true[2]) / 2) < w / 3 and abs(cy - (true[1] + true[3]) / 2) < h / 3
    )
    return centred and 0.4 < (found[3] - found[1]) / h < 2.5


def ranges(frames: list[int]) -> str:
    """12-15,18: a list of frames in short."""
    parts: list[list[int]] = []
    for f in frames:
        if parts and f == parts[-1][1] + 1:
            parts[-1][1] = f
        else:
            parts.append([f, f])
    text = ",".join(f"{a}-{b}" if a != b else f"{a}" for a, b in parts[:8])
    return text + ("..." if len(parts) > 8 else "")


def _ignored(frame: int, box: Any, truth: dict[str, Any]) -> bool:
    cx, cy = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return any(
        r.get("from", 0) <= frame <= r.get("to", truth["n_frames"])
        and r["box"][0] <= cx <= r["box"][2]
        and r["box"][1] <= cy <= r["box"][3]
        for r in truth.get("ignore_regions", [])
    )


def _whose(
    frame: int, box: Any, faces: list[dict[str, Any]], truth: dict[str, Any]
) -> tuple[str, ...] | None:
    """Ids of the true faces that it may be, the likeliest first, where two hide each other;
    none for what is no face, None for what cannot be judged."""
    near = sorted(
        (f for f in faces if matches(box, f["box"])),
        key=lambda f: (_vague(f), -overlap(box, f["box"])),
    )
    if near:
        return tuple(str(f["id"]) for f in near)
    if _ignored(frame, box, truth):
        return None
    return None if any(overlap(box, f["box"]) > 0.1 for f in faces if _vague(f)) else ()


def _vague(face: dict[str, Any]) -> bool:
    """Whether a true face is mostly hidden, or its place a guess."""
    return bool(face.get("est")) or face["visible"] < VISIBLE


def _named(
    rows: list[tuple[int, Any, tuple[str, ...] | None]],
) -> list[tuple[int, Any, str | None]]:
    """The faces of an entry with one id each: whoever most of them are, where it may be him."""
    count = Counter(ids[0] for _, _, ids in rows if ids)
    first = count.most_common(1)[0][0] if count else ""
    return [
        (f, b, None if ids is None else first if first in ids else ids[0] if ids else "")
        for f, b, ids in rows
    ]


def score_entries(result: dict[str, Any], truth: dict[str, Any]) -> Entries:
    """The counts of one clip.

    Args:
        result: what ``facepick people --json`` writes.
        truth: of format ``media-gt/1``, with frames.
    """
    faces = {f["i"]: f["faces"] for f in truth["frames"]}
    minor = {who for who, about in truth["identities"].items() if about.get("minor")}
    seen: dict[str, list[tuple[int, Any, tuple[str, ...] | None]]] = defaultdict(list)
    for track in result["tracks"]:
        if track["person"] is not None:
            for frame, *box in track["boxes"]:
                whose = _whose(frame, box, faces.get(frame, []), truth)
                seen[track["person"]].append((frame, box, whose))
    rows = {person: _named(items) for person, items in seen.items()}
    score = Entries(people=len(truth["identities"]) - len(minor))
    entry = {p["id"]: p for p in result["people"]}
    held: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for person, items in rows.items():
        count = Counter(whose for _, _, whose in items if whose is not None)
        if not count:
            continue
        named = Counter({who: n for who, n in count.items() if who})
        about = entry[person]
        kind = "unsure" if about.get("unsure") else "sure"
        if about.get("group") == "bystanders":
            score.bystanders += 1
            kind = "bystander"
        owner, most = named.most_common(1)[0] if named else ("", 0)
        if 3 * most < sum(count.values()):
            if kind != "bystander":
                score.nothing += kind == "sure"
                score.nothing_unsure += kind == "unsure"
            score.mistakes.append(_shown("no face", f"{person} {kind}", items, {"", None}))
            continue
        held[owner].append(person)  # type: ignore[arg-type]
        for who, n in named.items():
            if who != owner and n > max(SLIP_FRAMES, SLIP_SHARE * len(items)):
                score.mixed += kind != "bystander"
                text = f"{person} {kind} is {owner} and {n} times {who}"
                score.mistakes.append(_shown("mixed", text, items, {who}))
    main: dict[str, str] = {}
    for who, people in held.items():
        people.sort(key=lambda p: (bool(entry[p].get("unsure")), -len(rows[p])))  # type: ignore
        first, *rest = people
        main[who] = str(first)
        if who not in minor:
            score.found += not entry[first].get("unsure")
            score.found_unsure += bool(entry[first].get("unsure"))
            if entry[first].get("unsure"):
                text = f"{who} as {first} only, who is unsure"
                score.mistakes.append(_shown("unsure", text, rows[first], None))
        for other in rest:
            about = entry[other]
            if about.get("group") != "bystanders":
                score.surplus += not about.get("unsure")
                score.surplus_unsure += bool(about.get("unsure"))
            kind = "unsure" if about.get("unsure") else "sure"
            text = f"{other} {kind} is {who}, who is {first}"
            score.mistakes.append(_shown("surplus", text, rows[other], None))
    for who in sorted(set(truth["identities"]) - minor - set(main)):
        seen = [(i, f["box"], who) for i, fs in faces.items() for f in fs if f["id"] == who]
        score.mistakes.append(_shown("nobody", f"{who} is not listed", seen, None))
    _score_frames(score, main, entry, rows, truth, minor)
    _score_cuts(score, result, truth)
    return score


def _score_frames(
    score: Entries,
    main: dict[str, str],
    entry: dict[str, Any],
    rows: dict[str, list[tuple[int, Any, str | None]]],
    truth: dict[str, Any],
    minor: set[str],
) -> None:
    """Frames that the main entry of everybody covers, and its faces that are not theirs."""
    covered = {
        (who, frame) for who, p in main.items() for frame, _, whose in rows[p] if whose == who
    }
    missed: dict[str, list[tuple[int, Any, str | None]]] = defaultdict(list)
    for item in truth["frames"]:
        for face in item["faces"]:
            who = face["id"]
            if who in minor or face.get("est") or face["visible"] < VISIBLE:
                continue
            if (who, item["i"]) in covered:
                score.right += 1
            else:
                score.missed += 1
                missed[who].append((item["i"], face["box"], who))
    for who, items in missed.items():
        score.mistakes.append(_shown("missed", f"{who} as {main.get(who, '-')}", items, None))
    for who, person in main.items():
        wrong = [r for r in rows[person] if r[2] is not None and r[2] != who]
        if not entry[person].get("unsure"):
            score.wrong += len(wrong)
        if wrong:
            score.mistakes.append(_shown("wrong", f"{person} is not {who}", wrong, None))


def _score_cuts(score: Entries, result: dict[str, Any], truth: dict[str, Any]) -> None:
    found = [s["start"] for s in result["shots"][1:]]
    true = list(truth.get("cuts") or [])
    false = [c for c in found if all(abs(c - t) > CUT_FRAMES for t in true)]
    gone = [t for t in true if all(abs(c - t) > CUT_FRAMES for c in found)]
    score.false_cuts, score.missed_cuts = len(false), len(gone)
    for kind, cuts in (("false cut", false), ("missed cut", gone)):
        for cut in cuts:
            both = ((max(0, cut - 1), None), (cut, None))
            score.mistakes.append(Mistake(kind, f"before frame {cut}", both))


def _shown(
    kind: str,
    about: str,
    items: Iterable[tuple[int, Any, str | None]],
    only: set[str | None] | None,
) -> Mistake:
    """A mistake with at most eight of its faces, spread evenly."""
    chosen = sorted((f, tuple(b)) for f, b, w in items if only is None or w in only)
    picked = sorted({round(k) for k in np.linspace(0, len(chosen) - 1, min(8, len(chosen)))})
    text = f"{about}: {ranges(sorted({f for f, _ in chosen}))}"
    return Mistake(kind, text, tuple(chosen[k] for k in picked))


def draw_mistakes(video: Path, mistakes: list[Mistake], out: Path) -> None:
    """A sheet with one row for each mistake, its faces framed; no file where there is none."""
    import av
    import cv2

    if not mistakes:
        return
    side, text = 150, 22
    wanted: dict[int, list[tuple[int, int, Any]]] = defaultdict(list)
    for row, mistake in enumerate(mistakes):
        for column, (frame, box) in enumerate(mistake.faces):
            wanted[frame].append((row, column, box))
    sheet = np.full(((side + text) * len(mistakes), 8 * side, 3), 32, np.uint8)
    with av.open(str(video)) as container:
        for index, decoded in enumerate(container.decode(video=0)):
            if index not in wanted:
                continue
            picture = decoded.to_ndarray(format="bgr24")
            for row, column, box in wanted[index]:
                cell = _cell(picture, box, side)
                y, x = row * (side + text) + text, column * side
                sheet[y : y + side, x : x + side] = cell
                cv2.putText(
                    sheet,
                    str(index),
                    (x + 3, y + side - 4),
                    0,
                    0.4,
                    (255, 255, 255),
                    1,
                    cv2.LINE_AA,
                )
    for row, mistake in enumerate(mistakes):
        words = f"{mistake.kind}: {mistake.about}"
        y = row * (side + text) + 16
        cv2.putText(sheet, words, (4, y), 0, 0.45, (120, 220, 255), 1, cv2.LINE_AA)
    out.parent.mkdir(parents=True, exist_ok=True)
    cv2.imencode(".jpg", sheet)[1].tofile(str(out))


def _cell(picture: Any, box: Any, side: int) -> Any:
    import cv2

    height, width = picture.shape[:2]
    if box is None:
        area = (0.0, 0.0, float(width), float(height))
    else:
        cx, cy = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        reach = 1.2 * max(box[2] - box[0], box[3] - box[1], 16.0)
        area = (cx - reach, cy - reach, cx + reach, cy + reach)
    scale = side / max(area[2] - area[0], area[3] - area[1])
    matrix = np.array([[scale, 0, -area[0] * scale], [0, scale, -area[1] * scale]])
    cell = cv2.warpAffine(picture, matrix, (side, side), flags=cv2.INTER_AREA)
    if box is not None:
        at = [round((v - o) * scale) for v, o in zip(box, (*area[:2], *area[:2]), strict=True)]
        cv2.rectangle(cell, tuple(at[:2]), tuple(at[2:]), (80, 230, 80), 1)
    return cell
