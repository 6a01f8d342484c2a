"""Measures a library: adding, finding, and what its index misses against comparing everything.

    python benchmarks/library.py FACES [--sizes 100000,1000000] [--json OUT.json]
    python benchmarks/library.py FACES --people      who of FACES is found, by one photo or by all

    python benchmarks/library.py FACES --people       who of FACES is found, by one photo or all
exemplars are made, who are as unlike as photos of one person are.  Needs faiss-cpu, and models as
facepick finds them (FACEPICK_MODELS).
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import sqlite3
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import numpy as np

EXEMPLARS = 8
PEOPLE_A_VIDEO = 10
ADDED = 100
"""Videos that are added to the full library, one by one."""
QUERIES = 200
ASKED_ALONE = 20
"""Questions that read the index from the disk each, as the command does."""


def real_faces(folder: Path) -> tuple[np.ndarray, list[str]]:
    """The main face of every photo, (n, 128) of length 1, and whose it is."""
    from facepick.errors import NoFacesFound
    from facepick.models.store import default_store
    from facepick.recognition.evaluate import read_people
    from facepick.recognition.pipeline import open_recognizer

    data = read_people(folder)
    recognizer = open_recognizer(default_store())
    rows, owners = [], []
    for photo, person in zip(data.photos, data.person, strict=True):
        try:
            _, row = recognizer.describe(photo)
        except NoFacesFound:
            continue
        rows.append(row / np.linalg.norm(row))
        owners.append(person)
    return np.array(rows, np.float32), owners


class Crowd:
    """Made-up people around real faces.

    Args:
        faces: (n, d) real ones, whose spread and directions new ones have.
        owners: whose each is.
    """

    def __init__(self, faces: np.ndarray, owners: list[str]) -> None:
        self.random = np.random.default_rng(1)
        self.mean = faces.mean(axis=0)
        _, size, axes = np.linalg.svd(faces - self.mean, full_matrices=False)
        self.axes = (size / np.sqrt(len(faces)))[:, None] * axes
        same = np.equal.outer(np.array(owners), np.array(owners)) & ~np.eye(len(owners), dtype=bool)
        # Two pictures around one direction with this spread have the cosine 1 / (1 + spread^2).
        self.spread = float(np.sqrt(1.0 / (faces @ faces.T)[same].mean() - 1.0))

    def person(self, around: np.ndarray | None = None, count: int = EXEMPLARS) -> np.ndarray:
        """Exemplars (count, d) of somebody around a face, or of somebody new."""
        if around is None:
            around = self.mean + self.random.normal(size=len(self.axes)) @ self.axes
            # What so few real faces do not span, strangers have, too: with as much as this, one
            # pair of a thousand has a cosine of 0.38, as real ones have.
            around = around + self.random.normal(size=len(around)) / np.sqrt(len(around))
            around = around / np.linalg.norm(around)
        noise = self.random.normal(size=(count, len(around))) / np.sqrt(len(around))
        rows = around + noise * self.spread
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def made_up_scan(folder: Path, number: int, people: list[np.ndarray]):
    """A scan of a file that is there, of so many people."""
    from facepick.media.video import VideoInfo
    from facepick.people.person import Person, Scan
    from facepick.people.track import FaceTrack
    from facepick.shots.shot import Shot

    path = folder / f"{number}.mp4"
    path.write_bytes(str(number).encode())
    tracks = [
        FaceTrack(
            f"T{i}", 0, np.arange(10 * i, 10 * i + 9, dtype=np.int32),
            np.tile(np.array([[10, 10, 50, 60]], np.float32), (9, 1)),
            np.zeros((9, 5, 2), np.float32), np.full(9, 0.9, np.float32), np.zeros(9, np.uint8),
        )
        for i in range(len(people))
    ]  # fmt: skip
    frames = 10 * len(people)
    return Scan(
        video=VideoInfo(
            path=path, width=640, height=360, time_base=Fraction(1, 25),
            average_rate=Fraction(25), declared_frames=frames, codec="h264",
            pixel_format="yuv420p",
        ),
        content_hash=f"{number:064x}",
        pts=np.arange(frames, dtype=np.int64),
        duration_pts=1,
        shots=(Shot(0, 0, frames),),
        tracks=tuple(tracks),
        people=tuple(
            Person(
                id=f"P{i + 1}", track_ids=(f"T{i}",), exemplars=rows, frames=9,
                screen_time=Fraction(9, 25),
            )
            for i, rows in enumerate(people)
        ),
    )  # fmt: skip


def measure(size: int, faces: np.ndarray, owners: list[str], folder: Path) -> dict:
    """Fill a library of so many exemplars, and ask it."""
    from facepick.recognition.face_index import FaceIndex, near_exactly
    from facepick.recognition.library import Library, radius_of

    crowd = Crowd(faces, owners)
    library = Library(folder / f"{size}.sqlite")
    # Real scans are added one by one; so many are written at once, as `Library.add` writes them.
    library.add(made_up_scan(folder, 0, [crowd.person(face) for face in faces]))
    rest = size // EXEMPLARS - len(faces) - ADDED * PEOPLE_A_VIDEO
    with sqlite3.connect(library.path) as base:
        base.executemany(
            "INSERT INTO person (video, label, unsure, seconds, spans, faces, exemplars) "
            "VALUES (1, 'P', 0, 1.0, '[]', ?, ?)",
            ((EXEMPLARS, crowd.person().tobytes()) for _ in range(rest)),
        )
    spent = 0.0
    for number in range(1, ADDED + 1):
        scan = made_up_scan(folder, number, [crowd.person() for _ in range(PEOPLE_A_VIDEO)])
        began = time.process_time()
        library.add(scan)
        spent += time.process_time() - began
        scan.video.path.unlink()
    total = library.exemplars()
    row = {
        "exemplars": total,
        "add_ms_a_video": round(1000 * spent / ADDED, 2),
        "file_mb": round(library.path.stat().st_size / 1e6, 1),
    }
    radius = radius_of(library.threshold(), 0.5)
    questions = faces[crowd.random.permutation(len(faces))[:QUERIES]]
    questions = np.concatenate(
        [questions, *(crowd.person(count=1) for _ in range(max(0, QUERIES - len(questions))))]
    )

    began = time.process_time()
    pieces = list(library.rows())
    row["read_cpu_s"] = round(time.process_time() - began, 2)
    began = time.process_time()
    truth = [near_exactly(q[None], pieces, radius) for q in questions]
    row["compare_cpu_ms"] = round(1000 * (time.process_time() - began) / len(questions), 1)
    del pieces
    row["near"] = sum(map(len, truth))

    row["ivf"] = ivf(library, total, questions, radius, truth)
    # What is known so far, should the graph take too long.
    print(json.dumps(row), flush=True)
    index = FaceIndex(library.path.with_name(f"{library.path.name}.faiss"))
    began = time.process_time()
    index.refreshed(lambda after: library.rows(after=after), total)
    row["build_cpu_s"] = round(time.process_time() - began, 1)
    row["index_mb"] = round(index.path.stat().st_size / 1e6, 1)
    began = time.process_time()
    found = [index.near(q[None], radius) for q in questions[:ASKED_ALONE]]
    ms = 1000 * (time.process_time() - began) / len(found)
    row["index"] = {**recall(truth[:ASKED_ALONE], found), "cpu_ms": round(ms, 1)}
    row["peak_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    return row


def recall(truth: list[dict], found: list[set]) -> dict:
    """The share of people within the threshold that are named, and of the nearest one of each."""
    hit = sum(len(set(t) & f) for t, f in zip(truth, found, strict=True))
    asked = [(t, f) for t, f in zip(truth, found, strict=True) if t]
    nearest = sum(max(t, key=t.get) in f for t, f in asked)
    return {
        "recall": round(hit / max(1, sum(map(len, truth))), 4),
        "nearest": round(nearest / max(1, len(asked)), 4),
    }


def ivf(library, total: int, questions: np.ndarray, radius: float, truth: list[dict]) -> list:
    """The other index of FAISS, as a comparison: lists around centres, some of them looked into."""
    import faiss

    pieces = list(library.rows())
    whose = np.concatenate([owners for owners, _ in pieces])
    rows = np.concatenate([exemplars for _, exemplars in pieces])
    lists = int(4 * total**0.5)
    flat = faiss.IndexFlatIP(rows.shape[1])
    index = faiss.IndexIVFFlat(flat, rows.shape[1], lists, faiss.METRIC_INNER_PRODUCT)
    index.cp.max_points_per_centroid = 64
    began = time.process_time()
    index.train(rows[:: max(1, total // (64 * lists))].copy())
    index.add_with_ids(rows, whose)
    built = round(time.process_time() - began, 1)
    told = []
    for looked in (8, 32, 128):
        index.nprobe = looked
        began = time.process_time()
        found = [set(index.range_search(q[None], radius)[2].tolist()) for q in questions]
        ms = 1000 * (time.process_time() - began) / len(questions)
        told.append(
            {"lists": looked, "build_cpu_s": built, **recall(truth, found), "cpu_ms": round(ms, 1)}
        )
    return told


def people(faces: np.ndarray, owners: list[str], folder: Path) -> None:
    """Half of each person's photos are a library, the other half ask it: alone, and together."""
    from facepick.recognition.library import Library
    from facepick.recognition.naming import key_of_model

    library = Library(folder / "people.sqlite")
    names = sorted({o for o in owners if owners.count(o) >= 2})
    rows_of = {n: faces[[o == n for o in owners]] for n in names}
    for number, name in enumerate(names):
        half = rows_of[name][::2]
        library.add(made_up_scan(folder, number, [half]))
    key = key_of_model("sface")
    alone, together = [0, 0, 0], [0, 0, 0]
    for number, name in enumerate(names):
        rest = rows_of[name][1::2]
        for count, asked in ((alone, [row[None] for row in rest]), (together, [rest])):
            for rows in asked:
                found = library.find(rows, key)
                videos = [int(item.video.stem) for item in found]
                count[0] += 1
                count[1] += number in videos
                count[2] += sum(video != number for video in videos)
    for word, (asked, right, wrong) in (("one photo", alone), ("all photos", together)):
        print(f"{word}: {right} of {asked} find the person, {wrong} strangers named beside")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("faces", type=Path)
    parser.add_argument("--sizes", default="100000,1000000")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--people", action="store_true")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="facepick-library-"))
    try:
        faces, owners = real_faces(options.faces)
        if options.people:
            people(faces, owners, folder)
            return 0
        rows = []
        for size in map(int, options.sizes.split(",")):
            rows.append(measure(size, faces, owners, folder))
            print(json.dumps(rows[-1]), flush=True)
        if options.json:
            options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    finally:
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
