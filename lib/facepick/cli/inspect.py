"""``facepick inspect``: what was changed in a result, and how well."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from facepick.cli.console import make_app, print_json, tell, watched
from facepick.cli.options import add_progress
from facepick.errors import UserInputError
from facepick.publishing import refuse_output
from facepick.text import say

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
    flows = {person["flow"] for person in report["people"]}
    plots = Path(options.plots) if options.plots else None
    if plots is not None:
        for person in report["people"]:
            for what in ("sync", "swap"):
                refuse_output(plots / f"{person['id']}.{what}.png", force=options.force)
    with watched(options.progress) as (sink, token):
        if options.sync or (plots and "lipsync" in flows):
            report["sync"] = app.measure_sync(
                options.result, plots=plots, force=options.force, progress=sink, cancel=token
            )
        if options.swap or (plots and "swap" in flows):
            report["swap"] = app.measure_swap(
                options.result, plots=plots, force=options.force, progress=sink, cancel=token
            )
        if options.hidden:
            report["hidden"] = app.measure_hidden(options.result, progress=sink, cancel=token)
    video = Path(options.result.removesuffix(".facepick.json"))
    if video.is_file():
        report["marks"] = app.marks(video)
    seen = any(entry["seen"] for entry in report.get("hidden", ()))
    if options.json:
        print_json(report)
        return EXIT_SEEN if seen else 0
    try:
        _tell_report(report)
    except (TypeError, KeyError, AttributeError, ValueError, ArithmeticError, RecursionError) as e:
        # Reports come from strangers; what was measured has a form of each engine's own.
        raise UserInputError(
            f"The report of {options.result} is damaged ({type(e).__name__}: {e})."
        ) from e
    return EXIT_SEEN if seen else 0


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
    say(f"{options.result}: no report beside it; what the file itself says:")
    _say_marks(found)
    if not found:
        say("mark\tnone")
    return 0


def _say_marks(found: Mapping[str, Any]) -> None:
    manifest = found.get("c2pa")
    if manifest is not None:
        meaning = {"Trusted": "signer known", "Valid": "unchanged since, signer not known here"}
        state = meaning.get(manifest["state"], "NOT VALID: " + ", ".join(manifest["problems"]))
        say(f"mark\tc2pa\t{state}")
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
        if frames:
            say(
                f"{entry['person']}	hidden	a face like it is seen in {len(frames)} of "
                f"{entry['frames_searched']} frames: {ranges_text(frames)}"
            )
        elif entry["most_alike"] is None:
            say(f"{entry['person']}	hidden	no face that can be compared was found")
        else:
            say(
                f"{entry['person']}	hidden	not seen in {entry['frames_searched']} frames "
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
