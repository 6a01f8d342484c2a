"""Who speaks when: how often the right face is named, and what it costs.

    python benchmarks/speakers.py MEDIA [--clips NAME ...] [--each] [--half even|odd]
    python benchmarks/speakers.py MEDIA --clips CONVERSATION.mp4 ...
    python benchmarks/speakers.py MEDIA --built [FOLDER]
    python benchmarks/speakers.py MEDIA --hold-out
    python benchmarks/speakers.py MEDIA --narrated VIDEO SPEECH [SPEECH ...]

MEDIA holds ``video/`` and ``gt/``.  The truth of the built clips is exact: every shot says whose
sound is heard (`audio_from`).  That of real talk was found by voice, and by eye whose voice it is;
it lies in ``speakers_truth``; that of a conversation (`benchmarks/conversation.py`) beside it.  A
moment counts where one person is heard and shown and several
faces are visible.  Columns:

    all        of these moments, how many name the right face (sure or not)
    sure       how many are named by turns that are sure, and how many of those are wrong
    off        of moments whose speaker is not shown, how many are called off screen
    off sure   of these, how many are surely given to a face that is shown
    lines      of lines of two seconds cut at the shots, how many are given to the right person;
               those that are left unsure or undrawn are counted apart
    DER        missed, false and wrong time over the time that somebody speaks, without collar
    cost       CPU seconds of listening and watching over those of the scan

With `--each` every measure stands alone beside all together: looks (LR-ASD), following (the mouth
against the sounds), voices; and all together with the voices that are told without CAM++.
`--half` counts every second moment of 4 s only: what is tuned on one half is reported on the other.

`--built` makes the clips of `benchmarks/split_screen.py`, which nobody chose anything by, and
measures on them with the constants as they are shipped; bars are not asked of them.

`--hold-out` chooses the weights of the decision anew, on two of the clips, from values that are
half and twice as large, too, beginning with the smallest; and measures with them on the other two
clips; then the other way round.

`--narrated` lays each SPEECH, then the video's own sound, over VIDEO, which shows one face, and
says which share of the time that somebody is heard is called what.  Only the own sound may be sure.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# As the program itself does: numpy's second thread would spin, and count.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from bars import Bars
from split_screen import build_all

from facepick.app import App
from facepick.faces.detection import Box
from facepick.media.audio import read_mono
from facepick.models.store import ModelStore
from facepick.people.person import Scan
from facepick.speech import speakers as decision
from facepick.speech.face_watch import RATE, Watched, sound_of, watch_faces
from facepick.speech.rttm import read_rttm
from facepick.speech.script import PersonSpan
from facepick.speech.speakers import Turn, who_speaks
from facepick.speech.voices import tell_voices

CLIPS = ("dev_gt2", "dev_gt4", "vv_interview", "avo_demo")
TURNS = Path(__file__).with_name("speakers_truth")
MEASURES = {
    "looks": (True, False, False),
    "following": (False, True, False),
    "looks, following": (True, True, False),
    "looks, voices": (True, False, True),
    "following, voices": (False, True, True),
    "all": (True, True, True),
}
CONSTANTS: dict[str, tuple[float, ...]] = {
    "LOOK_WEIGHT": (0.25, 0.5, 1.0),
    "FOLLOW_WEIGHT": (1.5, 3.0, 6.0),
    "HIDDEN_LOOK": (-3.0, -1.5, 0.0),
    "NOBODY": (0.07, 0.15, 0.3),
    "CHANGE": (0.75, 1.5, 3.0),
    "PROOF_WEIGHT": (0.25, 0.5, 1.0),
}
"""Of `facepick.speech.speakers`, with what `--hold-out` tries.  Its limits of proof are not chosen:
nothing in four clips of people who are all seen asks for one, and the lowest would win."""
FOLDS = (("dev_gt2", "avo_demo"), ("dev_gt4", "vv_interview"))
WRONG_COSTS = 5.0
"""What is surely wrong changes the wrong mouth: it weighs as five that are right."""
LINE_SECONDS = 2.0
BLOCK_MOMENTS = 4 * RATE
VISIBLE = 0.5


class Clip:
    """One clip, what was observed, and the truth."""

    def __init__(self, app: App, media: Path, name: str, folder: Path) -> None:
        self.name = name
        video, truth = media / "video" / f"{name}.mp4", media / "gt" / f"{name}.json"
        if name.endswith(".mp4"):
            video, truth = Path(name), Path(name).with_suffix(".json")
        begun = time.process_time()
        self.scan: Scan = app.find_people(video)
        scanned = time.process_time()
        samples = sound_of(self.scan)
        self.watched: Watched = watch_faces(self.scan, samples, models=app.models, folder=folder)
        heard = tell_voices(samples, self.watched, app.models)
        self.voices, self.prints = heard.labels, heard.prints
        self.cost = (time.process_time() - scanned) / max(scanned - begun, 1e-9)
        # What ships with facepick, and nothing that was fetched.
        self.bare_voices = tell_voices(samples, self.watched, ModelStore([], folder)).labels
        self.truth = json.loads(truth.read_text(encoding="utf-8"))
        self.names = self._names()
        self.cast = {face["id"] for frame in self.truth["frames"] for face in frame["faces"]}
        self.turns = true_turns(name, self.truth)
        self.heard: list[set[str]] = [set() for _ in range(self.watched.moments)]
        for start, stop, who in self.turns:
            for moment in range(round(start * RATE), min(round(stop * RATE), len(self.heard))):
                self.heard[moment].add(who)
        self.speech = np.zeros(self.watched.moments, bool)
        for part in self.watched.speech:
            self.speech[round(part.start * RATE) : round(part.stop * RATE)] = True

    def _names(self) -> dict[str, str]:
        """Ids of people as the truth calls them."""
        owner = {t: p.id for p in self.scan.people for t in p.track_ids}
        votes: dict[str, dict[str, int]] = {}
        for track in self.scan.tracks:
            for frame in track.frames[::5]:
                box = track.box_at(int(frame))
                for face in self.truth["frames"][int(frame)]["faces"]:
                    if box and track.id in owner and box.iou(Box(*map(float, face["box"]))) > 0.3:
                        own = votes.setdefault(owner[track.id], {})
                        own[face["id"]] = own.get(face["id"], 0) + 1
        return {key: max(own, key=lambda name: own[name]) for key, own in votes.items()}

    def named(self, turn: Turn | None, who: str) -> bool:
        """Tell whether a turn is given to who speaks; to nobody, if that person is never seen."""
        if who not in self.cast:
            return turn is not None and turn.state == "off_screen"
        return turn is not None and self.names.get(turn.person or "") == who

    def shown(self, moment: int) -> set[str]:
        faces = self.truth["frames"][moment]["faces"]
        return {face["id"] for face in faces if face["visible"] >= VISIBLE}

    def lines(self) -> list[tuple[PersonSpan, str]]:
        """Lines that nobody named, with whose they are."""
        found = []
        for start, stop, who in self.turns:
            edges = np.linspace(start, stop, max(1, round((stop - start) / LINE_SECONDS)) + 1)
            for a, b in itertools.pairwise(edges):
                part = slice(int(a * RATE), int(b * RATE))
                alone = np.mean([heard == {who} for heard in self.heard[part]])
                if alone > 0.9 and self.speech[part].mean() > 0.3:
                    found.append((PersonSpan(person=None, start=a, end=b), who))
        return found


def true_turns(name: str, truth: dict[str, Any]) -> list[tuple[float, float, str]]:
    """Start and end in seconds, and who speaks."""
    if "shots" in truth and any("audio_from" in shot for shot in truth["shots"]):
        return [
            (shot["start"] / RATE, (shot["end"] + 1) / RATE, shot["audio_from"])
            for shot in truth["shots"]
            if shot["audio_from"]
        ]
    text = (TURNS / f"{name}.rttm").read_text(encoding="utf-8")
    return [(at, at + length, str(who)) for at, length, who in read_rttm(name, text)]


def measured(
    clip: Clip, use: tuple[bool, bool, bool], half: str | None, *, bare: bool = False
) -> dict[str, Any]:
    voices = clip.bare_voices if bare else clip.voices
    prints = None if bare else clip.prints
    found = who_speaks(clip.scan, clip.watched, voices, use=use, prints=prints)
    told: list[Turn | None] = [None] * clip.watched.moments
    for each in found.turns:
        for moment in range(round(each.start * RATE), round(each.end * RATE)):
            if moment < len(told):
                told[moment] = each
    right, sure, off, off_sure = [], [], [], []
    wrong_time = spoken = 0
    for moment, (turn, speakers) in enumerate(zip(told, clip.heard, strict=True)):
        if half and (moment // BLOCK_MOMENTS) % 2 != (half == "odd"):
            continue
        if len(speakers) > 1:
            continue
        who = next(iter(speakers), None)
        if who is not None and clip.speech[moment]:
            spoken += 1
            wrong_time += not clip.named(turn, who)
        elif turn is not None:
            wrong_time += 1
        if turn is None or who is None:
            continue
        shown = clip.shown(moment)
        if who in shown and len(shown) > 1:
            right.append(clip.named(turn, who) and turn.state in ("sure", "unsure"))
            if turn.state == "sure":
                sure.append(right[-1])
        elif who not in shown:
            off.append(turn.state == "off_screen")
            off_sure.append(turn.state == "sure" and clip.names.get(turn.person or "") in shown)
    lines = clip.lines()
    spans = [line for line, _ in lines]
    by_line = who_speaks(clip.scan, clip.watched, voices, lines=spans, use=use, prints=prints).turns
    whose = {f"L{i}": who for i, (_, who) in enumerate(lines, 1)}
    seen = [(t, whose[t.id.split(".")[0]]) for t in by_line]
    drawn = [clip.named(t, who) for t, who in seen if t.state == "sure"]
    best = [clip.named(t, who) for t, who in seen]
    return {
        "moments": len(right),
        "all": _share(right),
        "sure": len(sure) / max(1, len(right)),
        "unsure": 1 - len(sure) / max(1, len(right)),
        "sure wrong": None if not sure else 1 - _share(sure),
        "off": f"{_shown(_share(off))} of {len(off)}",
        "off sure": None if not off else _share(off_sure),
        "lines": _share(best),
        "lines drawn": len(drawn) / max(1, len(best)),
        "drawn right": _share(drawn),
        "DER": wrong_time / max(1, spoken),
    }


def rows(clip: Clip, each: bool, half: str | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Figures of a clip by what they are of."""
    if not each:
        yield "all", measured(clip, MEASURES["all"], half)
        return
    for label, use in MEASURES.items():
        yield label, measured(clip, use, half)
    yield "all, without CAM++", measured(clip, MEASURES["all"], half, bare=True)
    if half is None:
        for label, bare in (("all", False), ("all, without CAM++", True)):
            for part in ("even", "odd"):
                yield f"{label}, {part} half", measured(clip, MEASURES["all"], part, bare=bare)


def merit(clips: list[Clip]) -> float:
    """Tell how good the constants are, as they stand, on some clips."""
    found = []
    for clip in clips:
        row = measured(clip, MEASURES["all"], None)
        wrong = (row["sure wrong"] or 0.0) * row["sure"]
        found.append(row["all"] + row["lines"] + row["sure"] - WRONG_COSTS * wrong)
    return float(np.mean(found))


def chosen(clips: list[Clip]) -> dict[str, float]:
    """Choose the constants on some clips, one after the other, until none gets better."""
    values = {name: tried[0] for name, tried in CONSTANTS.items()}
    best = -np.inf
    while True:
        before = best
        for name, tried in CONSTANTS.items():
            for value in tried:
                for key, now in {**values, name: value}.items():
                    setattr(decision, key, now)
                reached = merit(clips)
                if reached > best + 1e-9:
                    best, values[name] = reached, value
        if best <= before:
            return values


def held_out(clips: dict[str, Clip]) -> None:
    """Print what constants that were chosen on two clips do on the others."""
    shipped = {name: getattr(decision, name) for name in CONSTANTS}
    try:
        for own, other in (FOLDS, FOLDS[::-1]):
            values = chosen([clips[name] for name in own])
            for key, value in values.items():
                setattr(decision, key, value)
            print(f"\nchosen on {', '.join(own)}: {values}\n")
            for number, name in enumerate((*other, *own)):
                row = measured(clips[name], MEASURES["all"], None)
                if not number:
                    print(f"| clip | {' | '.join(row)} |\n" + "|---" * (len(row) + 1) + "|")
                label = name if name in other else f"{name} (chosen on)"
                print(f"| {label} | {' | '.join(map(_shown, row.values()))} |", flush=True)
    finally:
        for key, value in shipped.items():
            setattr(decision, key, value)


def narrated(app: App, video: Path, speech: Path | None) -> dict[str, float]:
    """Shares of states of what is heard over a video, by time."""
    scan = app.find_people(video)
    own = sound_of(scan)
    samples = own if speech is None else np.resize(read_mono(speech, rate=16_000), len(own))
    watched = watch_faces(scan, samples, models=app.models)
    voices = tell_voices(samples, watched, app.models)
    turns = who_speaks(scan, watched, voices.labels, prints=voices.prints).turns
    seconds = {"sure": 0.0, "unsure": 0.0, "off_screen": 0.0}
    for turn in turns:
        seconds[turn.state] += turn.end - turn.start
    return {state: value / max(sum(seconds.values()), 1e-9) for state, value in seconds.items()}


def _share(values: list[bool]) -> float:
    return float(np.mean(values)) if values else float("nan")


def _shown(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("media", type=Path)
    parser.add_argument("--clips", nargs="+", default=list(CLIPS))
    parser.add_argument("--each", action="store_true", help="each measure alone, too")
    parser.add_argument("--half", choices=("even", "odd"))
    parser.add_argument(
        "--built", nargs="?", const="", metavar="FOLDER", help="clips made for it, kept in FOLDER"
    )
    parser.add_argument("--hold-out", action="store_true", help="constants of other clips")
    parser.add_argument("--narrated", nargs="+", type=Path, metavar="FILE")
    options = parser.parse_args()
    app = App()
    if options.narrated:
        video, *voices = options.narrated
        for speech in (*voices, None):
            row = narrated(app, video, speech)
            label = "own sound" if speech is None else speech.name
            print(f"{label}: " + ", ".join(f"{k} {_shown(v)}" for k, v in row.items()))
        return 0
    if options.hold_out:
        with tempfile.TemporaryDirectory() as folder:
            held_out({n: Clip(app, options.media, n, Path(folder)) for n in CLIPS})
        return 0
    bars = Bars("speakers")
    with tempfile.TemporaryDirectory() as folder:
        names = options.clips
        if options.built is not None:
            names = build_all(app, options.media, Path(options.built or folder))
        for name in map(str, names):
            clip = Clip(app, options.media, name, Path(folder))
            print(f"\n{Path(name).name}: cost {clip.cost:.2f} of the scan (0: it was stored)\n")
            for number, (label, row) in enumerate(rows(clip, options.each, options.half)):
                if not number:
                    print(f"| measures | {' | '.join(row)} |\n" + "|---" * (len(row) + 1) + "|")
                print(f"| {label} | {' | '.join(map(_shown, row.values()))} |", flush=True)
                if label == "all" and not options.half and options.built is None:
                    bars.judge(name, row)
    return bars.outcome()


if __name__ == "__main__":
    raise SystemExit(main())
