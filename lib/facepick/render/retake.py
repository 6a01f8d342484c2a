"""Retakes: a result drawn anew only where what is said has changed since it was made.

Segments of a dub are kept by the sha256 of the result that they are part of.  A later render that
is given that result takes up those that no changed line reaches.  They are the same bytes in the
new result: what a person would do in them does not change, though an engine that plans a whole
video at once might choose other mouths for the same words today.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from facepick.engines.registry import EngineRegistry
from facepick.media.dub import line_seconds
from facepick.media.encode import EncodeSettings
from facepick.models.store import sha256_of
from facepick.people.person import Scan
from facepick.progress import CancelToken, never
from facepick.render.learned_store import LearnedStore
from facepick.render.made_of import MadeOf
from facepick.render.plan import OutputSettings, RenderPlan
from facepick.render.segments import Segment, SegmentStore
from facepick.render.sound import Sound
from facepick.render.task import RenderTask
from facepick.speech.line import Speech
from facepick.unchanged import Pins

__all__ = ["RETAKES", "Retake", "SaidLine", "Take", "Takes", "touched"]

log = logging.getLogger("facepick.render")

RETAKES = "retakes"
"""Name of the folder in the cache."""

REACH_SECONDS = 0.28
"""How far around its sound a line changes mouths: re-made from 0.10 s before a word to 0.12 s after
it, faded over 0.12 s, and a frame of 0.04 s."""


@dataclass(frozen=True, kw_only=True)
class SaidLine:
    """One line as it is heard.

    Attributes:
        who: the people of its assignment.
        start, stop: seconds on the output's clock.
        digest: of its sound and of all else that its lips depend on.
    """

    who: str
    start: float
    stop: float
    digest: str


@dataclass(frozen=True, kw_only=True)
class Take:
    """What the segments of a result were drawn from.

    Attributes:
        base: digest of all but the lines.
        segments: first frame of each, and the end of the last.
        lines: what is said.
    """

    base: str
    segments: tuple[int, ...]
    lines: tuple[SaidLine, ...]

    def to_json(self) -> dict[str, Any]:
        """Convert to plain JSON; `from_json` takes it back."""
        return {
            "base": self.base,
            "segments": list(self.segments),
            "lines": [[n.who, n.start, n.stop, n.digest] for n in self.lines],
        }

    @classmethod
    def from_json(cls, data: Any) -> Take:
        """Read what `to_json` gave.

        Raises:
            KeyError, TypeError, ValueError: it is something else.
        """
        segments = tuple(int(i) for i in data["segments"])
        if list(segments) != sorted(set(segments)) or len(segments) < 2 or segments[0] != 0:
            raise ValueError("its segments do not rise")
        lines = tuple(
            SaidLine(who=str(w), start=float(a), stop=float(b), digest=str(d))
            for w, a, b, d in data["lines"]
        )
        return cls(base=str(data["base"]), segments=segments, lines=lines)

    def cut(self) -> tuple[Segment, ...]:
        """List the segments."""
        edges = self.segments
        return tuple(Segment(i, a, b) for i, (a, b) in enumerate(pairwise(edges)))


def said_lines(
    plan: RenderPlan, sound: Sound, *, cancel: CancelToken = never
) -> tuple[SaidLine, ...]:
    """List the lines of a plan as they are heard, in order of time.

    Raises:
        NoAudioError, VideoOpenError, UserInputError: a file cannot be heard.
    """
    found = []
    for number, item in enumerate(plan.assignments):
        if number not in sound.speech:
            continue
        speech = sound.speech[number]
        for line in speech.lines:
            stop = line.start_seconds + float(line_seconds(line, cancel=cancel))
            stop = max(stop, line.start_seconds + (line.cue_seconds or 0.0))
            digest = hashlib.sha256(_heard(speech, line.start_seconds, stop))
            phones = None if line.phones is None else repr(line.phones)
            digest.update(json.dumps([line.text, phones, line.drawn]).encode())
            found.append(
                SaidLine(
                    who=item.selection.label,
                    start=round(line.start_seconds, 6),
                    stop=round(stop, 6),
                    digest=digest.hexdigest(),
                )
            )
    return tuple(sorted(found, key=lambda n: (n.start, n.who, n.digest)))


def _heard(speech: Speech, start: float, stop: float) -> bytes:
    a, b = (max(0, round(t * Speech.SAMPLE_RATE)) for t in (start, stop))
    return np.ascontiguousarray(speech.samples[a:b]).tobytes()


def silent_frames(
    lines: Collection[SaidLine], times: npt.NDArray[np.float64]
) -> npt.NDArray[np.bool_]:
    """Tell for each output frame whether no line reaches it: (n,) bool."""
    silent = np.ones(len(times), np.bool_)
    for line in lines:
        silent[_reached(line, times)] = False
    return silent


def _reached(line: SaidLine, times: npt.NDArray[np.float64]) -> slice:
    ends = [line.start - REACH_SECONDS, line.stop + REACH_SECONDS]
    a, b = np.searchsorted(times, ends)
    return slice(max(0, int(a) - 1), int(b))


def touched(
    old: Take, new: Take, times: npt.NDArray[np.float64], cuts: Collection[int] = ()
) -> set[int]:
    """Find the segments that a change reaches; all of them where more than lines has changed.

    A segment whose neighbour is drawn anew is, too, where a line is said across the border between
    them within a shot: no mouth jumps in the middle of a word.

    Args:
        times: (n,) seconds of every output frame.
        cuts: output frames with which a shot begins.
    """
    count = len(old.segments) - 1
    if old.base != new.base or old.segments != new.segments:
        return set(range(count))
    frames = np.zeros(len(times), np.bool_)
    for line in set(old.lines) ^ set(new.lines):
        frames[_reached(line, times)] = True
    edges = old.segments
    found = {i for i in range(count) if frames[edges[i] : edges[i + 1]].any()}
    silent = silent_frames([*old.lines, *new.lines], times)
    # Frames on either side of a border.
    firm = {
        i
        for i in range(1, count)
        if edges[i] not in cuts and not (silent[edges[i] - 1] and silent[edges[i]])
    }
    grown: set[int] = set()
    while grown != found:
        grown = set(found)
        found |= {i for i in firm if i - 1 in found} | {i - 1 for i in firm if i in found}
    return found


class Takes:
    """Segments of results that were made, in a folder of the cache.

    Args:
        folder: made when something is kept; None keeps nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self._store = LearnedStore(folder)

    def find(self, result: Path, *, cancel: CancelToken = never) -> tuple[str, Take] | None:
        """Find what a result was drawn from; None where that is not kept.

        Returns:
            The result's sha256, and what is known.
        """
        digest = sha256_of(result, cancel=cancel)
        try:
            facts = self._store.facts([digest])
            return None if facts is None else (digest, Take.from_json(facts["take"]))
        except (KeyError, TypeError, ValueError) as error:
            log.info("what is kept of %s cannot be read: %s", result.name, error)
            return None

    def take_up(self, digest: str, store: SegmentStore, wanted: Iterable[Segment]) -> int:
        """Put segments of a result into a store that holds none yet.

        Returns:
            How many.
        """
        store.folder.mkdir(parents=True, exist_ok=True)
        if any(store.folder.iterdir()):
            # Of this very render, which was stopped.
            return 0
        spare = store.folder.with_name("retake")
        shutil.rmtree(spare, ignore_errors=True)
        spare.mkdir(parents=True)
        count = 0
        if self._store.take([digest], spare):
            for segment in wanted:
                # The video last: with it a segment is whole.
                for name in reversed(store.files(segment)):
                    os.replace(spare / name, store.folder / name)
                count += 1
        shutil.rmtree(spare, ignore_errors=True)
        return count

    def keep(self, digest: str, take: Take, store: SegmentStore) -> None:
        """Keep the segments of a result."""
        names = [name for segment in take.cut() for name in store.files(segment)]
        self._store.keep([digest], store.folder, names, take=take.to_json())


def base_of(
    plan: RenderPlan, scan: Scan, encode: EncodeSettings, registry: EngineRegistry, pins: Pins
) -> str:
    """Digest all that segments are made of but the lines.

    Args:
        pins: know what is in the files of the plan.
    """
    output = plan.output
    # Sounds say to a picture only whether the original is heard; marks and pages say nothing to it.
    heard = replace(
        OutputSettings(),
        original=output.original,
        separate=output.separate,
        length=output.length,
        label_card=output.label_card,
    )
    silent = tuple(replace(item, speech=()) for item in plan.assignments)
    # Who was found counts, not how: settings that are left out are the defaults.
    bare = replace(plan, assignments=silent, output=heard, scan_settings={})
    people = hashlib.sha256()
    for item in plan.assignments:
        for person in item.selection.resolve(scan):
            people.update(person.id.encode())
            for track in scan.tracks_of(person.id):
                people.update(track.frames.tobytes() + track.boxes.tobytes())
    made_of = MadeOf.of(bare, registry, pins, encode=encode, stops=()).to_json()
    sounds = [bool(output.soundtrack), bool(output.background)]
    text = json.dumps([made_of, sounds, people.hexdigest()], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def cuts_of(scan: Scan, sources: npt.NDArray[np.int64]) -> frozenset[int]:
    """List the output frames with which a shot begins.

    Args:
        sources: (n,) the source frame that each output frame shows.
    """
    starts = np.array([shot.start for shot in scan.shots], np.int64)
    return frozenset(np.flatnonzero(np.isin(sources, starts)).tolist())


def cut_at_pauses(cuts: Collection[int], silent: npt.NDArray[np.bool_]) -> tuple[Segment, ...]:
    """Cut the output into short segments where no mouth is in the middle of a line.

    That is where a shot begins, and where nobody speaks.

    Args:
        cuts: output frames with which a shot begins.
        silent: (n,) bool, see `silent_frames`.
    """
    count = len(silent)
    found: list[Segment] = []
    start = 0
    while start < count:
        near = range(start + SHORTEST_FRAMES, min(count - SHORTEST_FRAMES, start + LONGEST_FRAMES))
        good = (i for i in near if i in cuts or (silent[i] and silent[i - 1]))
        stop = next(good, min(count, start + LONGEST_FRAMES))
        if count - stop < SHORTEST_FRAMES:
            stop = count
        found.append(Segment(len(found), start, stop))
        start = stop
    return tuple(found)


SHORTEST_FRAMES, LONGEST_FRAMES = 40, 250
"""Of a segment that ends in a pause: each begins with a key frame, which at 1.6 s costs what
streaming services spend anyhow."""


@dataclass(eq=False, kw_only=True)
class Retake:
    """What a render takes up of an earlier result, and leaves for a later one.

    Attributes:
        takes: where segments are kept.
        lines: what is said; None where nobody's lips move, so that there is nothing to retake.
        segments: the output cut so that a later take draws few of them; None for the usual ones.
        before: sha256 of the earlier result, and what it was drawn from.
        base: digest of all but the lines, once it is known.
    """

    takes: Takes
    lines: tuple[SaidLine, ...] | None = None
    segments: tuple[Segment, ...] | None = None
    before: tuple[str, Take] | None = None
    base: str = ""

    @classmethod
    def of(
        cls,
        plan: RenderPlan,
        scan: Scan,
        sound: Sound,
        takes: Takes | None,
        update_of: Path | None,
        *,
        cancel: CancelToken = never,
    ) -> Retake:
        """Look what there is to take up.

        Args:
            takes: None where segments are neither taken up nor left.
            update_of: the earlier result, or None.

        Raises:
            NoAudioError, VideoOpenError, UserInputError: a file cannot be heard.
        """
        if takes is None or not plan.has_speech:
            return cls(takes=Takes(None))
        lines = said_lines(plan, sound, cancel=cancel)
        before = None if update_of is None else takes.find(update_of, cancel=cancel)
        if before is not None and before[1].segments[-1] == len(sound.source_frames):
            segments = before[1].cut()
        else:
            before = None
            cuts = cuts_of(scan, sound.source_frames)
            segments = cut_at_pauses(cuts, silent_frames(lines, sound.times))
        return cls(takes=takes, lines=lines, segments=segments, before=before)

    def take_up(self, task: RenderTask, encode: EncodeSettings, pins: Pins) -> int:
        """Put what no change reaches into the store of a render; gives how many segments that is.

        Args:
            pins: know what is in the files of the plan.
        """
        if self.lines is None:
            return 0
        self.base = base_of(task.plan, task.scan, encode, task.registry, pins)
        if self.before is None:
            return 0
        digest, old = self.before
        cuts = cuts_of(task.scan, task.sources)
        anew = touched(old, self._take(task), task.sound.times, cuts)
        wanted = [segment for segment in task.segments if segment.index not in anew]
        return self.takes.take_up(digest, task.store, wanted)

    def keep(self, digest: str, task: RenderTask) -> None:
        """Leave the segments of the result with this sha256 for a later take."""
        if self.lines is not None:
            self.takes.keep(digest, self._take(task), task.store)

    def _take(self, task: RenderTask) -> Take:
        edges = (*(segment.start for segment in task.segments), task.frames)
        return Take(base=self.base, segments=edges, lines=self.lines or ())
