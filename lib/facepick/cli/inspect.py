"""``facepick inspect``: what was changed in a result, and how well."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facepick.cli.console import make_app, print_json, tell, watched
from facepick.cli.options import add_progress
from facepick.cli.summary import count, say_next, say_table, say_text, shell_word
from facepick.errors import UserInputError
from facepick.publishing import refuse_output
from facepick.text import say

if TYPE_CHECKING:
    from facepick.app import App

__all__ = ["build_inspect", "ranges_text"]

# The documented code of what failed.
EXIT_SEEN = 5


def build_inspect(parser: argparse.ArgumentParser) -> None:
    """Build ``facepick inspect``."""
    parser.add_argument(
        "result", metavar="OUT", help="a result of facepick, or any file with marks"
    )
    parser.add_argument("--json", action="store_true", help="the whole report as JSON")
    parser.add_argument(
        "--sync", action="store_true", help="measure how well re-synced lips follow the speech"
    )
    parser.add_argument(
        "--swap", action="store_true", help="measure whose face a swap shows and how well it sits"
    )
    parser.add_argument(
        "--hidden",
        action="store_true",
        help="search every frame again for a face like the hidden one; exit code 5 where it is",
    )
    parser.add_argument(
        "--plots",
        metavar="DIR",
        help="measure what the result holds (--sync, --swap) and draw one picture per person",
    )
    parser.add_argument(
        "--force", action="store_true", help="overwrite pictures that facepick did not write"
    )
    add_progress(parser)
    parser.set_defaults(handler=_inspect)


def _inspect(options: argparse.Namespace) -> int:
    app = make_app()
    if _only_marks(options):
        return _marks(app.marks(options.result), options)
    # What is measured below is never what a file says was measured.
    measured = ("sync", "swap", "hidden", "marks")
    report = {k: v for k, v in app.inspect(options.result).items() if k not in measured}
    report.update(_measured(app, options, report["people"]))
    video = Path(options.result.removesuffix(".facepick.json"))
    if video.is_file():
        report["marks"] = app.marks(video)
    seen = any(entry["seen"] for entry in report.get("hidden", ()))
    if options.json:
        print_json(report)
        return EXIT_SEEN if seen else 0
    try:
        (_tell_all if options.verbose else _tell_report)(report)
    except (TypeError, KeyError, AttributeError, ValueError, ArithmeticError, RecursionError) as e:
        # Reports come from strangers; what was measured has a form of each engine's own.
        raise UserInputError(
            f"The report of {options.result} is damaged ({type(e).__name__}: {e})."
        ) from e
    return EXIT_SEEN if seen else 0


def _measured(
    app: App, options: argparse.Namespace, people: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Measure what the options ask for; plots ask for all that can be drawn."""
    flows = {person["flow"] for person in people}
    plots = Path(options.plots) if options.plots else None
    if plots is not None:
        for person in people:
            for what in ("sync", "swap"):
                refuse_output(plots / f"{person['id']}.{what}.png", force=options.force)
    found: dict[str, Any] = {}
    with watched(options.progress) as (sink, token):
        if options.sync or (plots and "lipsync" in flows):
            found["sync"] = app.measure_sync(
                options.result, plots=plots, force=options.force, progress=sink, cancel=token
            )
        if options.swap or (plots and "swap" in flows):
            found["swap"] = app.measure_swap(
                options.result, plots=plots, force=options.force, progress=sink, cancel=token
            )
        if options.hidden:
            found["hidden"] = app.measure_hidden(options.result, progress=sink, cancel=token)
    return found


def _only_marks(options: argparse.Namespace) -> bool:
    """Tell whether the file has no report beside it, and nothing is asked that needs one."""
    from facepick.render.report import sidecar_of

    path = Path(options.result)
    asked = options.sync or options.swap or options.hidden or options.plots
    return (
        not asked
        and path.is_file()
        and not (path.name.endswith(".facepick.json") or sidecar_of(path).exists())
    )


def _marks(found: Mapping[str, Any], options: argparse.Namespace) -> int:
    """Tell the marks of a file that has no report."""
    if options.json:
        print_json({"marks": found})
        return 0
    name = Path(options.result).name
    say_text(f"{name}: facepick has no report beside it; only the file itself can be read.")
    if options.verbose:
        _say_marks(found)
    else:
        _say_marks_briefly(found)
    return 0


def _state_of(manifest: Mapping[str, Any]) -> str:
    """Word whether a manifest of C2PA holds."""
    meaning = {"Trusted": "signer known", "Valid": "unchanged since, signer not known here"}
    return meaning.get(manifest["state"], "NOT VALID: " + ", ".join(manifest["problems"]))


def _say_marks(found: Mapping[str, Any]) -> None:
    manifest = found.get("c2pa")
    if manifest is not None:
        say(f"mark\tc2pa\t{_state_of(manifest)}")
        for name in ("signer", "organisation", "time", "made_by"):
            if manifest[name]:
                say(f"mark\tc2pa.{name}\t{manifest[name]}")
        say(f"mark\tc2pa.actions\t{', '.join(manifest['actions'])}")
        for kind in manifest["source_types"]:
            say(f"mark\tc2pa.source_type\t{kind.rsplit('/', 1)[-1]}")
        for ingredient in manifest["ingredients"]:
            signed = "with a manifest of its own" if ingredient["signed"] else "without a manifest"
            say(f"mark\tc2pa.ingredient\t{ingredient['title']} ({signed})")
    elif "c2pa_unread" in found:
        say(f"mark\tc2pa\tnot read: {found['c2pa_unread']}")
    for name in ("aigc", "aigc_before"):
        for key, value in found.get(name, {}).items():
            say(f"mark\t{name}.{key}\t{value}")
    for name in ("digital_source_type", "comment"):
        if name in found:
            say(f"mark\t{name}\t{found[name]}")


def _tell_report(report: Mapping[str, Any]) -> None:
    """Print what a person wants to know of a result."""
    from facepick.render.notices import notices_of_report
    from facepick.review.words import say_in

    same = {
        True: "unchanged since it was rendered",
        False: "CHANGED since it was rendered",
        None: "not beside its report",
    }
    result = Path(report["result"]["path"]).name
    source, frames = report["source"]["path"], report["result"]["frames"]
    say_text(f"{result}: {same[report['unchanged_since']]}.")
    say_text(
        f"Made {str(report['created'])[:16].replace('T', ' ')} UTC by {report['tool']['name']} "
        f"{report['tool']['version']} from {source} ({count(report['source']['frames'], 'frame')})."
    )
    say("")
    rows, notes = [], []
    for person in report["people"]:
        left = [
            f"{number}: {say_in('en', 'reason_' + reason)}"
            for reason, number in person["frames_left"].items()
        ]
        changed = int(person["frames_changed"])
        if person.get("frames_closed"):
            shut = say_in("en", "closed_in", frames=person["frames_closed"])
            notes.append(f"{person['id']}: {shut}")
        named = f"{person['id']} ({person['name']})" if person.get("name") else person["id"]
        done = f"{say_in('en', 'flow_' + person['flow'])} ({person['engine']})"
        rows.append((named, done, f"{changed} of {frames}", "; ".join(left) or "-"))
    say_table(("WHO", "DONE", "FRAMES CHANGED", "LEFT AS FILMED"), rows)
    for note in notes:
        say_text(note)
    _say_sync(report.get("sync", ()))
    _say_swap(report.get("swap", ()))
    if "hidden" in report:
        say("")
        _say_hidden(report["hidden"])
    say("")
    _say_marks_briefly(report.get("marks", {}))
    tell(notices_of_report(report))
    _say_next(report)


def _say_sync(entries: Sequence[Mapping[str, Any]]) -> None:
    """Print how well lips follow the speech; beside each figure what wrong sound would reach."""
    for entry in entries:
        say("")
        say(f"{entry['person']}: lips and sound")
        rows = []
        opening, met = entry.get("openness"), entry.get("closures")
        # Without words nobody but the engine says how far the mouth should open.
        marked = opening or entry.get("formant")
        if marked:
            late = marked["best_lag_ms"]
            what = (
                "the mouth opens as the speech asks (1 is best)" if opening
                else "the mouth opens with open vowels (about 0.5 is best; words tell more)"
            )  # fmt: skip
            rows += [
                (what, f"{marked['r']:.2f}", f"{marked['wrong_sound_r']:.2f}"),
                ("the lips are late by", "not clear" if late is None else f"{late} ms", ""),
            ]
        if met:
            chance = met["by_chance"]
            rows.append(
                (f"the lips meet where p, b or m is heard ({met['heard']} times)",
                 f"{met['met']:.0%}", "" if chance is None else f"{chance:.0%}")
            )  # fmt: skip
        if entry.get("sharpness_ratio") is not None:
            rows.append(
                ("sharpness of the mouth against the original's", f"{entry['sharpness_ratio']:.2f}",
                 "")
            )  # fmt: skip
        if rows:
            say_table(("", "MEASURED", "BY CHANCE"), rows)
        else:
            say("  too little of the mouth is seen while something is said to measure it")


def _say_swap(entries: Sequence[Mapping[str, Any]]) -> None:
    """Print how often a swapped face is nearer to its source than to the person filmed."""
    for entry in entries:
        say("")
        say(f"{entry['person']}: swapped face")
        rows = [
            (
                name,
                f"nearer to the source in {found['nearer_source']:.0%} of the frames",
                f"as surely as one person in {found['over_same_person']:.0%}",
            )
            for name, found in (entry.get("identity") or {}).items()
        ]
        if rows:
            say_table(("", "", ""), rows)
        else:
            say("  no swapped face could be compared")


def _say_marks_briefly(found: Mapping[str, Any]) -> None:
    """Print in a few lines what the file itself says of how it was made."""
    manifest = found.get("c2pa")
    if manifest is not None:
        by = manifest["signer"] or manifest["organisation"] or "somebody"
        say_text(f"Signed (C2PA) by {by}: {_state_of(manifest)}.")
    if "comment" in found:
        say_text(f'The file says: "{found["comment"]}"')
    fields = {k: v for k, v in found.get("aigc", {}).items() if v}
    if fields:
        say_text("AIGC fields: " + ", ".join(f"{k} {v}" for k, v in fields.items()))
    if manifest is None and "c2pa_unread" in found:
        say_text(f"Whether it is signed (C2PA) is not known: {found['c2pa_unread']}")
    if manifest is None and not fields and "comment" not in found:
        say_text("The file says nothing of how it was made.")


def _say_next(report: Mapping[str, Any]) -> None:
    video = shell_word(str(report["result"]["path"]))
    steps = [(f"facepick review {video}", "a page with pictures: what was done, how well")]
    flows = {person["flow"] for person in report["people"]}
    for flow, what, words in (
        ("lipsync", "sync", "measure how well the lips follow"),
        ("swap", "swap", "measure whose face is seen"),
        ("hide", "hidden", "search for the hidden face again"),
    ):
        if flow in flows and what not in report:
            steps.append((f"facepick inspect {video} --{what}", words))
    steps.append((f"facepick inspect {video} --verbose", "every figure"))
    say_next(steps)


def _tell_all(report: Mapping[str, Any]) -> None:
    from facepick.render.notices import notices_of_report

    same = {True: "unchanged since", False: "CHANGED since", None: "not beside its report"}
    say(f"{report['result']['path']}: {same[report['unchanged_since']]} it was rendered.")
    say(f"made {report['created']} by {report['tool']['name']} {report['tool']['version']}")
    say(f"source {report['source']['path']} ({report['source']['frames']} frames)")
    tell(notices_of_report(report))
    for person in report["people"]:
        left = ", ".join(f"{k} {v}" for k, v in person["frames_left"].items()) or "none"
        closed = person.get("frames_closed")
        shut = f", {closed} of them to close the mouth" if closed else ""
        say(
            f"{person['id']}\t{person['flow']} {person['engine']}\t"
            f"{person['frames_changed']} frames changed{shut}\tleft alone: {left}"
        )
        _print_figures(person["measured"])
    for what in ("sync", "swap"):
        for entry in report.get(what, ()):
            say(f"{entry['person']}\t{what}")
            _print_figures({k: v for k, v in entry.items() if k != "person"})
    if "hidden" in report:
        _say_hidden(report["hidden"])
    if "marks" in report:
        _say_marks(report["marks"])


def _say_hidden(entries: Sequence[Mapping[str, Any]]) -> None:
    if not entries:
        say("Nobody was to be hidden in this result.")
    for entry in entries:
        frames = [face["frame"] for face in entry["seen"]]
        searched = count(entry["frames_searched"], "frame")
        if frames:
            say_text(
                f"{entry['person']}: STILL SEEN: a face like the hidden one is seen in "
                f"{len(frames)} of {searched}: {ranges_text(frames)}"
            )
        elif entry["most_alike"] is None:
            say_text(f"{entry['person']}: no face that can be compared was found")
        else:
            say_text(
                f"{entry['person']}: not seen in {searched} "
                f"(the most alike face: {entry['most_alike']:.2f}; one person from "
                f"{entry['same_person']:.2f})"
            )


def ranges_text(frames: Sequence[int]) -> str:
    """Word frames as stretches; at most ten, then how many more.

    >>> ranges_text([3, 7, 8, 9])
    '3, 7-9'
    """
    runs: list[list[int]] = []
    for frame in sorted(set(frames)):
        if runs and frame == runs[-1][1] + 1:
            runs[-1][1] = frame
        else:
            runs.append([frame, frame])
    shown = ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs[:10])
    return shown + (f" and {len(runs) - 10} stretches more" if len(runs) > 10 else "")


def _print_figures(figures: Mapping[str, Any], prefix: str = "") -> None:
    """Print figures and words of a report, one a line, nested ones with their path."""
    for key, value in figures.items():
        if isinstance(value, Mapping):
            _print_figures(value, f"{prefix}{key}.")
        elif isinstance(value, float):
            say(f"\t{prefix}{key}: {value:.3g}")
        elif isinstance(value, str | int):
            say(f"\t{prefix}{key}: {value}")
