"""Clock and sound of the output: which source frame is shown when, and what is heard."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from facepick.errors import UserInputError
from facepick.media.dub import (
    FADE_SECONDS,
    HeardSound,
    OriginalMode,
    OriginalSound,
    SoundChange,
    SoundFormat,
    analysis_original,
    analysis_speech,
    format_of,
    heard_again,
    line_seconds,
    lines_end_seconds,
    mix_format,
    mixed,
    spans_of,
    straight,
)
from facepick.media.encode import container_of
from facepick.media.timeline import (
    KEEPS_LENGTH,
    REMAP_LIMITS,
    LengthMode,
    frames_needed,
    output_pts,
    remapped_pts,
    source_frames,
)
from facepick.media.video import AudioInfo, VideoInfo
from facepick.media.writer import AudioOut, AudioTrack
from facepick.people.person import Scan
from facepick.progress import CancelToken, never
from facepick.render.plan import Assignment, RenderPlan
from facepick.speech.line import Speech, SpeechLine

__all__ = [
    "Sound",
    "Unheard",
    "original_of",
    "prepare_sound",
    "stretch_of",
    "unheard_speech",
    "video_seconds",
]

LEAST_UNHEARD_SECONDS = 0.05
"""A frame at 25 a second is 0.04 s: less than this is how files are padded, not speech."""

HALF_SAMPLE_SECONDS = Fraction(1, 96_000)
"""At 48 kHz.  A line that starts at 3.2 s does so 2e-16 s later, as numbers go; the video must not
get a frame for that."""


@dataclass(frozen=True, kw_only=True)
class Unheard:
    """Truncated end of a line: nobody hears it, because the video is over before.

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
        """Convert to plain JSON."""
        return {**asdict(self), "people": list(self.people)}


def unheard_speech(
    plan: RenderPlan, seconds: Fraction | float, *, cancel: CancelToken = never
) -> tuple[Unheard, ...]:
    """Find lines that go on after the end of the video, where it is not made longer for them.

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
        for line in plan.lines_of(item):
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
    """Clock of the output, and what is heard.

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
        heard: what is heard beside the new speech in this part.
        soundtrack: the finished mix that is heard instead of all that, or None.
        stretch: how many times slower the picture is shown than it was filmed.
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
    heard: HeardSound = field(default_factory=HeardSound)
    soundtrack: Path | None = None
    stretch: Fraction = Fraction(1)
    unheard: tuple[Unheard, ...] = ()

    def time_of(self, frame: int) -> Fraction:
        """Compute seconds from the first to this output frame, exactly."""
        return (self.pts[frame] - self.pts[0]) * self.time_base

    @property
    def seconds(self) -> Fraction:
        """Length of the output."""
        return (self.pts[-1] + self.last_duration_pts - self.pts[0]) * self.time_base

    def speech_of(self, assignment: Assignment) -> Speech:
        """Return the speech of an assignment of the plan."""
        return self.speech[self.plan.assignments.index(assignment)]

    @property
    def info(self) -> VideoInfo:
        """The source, with the time base of the output."""
        return replace(self.scan.video, time_base=self.time_base)

    @property
    def times(self) -> npt.NDArray[np.float64]:
        """(n,) seconds of every output frame."""
        return (np.array(self.pts, np.int64) - self.pts[0]).astype(np.float64) * float(
            self.time_base
        )

    def audio(self, out: Path, *, cancel: CancelToken = never) -> AudioOut:
        """Describe the sound for the muxer; a mix is made while it is written.

        Without new sound the source's streams are kept packet by packet.  With it the default
        stream becomes the new one, and further streams are kept.

        Args:
            out: where the result goes; its container says how sound is encoded.

        Raises:
            NoAudioError, VideoOpenError: a file has no sound.
            SettingsError: the container cannot hold the audio codec that is asked for.
        """
        brought = self.soundtrack is not None or self.heard.background is not None
        changed = self.heard.change is not None
        if not self.lines and not brought and not changed:
            return AudioOut.keep(self.scan.video)
        first = self.pts[0] * self.time_base
        if self.soundtrack is not None:
            form = format_of(self.soundtrack)
            start = first
        else:
            form = mix_format(self.heard, self.lines)
            start = first - self._lead
        container = container_of(out)
        track = AudioTrack(
            samples=lambda: self._samples(form, cancel),
            rate=form.rate,
            channels=form.channels,
            encoder=self.plan.encode.audio_encoder(container, lossless=form.lossless),
            start=start,
        )
        # Other tracks cannot go with a picture that is shown slower, and hold the voices that are
        # changed in this one.
        if self.stretch != 1 or changed:
            return AudioOut.replace(track)
        return AudioOut.dub(self.scan.video, track)

    @property
    def _lead(self) -> Fraction:
        """Length of the original that is heard before the first frame of a whole video."""
        if self.origin is not None or self.stretch != 1:
            return Fraction(0)
        video = self.scan.video
        starts = [video.start_seconds, *(a.start_seconds for a in video.audio)]
        return max(Fraction(0), self.pts[0] * self.time_base - max(Fraction(0), min(starts)))

    def _samples(self, form: SoundFormat, cancel: CancelToken) -> Iterator[npt.NDArray[np.float32]]:
        if self.soundtrack is not None:
            offset = self.heard.offset
            return straight(
                self.soundtrack, seconds=self.seconds, offset=offset, form=form, cancel=cancel
            )
        return mixed(
            self.lines, self.heard, seconds=self.seconds, lead=self._lead, form=form, cancel=cancel
        )


def prepare_sound(
    plan: RenderPlan,
    scan: Scan,
    part: tuple[int, int],
    *,
    rest: Path | None = None,
    change: SoundChange | None = None,
    cancel: CancelToken = never,
) -> Sound:
    """Prepare the clock and sound of the output.

    Args:
        part: the half-open part of the source that is rendered, in frames.
        rest: the original without its voices, where the plan wants them taken out.
        change: what is done to the original before it is heard.

    Raises:
        NoAudioError, VideoOpenError: a line's file has no sound.
        UserInputError: a line begins when the video is over, and the video is not made longer; or
            the picture would have to be stretched too far.
    """
    whole_seconds = video_seconds(scan)
    _check_starts(plan, float(whole_seconds))
    stretch = stretch_of(plan, whole_seconds, cancel=cancel)
    begins = (int(scan.pts[part[0]]) - int(scan.pts[0])) * scan.video.time_base * stretch
    by_assignment = [_moved(plan.lines_of(item), begins, cancel) for item in plan.assignments]
    lines = tuple(line for group in by_assignment for line in group)
    clock = _clock_of(plan, scan, part, lines, stretch, cancel)
    original = _original_part(plan, scan, part, stretch)
    own = None
    if plan.has_speech and original is not None:
        own = analysis_original(original, seconds=clock.seconds, cancel=cancel)
    heard = _heard(plan, original, rest=rest, stretch=stretch, offset=begins)
    if original is not None and change is not None:
        # Without new speech the original is heard as it is, whatever the mode.
        mode = heard.mode if plan.has_speech else "keep"
        heard = replace(heard, change=change, mode=mode)
    soundtrack = Path(plan.output.soundtrack) if plan.output.soundtrack else None
    still = _original_heard(heard, soundtrack, lines, own, clock.seconds, cancel)
    others = len(scan.people) > 1
    speech = {
        number: Speech(
            samples=analysis_speech(_drawn(group), seconds=clock.seconds, cancel=cancel),
            lines=_drawn(group),
            original=own,
            original_heard=_with_undrawn(still, lines, cancel),
            of_all=others and not plan.assignments[number].speech,
        )
        for number, group in enumerate(by_assignment)
        if plan.lines_of(plan.assignments[number])
    }
    whole = part == (0, scan.frames)
    origin = int(scan.pts[part[0]]) * scan.video.time_base
    return Sound(
        source_frames=clock.sources + part[0],
        pts=clock.pts,
        time_base=clock.base,
        last_duration_pts=clock.last,
        plan=plan,
        scan=scan,
        origin=None if whole else origin,
        stop=None if whole else origin + clock.seconds,
        lines=lines,
        speech=speech,
        heard=heard,
        soundtrack=soundtrack,
        stretch=stretch,
        unheard=unheard_speech(plan, whole_seconds, cancel=cancel),
    )


class _Clock(NamedTuple):
    """Times at which the frames of a part are shown.

    Attributes:
        pts: of the output's frames, in `base`.
        last: how long the last one is shown, in `base`.
        base: seconds a unit.
        sources: (n,) int64, the frame of the part that each shows, from 0.
    """

    pts: list[int]
    last: int
    base: Fraction
    sources: npt.NDArray[np.int64]

    @property
    def seconds(self) -> Fraction:
        """Length of the output."""
        return (self.pts[-1] + self.last - self.pts[0]) * self.base


def _end_pts(scan: Scan, stop: int) -> int:
    if stop < scan.frames:
        return int(scan.pts[stop])
    return int(scan.pts[-1]) + scan.duration_pts


def _clock_of(
    plan: RenderPlan,
    scan: Scan,
    part: tuple[int, int],
    lines: Sequence[SpeechLine],
    stretch: Fraction,
    cancel: CancelToken,
) -> _Clock:
    start, stop = part
    base = scan.video.time_base
    shown = [int(p) for p in scan.pts[start:stop]]
    last = _end_pts(scan, stop) - shown[-1]
    sources = np.arange(stop - start, dtype=np.int64)
    if stretch != 1:
        pts, last, base = remapped_pts(shown, last, base, stretch)
        return _Clock(pts, last, base, sources)
    if not lines or part != (0, scan.frames):
        return _Clock(shown, last, base, sources)
    end_of_speech = lines_end_seconds(lines, cancel=cancel) - HALF_SAMPLE_SECONDS
    if plan.output.soundtrack:
        # A mix is as long as the video, give or take how files are padded.
        end_of_speech -= Fraction(LEAST_UNHEARD_SECONDS)
    mode = cast(LengthMode, plan.output.length)
    durations = [*np.diff(shown).tolist(), last]
    output = frames_needed(durations, math.ceil(end_of_speech / base), mode)
    sources = source_frames(stop - start, output, mode)
    pts, last = output_pts(shown, last, sources)
    return _Clock(pts, last, base, sources)


def _original_part(
    plan: RenderPlan, scan: Scan, part: tuple[int, int], stretch: Fraction
) -> OriginalSound | None:
    """Give the video's own sound, from where the part begins."""
    original = original_of(scan)
    if original is None:
        return None
    start, stop = part
    base = scan.video.time_base
    filmed = (_end_pts(scan, stop) - int(scan.pts[start])) * base
    to_its_end = part == (0, scan.frames) and plan.output.length != "loop"
    return replace(
        original,
        start=int(scan.pts[start]) * base,
        duration=None if to_its_end else filmed,
        stretch=stretch,
    )


def _heard(
    plan: RenderPlan,
    original: OriginalSound | None,
    *,
    rest: Path | None,
    stretch: Fraction,
    offset: Fraction,
) -> HeardSound:
    # The sound of a picture that is shown slower cannot go with it.
    mode = "mute" if stretch != 1 else cast(OriginalMode, plan.output.original)
    background = Path(plan.output.background) if plan.output.background else None
    if background is None and mode == "mute" and stretch == 1:
        background = rest
    return HeardSound(
        mode=mode,
        original=original,
        background=background,
        rest=None if background is not None or stretch != 1 else rest,
        offset=offset,
        length=cast(LengthMode, plan.output.length),
    )


def stretch_of(plan: RenderPlan, seconds: Fraction, *, cancel: CancelToken = never) -> Fraction:
    """Compute how many times slower the picture is shown, so that it ends with the speech.

    Args:
        seconds: length of the video.

    Raises:
        UserInputError: beyond what anybody would look at.
        NoAudioError, VideoOpenError: a file has no sound.
    """
    if plan.output.length != "remap":
        return Fraction(1)
    lines = [line for item in plan.assignments for line in plan.lines_of(item)]
    if plan.output.soundtrack:
        lines = [SpeechLine(path=plan.output.soundtrack)]
    end = lines_end_seconds(lines, cancel=cancel)
    if not end:
        return Fraction(1)
    stretch = (end / seconds).limit_denominator(1_000_000)
    low, high = REMAP_LIMITS
    if not low <= stretch <= high:
        raise UserInputError(
            f"The speech ends at {float(end):.1f} s and the video at {float(seconds):.1f} s: "
            f"--length remap would play it {float(stretch):.2g} times as long.",
            hint=f"It goes from {float(low):g} to {float(high):g} times; "
            "try --length freeze, loop or cut.",
        )
    return stretch


def _original_heard(
    heard: HeardSound,
    soundtrack: Path | None,
    lines: Sequence[SpeechLine],
    original: npt.NDArray[np.float32] | None,
    seconds: Fraction,
    cancel: CancelToken,
) -> tuple[tuple[float, float], ...]:
    """Find where the video's own sound, with the voices in it, is heard in the result."""
    if original is None:
        return ()
    brought = soundtrack or heard.background
    if brought is not None:
        # Who mends one line brings a mix that holds the others as they were.
        line = SpeechLine(path=str(brought), offset_seconds=float(heard.offset))
        if line_is_over(line, cancel):
            return ()
        other = analysis_speech([line], seconds=seconds, cancel=cancel)
        return heard_again(original, other, cancel=cancel)
    if heard.mode == "mute":
        return ()
    spans = spans_of(lines, cancel=cancel)
    end = float(seconds)
    if heard.length == "silence":
        end = min(end, max((float(stop) for _, stop in spans), default=0.0))
    if heard.mode != "replace":
        return ((0.0, end),)
    fade = float(FADE_SECONDS)
    free, at = [], 0.0
    for start, stop in spans:
        if float(start) > at:
            free.append((at, min(end, float(start))))
        at = max(0.0, float(stop))
    if at < end:
        free.append((at, end))
    return tuple((a, b) for a, b in free if b - a > 2 * fade)


def _drawn(lines: Sequence[SpeechLine]) -> tuple[SpeechLine, ...]:
    return tuple(line for line in lines if line.drawn)


def _with_undrawn(
    heard: tuple[tuple[float, float], ...], lines: Sequence[SpeechLine], cancel: CancelToken
) -> tuple[tuple[float, float], ...]:
    """Add lines that no mouth says: whoever spoke there is left as filmed, not shut."""
    undrawn = [line for line in lines if not line.drawn]
    if not undrawn:
        return heard
    spans = [*heard, *((float(a), float(b)) for a, b in spans_of(undrawn, cancel=cancel))]
    joined: list[tuple[float, float]] = []
    for start, stop in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(stop, joined[-1][1]))
        else:
            joined.append((start, stop))
    return tuple(joined)


def line_is_over(line: SpeechLine, cancel: CancelToken) -> bool:
    """Tell whether a file ends before what is wanted of it begins."""
    whole = replace(line, offset_seconds=0.0)
    return line_seconds(whole, cancel=cancel) <= line.offset_seconds


def original_of(scan: Scan) -> OriginalSound | None:
    """Take the video's own sound from its first frame on, or None when it has none."""
    main = _default_stream(scan.video.audio)
    if main is None:
        return None
    first = int(scan.pts[0]) * scan.video.time_base
    return OriginalSound(path=scan.video.path, start=first, stream=main.index)


def video_seconds(scan: Scan) -> Fraction:
    """Compute the length of the whole video."""
    ticks = int(scan.pts[-1]) + scan.duration_pts - int(scan.pts[0])
    return ticks * scan.video.time_base


def _check_starts(plan: RenderPlan, seconds: float) -> None:
    """Refuse speech that nobody would ever hear."""
    if plan.output.length not in KEEPS_LENGTH:
        return
    late = [
        line
        for item in plan.assignments
        for line in plan.lines_of(item)
        if line.start_seconds >= seconds
    ]
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
    """Move the lines to the clock of a part that begins so many seconds into the video.

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
                cue_seconds=None if line.cue_seconds is None else max(0, line.cue_seconds + start),
            )
        )
    return tuple(moved)
