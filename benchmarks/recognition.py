"""Measures recognition; every table of docs/recognition.md comes from here.

    python benchmarks/recognition.py table FACES OUT.json     detector x alignment x model
    python benchmarks/recognition.py voting FACES             1 to 4 photos per person
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
from bars import Bars


def mean_mesh(options: argparse.Namespace) -> None:
    """The mean shape of the mesh in the ArcFace chip, over frontal frames of clips."""
    from facepick.faces.alignment import ARCFACE_112, similarity
    from facepick.faces.head_pose import pose_of_points
    from facepick.media.reader import VideoReader
    from facepick.models.store import default_store
    from facepick.recognition.registry import open_detector, open_mesher

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
                small, _ = frame.picture.small(960)
                found = detector.detect(small)
                for i in range(len(found)):
                    pose = pose_of_points(found.landmarks5[i])
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


class Remembering:
    """A detector that answers a picture it has seen from memory, so that a table of alignments
    and models pays for detection once."""

    def __init__(self, detector: object) -> None:
        self._detector = detector
        self.id = detector.id
        self._known = {}
        self.seconds, self.calls = 0.0, 0

    def detect(self, image):
        key = (image.shape, hash(image.tobytes()))
        if key not in self._known:
            began = time.process_time()
            self._known[key] = self._detector.detect(image)
            self.seconds += time.process_time() - began
            self.calls += 1
        return self._known[key]


DETECTORS = ("yunet", "centerface", "haar", "dlib_hog", "deepface_yunet", "deepface_dlib")
MODELS = ("sface", "dlib", "facenet_cv", "deepface_sface", "deepface_dlib")


def table(options: argparse.Namespace) -> int:
    """Every detector x alignment x model that runs here."""
    from facepick.errors import FacepickError
    from facepick.models.store import default_store
    from facepick.recognition.alignment import ALIGNMENTS
    from facepick.recognition.evaluate import evaluate, read_dataset
    from facepick.recognition.pipeline import Recognizer
    from facepick.recognition.registry import (
        model_version,
        open_detector,
        open_embedder,
        open_mesher,
    )
    from facepick.recognition.thresholds import save_thresholds

    store = default_store()
    data = read_dataset(options.faces)
    mesher = open_mesher(store)
    models = {}
    for name in options.models.split(","):
        try:
            models[name] = (open_embedder(name, store), model_version(name, store))
        except FacepickError as error:
            print(f"{name}: {error.sentence()}", file=sys.stderr)
    rows, bars = [], Bars("recognition")
    print("detector  alignment  model  found  accuracy  folds  AUC  EER  TPR@1e-2  TPR@1e-3  ms")
    for name in options.detectors.split(","):
        try:
            detector = Remembering(open_detector(name, store, mesher))
        except FacepickError as error:
            print(f"{name}: {error.sentence()}", file=sys.stderr)
            continue
        for alignment in options.alignments.split(",") if options.alignments else ALIGNMENTS:
            for model, (embedder, version) in models.items():
                recognizer = Recognizer(
                    detector, embedder, alignment=alignment, mesher=mesher, version=version
                )
                result = evaluate(recognizer, data)
                if options.thresholds:
                    save_thresholds(result, Path(options.thresholds))
                best = result.report("cosine")
                row = result.to_json()
                row["detector_ms"] = round(1000 * detector.seconds / max(1, detector.calls), 1)
                row["groups"] = by_group(result, data, best.threshold)
                rows.append(row)
                bars.judge(f"{name} {alignment} {model}",
                           {"accuracy": best.accuracy, "AUC": best.auc})  # fmt: skip
                tpr = ["-" if t is None else f"{t:.3f}" for t in best.tpr_at.values()]
                print(
                    f"{name}  {alignment}  {model}  {result.found}/{result.photos}  "
                    f"{best.accuracy:.4f}  {best.fold_accuracy:.4f}  {best.auc:.4f}  "
                    f"{best.eer:.4f}  {tpr[0]}  {tpr[1]}  "
                    f"{row['detector_ms']:.0f}+{result.embed_ms:.0f}",
                    flush=True,
                )
                Path(options.out).write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return bars.outcome()


def by_group(result, data, threshold):
    """Accuracy over the pairs whose two photos belong to one group: the part of the person's name
    before the first underscore where several people share it."""
    from facepick.recognition.metrics import paired_distances

    groups = {}
    for pair in data.pairs:
        if pair.a not in result.embeddings or pair.b not in result.embeddings:
            continue
        names = {data.person[pair.a].split("_")[0], data.person[pair.b].split("_")[0]}
        if len(names) == 1:
            groups.setdefault(names.pop(), []).append(pair)
    answer = {}
    for name, pairs in groups.items():
        d = paired_distances(
            np.stack([result.embeddings[p.a] for p in pairs]),
            np.stack([result.embeddings[p.b] for p in pairs]),
            "cosine",
        )
        told = (d <= threshold) == np.array([p.same for p in pairs])
        answer[name] = {"pairs": len(pairs), "accuracy": round(float(told.mean()), 4)}
    return answer


def voting(options: argparse.Namespace) -> None:
    """Identification with a reject option from 1, 3 and 5 photos per known person.

    Each person in turn with enough photos is known by n of them and asked for by the rest;
    people with fewer photos are the strangers.
    """
    import itertools

    from facepick.models.store import default_store
    from facepick.recognition.cast import Cast, vote
    from facepick.recognition.evaluate import read_people
    from facepick.recognition.pipeline import open_recognizer
    from facepick.recognition.verify import threshold_of

    store = default_store()
    for model in options.models.split(","):
        recognizer = open_recognizer(store, alignment=options.alignment, model=model)
        data = read_people(Path(options.faces))
        rows = {}
        for photo, person in zip(data.photos, data.person, strict=True):
            seen, code = recognizer.describe(photo)
            rows.setdefault(person, []).append((code / np.linalg.norm(code), seen.quality.value))
        threshold = threshold_of(recognizer, "cosine")
        known = {name: r for name, r in rows.items() if len(r) >= 4}
        strangers = [code for name, r in rows.items() if name not in known for code, _ in r]
        print(f"{model}: {len(known)} known people, {len(strangers)} photos of strangers")
        for count in (1, 2, 3, 4):
            right = wrong = refused = false = asked = strange = 0
            # Every way to choose the photos of a person, the same choice for all people.
            for choice in itertools.combinations(range(5), count):
                matrix, names, weights, queries = [], [], [], []
                for name, r in known.items():
                    taken = {i % len(r) for i in choice}
                    for i, (code, quality) in enumerate(r):
                        if i in taken:
                            matrix.append(code)
                            names.append(name)
                            weights.append(quality)
                        else:
                            queries.append((name, code))
                args = (np.array(matrix), names, np.array(weights), threshold)
                kind = {"neighbours": Cast.NEIGHBOURS, "accept": Cast.ACCEPT}
                for name, code in queries:
                    said = vote(code[None], *args, **kind).name
                    asked += 1
                    right += said == name
                    refused += said is None
                    wrong += said not in (None, name)
                for code in strangers:
                    strange += 1
                    false += vote(code[None], *args, **kind).name is not None
            print(
                f"  {count} photos: right {right / asked:.3f}  refused {refused / asked:.3f}  "
                f"wrong {wrong / asked:.4f}  strangers named {false / strange:.4f} "
                f"({asked} + {strange} questions)"
            )


def search(options: argparse.Namespace) -> None:
    """Brute force against FAISS, exact and approximate.  Needs faiss-cpu."""
    import faiss

    random = np.random.default_rng(1)
    print("CPU ms for 8 queries of 128 numbers, 7 nearest; and to build the index")
    print("faces  numpy  FAISS flat  FAISS HNSW  build flat  build HNSW")
    for count in (1_000, 10_000, 100_000):
        matrix = random.normal(size=(count, 128)).astype(np.float32)
        matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
        queries = matrix[:8].copy()

        def brute(matrix=matrix, queries=queries):
            cosine = queries @ matrix.T
            near = np.argpartition(-cosine, 6, axis=1)[:, :7]
            return np.take_along_axis(cosine, near, axis=1)

        calls, builds = [brute], []
        for index in (
            faiss.IndexFlatIP(128),
            faiss.IndexHNSWFlat(128, 32, faiss.METRIC_INNER_PRODUCT),
        ):
            began = time.process_time()
            index.add(matrix)
            builds.append(1000 * (time.process_time() - began))
            calls.append(lambda index=index, queries=queries: index.search(queries, 7))
        spent = []
        for call in calls:
            times = []
            for _ in range(7):
                began = time.process_time()
                call()
                times.append(1000 * (time.process_time() - began))
            spent.append(min(times))
        print(count, *(f"{x:.2f}" for x in spent), *(f"{x:.0f}" for x in builds), sep="  ")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    actions = parser.add_subparsers(required=True)
    mesh = actions.add_parser("mean-mesh")
    mesh.add_argument("out")
    mesh.add_argument("clips", nargs="+")
    mesh.add_argument("--every", type=int, default=10)
    mesh.set_defaults(run=mean_mesh)
    big = actions.add_parser("table")
    big.add_argument("faces")
    big.add_argument("out")
    big.add_argument("--detectors", default=",".join(DETECTORS))
    big.add_argument("--alignments", default="")
    big.add_argument("--models", default=",".join(MODELS))
    big.add_argument("--thresholds", help="also keep the thresholds in this table")
    big.set_defaults(run=table)
    votes = actions.add_parser("voting")
    votes.add_argument("faces")
    votes.add_argument("--models", default="sface,dlib")
    votes.add_argument("--alignment", default="five")
    votes.set_defaults(run=voting)
    actions.add_parser("search").set_defaults(run=search)
    options = parser.parse_args()
    started = time.process_time()
    status = options.run(options)
    print(f"{time.process_time() - started:.1f} s of CPU", file=sys.stderr)
    return status or 0


if __name__ == "__main__":
    sys.exit(main())
