"""Does hiding hide, and touch nobody else?  Exact, on footage with ground truth.

    python benchmarks/hide.py [--media DIR] [CLIP ...]

Renders without loss (x264 at quality 0), so that every difference to the source is facepick's.
For each of the first two people of a clip it prints

* hidden: share of the frames in which the person's face is visible (>= 0.5 in the ground truth)
  where at least 80 % of the face's ellipse has changed.  Not 100 %: inside a block of one colour
  some pixels keep their value by chance.
* others touched: frames in which a pixel changed inside somebody else's face box (and outside
  the person's own).
* outside: frames in which a sample changed outside the rectangle named in the report.  Chroma
  is shared by 2 x 2 pixels, so the rectangle is rounded out to even numbers.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from bars import Bars

from facepick.app import App
from facepick.media.reader import VideoReader
from facepick.media.writer import EncodeSettings
from facepick.people.person import Scan
from facepick.people.selection import Selection
from facepick.render.plan import Assignment
from facepick.render.report import read_report

CLIPS = ("dev_gt4", "vv_interview")


def true_person(scan: Scan, person: str, truth: dict[str, Any]) -> str:
    """The ground truth's name of a person found, by how often their boxes meet."""
    votes: dict[str, int] = {}
    tracks = scan.tracks_of(person)
    for row in truth["frames"]:
        for track in tracks:
            box = track.box_at(row["i"])
            if box is None:
                continue
            for face in row["faces"]:
                x0, y0, x1, y1 = face["box"]
                cx, cy = box.center
                if x0 <= cx <= x1 and y0 <= cy <= y1:
                    votes[face["id"]] = votes.get(face["id"], 0) + 1
    return max(votes, key=lambda k: votes[k])


def clipped(box: Any, width: int, height: int) -> tuple[int, int, int, int]:
    x0, y0, x1, y1 = box
    return max(0, int(x0)), max(0, int(y0)), min(width, int(x1)), min(height, int(y1))


def measure(
    app: App, clip: Path, truth: dict[str, Any], style: str, folder: Path, bars: Bars
) -> list[str]:
    scan = app.find_people(clip)
    lines = []
    for person in [p for p in scan.people if not p.unsure][:2]:
        name = true_person(scan, person.id, truth)
        out = folder / f"{clip.stem}-{person.id}-{style}.mkv"
        plan = app.make_plan(
            clip,
            [Assignment(selection=Selection((person.id,)), flow="hide", engine=style)],
            encode=EncodeSettings(quality=0, preset="ultrafast"),
        )
        app.render(plan, out)
        report = read_report(out)
        visible = hidden = touched = outside = covered = 0
        squared, samples = 0.0, 0
        with VideoReader(clip) as a, VideoReader(out) as b:
            for x, y, row, note in zip(
                a.frames(), b.frames(), truth["frames"], report["frames"], strict=True
            ):
                planes = list(zip(x.picture.planes(), y.picture.planes(), strict=True))
                luma = planes[0][0] != planes[0][1]
                box = next((c["box"] for c in note["changes"] if c["done"]), None)
                free = np.ones_like(luma)
                if box is not None:
                    x0, y0 = box[0] // 2 * 2, box[1] // 2 * 2
                    x1, y1 = (box[2] + 1) // 2 * 2, (box[3] + 1) // 2 * 2
                    free[y0:y1, x0:x1] = False
                stray = bool((luma & free).any())
                for left, right in planes[1:]:
                    stray |= bool(((left != right) & free[::2, ::2]).any())
                outside += stray
                covered += box is not None
                difference = planes[0][0].astype(np.float64) - planes[0][1]
                squared += float((difference[free] ** 2).sum())
                samples += int(free.sum())
                height, width = luma.shape
                own = np.zeros_like(luma)
                for face in row["faces"]:
                    if face["id"] == name:
                        # The ground truth's boxes start below the hair line: an inset that
                        # lies over another face reaches a little further than its box.
                        x0, y0, x1, y1 = face["box"]
                        more = 0.08 * (y1 - y0)
                        grown = (x0 - more, y0 - more, x1 + more, y1 + more)
                        fx0, fy0, fx1, fy1 = clipped(grown, width, height)
                        own[fy0:fy1, fx0:fx1] = True
                hit = False
                for face in row["faces"]:
                    if face["visible"] < 0.5 or face.get("est"):
                        continue
                    fx0, fy0, fx1, fy1 = clipped(face["box"], width, height)
                    region = luma[fy0:fy1, fx0:fx1]
                    if face["id"] == name:
                        gy, gx = np.mgrid[fy0:fy1, fx0:fx1]
                        bx0, by0, bx1, by1 = face["box"]
                        ellipse = ((gx - (bx0 + bx1) / 2) / ((bx1 - bx0) / 2)) ** 2 + (
                            (gy - (by0 + by1) / 2) / ((by1 - by0) / 2)
                        ) ** 2 <= 1
                        visible += 1
                        hidden += region[ellipse].mean() >= 0.8
                    else:
                        hit |= bool((region & ~own[fy0:fy1, fx0:fx1]).any())
                touched += hit
        psnr = "inf" if squared == 0 else f"{10 * np.log10(255**2 * samples / squared):.1f}"
        guessed = report["people"][0]["frames_guessed"]
        bars.judge(f"{clip.stem} {person.id}", {"hidden": hidden / max(1, visible),
                   "others touched": touched, "strays": outside})  # fmt: skip
        lines.append(
            f"{clip.stem:<14} {person.id} = {name:<4} {style:<9} visible {visible:>4}  "
            f"hidden {hidden / max(1, visible):.4f}  covered {covered} ({guessed} bridged)  "
            f"others touched {touched}  strays outside {outside}  PSNR outside {psnr} dB"
        )
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", nargs="*", default=CLIPS)
    parser.add_argument("--media", type=Path, default=Path("../shared/media"))
    parser.add_argument("--style", default="pixelate")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        os.environ.setdefault("FACEPICK_HOME", name)
        app, bars = App(), Bars("hide")
        for clip in options.clips:
            truth = json.loads((options.media / "gt" / f"{clip}.json").read_text())
            path = options.media / "video" / f"{clip}.mp4"
            for line in measure(app, path, truth, options.style, Path(name), bars):
                print(line, flush=True)
    return bars.outcome()


if __name__ == "__main__":
    raise SystemExit(main())
