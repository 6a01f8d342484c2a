"""Commands cast, evaluate, verify-faces and explain.

``facepick.cli`` hands them the app and its way of showing progress, so that nothing here depends
on either.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facepick.errors import SettingsError, UserInputError
from facepick.programs import python_module
from facepick.progress import CancelToken, ProgressSink
from facepick.publishing import refuse_input, refuse_output, write_output
from facepick.text import say

if TYPE_CHECKING:
    from facepick.app import App
    from facepick.people.person import Scan
    from facepick.recognition.cast import Cast
    from facepick.recognition.classifiers import Identification
    from facepick.recognition.evaluate import Dataset, Evaluation
    from facepick.recognition.naming import SeriesTable
    from facepick.recognition.pipeline import Recognizer
    from facepick.recognition.verify import Verdict

__all__ = [
    "Tools",
    "build_cast_parser",
    "build_evaluate_parser",
    "build_explain_parser",
    "build_verify_parser",
]

_VIDEOS = {".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".ts", ".flv", ".wmv", ".mpg"}


@dataclass(frozen=True)
class Tools:
    """Tools that the command line lends.

    Attributes:
        app: makes the app; called by commands that need it.
        watch: shows progress the way it was asked for, and stops on Ctrl-C.
    """

    app: Callable[[], App]
    watch: Callable[[str], AbstractContextManager[tuple[ProgressSink, CancelToken]]]


def _say(text: str) -> None:
    say(text)
    # Without a standard output there is nothing to flush.
    if sys.stdout is not None:
        sys.stdout.flush()


def _say_json(data: Any) -> None:
    _say(json.dumps(data, ensure_ascii=False))


def _add_progress(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--progress",
        choices=("auto", "bar", "jsonl", "none"),
        default="auto",
        help="how progress is shown: a bar on a terminal, one JSON object a line, or not at all",
    )


def _add_choice(parser: argparse.ArgumentParser, *, metric: bool = True) -> None:
    from facepick.recognition.alignment import ALIGNMENTS
    from facepick.recognition.metrics import METRICS

    group = parser.add_argument_group("how faces are compared")
    group.add_argument(
        "--detector",
        metavar="ID",
        default="yunet",
        help="default: yunet; all of them: facepick evaluate --list",
    )
    group.add_argument(
        "--alignment", choices=ALIGNMENTS, default="five", help="default: five points"
    )
    group.add_argument("--model", metavar="ID", default="sface", help="default: sface")
    if metric:
        group.add_argument("--metric", choices=METRICS, default="cosine", help="default: cosine")


def _recognizer(app: App, options: argparse.Namespace) -> Recognizer:
    from facepick.recognition.pipeline import open_recognizer

    return open_recognizer(
        app.models,
        detector=options.detector,
        alignment=options.alignment,
        model=options.model,
    )


# --- verify-faces, explain ----------------------------------------------------------------------


def build_verify_parser(parser: argparse.ArgumentParser, tools: Tools) -> None:
    """Build ``facepick verify-faces A B``."""
    parser.add_argument("a", metavar="A", help="a photo")
    parser.add_argument("b", metavar="B", help="another photo")
    _add_choice(parser)
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.set_defaults(handler=lambda options: _verify(options, tools))


def _verify(options: argparse.Namespace, tools: Tools) -> int:
    from facepick.recognition.verify import verify

    recognizer = _recognizer(tools.app(), options)
    verdict = verify(options.a, options.b, recognizer, metric=options.metric)
    line = verdict.threshold
    if options.json:
        _say_json(_figures(verdict))
        return 0
    _say(
        f"{'same' if verdict.same else 'different'}\t{line.metric} distance "
        f"{verdict.distance:.3f}\tthreshold {line.threshold:.3f}\t"
        f"confidence {verdict.confidence:.2f}"
    )
    if not line.calibrated:
        say(
            "The threshold is the authors' own, not measured with this alignment; "
            "see: facepick evaluate",
            file=sys.stderr,
        )
    return 0


def _figures(verdict: Verdict) -> dict[str, Any]:
    line = verdict.threshold
    return {
        "same": verdict.same,
        "metric": line.metric,
        "distance": round(verdict.distance, 5),
        "threshold": line.threshold,
        "confidence": round(verdict.confidence, 4),
        "calibrated": line.calibrated,
        "measured_on": line.dataset,
    }


def build_explain_parser(parser: argparse.ArgumentParser, tools: Tools) -> None:
    """Build ``facepick explain A B -o SHEET.png``."""
    parser.add_argument("a", metavar="A", help="a photo")
    parser.add_argument("b", metavar="B", help="another photo")
    parser.add_argument(
        "-o", "--out", metavar="FILE", default="explain.png", help="default: explain.png"
    )
    parser.add_argument("--force", action="store_true", help="overwrite an existing picture")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    _add_choice(parser)
    parser.set_defaults(handler=lambda options: _explain(options, tools))


def _explain(options: argparse.Namespace, tools: Tools) -> int:
    from facepick.recognition.explain import draw_explanation
    from facepick.recognition.plots import write_picture
    from facepick.recognition.verify import verify

    out = _out(options.out, {".png", ".jpg", ".jpeg"}, force=options.force)
    recognizer = _recognizer(tools.app(), options)
    verdict = verify(options.a, options.b, recognizer, metric=options.metric)
    write_picture(
        out, draw_explanation(options.a, options.b, verdict, recognizer), force=options.force
    )
    if options.json:
        _say_json({**_figures(verdict), "sheet": str(out)})
    else:
        _say(str(out))
    return 0


def _out(name: str, suffixes: set[str], *, force: bool) -> Path:
    path = Path(name).absolute()
    if path.suffix.lower() not in suffixes:
        raise UserInputError(f"{name} must end in {' or '.join(sorted(suffixes))}.")
    if path.exists() and not force:
        raise UserInputError(f"{name} is there already.", hint="Add --force to overwrite it.")
    if not path.parent.is_dir():
        raise UserInputError(f"There is no folder {path.parent}.", hint="Make it first.")
    return path


# --- evaluate -----------------------------------------------------------------------------------


def build_evaluate_parser(parser: argparse.ArgumentParser, tools: Tools) -> None:
    """Build ``facepick evaluate DIR|pairs.txt``."""
    parser.add_argument(
        "data",
        metavar="DIR|PAIRS",
        nargs="?",
        help="a folder with one folder of photos per person, or a pairs file as LFW has it",
    )
    parser.add_argument("--images", metavar="DIR", help="where the photos of a pairs file lie")
    parser.add_argument(
        "--list", action="store_true", help="list the detectors and models that can be chosen"
    )
    _add_choice(parser, metric=False)
    _add_classifier(parser, "also tell how often photos get the right name by it, beside voting")
    parser.add_argument("--json", nargs="?", const="-", metavar="FILE", help="the figures as JSON")
    parser.add_argument(
        "--pictures",
        metavar="DIR",
        help="write ROC curve, histogram, and the distances of all photos there",
    )
    parser.add_argument(
        "--force", action="store_true", help="overwrite files that facepick did not write"
    )
    parser.add_argument(
        "--save-thresholds",
        nargs="?",
        const="",
        metavar="FILE",
        help="keep the thresholds for verify-faces and cast (default: the user's own table)",
    )
    _add_progress(parser)
    parser.set_defaults(handler=lambda options: _evaluate(options, tools))


def _add_classifier(parser: argparse.ArgumentParser, text: str) -> None:
    from facepick.recognition.classifiers import CLASSIFIERS

    parser.add_argument(
        "--classifier",
        choices=CLASSIFIERS,
        help=f"{text}; svm and centroid: facepick[classifier]",
    )


def _evaluate(options: argparse.Namespace, tools: Tools) -> int:
    from facepick.recognition.evaluate import evaluate, read_dataset
    from facepick.recognition.thresholds import save_thresholds, user_table

    if options.list:
        return _list_choices(options)
    if not options.data:
        raise UserInputError(
            "No data is given.", hint="Write: facepick evaluate DIR, or: facepick evaluate --list"
        )
    images = Path(options.images) if options.images else None
    data = read_dataset(options.data, images=images)
    if options.json and options.json != "-":
        refuse_input(Path(options.json), [Path(options.data)])
        refuse_output(Path(options.json), force=options.force)
    recognizer = _recognizer(tools.app(), options)
    with tools.watch(options.progress) as (sink, cancel):
        result = evaluate(recognizer, data, progress=sink, cancel=cancel)
    told = _identified(options, recognizer, result, data) if options.classifier else []
    figures = result.to_json()
    if told:
        figures["identification"] = [item.to_json() for item in told]
    if options.pictures:
        folder = Path(options.pictures)
        _write_pictures(result, data, figures, folder, force=options.force)
    if options.save_thresholds is not None:
        table = Path(options.save_thresholds) if options.save_thresholds else user_table()
        save_thresholds(result, table)
        say(f"Thresholds kept in {table}", file=sys.stderr)
    if options.json == "-":
        _say_json(figures)
        return 0
    if options.json:
        text = json.dumps(figures, indent=1, ensure_ascii=False)
        write_output(Path(options.json), text + "\n", force=options.force)
    _say(
        f"{result.dataset}: {result.detector} / {result.alignment} / {result.model}; faces in "
        f"{result.found} of {result.photos} photos; {result.genuine} pairs of one person, "
        f"{result.impostor} of two; {result.detect_ms:.0f} + {result.embed_ms:.0f} ms of CPU a face"
    )
    _say("metric\tthreshold\taccuracy\tfolds\tAUC\tEER\tTPR@1e-2\tTPR@1e-3")
    for report in result.reports:
        rates = ["-" if r is None else f"{r:.4f}" for r in report.tpr_at.values()]
        _say(
            f"{report.metric}\t{report.threshold:.4f}\t{report.accuracy:.4f}\t"
            f"{report.fold_accuracy:.4f}+-{report.fold_deviation:.4f}\t{report.auc:.4f}\t"
            f"{report.eer:.4f}\t" + "\t".join(rates)
        )
    if told:
        _say("classifier\tright\trefused\twrong\tstrangers named")
    for item in told:
        refused = item.asked - item.right - item.wrong
        _say(
            f"{item.classifier}\t{item.right} of {item.asked}\t{refused}\t{item.wrong}\t"
            f"{item.named} of {item.strangers}"
        )
    for name in result.missed:
        say(f"no face found: {name}", file=sys.stderr)
    return 0


def _identified(
    options: argparse.Namespace, recognizer: Recognizer, result: Evaluation, data: Dataset
) -> list[Identification]:
    """Measure the classifier that was asked for, and voting beside it."""
    import numpy as np

    from facepick.recognition.classifiers import identify
    from facepick.recognition.verify import threshold_of

    places = sorted(result.embeddings)
    rows = np.stack([result.embeddings[place] for place in places])
    names = [data.person[place] for place in places]
    threshold = threshold_of(recognizer, "cosine")
    kinds = dict.fromkeys(("vote", options.classifier))
    return [identify(kind, rows, names, threshold) for kind in kinds]


def _list_choices(options: argparse.Namespace) -> int:
    from facepick.recognition.alignment import ALIGNMENTS
    from facepick.recognition.registry import detectors, embedders

    rows = [("detector", d.id, d.licence, d.about) for d in detectors()]
    rows += [("model", e.id, e.licence, e.about) for e in embedders()]
    rows += [("alignment", name, "", "") for name in ALIGNMENTS]
    if options.json:
        _say_json(
            [{"kind": k, "id": i, "licence": licence, "about": a} for k, i, licence, a in rows]
        )
        return 0
    for kind, name, licence, about in rows:
        _say(f"{name}\t{kind}\t{licence}\t{about}".rstrip())
    return 0


def _write_pictures(
    result: Evaluation, data: Dataset, figures: dict[str, Any], folder: Path, *, force: bool
) -> None:
    from facepick.recognition.plots import (
        draw_distances,
        draw_histogram,
        draw_roc,
        write_picture,
    )

    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{result.detector}_{result.alignment}_{result.model}"
    for report in result.reports:
        write_picture(
            folder / f"{stem}_{report.metric}_roc.png", draw_roc(result, report), force=force
        )
        write_picture(
            folder / f"{stem}_{report.metric}_histogram.png",
            draw_histogram(result, report),
            force=force,
        )
    write_picture(folder / f"{stem}_distances.png", draw_distances(result, data), force=force)
    text = json.dumps(figures, indent=1, ensure_ascii=False)
    write_output(folder / f"{stem}.json", text + "\n", force=force)


# --- cast ---------------------------------------------------------------------------------------


def build_cast_parser(parser: argparse.ArgumentParser, tools: Tools) -> None:
    """Build ``facepick cast add|list|remove|rename|match|export|import``."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)

    def action(name: str, text: str, handler: Callable[[argparse.Namespace, Tools], int]) -> Any:
        made = actions.add_parser(name, help=text, description=text)
        made.add_argument("--cast", metavar="FILE", help="another cast than the user's own")
        made.set_defaults(handler=lambda options: handler(options, tools))
        return made

    add = action("add", "add a person, by photos or from a video", _cast_add)
    add.add_argument("name", metavar="NAME")
    add.add_argument("photos", metavar="PHOTO", nargs="*")
    add.add_argument(
        "--from",
        dest="videos",
        metavar="VIDEO:P2",
        action="append",
        default=[],
        help="a person of a video",
    )
    _add_choice(add, metric=False)
    _add_progress(add)
    folder = action(
        "add-folder", "add everybody of a folder with a folder of photos for each", _cast_add_folder
    )
    folder.add_argument("folder", metavar="DIR")
    _add_choice(folder, metric=False)
    _add_progress(folder)
    listing = action("list", "everybody who is known", _cast_list)
    listing.add_argument("--json", action="store_true", help="as JSON")
    remove = action("remove", "forget a person", _cast_remove)
    remove.add_argument("name", metavar="NAME", nargs="+")
    rename = action("rename", "give a person another name", _cast_rename)
    rename.add_argument("old", metavar="OLD")
    rename.add_argument("new", metavar="NEW")
    found = action("match", "who is in which video", _cast_match)
    found.add_argument("videos", metavar="VIDEO|DIR", nargs="+")
    found.add_argument("--json", nargs="?", const="-", metavar="FILE", help="as JSON")
    found.add_argument(
        "--force", action="store_true", help="overwrite a file that facepick did not write"
    )
    _add_classifier(found, "how people are named (default: vote)")
    found.add_argument(
        "--parallel", type=int, default=1, metavar="N", help="scan N videos at a time"
    )
    _add_progress(found)
    export = action("export", "write the cast to a file", _cast_export)
    export.add_argument("file", metavar="FILE.zip|FILE.json")
    export.add_argument("--force", action="store_true", help="overwrite an existing file")
    load = action("import", "add everybody of an exported cast", _cast_import)
    load.add_argument("file", metavar="FILE")


def _cast(options: argparse.Namespace) -> Cast:
    from facepick.recognition.cast import Cast, default_cast

    return Cast(Path(options.cast) if options.cast else default_cast())


def _cast_add(options: argparse.Namespace, tools: Tools) -> int:
    from facepick.recognition.naming import add_from_scan, add_photos

    if not options.photos and not options.videos:
        raise UserInputError(
            "No photo is given.",
            hint="Write: facepick cast add NAME PHOTO, or: --from VIDEO:P2",
        )
    cast, app = _cast(options), tools.app()
    added = 0
    if options.photos:
        added += add_photos(cast, options.name, options.photos, _recognizer(app, options))
    for text in options.videos:
        # The last colon: a path may hold others (C:\clip.mp4:P2).
        video, colon, person = text.rpartition(":")
        if not colon or not video or not person:
            raise UserInputError(f"--from {text} names no person.", hint="Write: --from VIDEO:P2")
        with tools.watch(options.progress) as (sink, cancel):
            scan = app.find_people(video, progress=sink, cancel=cancel)
        added += add_from_scan(cast, options.name, scan, person)
    _say(f"{options.name}\t{added} faces added")
    return 0


def _cast_add_folder(options: argparse.Namespace, tools: Tools) -> int:
    from facepick.errors import NoFacesFound
    from facepick.progress import ProgressMeter
    from facepick.recognition.evaluate import photos_of_people
    from facepick.recognition.naming import add_photos

    cast, people = _cast(options), photos_of_people(Path(options.folder))
    recognizer = _recognizer(tools.app(), options)
    missed: list[str] = []
    with tools.watch(options.progress) as (sink, cancel):
        meter = ProgressMeter(sink, "evaluate", sum(map(len, people.values())))
        done = 0
        for name, photos in people.items():
            added = 0
            for photo in photos:
                cancel.raise_if_cancelled()
                try:
                    added += add_photos(cast, name, [photo], recognizer)
                except NoFacesFound:
                    missed.append(f"{name}/{photo.name}")
                done += 1
                meter.update(done)
            _say(f"{name}\t{added} faces added")
    for photo_name in missed:
        say(f"no face found: {photo_name}", file=sys.stderr)
    return 0


def _cast_list(options: argparse.Namespace, tools: Tools) -> int:
    cast = _cast(options)
    members = cast.members()
    if options.json:
        _say_json(
            {
                "cast": str(cast.path),
                "model": str(cast.key) if cast.key else None,
                "people": [
                    {
                        "name": m.name,
                        "faces": m.faces,
                        "quality": round(m.quality, 3),
                        "sources": list(m.sources),
                    }
                    for m in members
                ],
            }
        )
        return 0
    for member in members:
        _say(f"{member.name}\t{member.faces} faces\tquality {member.quality:.2f}")
    if not members:
        say("Nobody is known yet. Add somebody: facepick cast add NAME PHOTO", file=sys.stderr)
    return 0


def _cast_remove(options: argparse.Namespace, tools: Tools) -> int:
    cast = _cast(options)
    for name in options.name:
        _say(f"{name}\t{cast.remove(name)} faces removed")
    return 0


def _cast_rename(options: argparse.Namespace, tools: Tools) -> int:
    _cast(options).rename(options.old, options.new)
    _say(f"{options.old} is now {options.new}")
    return 0


def _cast_export(options: argparse.Namespace, tools: Tools) -> int:
    out = _out(options.file, {".zip", ".json"}, force=options.force)
    _say(f"{out}\t{_cast(options).export(out, force=options.force)} people")
    return 0


def _cast_import(options: argparse.Namespace, tools: Tools) -> int:
    _say(f"{_cast(options).load(Path(options.file))} faces added")
    return 0


def _cast_match(options: argparse.Namespace, tools: Tools) -> int:
    from facepick.recognition.naming import match, series_table

    if not 1 <= options.parallel <= 64:
        raise SettingsError(f"--parallel must lie in [1, 64], got {options.parallel}.")
    videos = _videos(options.videos)
    if options.json and options.json != "-":
        refuse_input(Path(options.json), videos)
        refuse_output(Path(options.json), force=options.force)
    app, cast = tools.app(), _cast(options)
    if options.parallel > 1 and len(videos) > 1:
        _scan_in_children(videos, options.parallel, app)
    with tools.watch(options.progress) as (sink, cancel):
        scans = [app.find_people(video, progress=sink, cancel=cancel) for video in videos]
    kind = options.classifier or "vote"
    if len(scans) == 1 and not options.json:
        _say_matches(scans[0], match(scans[0], cast, kind))
        return 0
    table = series_table(scans, cast, kind)
    if options.json:
        data = table.to_json()
        data["matches"] = [
            {
                i: {"name": n, "confidence": round(c, 4)}
                for i, (n, c) in match(s, cast, kind).items()
            }
            for s in scans
        ]
        if options.json == "-":
            _say_json(data)
        else:
            text = json.dumps(data, indent=1, ensure_ascii=False)
            write_output(Path(options.json), text + "\n", force=options.force)
        return 0
    _say_table(table)
    return 0


def _videos(names: Sequence[str]) -> list[Path]:
    """List files as they are, folders as their videos in order of name."""
    found: list[Path] = []
    for name in names:
        path = Path(name)
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix.lower() in _VIDEOS)
            if not inside:
                raise UserInputError(f"There is no video in {name}.")
            found.extend(inside)
        else:
            found.append(path)
    return list(dict.fromkeys(found))


def _scan_in_children(videos: Sequence[Path], workers: int, app: App) -> None:
    """Fill the cache of scans with several processes; what fails is met again by the caller."""
    import os

    environment = {**os.environ, **app.host.child_environment()}

    def scan(video: Path) -> None:
        subprocess.run(
            python_module("facepick", "people", str(video), "--progress", "none"),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(scan, videos))


def _say_matches(scan: Scan, known: dict[str, tuple[str, float]]) -> None:
    for person in scan.people:
        name, confidence = known.get(person.id, ("-", 0.0))
        seconds = f"{float(person.screen_time):.1f} s"
        sure = f"confidence {confidence:.2f}" if person.id in known else "nobody of the cast"
        if person.unsure:
            sure = "unsure"
        _say(f"{person.id}\t{seconds}\t{name}\t{sure}")


def _say_table(table: SeriesTable) -> None:
    _say("\t".join(["person", *(path.name for path in table.episodes), "total"]))
    for row in table.rows:
        cells = [f"{float(s):.1f}" if s else "-" for s in row.seconds]
        _say("\t".join([row.name, *cells, f"{float(row.total):.1f}"]))
