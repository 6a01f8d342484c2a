"""A person of the video, and the result of a scan."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from facepick.errors import SelectionError
from facepick.faces.detection import FloatArray
from facepick.media.video import VideoInfo
from facepick.people.track import FaceTrack
from facepick.shots.shot import Shot

__all__ = ["DOUBTS", "Doubt", "Person", "Scan"]

Doubt = Literal["unclear", "brief", "alike", "picture", "damaged"]

DOUBTS: dict[Doubt, str] = {
    "unclear": "too small, blurred or turned away to be recognised",
    "brief": "seen in too few frames to be sure of",
    "alike": "seen for a moment and not well, and like somebody else",
    "picture": "never moves, as a photograph of a face",
    "damaged": "seen in a damaged part of the video",
}
"""Why somebody is kept apart, in words."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Person:
    """One person.

    Attributes:
        id: ``P1``, ``P2``, ... by screen time; stable for the same video and settings.
        name: what the user or the cast calls the person, or None.
        track_ids: the tracks that are this person, in time order.
        exemplars: (k, d) float32, L2-normalised embeddings of the best faces.
        exemplar_model: name of the model that made them.
        frames: number of frames with the person.
        screen_time: in seconds, exact.
        confidence: how sure the tracks are one and the same person, in [0, 1].
        unsure: faces kept apart (passers-by, too small or too few to recognise); untouched
            unless the user includes them.
        ignored: hidden from the gallery by the user.
        thumbnails: file names of the thumbnails, best first, relative to the scan's folder.
        may_be: of an unsure entry, ``(id, score)``: people whom it may be, likeliest first, and
            how likely that is, in [0, 1].
        group: ``bystanders`` for the crowd - people of a few blurred frames, or far away - whom
            displays fold together, else None.
        doubt: of an unsure entry, why it is kept apart; None where a user or an older version
            has kept it apart.
    """

    id: str
    name: str | None = None
    track_ids: tuple[str, ...]
    exemplars: FloatArray
    exemplar_model: str = "sface"
    frames: int
    screen_time: Fraction
    confidence: float = 1.0
    unsure: bool = False
    ignored: bool = False
    thumbnails: tuple[str, ...] = ()
    may_be: tuple[tuple[str, float], ...] = ()
    group: Literal["bystanders"] | None = None
    doubt: Doubt | None = None

    def __post_init__(self) -> None:
        if not self.track_ids:
            raise ValueError(f"{self.id} has no track")
        if self.exemplars.ndim != 2:
            raise ValueError(f"exemplars must be (k, d), got {self.exemplars.shape}")

    def __repr__(self) -> str:
        return f"Person({self.id}, {len(self.track_ids)} tracks, {self.frames} frames)"

    @property
    def label(self) -> str:
        """The name, or the id while there is none."""
        return self.name or self.id

    @classmethod
    def of_track(cls, key: str, track: FaceTrack, scan: Scan, **changes: Any) -> Person:
        """Make a person of one track, of whom no face is known well enough to compare."""
        known = next((p.exemplars.shape[1] for p in scan.people), 128)
        usual: dict[str, Any] = {
            "id": key,
            "track_ids": (track.id,),
            "exemplars": np.zeros((0, known), np.float32),
            "exemplar_model": next((p.exemplar_model for p in scan.people), "sface"),
            "frames": len(track),
            "screen_time": Fraction(len(track)) * scan.duration_pts * scan.video.time_base,
        }
        return cls(**{**usual, **changes})


@dataclass(frozen=True, eq=False, kw_only=True)
class Scan:
    """Everything the first pass over a video found.

    Attributes:
        video: the file.
        content_hash: sha256 of the file's bytes, hex.
        pts: (frames,) int64, presentation times of every decoded frame in units of
            ``video.time_base``; strictly rising.  ``len(pts)`` is the true number of frames.
        duration_pts: the display time of the last frame, in the same units.
        shots: in order, without a gap, covering every frame; empty only without frames.
        tracks: every face followed, in order of id.
        people: by screen time, unsure ones last.
        decode_failures: frames or packets that could not be decoded and were passed over.
        settings: the scan settings as plain JSON.
        folder: where thumbnails and cached arrays of this scan lie.
    """

    video: VideoInfo
    content_hash: str
    pts: npt.NDArray[np.int64]
    duration_pts: int
    shots: tuple[Shot, ...]
    tracks: tuple[FaceTrack, ...]
    people: tuple[Person, ...]
    decode_failures: int = 0
    settings: dict[str, Any] = field(default_factory=dict)
    folder: str = ""

    def __repr__(self) -> str:
        return (
            f"Scan({self.video.path.name}, {self.frames} frames, {len(self.shots)} shots, "
            f"{len(self.tracks)} tracks, {len(self.people)} people)"
        )

    @property
    def frames(self) -> int:
        """The true number of frames."""
        return len(self.pts)

    def track(self, track_id: str) -> FaceTrack:
        """Find a track by its id.

        Raises:
            KeyError.
        """
        for item in self.tracks:
            if item.id == track_id:
                return item
        raise KeyError(track_id)

    def person(self, key: str) -> Person:
        """Find the person with this id (``P1``, any case) or this exact name.

        Raises:
            SelectionError: nobody, or several people, are called that.
        """
        for item in self.people:
            if item.id.lower() == key.lower():
                return item
        named = [p for p in self.people if p.name and p.name.lower() == key.lower()]
        if len(named) == 1:
            return named[0]
        if named:
            ids = ", ".join(p.id for p in named)
            raise SelectionError(f"{key!r} names several people: {ids}.", hint="Give the id.")
        known = ", ".join(p.id if not p.name else f"{p.id} ({p.name})" for p in self.people)
        raise SelectionError(
            f"There is no person {key!r} in {self.video.path.name}.",
            hint=f"People found: {known or 'nobody'}.",
        )

    def tracks_of(self, person_id: str) -> tuple[FaceTrack, ...]:
        """List the tracks of one person, in time order."""
        wanted = set(self.person(person_id).track_ids)
        return tuple(t for t in self.tracks if t.id in wanted)
