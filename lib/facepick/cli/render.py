"""``facepick render`` and ``facepick preview``: from options to a plan, and doing it."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facepick.cli.console import make_app, tell, watched
from facepick.cli.jobs import do_job
from facepick.cli.options import given, given_scan, ids, number
from facepick.cli.plan_options import EXAMPLES, START, add_plan_options
from facepick.cli.segments import add_steps, check_steps, do_step, place_map, spread_of
from facepick.errors import SettingsError, UserInputError
from facepick.notices import without_repeats

if TYPE_CHECKING:
    from facepick.app import App
    from facepick.notices import Notice
    from facepick.render.plan import Assignment, RenderPlan
    from facepick.render.preflight import Preflight
    from facepick.speech.line import SpeechLine
    from facepick.speech.script import Script
    from facepick.speech.spoken import SpokenLines

__all__ = ["app_of", "assignments_of", "build_preview", "build_render", "output_of"]


def _assignment_parser(parser: argparse.ArgumentParser, *, out: bool = True) -> None:
    name = parser.prog.split()[-1]
    parser.usage = f"facepick {name} VIDEO -o OUT --person P1 --flow FLOW [options]"
    parser.description = f"{parser.description}\n{EXAMPLES.format(name=name)}"
    start = parser.add_argument_group(START)
    start.add_argument("video", metavar="VIDEO", nargs="?", help="the video")
    start.add_argument("-o", "--out", metavar="OUT", required=out, help="the result")
    add_plan_options(parser, start)


def build_render(parser: argparse.ArgumentParser) -> None:
    """Build ``facepick render``."""
    _assignment_parser(parser, out=False)
    again = parser.add_argument_group("a result that is there already")
    again.add_argument(
        "--update",
        action="store_true",
        help="draw OUT anew only where lines have changed since it was made; all else stays",
    )
    add_steps(parser)
    parser.set_defaults(handler=_render)


def build_preview(parser: argparse.ArgumentParser) -> None:
    """Build ``facepick preview``."""
    _assignment_parser(parser)
    which = parser.add_argument_group("which moment")
    which.add_argument(
        "--at", type=number, metavar="S", help="where it starts (default: the hardest frames)"
    )
    which.add_argument(
        "--seconds",
        type=number,
        default=3.0,
        metavar="S",
        help="how long it lasts; 0: one frame before, after and what was changed, as a picture",
    )
    parser.set_defaults(handler=_preview)


def _plan(app: App, options: argparse.Namespace) -> tuple[RenderPlan, tuple[Notice, ...]]:
    """Make the plan, and collect what was found out meanwhile."""
    from dataclasses import replace

    from facepick.media.writer import EncodeSettings
    from facepick.people.finder import ScanSettings
    from facepick.render.places import with_settings_files
    from facepick.render.plan import OutputSettings, RenderPlan
    from facepick.settings import from_mapping, to_mapping

    encode = given(options, EncodeSettings)
    output = output_of(options)
    scan = to_mapping(from_mapping(ScanSettings, given_scan(options)))
    if options.plan:
        place = place_map(options) if hasattr(options, "map") else str
        plan = RenderPlan.load(Path(options.plan), place)
        if options.person or options.everyone_but or options.flow:
            raise UserInputError("Give either --plan or --person and --flow, not both.")
        plan = replace(
            with_settings_files(plan, app.registry, place),
            video=str(Path(options.video or plan.video).absolute()),
            # A plan may be used for another video: the hash is that of the plan's own.
            content_hash="" if options.video else plan.content_hash,
            encode=from_mapping(EncodeSettings, {**to_mapping(plan.encode), **encode}),
            output=from_mapping(OutputSettings, {**to_mapping(plan.output), **output}),
            scan_settings=plan.scan_settings or scan,
        )
        with watched(options.progress) as (sink, token):
            return app.with_source_photos(plan, progress=sink, cancel=token), ()
    if not options.video:
        raise UserInputError("No video is given.", hint="facepick render VIDEO -o OUT --person P1")

    def plan_of(assignments: Sequence[Assignment]) -> RenderPlan:
        return app.make_plan(
            options.video,
            assignments,
            encode=from_mapping(EncodeSettings, encode),
            output=from_mapping(OutputSettings, output),
            scan_settings=scan,
        )

    if options.lines:
        assignments, notices = _line_assignments(app, options, plan_of)
        return plan_of(assignments), notices
    if options.names:
        raise UserInputError("--names names lines, and no lines are given.", hint="Add --lines.")
    return plan_of(assignments_of(app, options)), ()


def _engine(app: App, options: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """Choose the engine that was asked for, and its settings."""
    if not options.flow:
        flows = ", ".join(app.registry.flows())
        raise UserInputError("No flow is given.", hint=f"Give one: --flow {flows}.")
    engine_id = options.engine or app.registry.of_flow(options.flow)[0].spec.id
    engine = app.registry.get(options.flow, engine_id)
    if options.phones and len(options.audio) != 1:
        raise UserInputError(
            "--phones goes with one sound file.", hint="Give it: --audio SPEECH.wav"
        )
    return engine_id, _engine_settings(options, engine.spec.settings)


def output_of(options: argparse.Namespace) -> dict[str, Any]:
    """Collect what was given of the output; files by their whole path, for the plan may lie
    elsewhere."""
    from facepick.render.plan import OutputSettings
    from facepick.settings import fields_of

    values = given(options, OutputSettings)
    files = [f.name for f in fields_of(OutputSettings) if f.kind == "file" and values.get(f.name)]
    return {**values, **{name: str(Path(values[name]).absolute()) for name in files}}


def _plan_place(app: App, options: argparse.Namespace, plan: RenderPlan, out: Path) -> Path | None:
    """Choose where ``--save-plan`` says, None without it.

    Raises:
        UserInputError: something is there already, it is a file that the result is made of or
            will be, or its folder is missing.
    """
    from facepick.publishing import refuse_input
    from facepick.render.report import sidecar_of

    if not options.save_plan:
        return None
    path, result = Path(options.save_plan).absolute(), out.absolute()
    refuse_input(path, [Path(f) for f in (plan.video, *plan.input_files(app.registry))])
    if path in (result, sidecar_of(result)):
        raise UserInputError(
            f"{path.name} is the result's own name.",
            hint="Give the plan another one, such as plan.json.",
        )
    if path.exists() and not options.force:
        raise UserInputError(
            f"{options.save_plan} is there already.", hint="Add --force to overwrite it."
        )
    if not path.parent.is_dir():
        raise UserInputError(f"There is no folder {path.parent}.", hint="Make it first.")
    return path


def _save_plan(path: Path | None, plan: RenderPlan) -> None:
    """Save the plan.

    Raises:
        UserInputError, when it cannot be written.
    """
    from facepick.files import write_json

    if path is None:
        return
    try:
        write_json(path, plan.to_json())
    except OSError as error:
        raise UserInputError(
            f"The plan {path.name} cannot be written: {error.strerror}."
        ) from error


def assignments_of(app: App, options: argparse.Namespace) -> list[Assignment]:
    """Make the assignments that were asked for, without a list of lines."""
    from facepick.people.selection import Selection
    from facepick.render.plan import Assignment
    from facepick.speech.line import SpeechLine

    engine_id, settings = _engine(app, options)
    phones = None
    if options.phones:
        from facepick.speech.timings import timings_of

        phones = timings_of(Path(options.phones), Path(options.audio[0]))
    speech = tuple(
        SpeechLine(
            path=str(Path(path).absolute()),
            start_seconds=options.audio_start,
            offset_seconds=options.audio_offset,
            text=options.text,
            phones=phones,
        )
        for path in options.audio
    ) or _spoken_text(app, options)
    return [
        Assignment(
            selection=Selection(
                _named(app, options, options.person),
                options.include_unsure,
                _named(app, options, options.everyone_but),
            ),
            flow=options.flow,
            engine=engine_id,
            settings=settings,
            speech=speech,
            source=_source(app, options),
            consent=options.consent,
        )
    ]


def _spoken_text(app: App, options: argparse.Namespace) -> tuple[SpeechLine, ...]:
    """Speak the words that are given without sound, where a command can; else there is none."""
    from facepick.speech.line import SpeechLine

    speaker = app.speaker() if options.text and options.flow == "lipsync" else None
    if speaker is None or output_of(options).get("soundtrack"):
        return ()
    line = SpeechLine(path="", start_seconds=options.audio_start, text=options.text)
    with watched(options.progress) as (sink, token):
        return speaker.fill([line], *options.person, progress=sink, cancel=token)


def _named(app: App, options: argparse.Namespace, texts: Sequence[str]) -> tuple[str, ...]:
    """Collect ids and names; who is meant by ``photo:FILE`` is looked for in the video."""
    from facepick.people.finder import ScanSettings
    from facepick.settings import from_mapping

    found: list[str] = []
    for text in texts:
        kind, colon, file = text.partition(":")
        if not colon or kind.strip().casefold() != "photo":
            found += ids(text)
            continue
        photo = Path(file.strip())
        if not photo.is_file():
            raise UserInputError(f"There is no photo {photo}.", hint="Check the path.")
        if not hasattr(options, "video"):
            # A batch looks for them in every episode.
            found.append(f"photo:{photo.absolute()}")
            continue
        settings = from_mapping(ScanSettings, given_scan(options))
        with watched(options.progress) as (sink, token):
            scan = app.find_people(options.video, settings, progress=sink, cancel=token)
        found.append(app.person_by_photo(scan, photo).id)
    return tuple(found)


def _source(app: App, options: argparse.Namespace) -> tuple[str, ...]:
    """Collect the photos of the source face: a plan holds nothing but files."""

    if not options.source:
        return ()
    with watched(options.progress) as (sink, token):
        found = app.source_photos(
            options.source,
            scan_settings=given_scan(options),
            progress=sink,
            cancel=token,
        )
    return tuple(str(path) for path, _ in found)


def _line_assignments(
    app: App, options: argparse.Namespace, plan_of: Callable[[Sequence[Assignment]], RenderPlan]
) -> tuple[list[Assignment], tuple[Notice, ...]]:
    """Make an assignment for everybody who speaks in the list of lines, once the people are
    known."""
    from facepick.people.selection import Selection
    from facepick.render.plan import Assignment

    engine_id, settings = _engine(app, options)

    def spoken(who: str, lines: Sequence[SpeechLine]) -> Assignment:
        return Assignment(
            selection=Selection((who,), options.include_unsure),
            flow=options.flow,
            engine=engine_id,
            settings=settings,
            speech=tuple(lines),
        )

    # Lines that name no sound are cut from the one that was given; a finished mix is one, too.
    sound = options.audio[0] if options.audio else output_of(options).get("soundtrack")
    speaker = app.speaker() if not sound else None
    script = _script(options, sound, speaks=speaker is not None)
    # Whatever else is wrong is said before the video is looked through, which takes long.
    lines = _tried_lines(script, options, speaker)
    draft = plan_of([spoken("P1", lines)])
    app.preflight(
        draft,
        options.out,
        force=_replaces(options),
        listen=False,
        picture=getattr(options, "seconds", None) == 0,
    )
    speakers, notices = _owners(app, options, script, draft, speaker)
    return [spoken(who, own) for who, own in speakers.items()], notices


def _script(options: argparse.Namespace, sound: str | None, *, speaks: bool) -> Script:
    """Read the list of lines, and who is meant by its names.

    Args:
        sound: what lines that name none are cut from.
        speaks: lines without sound are spoken by a command.
    """
    from facepick.speech.cue_names import with_names
    from facepick.speech.script import read_script

    if options.tts and sound:
        raise UserInputError(
            "The sound of the lines is given, and so is a command that speaks them.",
            hint="Leave out --tts, or --audio and --soundtrack.",
        )
    script = read_script(
        Path(options.lines).absolute(),
        audio=Path(sound).absolute() if sound else None,
        phones=Path(options.phones) if options.phones else None,
        speaks=speaks,
    )
    return with_names(script, Path(options.names).absolute()) if options.names else script


def _tried_lines(
    script: Script, options: argparse.Namespace, speaker: SpokenLines | None
) -> list[SpeechLine]:
    """Collect the lines; those to be spoken get the sound of a first try in place of theirs."""
    from dataclasses import replace

    lines = [item.line for item in script.lines()]
    if speaker is None:
        return lines
    with watched(options.progress) as (_, token):
        tried = str(speaker.try_out(lines, cancel=token) or "")
    return [line if line.path else replace(line, path=tried) for line in lines]


def _owners(
    app: App,
    options: argparse.Namespace,
    script: Script,
    draft: RenderPlan,
    speaker: SpokenLines | None,
) -> tuple[dict[str, tuple[SpeechLine, ...]], tuple[Notice, ...]]:
    """Look through the video and give each line to its owner, spoken where it has no sound."""
    from facepick.media.timeline import KEEPS_LENGTH
    from facepick.people.finder import ScanSettings
    from facepick.render.sound import video_seconds
    from facepick.settings import from_mapping
    from facepick.speech.line_owners import give_lines

    with watched(options.progress) as (sink, token):
        scan = app.find_people(
            draft.video,
            from_mapping(ScanSettings, given_scan(options)),
            progress=sink,
            cancel=token,
        )
    with watched(options.progress) as (sink, token):
        found = give_lines(
            script,
            scan,
            _named(app, options, options.person),
            known=app.known_names(),
            end=float(video_seconds(scan)) if draft.output.length in KEEPS_LENGTH else None,
            speakers_of=partial(app.who_speaks, scan, progress=sink, cancel=token),
        )
    speakers = dict(found.speakers)
    if speaker is not None:
        with watched(options.progress) as (sink, token):
            for who, own in speakers.items():
                name = scan.person(who).name
                speakers[who] = speaker.fill(own, who, name, progress=sink, cancel=token)
    return speakers, found.notices


def _engine_settings(options: argparse.Namespace, cls: type[Any]) -> dict[str, Any]:
    """Collect the engine's settings; those of other engines are refused, not dropped."""
    from facepick.media.writer import EncodeSettings
    from facepick.render.plan import OutputSettings
    from facepick.settings import fields_of, from_mapping

    own = {f.name: f for f in fields_of(cls)}
    elsewhere = {f.name for group in (EncodeSettings, OutputSettings) for f in fields_of(group)}
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


def _checked(
    app: App, plan: RenderPlan, notices: Sequence[Notice], options: argparse.Namespace
) -> tuple[Preflight, tuple[Notice, ...]]:
    """Refuse what a job would fail with, and tell what will not be heard or used, before it.

    Returns:
        What was found, and what was told.
    """
    checked = app.preflight(
        plan,
        options.out,
        force=_replaces(options),
        given=output_of(options),
        picture=getattr(options, "seconds", None) == 0,
    )
    told = without_repeats((*notices, *checked.notices))
    tell(told, options.progress)
    return checked, told


def _check_update(app: App, options: argparse.Namespace, step: bool) -> None:
    """Check that what lies at OUT is a result of ours.

    Raises:
        UserInputError: it is not, or was changed since.
    """
    if step:
        raise UserInputError("--update goes with a whole render.", hint="Leave out the step.")
    if Path(options.out).exists() and app.inspect(options.out)["unchanged_since"] is not True:
        raise UserInputError(
            f"{options.out} is not what was rendered: it was changed since.",
            hint="Render it anew: leave out --update and add --force.",
        )


def _replaces(options: argparse.Namespace) -> bool:
    """Tell whether what lies at OUT may be overwritten."""
    return bool(options.force or getattr(options, "update", False))


def app_of(options: argparse.Namespace) -> App:
    """Make the app, with the user's commands that were given."""
    app = make_app()
    if options.separator:
        # A job may go on in another folder.
        is_file = "{in}" not in options.separator
        given = options.separator
        app.separator = str(Path(given).absolute()) if is_file else given
    app.tts = tuple(options.tts) or app.tts
    return app


def _render(options: argparse.Namespace) -> int:
    step = check_steps(options)
    app = app_of(options)
    if options.update:
        _check_update(app, options, step)
    plan, notices = _plan(app, options)
    if step:
        return do_step(app, plan, options, notices)
    checked, told = _checked(app, plan, notices, options)
    place = _plan_place(app, options, plan, checked.out)
    job = app.new_render_job(
        plan,
        checked.out,
        force=_replaces(options),
        update=checked.out if options.update else None,
        notices=told,
        checked=checked,
        spread=spread_of(options),
    )
    _save_plan(place, plan)
    return do_job(app, job, options.progress, told=told)


def _preview(options: argparse.Namespace) -> int:
    app = app_of(options)
    plan, notices = _plan(app, options)
    checked, told = _checked(app, plan, notices, options)
    place = _plan_place(app, options, plan, checked.out)
    job = app.new_preview_job(
        plan,
        checked.out,
        at=options.at,
        seconds=options.seconds,
        force=options.force,
        notices=told,
        checked=checked,
    )
    _save_plan(place, plan)
    return do_job(app, job, options.progress, told=told)
