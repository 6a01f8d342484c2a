"""Scores the people finder against ground truth and measures what it costs.

    python benchmarks/people.py MEDIA [CLIP ...] [--pictures FOLDER]

MEDIA holds ``video/*.mp4`` and ``gt/*.json`` (format ``media-gt/1``).  First table, for every
clip: people found and true, identity precision and recall per frame, and CPU time of the scan
over CPU time of decoding with PyAV in the same run.  Second table, for every clip with true faces
frame by frame (two counts are of sure and of unsure entries):

    found       people who have a sure entry / people
    unsure      people who only have an unsure one
    surplus     further entries of somebody who has one already
    no face     entries that are nobody
    crowd       entries of the group ``bystanders``, which are in no other count
    mixed       entries that hold somebody else, too
    recall      share of the frames with somebody in which their main entry has them
    prec        share of the main entries' faces that are theirs
    cuts +/-    false and missed cuts

The clips of people in movement stand in two halves: thresholds may be set on `TUNING`, what they
are worth is what `REPORTING` says.  ``--pictures`` draws every mistake.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from bars import Bars
from people_entries import Entries, draw_mistakes, matches, overlap, ranges, score_entries

from facepick.models.store import default_store
from facepick.people.assignment import assign
from facepick.people.export import people_json
from facepick.people.finder import ScanSettings, find_people

CLIPS = (
    "dev_gt2",
    "dev_gt4",
    "vv_interview",
    "avo_demo",
    "short_hamilton_clip",
    "facenet_video",
    "vv_restaurant",
    "latentsync_demo3",
    "cisco_2people_320x192",
)
TUNING = (
    "avenger2",
    "beach_volley",
    "ellen_talk",
    "herapheri",
    "room_dance",
    "ukulele_pair",
)
# May be measured, not shown: no pictures are made of it.
PRIVATE = ("room_dance",)
REPORTING = ("golf_caps", "happy_faces", "titanic", "tv_cap_pair", "windy_pair")


@dataclass
class Score:
    """What one clip's scan is worth.

    Attributes:
        hits: frames x people where a visible person was named rightly.
        wrong: boxes that name a person who is not there.
        missed: visible people that nobody named in that frame.
        pairs: found id of each true one.
        unsure_hits: missed people that were found, but under an unsure id.
    """

    hits: int = 0
    wrong: int = 0
    missed: int = 0
    unsure_hits: int = 0
    pairs: dict[str, str] = field(default_factory=dict)
    worst: list[str] = field(default_factory=list)

    @property
    def precision(self) -> float:
        return self.hits / max(1, self.hits + self.wrong)

    @property
    def recall(self) -> float:
        return self.hits / max(1, self.hits + self.missed)


def score_frames(result: dict[str, Any], truth: dict[str, Any]) -> Score:
    sure = {p["id"] for p in result["people"] if not p.get("unsure")}
    boxes: dict[int, list[tuple[str | None, list[float]]]] = defaultdict(list)
    for track in result["tracks"]:
        for row in track["boxes"]:
            boxes[row[0]].append((track["person"], row[1:]))
    ignore = [r["box"] for r in truth.get("ignore_regions", [])]
    together: dict[tuple[str, str], int] = defaultdict(int)
    frames = {f["i"]: f["faces"] for f in truth["frames"]}
    for i, faces in frames.items():
        for person, box in boxes.get(i, []):
            for face in faces:
                if person is not None and matches(box, face["box"]):
                    together[person, face["id"]] += 1
    found_ids = sorted({a for a, _ in together})
    true_ids = sorted(truth["identities"])
    cost = np.full((len(true_ids), len(found_ids)), np.inf)
    for (a, b), count in together.items():
        cost[true_ids.index(b), found_ids.index(a)] = -count
    score = Score()
    for r, c in assign(cost, limit=0.0):
        score.pairs[true_ids[r]] = found_ids[c]
    misses: dict[str, list[int]] = defaultdict(list)
    for i in range(truth["n_frames"]):
        faces = frames.get(i, [])
        used: set[int] = set()
        for face in faces:
            care = face["visible"] >= 0.5 and not face.get("est")
            name = score.pairs.get(face["id"])
            rows = boxes.get(i, [])
            hit = [
                k
                for k, (p, b) in enumerate(rows)
                if p is not None and p == name and matches(b, face["box"])
            ]
            used.update(hit)
            if not care:
                # Whoever is held to be here is neither right nor wrong.
                used.update(
                    k
                    for k, (_, b) in enumerate(rows)
                    if overlap(b, face["box"]) > 0.1
                    and (rows[k][0] == name or rows[k][0] not in sure)
                )
                continue
            if hit:
                score.hits += 1
            else:
                score.missed += 1
                misses[face["id"]].append(i)
        for k, (person, box) in enumerate(boxes.get(i, [])):
            if k in used or person is None or person not in sure:
                continue
            cx, cy = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
            if any(r[0] <= cx <= r[2] and r[1] <= cy <= r[3] for r in ignore):
                continue
            score.wrong += 1
            misses[f"+{person}"].append(i)
    for who, where in misses.items():
        score.worst.append(f"{who}:{len(where)} {ranges(where)}")
    return score


def decode_cost(path: Path) -> float:
    """CPU seconds to decode every frame with PyAV, planes only."""
    import av

    start = time.process_time()
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "AUTO"
        for _ in container.decode(video=0):
            pass
    return time.process_time() - start


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("media", type=Path)
    parser.add_argument("clips", nargs="*", default=(*CLIPS, *TUNING, *REPORTING))
    parser.add_argument("--accuracy", default="balanced")
    parser.add_argument("--details", action="store_true")
    parser.add_argument("--keep", type=Path, help="folder for the scans and JSON files")
    parser.add_argument("--pictures", type=Path, help="folder for a sheet of mistakes per clip")
    args = parser.parse_args(argv)
    store = default_store()
    head = (
        f"{'clip':24}{'sure/true':>10}{'unsure':>7}{'prec':>8}{'recall':>8}{'tracks':>7}"
        f"{'shots':>6}{'cpu/decode':>11}{'x real':>7}"
    )
    lines = [head]
    bars = Bars("people")
    entries: dict[str, Entries] = {}
    with tempfile.TemporaryDirectory() as temporary:
        keep = args.keep or Path(temporary)
        keep.mkdir(parents=True, exist_ok=True)
        for clip in args.clips:
            path = args.media / "video" / f"{clip}.mp4"
            base = decode_cost(path)
            cpu, wall = time.process_time(), time.monotonic()
            scan = find_people(
                path, ScanSettings(accuracy=args.accuracy), models=store, cache=Path(temporary)
            )
            cpu, wall = time.process_time() - cpu, time.monotonic() - wall
            result = people_json(scan)
            (keep / f"{clip}.json").write_text(json.dumps(result))
            truth_file = args.media / "gt" / f"{clip}.json"
            sure = [p for p in result["people"] if not p.get("unsure")]
            cells = [f"{clip:24}"]
            score = None
            truth = json.loads(truth_file.read_text()) if truth_file.is_file() else None
            cells.append(f"{len(sure):>6}/{len(truth['identities']) if truth else '-':>3}")
            cells.append(f"{len(result['people']) - len(sure):>7}")
            if truth and "frames" in truth:
                score = score_frames(result, truth)
                cells.append(f"{score.precision:>8.4f}{score.recall:>8.4f}")
                entries[clip] = score_entries(result, truth)
                bars.judge(clip, {"precision": score.precision, "recall": score.recall,
                                  "not faces": entries[clip].nothing})  # fmt: skip
                if args.pictures and clip not in PRIVATE:
                    sheet = args.pictures / f"{clip}.jpg"
                    draw_mistakes(path, entries[clip].mistakes, sheet)
            else:
                cells.append(f"{'-':>8}{'-':>8}")
            duration = result["video"]["duration_seconds"]
            cells.append(f"{len(result['tracks']):>7}{len(result['shots']):>6}")
            cells.append(f"{cpu / max(base, 1e-6):>11.2f}{duration / wall:>7.1f}")
            lines.append("".join(cells))
            if args.details:
                for p in result["people"]:
                    lines.append(
                        f"    {p['id']} {p['frames']} frames conf {p['confidence']}"
                        f"{' unsure' if p.get('unsure') else ''} {p['tracks']}"
                    )
                if score:
                    lines.append(f"    pairs {score.pairs}")
                    lines.extend(f"    {w}" for w in score.worst)
                lines.append(f"    cuts {[s['start'] for s in result['shots'][1:]]}")
                for mistake in entries[clip].mistakes if clip in entries else ():
                    lines.append(f"    {mistake.kind}: {mistake.about}")
    lines += ["", f"{'clip':24}{Entries.HEAD}"]
    for name, members in (
        ("old clips", CLIPS), ("tuning half", TUNING), ("reporting half", REPORTING),
        ("all", tuple(entries)),
    ):  # fmt: skip
        total = Entries()
        for clip in [c for c in members if c in entries]:
            if name != "all":
                lines.append(f"{clip:24}{entries[clip].row()}")
            total.add(entries[clip])
        if total.people:
            lines.append(f"{name:24}{total.row()}")
    sys.stdout.write("\n".join(lines) + "\n")
    return bars.outcome()


if __name__ == "__main__":
    sys.exit(main())
