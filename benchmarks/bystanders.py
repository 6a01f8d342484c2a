"""Drift of bystanders: how far the faces of everybody else are from what was filmed, in a result.

    facepick render VIDEO -o OUT.mp4 --person P1 --flow lipsync --engine NAME ... --quality 0
    python benchmarks/bystanders.py VIDEO OUT.mp4 --person P1

``--quality 0`` makes x264 lossless, so that what is measured is the engine and not the encoder.
Per person: frames, and the mean and the largest difference in grey levels of luma and chroma over
the boxes of their faces.  The person that was changed is there for comparison.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

from facepick.media.reader import VideoReader
from facepick.models.store import default_store
from facepick.people.finder import find_people
from facepick.people.person import Scan


def boxes_of(scan: Scan) -> dict[int, list[tuple[str, tuple[int, int, int, int]]]]:
    """List who is where in every frame: person and box in whole pixels."""
    found = defaultdict(list)
    for person in scan.people:
        for track in scan.tracks_of(person.id):
            for frame, box in zip(track.frames, track.boxes, strict=True):
                x0, y0, x1, y1 = (int(v) for v in box)
                found[int(frame)].append((person.id, (max(x0, 0), max(y0, 0), x1, y1)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video", type=Path)
    parser.add_argument("result", type=Path)
    parser.add_argument("--person", required=True, help="who was changed")
    parser.add_argument("--cache", type=Path, default=Path("scans"), help="keeps the scan")
    options = parser.parse_args()
    scan = find_people(options.video, models=default_store(), cache=options.cache)
    where = boxes_of(scan)
    mean, most = defaultdict(list), defaultdict(int)
    with VideoReader(options.video) as filmed, VideoReader(options.result) as changed:
        for before, after in zip(filmed.frames(), changed.frames(), strict=False):
            pairs = [
                (a.astype(np.int16), b.astype(np.int16))
                for a, b in zip(before.picture.planes(), after.picture.planes(), strict=True)
            ]
            for person, (x0, y0, x1, y1) in where[before.index]:
                for a, b in pairs:
                    across = before.picture.width // a.shape[1]
                    down = before.picture.height // a.shape[0]
                    part = slice(y0 // down, -(-y1 // down)), slice(x0 // across, -(-x1 // across))
                    away = np.abs(a[part] - b[part])
                    mean[person].append(float(away.mean()))
                    most[person] = max(most[person], int(away.max(initial=0)))
    write = sys.stdout.write
    write("person            frames   mean   largest\n")
    for person, values in sorted(mean.items()):
        name = f"{person} (changed)" if person == options.person else person
        write(f"{name:16} {len(values) // 3:7} {np.mean(values):7.3f} {most[person]:6}\n")


if __name__ == "__main__":
    main()
