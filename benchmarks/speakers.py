"""Who speaks when: how often the right face is named, and what it costs.

    python benchmarks/speakers.py MEDIA [--clips NAME ...] [--each] [--half even|odd]

MEDIA holds ``video/`` and ``gt/``.  The truth of the built clips is exact: every shot says whose
sound is heard (`audio_from`).  A moment counts where one person is heard and shown and several
faces are visible.  Columns:

    all        of these moments, how many name the right face (sure or not)
    sure       how many are named by turns that are sure, and how many of those are wrong
    off        of moments whose speaker is not shown, how many are called off screen
    lines      of lines of two seconds cut at the shots, how many are given to the right person;
               those that are left unsure or undrawn are counted apart
    DER        missed, false and wrong time over the time that somebody speaks, without collar
    cost       CPU seconds of listening and watching over those of the scan

With `--each` every measure stands alone beside all together: looks (LR-ASD), following (the mouth
against the sounds), voices.  `--half` counts every second moment of 4 s only: what is tuned on one
half is reported on the other.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from facepick.app import App
from facepick.faces.detection import Box
from facepick.people.person import Scan
from facepick.speech.face_watch import RATE, Watched, sound_of, watch_faces
from facepick.speech.script import PersonSpan
from facepick.speech.speakers import Turn, who_speaks
from facepick.speech.voices import voice_labels

CLIPS = ("dev_gt2", "dev_gt4")
MEASURES = {
    "looks": (True, False, False),
    "following": (False, True, False),
    "looks, following": (True, True, False),
    "looks, voices": (True, False, True),
    "following, voices": (False, True, True),
    "all": (True, True, True),
}
LINE_SECONDS = 2.0
BLOCK_MOMENTS = 4 * RATE
VISIBLE = 0.5


class Clip:
    """One clip, what was observed, and the truth."""

    def __init__(self, app: App, media: Path, name: str, folder: Path) -> None:
        self.name = name
        begun = time.process_time()
        self.scan: Scan = app.find_people(media / "video" / f"{name}.mp4")
        scanned = time.process_time()
        samples = sound_of(self.scan)
        self.watched: Watched = watch_faces(self.scan, samples, models=app.models, folder=folder)
        self.voices = voice_labels(samples, self.watched, app.models)
        self.cost = (time.process_time() - scanned) / max(scanned - begun, 1e-9)
        self.truth = json.loads((media / "gt" / f"{name}.json").read_text(encoding="utf-8"))
        self.names = self._names()
        self.heard: list[str | None] = [None] * self.watched.moments
        for shot in self.truth["shots"]:
            for moment in range(shot["start"], min(shot["end"] + 1, self.watched.moments)):
                self.heard[moment] = shot["audio_from"]
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

    def shown(self, moment: int) -> set[str]:
        faces = self.truth["frames"][moment]["faces"]
        return {face["id"] for face in faces if face["visible"] >= VISIBLE}

    def lines(self) -> list[tuple[PersonSpan, str]]:
        """Lines that nobody named, with whose they are."""
        found = []
        for shot in self.truth["shots"]:
            who, start, stop = shot["audio_from"], shot["start"], shot["end"] + 1
            count = max(1, round((stop - start) / RATE / LINE_SECONDS))
            edges = np.linspace(start, stop, count + 1)
            for a, b in itertools.pairwise(edges):
                if who and self.speech[int(a) : int(b)].mean() > 0.3:
                    found.append((PersonSpan(person=None, start=a / RATE, end=b / RATE), who))
        return found


def measured(clip: Clip, use: tuple[bool, bool, bool], half: str | None) -> dict[str, Any]:
    found = who_speaks(clip.scan, clip.watched, clip.voices, use=use)
    told: list[Turn | None] = [None] * clip.watched.moments
    for turn in found.turns:
        for moment in range(round(turn.start * RATE), round(turn.end * RATE)):
            if moment < len(told):
                told[moment] = turn
    right, sure, off = [], [], []
    wrong_time = spoken = 0
    for moment, (turn, who) in enumerate(zip(told, clip.heard, strict=True)):
        if half and (moment // BLOCK_MOMENTS) % 2 != (half == "odd"):
            continue
        name = None if turn is None else clip.names.get(turn.person or "")
        if who is not None and clip.speech[moment]:
            spoken += 1
            wrong_time += name != who
        elif turn is not None:
            wrong_time += 1
        if turn is None or who is None:
            continue
        shown = clip.shown(moment)
        if who in shown and len(shown) > 1:
            right.append(name == who and turn.state in ("sure", "unsure"))
            if turn.state == "sure":
                sure.append(right[-1])
        elif who not in shown:
            off.append(turn.state == "off_screen")
    lines = clip.lines()
    spans = [line for line, _ in lines]
    by_line = who_speaks(clip.scan, clip.watched, clip.voices, lines=spans, use=use).turns
    whose = {f"L{i}": who for i, (_, who) in enumerate(lines, 1)}
    seen = [(t, whose[t.id.split(".")[0]]) for t in by_line]
    drawn = [clip.names.get(t.person or "") == who for t, who in seen if t.state == "sure"]
    best = [clip.names.get(t.person or "") == who for t, who in seen]
    return {
        "moments": len(right),
        "all": _share(right),
        "sure": len(sure) / max(1, len(right)),
        "sure wrong": None if not sure else 1 - _share(sure),
        "off": f"{_shown(_share(off))} of {len(off)}",
        "lines": _share(best),
        "lines drawn": len(drawn) / max(1, len(best)),
        "drawn right": _share(drawn),
        "DER": wrong_time / max(1, spoken),
    }


def _share(values: list[bool]) -> float:
    return float(np.mean(values)) if values else float("nan")


def _shown(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("media", type=Path)
    parser.add_argument("--clips", nargs="+", default=list(CLIPS))
    parser.add_argument("--each", action="store_true", help="each measure alone, too")
    parser.add_argument("--half", choices=("even", "odd"))
    options = parser.parse_args()
    app = App()
    with tempfile.TemporaryDirectory() as folder:
        for name in options.clips:
            clip = Clip(app, options.media, name, Path(folder))
            print(f"{name}: cost {clip.cost:.2f} of the scan (a scan that was stored counts as 0)")
            for label in MEASURES if options.each else ["all"]:
                row = measured(clip, MEASURES[label], options.half)
                print(f"  {label}: " + ", ".join(f"{k} {_shown(v)}" for k, v in row.items()))


if __name__ == "__main__":
    main()
