"""The output's clock and sound: which source frame is shown when, and what is heard."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from facepick.engines.engine import Speech, SpeechLine
from facepick.errors import UserInputError
from facepick.media.dub import (
    OriginalMode,
    OriginalSound,
    analysis_original,
    analysis_speech,
    line_seconds,
    lines_end_seconds,
    mix_rate,
    write_mix,
)
from facepick.media.timeline import (
    KEEPS_LENGTH,
    LengthMode,
    frames_needed,
    output_pts,
    source_frames,
)
from facepick.media.video import AudioInfo
from facepick.media.writer import AudioOut, AudioTrack
from facepick.people.identity import Scan
from facepick.progress import CancelToken, never
from facepick.render.plan import Assignment, RenderPlan

__all__ = ["Sound", "Unheard", "prepare_sound", "unheard_speech", "video_seconds"]

LEAST_UNHEARD_SECONDS = 0.05
"""A frame at 25 a second is 0.04 s: less than this is how files are padded, not speech."""

HALF_SAMPLE_SECONDS = Fraction(1, 96_000)
"""At 48 kHz.  A line that starts at 3.2 s does so 2e-16 s later, as numbers go; the video must not
get a frame for that."""


@dataclass(frozen=True, kw_only=True)
class Unheard:
    """The end of a line that nobody hears, because the video is over before.

    Attributes:
        file: name of the sound file.
        people: who says it, as in the plan.
        start: seconds into the video at which the line begins.
        seconds: how much of it is left out.
    """

    file: str
    people: tuple[str, ...]
    start: float
    seconds: float

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "people": list(self.people)}

    @staticmethod
    def sentence_of(entry: Mapping[str, Any]) -> str:
        """What `to_json` gave, in words."""
        return (
            f"The last {entry['seconds']:.1f} s of {entry['file']} are left out: the video ends "
            "before. Make it longer with --length freeze, loop or bounce."
        )


def unheard_speech(
    plan: RenderPlan, seconds: Fraction | float, *, cancel: CancelToken = never
) -> tuple[Unheard, ...]:
    """Which lines go on after the end of the video, where the video is not made longer for them.

    Lines that begin after it are none of them: `prepare_sound` refuses those.

    Args:
        seconds: length of the whole video.

    Raises:
        NoAudioError, VideoOpenError, UserInputError: a line's file has no sound, or less than the
            line skips.
    """
    if plan.output.length not in KEEPS_LENGTH:
        return ()
    found = []
    for item in plan.assignments:
        for line in item.speech:
            if line.start_seconds >= seconds:
                continue
            length = line_seconds(line, cancel=cancel)
            over = Fraction(line.start_seconds) + length - Fraction(seconds)
            if over >= LEAST_UNHEARD_SECONDS:
                found.append(
                    Unheard(
                        file=Path(line.path).name,
                        people=item.selection.people,
                        start=line.start_seconds,
                        seconds=round(float(over), 3),
                    )
                )
    return tuple(found)


@dataclass(frozen=True, eq=False, kw_only=True)
class Sound:
    """The output's clock and what is heard.

    Attributes:
        source_frames: (n,) int64, the source frame that every output frame shows.
        pts: presentation time of every output frame on the source's clock, in its time base.
        time_base: that time base.
        last_duration_pts: how long the last frame is shown.
        origin, stop: the part of the source's clock that is written, in seconds; None and None
            for the whole video.
        plan, scan: what is rendered.
        lines: all new speech on the output's clock.
        speech: the new speech of each assignment, by position in the plan.
        original: the source's own sound in this part, or None.
        unheard: speech for which the whole video is too short.
    """

    source_frames: npt.NDArray[np.int64]
    pts: list[int]
    time_base: Fraction
    last_duration_pts: int
    plan: RenderPlan
    scan: Scan
    origin: Fraction | None = None
    stop: Fraction | None = None
    lines: tuple[SpeechLine, ...] = ()
    speech: Mapping[int, Speech] = field(default_factory=dict)
    original: OriginalSound | None = None
    unheard: tuple[Unheard, ...] = ()

    def time_of(self, frame: int) -> Fraction:
        """Seconds from the first to this output frame, exact."""
        return (self.pts[frame] - self.pts[0]) * self.time_base

    @property
    def seconds(self) -> Fraction:
        """Length of the output."""
        return (self.pts[-1] + self.last_duration_pts - self.pts[0]) * self.time_base

    def speech_of(self, assignment: Assignment) -> Speech:
        return self.speech[self.plan.assignments.index(assignment)]

    def audio(self, folder: Path, *, cancel: CancelToken = never) -> AudioOut:
        """What the muxer does about sound; new speech is mixed into a file in `folder`.

        Without new speech the source's streams are kept packet by packet.  With it the default
        stream becomes the mix, and further streams are kept.
        """
        video = self.scan.video
        if not self.lines:
            return AudioOut.keep(video)
        main = _default_stream(video.audio)
        rate = mix_rate(main.sample_rate if main else None)
        mixed = write_mix(
            folder / "mix.wav",
            self.lines,
            seconds=self.seconds,
            mode=cast(OriginalMode, self.plan.output.original),
            original=self.original,
            length=cast(LengthMode, self.plan.output.length),
            rate=rate,
            cancel=cancel,
        )
        track = AudioTrack(samples=mixed, rate=rate, start=self.pts[0] * self.time_base)
        return AudioOut.dub(video, track)


def prepare_sound(
    plan: RenderPlan, scan: Scan, part: tuple[int, int], *, cancel: CancelToken = never
) -> Sound:
    """The clock and sound of the output.

    Args:
        part: the half-open part of the source that is rendered, in frames.

    Raises:
        NoAudioError, VideoOpenError: a line's file has no sound.
        UserInputError: a line begins when the video is over, and the video is not made longer.
    """
    whole_seconds = video_seconds(scan)
    _check_starts(plan, float(whole_seconds))
    start, stop = part
    base = scan.video.time_base
    end = int(scan.pts[stop]) if stop < scan.frames else int(scan.pts[-1]) + scan.duration_pts
    whole = part == (0, scan.frames)
    begins = (int(scan.pts[start]) - int(scan.pts[0])) * base
    shown = [int(p) for p in scan.pts[start:stop]]
    last = end - shown[-1]
    by_assignment = [_moved(item.speech, begins, cancel) for item in plan.assignments]
    lines = tuple(line for group in by_assignment for line in group)
    count = stop - start
    if lines and whole:
        mode = cast(LengthMode, plan.output.length)
        end_of_speech = lines_end_seconds(lines, cancel=cancel) - HALF_SAMPLE_SECONDS
        wanted = math.ceil(end_of_speech / base)
        durations = [*np.diff(shown).tolist(), last]
        output = frames_needed(durations, wanted, mode)
        sources = source_frames(count, output, mode)
        pts, last = output_pts(shown, last, sources)
    else:
        sources, pts = np.arange(count, dtype=np.int64), shown
    main = _default_stream(scan.video.audio)
    original = None
    if main is not None:
        original = OriginalSound(
            path=scan.video.path,
            start=shown[0] * base,
            duration=(end - shown[0]) * base,
            stream=main.index,
        )
    seconds = (pts[-1] + last - pts[0]) * base
    heard = None
    if plan.has_speech and original is not None:
        heard = analysis_original(original, seconds=seconds, cancel=cancel)
    speech = {
        number: Speech(
            samples=analysis_speech(group, seconds=seconds, cancel=cancel),
            lines=group,
            original=heard,
        )
        for number, group in enumerate(by_assignment)
        if plan.assignments[number].speech
    }
    return Sound(
        source_frames=sources + start,
        pts=pts,
        time_base=base,
        last_duration_pts=last,
        plan=plan,
        scan=scan,
        origin=None if whole else shown[0] * base,
        stop=None if whole else end * base,
        lines=lines,
        speech=speech,
        original=original,
        unheard=unheard_speech(plan, whole_seconds, cancel=cancel),
    )


def video_seconds(scan: Scan) -> Fraction:
    """Length of the whole video."""
    ticks = int(scan.pts[-1]) + scan.duration_pts - int(scan.pts[0])
    return ticks * scan.video.time_base


def _check_starts(plan: RenderPlan, seconds: float) -> None:
    """Refuse speech that nobody would ever hear."""
    if plan.output.length not in KEEPS_LENGTH:
        return
    late = [n for item in plan.assignments for n in item.speech if n.start_seconds >= seconds]
    if late:
        raise UserInputError(
            f"{Path(late[0].path).name} would begin at {late[0].start_seconds:g} s, "
            f"but the video ends at {seconds:.2f} s.",
            hint="Let it begin earlier, or make the video longer: --length freeze.",
        )


def _default_stream(streams: Sequence[AudioInfo]) -> AudioInfo | None:
    return next((a for a in streams if a.is_default), None) or next(iter(streams), None)


def _moved(
    lines: Sequence[SpeechLine], begins: Fraction, cancel: CancelToken
) -> tuple[SpeechLine, ...]:
    """The lines on the clock of a part that begins so many seconds into the video.

    Lines that are over by then are left out.
    """
    moved = []
    for line in lines:
        start = line.start_seconds - float(begins)
        if start >= 0:
            moved.append(replace(line, start_seconds=start))
            continue
        if lines_end_seconds([line], cancel=cancel) <= begins:
            continue
        moved.append(
            replace(
                line,
                start_seconds=0.0,
                offset_seconds=line.offset_seconds - start,
                duration_seconds=(
                    None if line.duration_seconds is None else line.duration_seconds + start
                ),
            )
        )
    return tuple(moved)
