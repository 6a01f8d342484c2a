"""Speakers over HTTP: who speaks, corrections of it, and lip syncs in the words of sync.so.

`facepick.http_api` puts these into its table of routes.  Files are named as everywhere there, and
every path goes through `Paths` before it is opened.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facepick.errors import UserInputError

if TYPE_CHECKING:
    from facepick.app import App
    from facepick.notices import Notice
    from facepick.people.person import Person, Scan
    from facepick.render.plan import RenderPlan
    from facepick.speech.speakers import Turn

__all__ = ["Paths", "Wish", "asked_speakers", "correct_speakers", "speakers_json"]

Paths = Callable[[str], str]
"""Checks a path that a caller names, and gives the absolute one."""

_SYNC_MODES = {
    "cut_off": "cut",
    "loop": "loop",
    "bounce": "bounce",
    "silence": "silence",
    "remap": "remap",
}
MAX_SEGMENTS = 10_000


def asked_speakers(payload: Mapping[str, Any], allowed: Paths) -> dict[str, Any]:
    """Read what ``POST /speakers`` wants to know, as `App.new_scan_job` takes it.

    Raises:
        UserInputError: it names the field.
    """
    from facepick.speech.cue_names import with_names
    from facepick.speech.script import read_script

    count, lines = payload.get("num_speakers"), payload.get("lines")
    names = payload.get("names")
    if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 1):
        raise UserInputError('"num_speakers" must be a whole number from 1.')
    if lines is not None:
        lines = allowed(_text(payload, "lines", "the request"))
        # A look through a film takes minutes; what is wrong with the list can be said now.
        script = read_script(Path(lines), beside=True)
        if names is not None:
            names = allowed(_text(payload, "names", "the request"))
            with_names(script, Path(names))
    elif names is not None:
        raise UserInputError('"names" names lines, and no "lines" are given.')
    return {"lines": lines, "names": names, "num_speakers": count}


def speakers_json(app: App, job_id: str) -> dict[str, Any]:
    """Give what ``facepick speakers --json`` writes, for a finished job of ``POST /speakers``.

    Raises:
        JobNotFound, JobConflict, UserInputError: see `App.speakers_of_job`.
    """
    from facepick.people.export import people_json

    scan, found = app.speakers_of_job(job_id)
    return found.to_json(people_json(scan)["video"])


def correct_speakers(app: App, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Keep corrections such as ``L3=P2`` and give who speaks by now.

    Raises:
        UserInputError, SelectionError: there is no such line or person.
    """
    from facepick.speech.speaker_edits import speaker_edit

    job_id, texts = _text(payload, "job", "the request"), payload.get("set")
    if not isinstance(texts, list) or not texts or not all(isinstance(t, str) for t in texts):
        raise UserInputError('"set" must be a list of corrections, such as "L3=P2".')
    scan, found = app.speakers_of_job(job_id)
    app.set_speakers(scan, [speaker_edit(scan, found, text) for text in texts])
    return speakers_json(app, job_id)


@dataclass(frozen=True, kw_only=True)
class _Part:
    """Speech that is heard in a stretch of the video; seconds.

    Attributes:
        start, end: in the video; end None for as long as the speech is.
        file: the speech.
        offset: where in the file it begins.
        length: of what is taken of the file, or None for all of it.
    """

    start: float
    end: float | None
    file: str
    offset: float = 0.0
    length: float | None = None

    def to_line(self) -> dict[str, Any]:
        """Write the entry of a list of lines, see `facepick.speech.script`."""
        lengths = [v for v in (self.length, self.end and self.end - self.start) if v is not None]
        line: dict[str, Any] = {"start": self.start, "file": self.file, "offset": self.offset}
        return {**line, "duration": min(lengths)} if lengths else line


@dataclass(frozen=True, kw_only=True)
class Wish:
    """Lip sync as it is asked of sync.so: files, segments, and how the speaker is found.

    Attributes:
        video: path.
        parts: speech by time; one part from the start for a single file.
        segmented: whether the caller gave segments.
        length: as `OutputSettings.length`.
        at: a frame, and a place in it in display pixels, at which the person is; None where it
            is to be found out who speaks.
        engine: its id.
    """

    video: str
    parts: tuple[_Part, ...]
    segmented: bool
    length: str
    at: tuple[int, tuple[float, float]] | None
    engine: str

    @classmethod
    def read(cls, payload: Mapping[str, Any], allowed: Paths) -> Wish:
        """Read the body of a request.

        Raises:
            UserInputError: it names the field.
        """
        files = _inputs(payload, allowed)
        options = _object(payload, "options")
        mode = payload.get("sync_mode", options.get("sync_mode", "cut_off"))
        if mode not in _SYNC_MODES:
            raise UserInputError(f'"sync_mode" must be one of {", ".join(_SYNC_MODES)}.')
        # Both places are in use: beside the input, and below "options".
        where = payload if "active_speaker_detection" in payload else options
        detect = _object(where, "active_speaker_detection")
        if not isinstance(detect.get("auto_detect", True), bool):
            raise UserInputError('"auto_detect" must be true or false.')
        segments = payload.get("segments") or []
        if not isinstance(segments, list) or len(segments) > MAX_SEGMENTS:
            raise UserInputError(f'"segments" must be a list, of {MAX_SEGMENTS} at most.')
        if segments:
            parts = tuple(_segment(item, number, files) for number, item in enumerate(segments, 1))
        else:
            parts = (_Part(start=0.0, end=None, file=files.speech(None)),)
        return cls(
            video=files.video,
            parts=parts,
            segmented=bool(segments),
            length=_SYNC_MODES[mode],
            at=_place(detect),
            engine=_text(payload, "engine", "the request") if "engine" in payload else "rewrite",
        )

    def plan(self, app: App) -> tuple[RenderPlan, tuple[Notice, ...]]:
        """Make the plan of it; looks through the video where that was not done before.

        Raises:
            UserInputError, SelectionError: whose lips are meant is not known, or a file cannot be
                read.
        """
        from facepick.people.selection import Selection
        from facepick.render.plan import Assignment, OutputSettings, RenderPlan
        from facepick.speech.line_owners import give_lines
        from facepick.speech.script import read_script

        scan = app.find_people(self.video)
        picked = [] if self.at is None else [self._person(scan).id]
        lines = [part.to_line() for part in self._timed(app, scan, picked)]
        with tempfile.TemporaryDirectory(prefix="facepick-") as folder:
            file = Path(folder) / "segments.json"
            file.write_text(json.dumps(lines), encoding="utf-8")
            script = read_script(file)
            found = give_lines(
                script, scan, picked, known=app.known_names(),
                speakers_of=lambda spans: app.who_speaks(scan, spans),
            )  # fmt: skip
        return (
            RenderPlan(
                video=self.video,
                assignments=tuple(
                    Assignment(
                        selection=Selection((who,)), flow="lipsync", engine=self.engine, speech=own
                    )
                    for who, own in found.speakers
                ),
                output=OutputSettings(length=self.length),
            ),
            found.notices,
        )

    def _timed(self, app: App, scan: Scan, picked: list[str]) -> tuple[_Part, ...]:
        """Part one long sound where the video's speakers change; segments are as they were given.

        A dub is spoken where the original was.
        """
        people = [p for p in scan.people if not (p.ignored or p.unsure)]
        if self.segmented or picked or len(people) < 2:
            return self.parts
        whole = self.parts[0]
        turns = [turn for turn in app.who_speaks(scan).turns if turn.state != "silent"]
        return tuple(
            replace(whole, start=turn.start, end=turn.end, offset=turn.start)
            for turn in _joined(turns)
        )

    def _person(self, scan: Scan) -> Person:
        """Find who is at the given place of the given frame."""
        assert self.at is not None
        frame, (x, y) = self.at
        owner = {t: p for p in scan.people if not p.ignored for t in p.track_ids}
        near = []
        for track in scan.tracks:
            box = track.box_at(frame)
            if box is None or track.id not in owner:
                continue
            # How far outside of the face it is, in sizes of the face.
            away = max(
                abs(x - (box.x0 + box.x1) / 2) / max(box.x1 - box.x0, 1),
                abs(y - (box.y0 + box.y1) / 2) / max(box.y1 - box.y0, 1),
            )
            near.append((away, track.id))
        # A face is half its size around its middle; another half for hair and chin.
        if not near or min(near)[0] > 1.0:
            raise UserInputError(
                f"Nobody is at ({x:g}, {y:g}) in frame {frame}.",
                hint="Give a place inside a face, in pixels of the video.",
            )
        return owner[min(near)[1]]


def _joined(turns: list[Turn]) -> list[Turn]:
    """Join turns of one person that follow one another: a pause of the dub may lie elsewhere."""
    joined: list[Turn] = []
    for turn in turns:
        before = joined[-1] if joined else None
        if before and (before.person, before.state) == (turn.person, turn.state):
            joined[-1] = replace(before, end=turn.end)
        else:
            joined.append(turn)
    return joined


@dataclass(frozen=True)
class _Files:
    """Files of a request: the video, and sounds by their name (None for the only one)."""

    video: str
    sounds: Mapping[str | None, str]

    def speech(self, name: str | None) -> str:
        if name in self.sounds:
            return self.sounds[name]
        if name is None and len(self.sounds) == 1:
            return next(iter(self.sounds.values()))
        what = "no audio" if name is None else f"no audio called {name!r:.40}"
        raise UserInputError(
            f"There is {what}.", hint='Give it as {"type": "audio", "path": ..., "refId": ...}.'
        )


def _inputs(payload: Mapping[str, Any], allowed: Paths) -> _Files:
    """Read ``video`` and ``audio``, or the list ``input`` with an object for each file."""
    videos = [_text(payload, "video", "the request")] if "video" in payload else []
    sounds: dict[str | None, str] = {}
    if "audio" in payload:
        sounds[None] = _text(payload, "audio", "the request")
    items = payload.get("input") or []
    if not isinstance(items, list):
        raise UserInputError('"input" must be a list of files.')
    for item in items:
        if not isinstance(item, Mapping) or item.get("type") not in ("video", "audio"):
            raise UserInputError('An entry of "input" must have the type "video" or "audio".')
        # A service has an address here; this machine has a path.
        name = _text(item, "path" if "path" in item else "url", "input")
        if item["type"] == "video":
            videos.append(name)
        else:
            sounds[_text(item, "refId", "input") if "refId" in item else None] = name
    if len(videos) != 1:
        raise UserInputError(f"One video is needed, not {len(videos)}.")
    return _Files(allowed(videos[0]), {key: allowed(name) for key, name in sounds.items()})


def _segment(item: Any, number: int, files: _Files) -> _Part:
    what = f"segment {number}"
    if not isinstance(item, Mapping):
        raise UserInputError(f"{what} must be an object.")
    start, end = _seconds(item, "startTime", what), _seconds(item, "endTime", what)
    if start is None or end is None or end <= start:
        raise UserInputError(f'{what} needs a "startTime" and a later "endTime", in seconds.')
    sound = _object(item, "audioInput")
    name = _text(sound, "refId", what) if "refId" in sound else None
    offset, stop = _seconds(sound, "startTime", what), _seconds(sound, "endTime", what)
    if stop is not None and stop <= (offset or 0.0):
        raise UserInputError(f'"endTime" of the audio of {what} must be later than its start.')
    return _Part(
        start=start,
        end=end,
        file=files.speech(name),
        offset=offset or 0.0,
        length=None if stop is None else stop - (offset or 0.0),
    )


def _place(detect: Mapping[str, Any]) -> tuple[int, tuple[float, float]] | None:
    frame, point = detect.get("frame_number"), detect.get("coordinates")
    if frame is None and point is None:
        return None
    if isinstance(frame, bool) or not isinstance(frame, int) or frame < 0:
        raise UserInputError('"frame_number" must be a whole number from 0.')
    if not isinstance(point, list) or len(point) != 2 or not all(_is_number(v) for v in point):
        raise UserInputError('"coordinates" must be [x, y] in pixels.')
    return frame, (float(point[0]), float(point[1]))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e9


def _seconds(item: Mapping[str, Any], key: str, what: str) -> float | None:
    value = item.get(key)
    if value is not None and not _is_number(value):
        raise UserInputError(f'"{key}" of {what} must be seconds, 0 or more.')
    return None if value is None else float(value)


def _text(item: Mapping[str, Any], key: str, what: str) -> str:
    value = item.get(key)
    if not isinstance(value, str) or not value:
        raise UserInputError(f'"{key}" of {what} must be a text.')
    return value


def _object(item: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = item.get(key) or {}
    if not isinstance(value, Mapping):
        raise UserInputError(f'"{key}" must be an object.')
    return value
