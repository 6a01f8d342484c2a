"""Notices of a plan before it is carried out, and of a result after it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np
import numpy.typing as npt

from facepick.engines.registry import EngineRegistry
from facepick.media.dub import line_seconds
from facepick.media.timeline import KEEPS_LENGTH
from facepick.notices import Fact, Notice, as_notices, notices_of_result, without_repeats
from facepick.people.person import Person, Scan
from facepick.progress import CancelToken, never
from facepick.render.plan import Assignment, OutputSettings, RenderPlan
from facepick.render.report import Tally
from facepick.render.sound import LEAST_UNHEARD_SECONDS, Unheard, stretch_of
from facepick.settings import from_mapping
from facepick.speech.line import SpeechLine
from facepick.speech.spoken import SPOKEN

LEAST_TOLD_SECONDS = 0.5
"""Mixes and stems end some frames before or after the picture."""

__all__ = [
    "Clock",
    "cut_notices",
    "end_notices",
    "engine_notices",
    "notices_of_report",
    "off_screen_notices",
    "sound_notices",
    "speech_notices",
]


@dataclass(frozen=True, eq=False, kw_only=True)
class Clock:
    """Clock that says what is shown when.

    Attributes:
        times: (n,) float64, seconds into the video of every output frame, rising.
        sources: (n,) int64, the source frame that it shows.
        end: seconds at which the last one is over.
    """

    times: npt.NDArray[np.float64]
    sources: npt.NDArray[np.int64]
    end: float


def speech_notices(plan: RenderPlan, registry: EngineRegistry) -> tuple[Notice, ...]:
    """Note what of the speech an engine cannot use, and what its files lack."""
    found: list[Notice] = []
    for item in plan.assignments:
        found += (n for line in item.speech if line.phones for n in line.phones.notices)
        spec = registry.get(item.flow, item.engine).spec
        if spec.notices is not None:
            told = spec.notices(from_mapping(spec.settings, item.settings), item.speech)
            found += (replace(n, person=item.selection.label) for n in told)
    return without_repeats(found)


def cut_notices(unheard: Iterable[Unheard]) -> tuple[Notice, ...]:
    """Note speech for which the video is too short."""
    return tuple(
        Notice(
            code="speech_cut",
            person=", ".join(entry.people),
            start=entry.start,
            facts={"file": entry.file, "seconds": entry.seconds},
        )
        for entry in unheard
    )


SOUND_OPTIONS = ("original", "background", "separate")
"""Of the output's settings those that a finished soundtrack leaves nothing to do."""


def sound_notices(
    plan: RenderPlan,
    seconds: Fraction | float,
    *,
    has_sound: bool,
    given: Collection[str] = (),
    cancel: CancelToken = never,
) -> tuple[Notice, ...]:
    """Note what a listener may not expect of the result.

    Args:
        seconds: length of the video.
        has_sound: whether the video has sound of its own.
        given: names of output settings that were asked for, whatever their value.

    Raises:
        NoAudioError, VideoOpenError, UserInputError: a file cannot be heard.
    """
    found: list[Notice] = []
    if plan.output.voice == "disguise" and not plan.disguises_voices:
        found.append(Notice(code="voice_brought"))
    if not plan.has_speech:
        return tuple(found)
    found += _idle_options(plan.output, given)
    stretch = Fraction(1)
    if plan.output.length == "remap":
        stretch = stretch_of(plan, Fraction(seconds), cancel=cancel)
    found += _picture_and_original(plan.output, stretch, has_sound=has_sound)
    found += _length_of_mix(plan, seconds * stretch, cancel)
    found += _long_lines(plan, cancel)
    return tuple(found)


def _idle_options(output: OutputSettings, given: Collection[str]) -> list[Notice]:
    """Tell of options that another one leaves nothing to do."""
    usual = OutputSettings()
    asked = [
        name
        for name in SOUND_OPTIONS
        if name in given or getattr(output, name) != getattr(usual, name)
    ]
    if output.soundtrack:
        if not asked:
            return []
        options = ", ".join(f"--{name}" for name in asked)
        file = Path(output.soundtrack).name
        return [Notice(code="options_unused", facts={"file": file, "options": options})]
    if output.background:
        words = [f"--original {output.original}"] if output.original in ("duck", "keep") else []
        words += ["--separate"] if "separate" in asked else []
        facts: dict[str, Fact] = {
            "file": Path(output.background).name,
            "options": ", ".join(words),
        }
        return [Notice(code="background_whole", facts=facts)] if words else []
    if output.separate == "voices" and output.original == "keep":
        return [Notice(code="nothing_to_separate")]
    return []


def _picture_and_original(
    output: OutputSettings, stretch: Fraction, *, has_sound: bool
) -> list[Notice]:
    """Tell of a stretched picture, and of music that stops where somebody speaks."""
    if not has_sound or output.soundtrack or output.background:
        return []
    if stretch != 1:
        return [Notice(code="picture_stretched", facts={"factor": round(float(stretch), 3)})]
    drops = output.original == "replace" and output.separate == "none"
    return [Notice(code="music_drops_out")] if drops and output.length != "remap" else []


def _length_of_mix(
    plan: RenderPlan, seconds: Fraction | float, cancel: CancelToken
) -> list[Notice]:
    """Tell of a mix that is longer or shorter than the picture.

    Of a mix that the lips follow it is told as of speech.
    """
    brought = plan.output.soundtrack or plan.output.background
    followed = any(not item.speech and plan.lines_of(item) for item in plan.assignments)
    if not brought or followed:
        return []
    over = float(line_seconds(SpeechLine(path=brought), cancel=cancel) - seconds)
    told = over < 0 or plan.output.length in KEEPS_LENGTH
    if not told or abs(over) < LEAST_TOLD_SECONDS:
        return []
    code = "sound_too_long" if over > 0 else "sound_too_short"
    return [Notice(code=code, facts={"file": Path(brought).name, "seconds": round(abs(over), 1)})]


def _long_lines(plan: RenderPlan, cancel: CancelToken) -> list[Notice]:
    """Tell of lines that last longer than the cue they belong to."""
    lines = [line for item in plan.assignments for line in plan.lines_of(item)]
    found = []
    for line in sorted(lines, key=lambda n: n.start_seconds):
        if line.cue_seconds is None:
            continue
        over = float(line_seconds(line, cancel=cancel)) - line.cue_seconds
        if over >= LEAST_UNHEARD_SECONDS:
            facts: dict[str, Fact] = {"file": _called(line), "seconds": round(over, 2)}
            found.append(Notice(code="line_too_long", start=line.start_seconds, facts=facts))
    return found


def _called(line: SpeechLine) -> str:
    """Name a line's sound: by its file, or by its words where a command spoke them."""
    path = Path(line.path)
    if path.parent.name != SPOKEN or not line.text:
        return path.name
    return repr(shorten(line.text, 40, placeholder=" ..."))


def off_screen_notices(
    assignments: Sequence[Assignment],
    scan: Scan,
    *,
    clock: Clock | None = None,
    cancel: CancelToken = never,
) -> tuple[Notice, ...]:
    """Note lines that are to be drawn, and during which their person is never on screen.

    Args:
        clock: what is shown when; None for the source as it is.  Lines that begin outside of it
            are passed over.

    Raises:
        NoAudioError, VideoOpenError, UserInputError: a line's file cannot be heard.
    """
    if clock is None:
        times = (scan.pts - scan.pts[0]) * float(scan.video.time_base)
        clock = Clock(
            times=times,
            sources=np.arange(scan.frames),
            end=float(times[-1]) + scan.duration_pts * float(scan.video.time_base),
        )
    found = []
    for item in assignments:
        if not item.speech:
            continue
        for person in item.selection.resolve(scan):
            shown = np.zeros(scan.frames, bool)
            for track in scan.tracks_of(person.id):
                shown[track.frames] = True
            seen = shown[clock.sources]
            for line in item.speech:
                if not line.drawn:
                    # Whoever it is, it was told or decided that no mouth says it.
                    continue
                seconds = float(line_seconds(line, cancel=cancel))
                a, b = line.start_seconds, line.start_seconds + seconds
                if not clock.times[0] <= a < clock.end:
                    continue
                # The frame that is shown when the line begins counts, too.
                low = max(0, int(np.searchsorted(clock.times, a, side="right")) - 1)
                high = int(np.searchsorted(clock.times, b, side="left"))
                if not seen[low:high].any():
                    found.append(
                        Notice(
                            code="line_off_screen",
                            person=person.id,
                            start=a,
                            facts={"who": person.label, "seconds": round(seconds, 3)},
                        )
                    )
    return tuple(found)


def engine_notices(report: Mapping[str, Any], person: Person) -> tuple[Notice, ...]:
    """Note what an engine's session has to say, about the person it worked on."""
    return tuple(
        replace(notice, person=person.id, facts={"who": person.label, **notice.facts})
        for notice in as_notices(report.get("notices"))
    )


def end_notices(
    scan: Scan,
    tallies: Mapping[tuple[str, str], Tally],
    left_out: Sequence[str],
    speaking: Mapping[str, Person],
) -> tuple[Notice, ...]:
    """Note what is known when everything is drawn.

    Args:
        tallies: what became of everybody.
        left_out: what of the source could not be kept, a phrase each.
        speaking: who was to speak, by id.
    """
    found = []
    for key, person in speaking.items():
        tally = tallies.get((key, "lipsync"), Tally())
        only_shut = tally.frames_changed == tally.frames_closed
        if only_shut and (tally.frames_closed or "silence" in tally.left):
            found.append(Notice(code="no_voice", person=key, facts={"who": person.label}))
    found += (Notice(code="stream_left_out", facts={"what": phrase}) for phrase in left_out)
    if scan.decode_failures:
        found.append(
            Notice(
                code="source_damaged",
                facts={"file": scan.video.path.name, "parts": scan.decode_failures},
            )
        )
    return tuple(found)


def notices_of_report(report: Mapping[str, Any]) -> tuple[Notice, ...]:
    """Read the notices of a report, also of one that was written before there were notices."""
    if "notices" in report:
        return as_notices(report["notices"])
    result, source = report.get("result") or {}, report.get("source") or {}
    found = [*notices_of_result({**result, "left_out": source.get("left_out") or ()})]
    for person in report.get("people") or ():
        told = as_notices((person.get("measured") or {}).get("notes"))
        found += (replace(notice, person=str(person.get("id", ""))) for notice in told)
    return tuple(found)
