"""Measures recognition; every table of docs/recognition.md comes from here.

    python benchmarks/recognition.py table FACES OUT.json     detector x alignment x model
    python benchmarks/recognition.py voting FACES             1, 3 and 5 photos per person
    python benchmarks/recognition.py search                   numpy against FAISS
    python benchmarks/recognition.py mean-mesh OUT.json CLIP...

FACES is a folder of people: one folder of photos each.  Models are found as facepick finds them
(FACEPICK_MODELS).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np


def mean_mesh(options: argparse.Namespace) -> None:
    """The mean shape of the mesh in the ArcFace chip, over frontal frames of clips."""
    from facepick.faces.alignment import ARCFACE_112, similarity
    from facepick.faces.quality import head_pose
    from facepick.media.reader import VideoReader
    from facepick.models.store import default_store
    from facepick.recognition.toolbox import open_detector, open_mesher

    store = default_store()
    mesher = open_mesher(store)
    detector = open_detector("yunet", store, mesher)
    per_clip = []
    for clip in options.clips:
        left, right = [], []
        with VideoReader(Path(clip)) as reader:
            for frame in reader.frames():
                if frame.index % options.every:
                    continue
                small, scale = frame.picture.small(960)
                found = detector.detect(small)
                for i in range(len(found)):
                    pose = head_pose(found.landmarks5[i])
                    if max(abs(pose.yaw), abs(pose.pitch)) > 15 or found.score[i] < 0.8:
                        continue
                    mesh, presence = mesher.locate(small, found.landmarks5[i])
                    if presence < 0.9:
                        continue
                    matrix = similarity(found.landmarks5[i], ARCFACE_112)
                    points = mesh[:, :2] @ matrix[:, :2].T + matrix[:, 2]
                    side = left if found.box(i).center[0] < small.shape[1] / 2 else right
                    side.append(points)
        for name, rows in (("left", left), ("right", right)):
            if len(rows) >= 3:
                per_clip.append(np.mean(rows, axis=0))
                print(clip, name, len(rows))
    mean = np.mean(per_clip, axis=0)
    # A face is symmetric on average: each vertex is averaged with the mirror of its twin.
    middle = float(ARCFACE_112[:, 0].mean())
    mirrored = mean * [-1, 1] + [2 * middle, 0]
    twin = [int(np.argmin(np.linalg.norm(mirrored - p, axis=1))) for p in mean]
    mean = (mean + mirrored[twin]) / 2
    data = {
        "format": "facepick-mean-mesh/1",
        "made_from": [Path(c).name for c in options.clips],
        "people": len(per_clip),
        "points": [[round(float(x), 2), round(float(y), 2)] for x, y in mean],
    }
    Path(options.out).write_text(json.dumps(data) + "\n", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    actions = parser.add_subparsers(required=True)
    mesh = actions.add_parser("mean-mesh")
    mesh.add_argument("out")
    mesh.add_argument("clips", nargs="+")
    mesh.add_argument("--every", type=int, default=10)
    mesh.set_defaults(run=mean_mesh)
    options = parser.parse_args()
    started = time.process_time()
    options.run(options)
    print(f"{time.process_time() - started:.1f} s of CPU", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
