"""The command line, which is also the contract of the child process.

Exit codes: 0 done, 2 the request is wrong, 3 a model or tool is missing, 4 stopped by the user,
5 failed.  Errors are one sentence on stderr with what to do next.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facepick import __version__
from facepick.errors import Cancelled, FacepickError, SettingsError, UserInputError
from facepick.progress import CancelToken, Progress, ProgressSink

if TYPE_CHECKING:
    from facepick.app import App
    from facepick.jobs.job import JobRecord
    from facepick.people.identity import Scan
    from facepick.render.plan import Assignment, RenderPlan
    from facepick.settings import SettingField

__all__ = ["main"]

Handler = Callable[[argparse.Namespace], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; gives its exit code and never raises."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return _run(arguments)
    except BrokenPipeError:
        # The reader of a pipe (head, less) went away: nothing is wrong.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _run(arguments: list[str]) -> int:
    try:
        parser = _parser(arguments)
        options = parser.parse_args(arguments)
        if getattr(options, "handler", None) is None:
            parser.print_help()
            return 0
        _set_up_logging(options.verbose)
        handler: Handler = options.handler
        return handler(options)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 2
    except Cancelled as error:
        _complain(str(error), error.exit_code, arguments)
        return error.exit_code
    except KeyboardInterrupt:
        _complain("Stopped.", Cancelled.exit_code, arguments)
        return Cancelled.exit_code
    except FacepickError as error:
        if "--verbose" in arguments and error.__cause__ is not None:
            logging.getLogger("facepick").error("cause", exc_info=error.__cause__)
        _complain(error.sentence(), error.exit_code, arguments)
        return error.exit_code
    except Exception as error:
        if "--verbose" in arguments:
            logging.getLogger("facepick").exception("unexpected")
        _complain(
            f"Unexpected {type(error).__name__}: {error} "
            "Run again with --verbose and report what it prints.",
            FacepickError.exit_code,
            arguments,
        )
        return FacepickError.exit_code


def _complain(sentence: str, code: int, arguments: Sequence[str]) -> None:
    line = " ".join(sentence.split())
    print(f"facepick: {line}", file=sys.stderr)
    if "jsonl" in arguments or "--progress=jsonl" in arguments:
        _print_json({"event": "error", "exit_code": code, "message": line})


def _print_json(data: Any) -> None:
    print(json.dumps(data, ensure_ascii=False), flush=True)


def _set_up_logging(verbose: bool) -> None:
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.ERROR,
        format="%(levelname)s %(name)s: %(message)s",
    )
    if verbose:
        for noisy in ("PIL", "matplotlib", "httpx", "asyncio"):
            logging.getLogger(noisy).setLevel(logging.WARNING)


# --- options ------------------------------------------------------------------------------------


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """The parser; only the command that was named gets its options, so that others cost nothing."""
    parser = argparse.ArgumentParser(
        prog="facepick",
        description="Find everyone in a video, pick a person, change only that person.",
        epilog="Try: facepick people VIDEO --gallery people",
    )
    parser.add_argument("--version", action="version", version=f"facepick {__version__}")
    parser.set_defaults(handler=None, verbose=False)
    commands = parser.add_subparsers(metavar="COMMAND", title="commands")
    named = next((a for a in arguments if not a.startswith("-")), "")
    for name, (help_text, build) in _COMMANDS.items():
        command = commands.add_parser(name, help=help_text, description=help_text)
        if name == named:
            build(command)
            command.add_argument("--verbose", action="store_true", help="print what happens inside")
    return parser


def _add_progress(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--progress",
        choices=("auto", "bar", "jsonl", "none"),
        default="auto",
        help="how progress is shown: a bar on a terminal, one JSON object a line, or not at all",
    )


def _add_settings(
    parser: argparse.ArgumentParser, fields: Sequence[SettingField], title: str, taken: set[str]
) -> None:
    group = parser.add_argument_group(title)
    for item in fields:
        if item.name in taken:
            continue
        taken.add(item.name)
        default = "" if item.default is None else f" (default: {item.default})"
        text = (item.ui.help + default).replace("%", "%%")
        kind: dict[str, Any] = {"default": argparse.SUPPRESS, "dest": f"setting_{item.name}"}
        if item.kind == "bool":
            group.add_argument(
                item.option, action=argparse.BooleanOptionalAction, help=text, **kind
            )
        elif item.kind == "choice":
            group.add_argument(item.option, metavar="|".join(item.ui.choices), help=text, **kind)
        else:
            metavar = {"int": "N", "float": "X", "color": "#RRGGBB", "file": "FILE"}
            group.add_argument(
                item.option, metavar=metavar.get(item.kind, "TEXT"), help=text, **kind
            )


def _given(options: argparse.Namespace, cls: type[Any]) -> dict[str, Any]:
    """The settings of `cls` that were given on the command line."""
    from facepick.settings import fields_of

    values = vars(options)
    return {
        f.name: values[f"setting_{f.name}"] for f in fields_of(cls) if f"setting_{f.name}" in values
    }


def _scan_options(parser: argparse.ArgumentParser, taken: set[str]) -> None:
    from facepick.people.finder import ScanSettings
    from facepick.settings import fields_of

    _add_settings(parser, fields_of(ScanSettings), "how people are found", taken)


def _people_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("video", metavar="VIDEO", nargs="+", help="one or several videos")
    parser.add_argument(
        "--json", nargs="?", const="-", metavar="FILE", help="write JSON (- = standard output)"
    )
    parser.add_argument(
        "--gallery", metavar="DIR", help="write thumbnails and one overview picture"
    )
    edits = parser.add_argument_group(
        "correcting the result (kept, and applied again after a re-scan)"
    )
    edits.add_argument("--merge", metavar="P1,P3", action="append", help="these are one person")
    edits.add_argument(
        "--split", metavar="P2:T5,T7", action="append", help="these tracks are somebody else"
    )
    edits.add_argument("--rename", metavar="P1=NAME", action="append", help="give a name")
    edits.add_argument("--ignore", metavar="P4", action="append", help="leave out of the gallery")
    edits.add_argument("--restore", metavar="P4", action="append", help="take --ignore back")
    edits.add_argument("--undo", action="store_true", help="take the last correction back")
    _scan_options(parser, set())
    _add_progress(parser)
    parser.set_defaults(handler=_people)


def _assignment_parser(parser: argparse.ArgumentParser) -> None:
    from facepick.engines.registry import default_registry
    from facepick.media.writer import EncodeSettings
    from facepick.render.plan import OutputSettings
    from facepick.settings import fields_of

    registry = default_registry()
    parser.add_argument("video", metavar="VIDEO", nargs="?", help="the video")
    parser.add_argument("-o", "--out", metavar="OUT", required=True, help="the result")
    parser.add_argument("--plan", metavar="PLAN.json", help="a plan with several assignments")
    who = parser.add_argument_group("who and what")
    who.add_argument(
        "--person", metavar="P1", action="append", default=[], help="id or name; may be repeated"
    )
    who.add_argument(
        "--include-unsure", action="store_true", help="also change people marked as unsure"
    )
    who.add_argument("--flow", choices=registry.flows(), help="what to do to the person")
    engines = ", ".join(f"{e.spec.flow}: {e.spec.id}" for e in registry.all())
    who.add_argument(
        "--engine", "--style", dest="engine", metavar="ID", help=f"how it is done ({engines})"
    )
    who.add_argument(
        "--audio", metavar="SPEECH", action="append", default=[], help="new speech (lip sync)"
    )
    who.add_argument("--audio-start", type=float, default=0.0, metavar="S", help="when it starts")
    who.add_argument(
        "--audio-offset", type=float, default=0.0, metavar="S", help="skip so much of the speech"
    )
    who.add_argument("--text", metavar="WORDS", help="the words of the speech, if known")
    who.add_argument(
        "--lines", metavar="FILE", help="speech lines as JSON or SRT: start, person, file, text"
    )
    who.add_argument(
        "--source",
        metavar="FACE",
        action="append",
        default=[],
        help="the face (swap): a photo, VIDEO:P2, cast:NAME or the name of a saved source",
    )
    who.add_argument(
        "--i-have-the-right",
        dest="consent",
        metavar="TEXT",
        help="your statement that you have the right to use both faces (swap)",
    )
    taken: set[str] = set()
    for engine in registry.all():
        title = f"{engine.spec.flow} {engine.spec.id}: {engine.spec.help}"
        _add_settings(parser, fields_of(engine.spec.settings), title, taken)
    _add_settings(parser, fields_of(EncodeSettings), "compression", taken)
    _add_settings(parser, fields_of(OutputSettings), "sound and marks", taken)
    _scan_options(parser, taken)
    _add_progress(parser)


def _render_parser(parser: argparse.ArgumentParser) -> None:
    _assignment_parser(parser)
    parser.add_argument("--force", action="store_true", help="overwrite an existing result")
    parser.set_defaults(handler=_render)


def _preview_parser(parser: argparse.ArgumentParser) -> None:
    _assignment_parser(parser)
    parser.add_argument(
        "--at", type=float, metavar="S", help="where it starts (default: the hardest frames)"
    )
    parser.add_argument("--seconds", type=float, default=3.0, metavar="S", help="how long it lasts")
    parser.set_defaults(handler=_preview)


def _jobs_parser(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="all jobs, newest first")
    listing.add_argument("--json", action="store_true", help="as JSON")
    listing.set_defaults(handler=_jobs_list)
    show = actions.add_parser("show", help="everything about one job")
    show.add_argument("id", metavar="ID")
    show.add_argument("--json", action="store_true", help="as JSON")
    show.set_defaults(handler=_jobs_show)
    for name, text, handler in (
        ("run", "do a job that was handed over, in this process", _jobs_run),
        ("resume", "go on with a stopped or killed job, in this process", _jobs_resume),
    ):
        action = actions.add_parser(name, help=text)
        action.add_argument("id", metavar="ID")
        _add_progress(action)
        action.set_defaults(handler=handler)
    cancel = actions.add_parser("cancel", help="stop a job; it can be resumed")
    cancel.add_argument("id", metavar="ID")
    cancel.set_defaults(handler=_jobs_cancel)
    prune = actions.add_parser("prune", help="remove finished jobs")
    prune.add_argument("--days", type=float, default=30.0, help="older than so many days")
    prune.set_defaults(handler=_jobs_prune)


def _models_parser(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="all model files that facepick can use")
    listing.add_argument("--json", action="store_true", help="as JSON")
    listing.set_defaults(handler=_models_list)
    fetch = actions.add_parser("fetch", help="download model files")
    fetch.add_argument("id", metavar="ID", nargs="*", help="which; see `facepick models list`")
    fetch.add_argument("--default", action="store_true", help="those the built-in engines need")
    _add_progress(fetch)
    fetch.set_defaults(handler=_models_fetch)
    verify = actions.add_parser("verify", help="compare the files that are there with their hashes")
    verify.set_defaults(handler=_models_verify)


def _doctor_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.set_defaults(handler=_doctor)


def _sources_parser(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    add = actions.add_parser("add", help="keep photos of one person under a name")
    add.add_argument("name", metavar="NAME")
    add.add_argument("photo", metavar="PHOTO|VIDEO:P2", nargs="+")
    _scan_options(add, set())
    _add_progress(add)
    add.set_defaults(handler=_sources_add)
    listing = actions.add_parser("list", help="all saved sources")
    listing.add_argument("--json", action="store_true", help="as JSON")
    listing.set_defaults(handler=_sources_list)
    remove = actions.add_parser("remove", help="delete a source with its photos")
    remove.add_argument("name", metavar="NAME")
    remove.set_defaults(handler=_sources_remove)


def _inspect_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("result", metavar="OUT", help="a result of facepick")
    parser.add_argument("--json", action="store_true", help="the whole report as JSON")
    parser.add_argument(
        "--sync", action="store_true", help="measure how well re-synced lips follow the speech"
    )
    parser.add_argument(
        "--swap", action="store_true", help="measure whose face a swap shows and how well it sits"
    )
    parser.add_argument(
        "--plots",
        metavar="DIR",
        help="measure what the result holds (--sync, --swap) and draw one picture per person",
    )
    _add_progress(parser)
    parser.set_defaults(handler=_inspect)


def _demo_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", metavar="DIR", default="facepick-demo", help="where results go")
    _add_progress(parser)
    parser.set_defaults(handler=_demo)


def _ui_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at")
    parser.add_argument("--port", type=int, help="port (default: the first free one from 7870)")
    parser.add_argument("--no-browser", action="store_true", help="do not open the browser")
    parser.add_argument(
        "--allow",
        metavar="DIR",
        action="append",
        default=[],
        help="folder whose files may be picked",
    )
    parser.add_argument("--language", choices=("en", "zh"), help="default: the browser's")
    parser.set_defaults(handler=_ui)


def _recognition_parser(name: str) -> Callable[[argparse.ArgumentParser], None]:
    """The options of a command of `facepick.recognition.commands`."""

    def build(parser: argparse.ArgumentParser) -> None:
        from facepick.recognition import commands

        builders = {
            "cast": commands.build_cast_parser,
            "evaluate": commands.build_evaluate_parser,
            "verify-faces": commands.build_verify_parser,
            "explain": commands.build_explain_parser,
        }
        builders[name](parser, commands.Tools(app=_app, watch=_watched))

    return build


_COMMANDS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None]]] = {
    "people": ("scan videos and list the people in them", _people_parser),
    "render": ("change the picked person", _render_parser),
    "preview": ("a few seconds before and after, side by side", _preview_parser),
    "jobs": ("list, show, resume and cancel jobs", _jobs_parser),
    "models": ("list, fetch and verify model files", _models_parser),
    "cast": ("people known by name, over a whole series", _recognition_parser("cast")),
    "verify-faces": (
        "say whether two photos show one person",
        _recognition_parser("verify-faces"),
    ),
    "explain": ("show every step of comparing two photos", _recognition_parser("explain")),
    "evaluate": ("measure how well people are told apart", _recognition_parser("evaluate")),
    "sources": ("faces kept under a name, for swaps", _sources_parser),
    "inspect": ("read back what was changed in a result", _inspect_parser),
    "doctor": ("say what is there, what is missing, and what to do", _doctor_parser),
    "demo": ("do the main job on the bundled clip", _demo_parser),
    "ui": ("open the standalone app", _ui_parser),
}


# --- showing progress ---------------------------------------------------------------------------

_STAGES = {
    "scan": "Finding people",
    "check": "Checking frames",
    "prepare": "Learning the face",
    "render": "Rendering",
    "publish": "Writing the result",
    "fetch": "Fetching",
}


class _Show:
    """Shows progress the way that was asked for; use as a context manager."""

    def __init__(self, mode: str) -> None:
        if mode == "auto":
            mode = "bar" if sys.stderr.isatty() else "none"
        self.mode = mode
        self._bar: Any = None
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> ProgressSink:
        if self.mode == "jsonl":
            return self._line
        if self.mode == "bar":
            from rich.console import Console
            from rich.progress import (
                BarColumn,
                MofNCompleteColumn,
                TextColumn,
                TimeRemainingColumn,
            )
            from rich.progress import Progress as Bar

            self._bar = Bar(
                TextColumn("{task.description:<18}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[message]}"),
                console=Console(stderr=True),
                transient=True,
            )
            self._bar.start()
            return self._draw
        return lambda _: None

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def _line(self, report: Progress) -> None:
        _print_json(
            {
                "event": "progress",
                "stage": report.stage,
                "done": report.done,
                "total": report.total,
                "eta_seconds": report.eta_seconds,
                "message": report.message,
            }
        )

    def _draw(self, report: Progress) -> None:
        if report.stage not in self._tasks:
            self._tasks[report.stage] = self._bar.add_task(
                _STAGES.get(report.stage, report.stage), total=report.total, message=""
            )
        self._bar.update(
            self._tasks[report.stage],
            completed=report.done,
            total=report.total,
            message=report.message,
        )


def _app() -> App:
    from facepick.app import App

    return App()


@contextmanager
def _watched(mode: str) -> Iterator[tuple[ProgressSink, CancelToken]]:
    """Progress shown the way that was asked for, and a token that Ctrl-C sets."""
    from facepick.jobs.runner import cancel_on_signals

    token = CancelToken()
    with _Show(mode) as sink, cancel_on_signals(token):
        yield sink, token


# --- people -------------------------------------------------------------------------------------


def _people(options: argparse.Namespace) -> int:
    from facepick.jobs.runner import cancel_on_signals
    from facepick.people.finder import ScanSettings
    from facepick.settings import from_mapping

    app = _app()
    settings = from_mapping(ScanSettings, _given(options, ScanSettings))
    scans: list[Scan] = []
    token = CancelToken()
    with _Show(options.progress) as sink, cancel_on_signals(token):
        for video in options.video:
            found = app.find_people(video, settings, progress=sink, cancel=token)
            scans.append(_edited(app, found, options))
    _write_people(scans, options)
    return 0


def _edited(app: App, scan: Scan, options: argparse.Namespace) -> Scan:
    from facepick.people import edits

    if options.undo:
        scan = app.undo_edit(scan)
    for text in options.merge or ():
        scan = app.edit_people(scan, edits.Merge(people=_ids(text)))
    for text in options.split or ():
        person, _, tracks = text.partition(":")
        scan = app.edit_people(scan, edits.Split(person=person, tracks=_ids(tracks)))
    for text in options.rename or ():
        person, equals, name = text.partition("=")
        if not equals:
            raise UserInputError(f"--rename {text} has no '='.", hint="Write: --rename P1=Anna")
        scan = app.edit_people(scan, edits.Rename(person=person, name=name.strip()))
    for text in options.ignore or ():
        for person in _ids(text):
            scan = app.edit_people(scan, edits.Ignore(person=person))
    for text in options.restore or ():
        for person in _ids(text):
            scan = app.edit_people(scan, edits.Ignore(person=person, ignored=False))
    return scan


def _ids(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _write_people(scans: Sequence[Scan], options: argparse.Namespace) -> None:
    from facepick.people.export import people_json

    if options.gallery:
        from facepick.people.gallery import write_gallery

        for scan in scans:
            folder = Path(options.gallery)
            if len(scans) > 1:
                folder = folder / scan.video.path.stem
            write_gallery(scan, folder)
    data = [people_json(scan) for scan in scans]
    if options.json:
        text = json.dumps(data[0] if len(data) == 1 else data, ensure_ascii=False)
        if options.json == "-":
            print(text)
            return
        Path(options.json).write_text(text + "\n", encoding="utf-8")
    if options.progress == "jsonl":
        for scan in scans:
            _print_json({"event": "done", "people": len(scan.people), "frames": scan.frames})
        return
    for scan in scans:
        if len(scans) > 1:
            print(f"# {scan.video.path}")
        for person in scan.people:
            marks = [m for m, on in (("unsure", person.unsure), ("ignored", person.ignored)) if on]
            fields = (
                person.id,
                f"{float(person.screen_time):.1f} s",
                f"{person.frames} frames",
                f"confidence {person.confidence:.2f}",
                person.name or "-",
                " ".join(marks),
            )
            print("\t".join(fields).rstrip())
        if not scan.people:
            print(f"Nobody was found in {scan.video.path.name}.", file=sys.stderr)
        if scan.decode_failures:
            print(
                f"{scan.video.path.name}: {scan.decode_failures} damaged parts were passed over.",
                file=sys.stderr,
            )


# --- render -------------------------------------------------------------------------------------


def _plan(app: App, options: argparse.Namespace) -> RenderPlan:
    from dataclasses import replace

    from facepick.media.writer import EncodeSettings
    from facepick.people.finder import ScanSettings
    from facepick.render.plan import OutputSettings, RenderPlan
    from facepick.settings import from_mapping, to_mapping

    encode = _given(options, EncodeSettings)
    output = _given(options, OutputSettings)
    scan = to_mapping(from_mapping(ScanSettings, _given(options, ScanSettings)))
    if options.plan:
        plan = RenderPlan.load(Path(options.plan))
        if options.person or options.flow:
            raise UserInputError("Give either --plan or --person and --flow, not both.")
        return replace(
            plan,
            video=str(Path(options.video or plan.video).absolute()),
            encode=from_mapping(EncodeSettings, {**to_mapping(plan.encode), **encode}),
            output=from_mapping(OutputSettings, {**to_mapping(plan.output), **output}),
            scan_settings=plan.scan_settings or scan,
        )
    if not options.video:
        raise UserInputError("No video is given.", hint="facepick render VIDEO -o OUT --person P1")
    return app.make_plan(
        options.video,
        _assignments(app, options),
        encode=from_mapping(EncodeSettings, encode),
        output=from_mapping(OutputSettings, output),
        scan_settings=scan,
    )


def _assignments(app: App, options: argparse.Namespace) -> list[Assignment]:
    from facepick.engines.engine import SpeechLine
    from facepick.people.selection import Selection
    from facepick.render.plan import Assignment

    if not options.flow:
        flows = ", ".join(app.registry.flows())
        raise UserInputError("No flow is given.", hint=f"Give one: --flow {flows}.")
    engine_id = options.engine or app.registry.of_flow(options.flow)[0].spec.id
    engine = app.registry.get(options.flow, engine_id)
    settings = _engine_settings(options, engine.spec.settings)
    if options.lines:
        return _line_assignments(options, engine_id, settings)
    speech = tuple(
        SpeechLine(
            path=str(Path(path).absolute()),
            start_seconds=options.audio_start,
            offset_seconds=options.audio_offset,
            text=options.text,
        )
        for path in options.audio
    )
    return [
        Assignment(
            selection=Selection(
                tuple(i for text in options.person for i in _ids(text)), options.include_unsure
            ),
            flow=options.flow,
            engine=engine_id,
            settings=settings,
            speech=speech,
            source=_source(app, options),
            consent=options.consent,
        )
    ]


def _source(app: App, options: argparse.Namespace) -> tuple[str, ...]:
    """The photos of the source face: a plan holds nothing but files."""
    from facepick.people.finder import ScanSettings

    if not options.source:
        return ()
    with _watched(options.progress) as (sink, token):
        found = app.source_photos(
            options.source,
            scan_settings=_given(options, ScanSettings),
            progress=sink,
            cancel=token,
        )
    return tuple(str(path) for path, _ in found)


def _line_assignments(
    options: argparse.Namespace, engine_id: str, settings: dict[str, Any]
) -> list[Assignment]:
    """One assignment for everybody who speaks in the list of lines."""
    from facepick.engines.engine import SpeechLine
    from facepick.engines.lipsync.lines import read_lines
    from facepick.people.selection import Selection
    from facepick.render.plan import Assignment

    picked = [i for text in options.person for i in _ids(text)]
    audio = Path(options.audio[0]).absolute() if options.audio else None
    speakers: dict[str, list[SpeechLine]] = {}
    for item in read_lines(Path(options.lines).absolute(), audio=audio):
        if item.person is None and len(picked) != 1:
            raise UserInputError(
                f"A line at {item.line.start_seconds:g} s of {options.lines} does not say who "
                "speaks.",
                hint="Name the person in the list, or give one --person.",
            )
        who = item.person or picked[0]
        if not picked or who in picked:
            speakers.setdefault(who, []).append(item.line)
    if not speakers:
        raise UserInputError(f"Nobody of {', '.join(picked)} speaks in {options.lines}.")
    return [
        Assignment(
            selection=Selection((who,), options.include_unsure),
            flow=options.flow,
            engine=engine_id,
            settings=settings,
            speech=tuple(lines),
        )
        for who, lines in speakers.items()
    ]


def _engine_settings(options: argparse.Namespace, cls: type[Any]) -> dict[str, Any]:
    """The engine's settings that were given; those of other engines are refused, not dropped."""
    from facepick.media.writer import EncodeSettings
    from facepick.people.finder import ScanSettings
    from facepick.render.plan import OutputSettings
    from facepick.settings import fields_of, from_mapping

    own = {f.name: f for f in fields_of(cls)}
    elsewhere = {
        f.name for group in (EncodeSettings, OutputSettings, ScanSettings) for f in fields_of(group)
    }
    given: dict[str, Any] = {}
    for key, value in vars(options).items():
        name = key.removeprefix("setting_")
        if name == key:
            continue
        if name in own:
            given[name] = own[name].check(value)
        elif name not in elsewhere:
            raise SettingsError(
                f"--{name.replace('_', '-')} is no setting of this engine.",
                hint="Its settings: " + ", ".join(f.option for f in own.values()) + ".",
            )
    from_mapping(cls, given)
    return given


def _check_out(out: str, *, force: bool) -> Path:
    path = Path(out).absolute()
    if path.exists() and not force:
        raise UserInputError(f"{out} is there already.", hint="Add --force to overwrite it.")
    if not path.parent.is_dir():
        raise UserInputError(f"There is no folder {path.parent}.", hint="Make it first.")
    return path


def _render(options: argparse.Namespace) -> int:
    app = _app()
    plan = _plan(app, options)
    app.probe(plan.video)
    out = _check_out(options.out, force=options.force)
    return _do_job(app, app.new_render_job(plan, out), options.progress)


def _preview(options: argparse.Namespace) -> int:
    app = _app()
    plan = _plan(app, options)
    app.probe(plan.video)
    out = _check_out(options.out, force=True)
    job = app.new_preview_job(plan, out, at=options.at, seconds=options.seconds)
    return _do_job(app, job, options.progress)


def _do_job(app: App, workspace: Any, progress: str) -> int:
    from facepick.jobs.runner import cancel_on_signals

    token = CancelToken()
    if progress == "jsonl":
        _print_json({"event": "started", "job": workspace.id})
    with _Show(progress) as sink, cancel_on_signals(token):
        try:
            record = app.run(workspace, progress=sink, cancel=token)
        except Cancelled:
            raise Cancelled(f"Stopped. Go on with: facepick jobs resume {workspace.id}") from None
    _tell_result(record, progress)
    return 0


def _tell_result(record: JobRecord, progress: str) -> None:
    if progress == "jsonl":
        _print_json({"event": "done", "job": record.id, **record.result})
        return
    if record.kind == "scan":
        print(f"{record.result.get('people', 0)} people found.")
        return
    print(record.result.get("out", ""))
    for what, frames in sorted(record.result.get("changed", {}).items()):
        print(f"{what}: {frames} of {record.result.get('frames')} frames changed")


# --- jobs ---------------------------------------------------------------------------------------


def _job_line(record: JobRecord) -> str:
    share = record.progress.fraction if record.progress else None
    percent = f" {share:.0%}" if share is not None and record.state != "done" else ""
    return f"{record.id}\t{record.kind}\t{record.state}{percent}\t{record.out or record.video}"


def _jobs_list(options: argparse.Namespace) -> int:
    records = _app().jobs()
    if options.json:
        print(json.dumps([r.to_json() for r in records], ensure_ascii=False))
        return 0
    for record in records:
        print(_job_line(record))
    return 0


def _jobs_show(options: argparse.Namespace) -> int:
    record = _app().job(options.id)
    if options.json:
        print(json.dumps(record.to_json(), ensure_ascii=False))
        return 0
    print(_job_line(record))
    if record.progress:
        print(f"stage: {record.progress.stage} {record.progress.done}/{record.progress.total}")
    if record.error:
        print(f"error: {record.error}")
    for key, value in record.result.items():
        print(f"{key}: {value}")
    return 0


def _jobs_run(options: argparse.Namespace) -> int:
    app = _app()
    return _do_job(app, app.jobs_folder.get(options.id), options.progress)


def _jobs_resume(options: argparse.Namespace) -> int:
    app = _app()
    return _do_job(app, app.resumable(options.id), options.progress)


def _jobs_cancel(options: argparse.Namespace) -> int:
    record = _app().cancel_job(options.id, wait_seconds=30.0)
    print(_job_line(record))
    return 0


def _jobs_prune(options: argparse.Namespace) -> int:
    print(f"{_app().jobs_folder.prune(keep_days=options.days)} jobs removed.")
    return 0


# --- models, doctor, inspect, demo, ui ----------------------------------------------------------


def _models_list(options: argparse.Namespace) -> int:
    from facepick.models.catalog import all_specs

    app = _app()
    rows = [
        {
            "id": spec.id,
            "file": spec.file,
            "path": str(path) if (path := app.models.find(spec)) else None,
            "size": spec.size,
            "sha256": spec.sha256,
            "licence": spec.licence,
            "commercial_use": spec.commercial_use,
            "purpose": spec.purpose,
            "can_fetch": bool(spec.sources),
        }
        for spec in all_specs()
    ]
    if options.json:
        print(json.dumps(rows, ensure_ascii=False))
        return 0
    for row in rows:
        state = "here" if row["path"] else ("can be fetched" if row["can_fetch"] else "bring it")
        print(f"{row['id']}\t{state}\t{row['licence']}\t{row['purpose']}")
    return 0


def _models_fetch(options: argparse.Namespace) -> int:
    from facepick.jobs.runner import cancel_on_signals
    from facepick.models.catalog import default_specs, spec_by_id

    app = _app()
    specs = [spec_by_id(i) for i in options.id]
    if options.default:
        specs.extend(s for s in default_specs() if s not in specs)
    if not specs:
        raise UserInputError("No model is named.", hint="See: facepick models list")
    token = CancelToken()
    for spec in specs:
        if not spec.commercial_use:
            print(f"{spec.id}: licence {spec.licence} (no commercial use).", file=sys.stderr)
        with _Show(options.progress) as sink, cancel_on_signals(token):
            path = app.models.fetch(spec, progress=sink, cancel=token)
        if options.progress == "jsonl":
            _print_json({"event": "done", "model": spec.id, "path": str(path)})
        else:
            print(f"{spec.id}\t{path}")
    return 0


def _models_verify(options: argparse.Namespace) -> int:
    from facepick.models.catalog import all_specs

    app = _app()
    for spec in all_specs():
        if app.models.find(spec) is not None:
            path = app.models.verify(spec)
            print(f"{spec.id}\tgood\t{path}")
    return 0


def _sources_add(options: argparse.Namespace) -> int:
    from facepick.people.finder import ScanSettings

    app = _app()
    with _watched(options.progress) as (sink, token):
        found = app.source_photos(
            options.photo,
            scan_settings=_given(options, ScanSettings),
            progress=sink,
            cancel=token,
        )
        source = app.sources.add(
            options.name,
            [path for path, _ in found],
            app.models,
            origins=[origin for _, origin in found],
            cancel=token,
        )
    print(f"{source.name}\t{len(source.photos)} photos\t{source.photos[0].parent}")
    return 0


def _sources_list(options: argparse.Namespace) -> int:
    sources = _app().sources.all()
    if options.json:
        print(json.dumps([s.to_json() for s in sources], ensure_ascii=False))
        return 0
    for source in sources:
        described = f"{source.model} {source.version}" if source.model else "-"
        print(f"{source.name}\t{len(source.photos)} photos\t{described}\t{source.origins[0]}")
    return 0


def _sources_remove(options: argparse.Namespace) -> int:
    _app().sources.remove(options.name)
    return 0


def _doctor(options: argparse.Namespace) -> int:
    checks = _app().doctor()
    if options.json:
        rows = [{"name": c.name, "ok": c.ok, "detail": c.detail, "fix": c.fix} for c in checks]
        print(json.dumps(rows, ensure_ascii=False))
        return 0
    for check in checks:
        print(f"{'ok  ' if check.ok else 'MISS'} {check.name}: {check.detail}")
        if not check.ok and check.fix:
            print(f"     -> {check.fix}")
    return 0


def _inspect(options: argparse.Namespace) -> int:
    app = _app()
    report = app.inspect(options.result)
    flows = {person["flow"] for person in report["people"]}
    plots = Path(options.plots) if options.plots else None
    with _watched(options.progress) as (sink, token):
        if options.sync or (plots and "lipsync" in flows):
            report["sync"] = app.measure_sync(
                options.result, plots=plots, progress=sink, cancel=token
            )
        if options.swap or (plots and "swap" in flows):
            report["swap"] = app.measure_swap(
                options.result, plots=plots, progress=sink, cancel=token
            )
    if options.json:
        print(json.dumps(report, ensure_ascii=False))
        return 0
    same = {True: "unchanged since", False: "CHANGED since", None: "not beside its report"}
    print(f"{report['result']['path']}: {same[report['unchanged_since']]} it was rendered.")
    print(f"made {report['created']} by {report['tool']['name']} {report['tool']['version']}")
    print(f"source {report['source']['path']} ({report['source']['frames']} frames)")
    for person in report["people"]:
        left = ", ".join(f"{k} {v}" for k, v in person["frames_left"].items()) or "none"
        print(
            f"{person['id']}\t{person['flow']} {person['engine']}\t"
            f"{person['frames_changed']} frames changed\tleft alone: {left}"
        )
        _print_figures(person["measured"])
    for what in ("sync", "swap"):
        for entry in report.get(what, ()):
            print(f"{entry['person']}\t{what}")
            _print_figures({k: v for k, v in entry.items() if k != "person"})
    return 0


def _print_figures(figures: Mapping[str, Any], prefix: str = "") -> None:
    """Numbers and words of a report, one a line, nested ones with their path."""
    for key, value in figures.items():
        if isinstance(value, Mapping):
            _print_figures(value, f"{prefix}{key}.")
        elif isinstance(value, float):
            print(f"\t{prefix}{key}: {value:.3g}")
        elif isinstance(value, str | int):
            print(f"\t{prefix}{key}: {value}")


def _demo(options: argparse.Namespace) -> int:
    from facepick.demo import run_demo
    from facepick.jobs.runner import cancel_on_signals

    token = CancelToken()
    with _Show(options.progress) as sink, cancel_on_signals(token):
        made = run_demo(_app(), Path(options.out), progress=sink, cancel=token)
    for name, path in made.items():
        print(f"{name}: {path}")
    return 0


def _ui(options: argparse.Namespace) -> int:
    import importlib.util

    from facepick.app import App
    from facepick.errors import PackageMissing
    from facepick.host.standalone import StandaloneHost

    if importlib.util.find_spec("gradio") is None:
        raise PackageMissing("gradio", needed_for="the app", extra="ui")
    from facepick_ui.app import launch

    host = StandaloneHost(
        roots=tuple(Path(p).absolute() for p in options.allow), language_name=options.language
    )
    launch(App(host), host=options.host, port=options.port, open_browser=not options.no_browser)
    return 0
