"""Small clouds of embeddings that behave like faces, and scans made of them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np

from facepick.media.video import VideoInfo
from facepick.people.person import Person, Scan
from facepick.people.track import FaceTrack
from facepick.recognition.cast import Cast, CastKey, Match
from facepick.recognition.classifiers import classifier
from facepick.recognition.naming import key_of_model
from facepick.shots.shot import Shot

KEY: CastKey = key_of_model("sface")


def direction(person: int) -> np.ndarray:
    """The true direction of a made-up person: random, so nearly at right angles to others."""
    vector = np.random.default_rng(1000 + person).normal(size=128)
    return vector / np.linalg.norm(vector)


def faces(person: int, count: int, *, spread: float = 0.7, seed: int = 0) -> np.ndarray:
    """Embeddings (count, 128) of pictures of one person.

    With a spread of 0.7 two pictures have a cosine of about 1 / (1 + 0.7^2) = 0.67, as good
    photos of one person have with SFace.
    """
    random = np.random.default_rng(seed * 7919 + person)
    noise = random.normal(size=(count, 128)) / np.sqrt(128) * spread
    rows = direction(person) + noise
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def made_up_scan(
    name: str, people: list[tuple[int, range]], *, seed: int = 1, unsure: tuple[int, ...] = ()
) -> Scan:
    """A scan of 100 frames with one track per entry (person, frames)."""
    tracks, identities = [], []
    for number, (person, frames) in enumerate(people, 1):
        n = len(frames)
        tracks.append(
            FaceTrack(
                f"T{number}",
                0,
                np.array(frames, np.int32),
                np.tile(np.array([[10, 10, 50, 60]], np.float32), (n, 1)),
                np.zeros((n, 5, 2), np.float32),
                np.full(n, 0.9, np.float32),
                np.zeros(n, np.uint8),
            )
        )
        identities.append(
            Person(
                id=f"P{number}",
                track_ids=(f"T{number}",),
                exemplars=faces(person, 5, seed=seed),
                frames=n,
                screen_time=Fraction(n, 25),
                unsure=number in unsure,
            )
        )
    video = VideoInfo(
        path=Path(name),
        width=640,
        height=360,
        time_base=Fraction(1, 25),
        average_rate=Fraction(25),
        declared_frames=100,
        codec="h264",
        pixel_format="yuv420p",
    )
    return Scan(
        video=video,
        content_hash="0" * 64,
        pts=np.arange(100, dtype=np.int64),
        duration_pts=1,
        shots=(Shot(0, 0, 100),),
        tracks=tuple(tracks),
        people=tuple(identities),
    )


def recognised(cast: Cast, queries: np.ndarray) -> Match:
    """What the cast's own classifier says of somebody's faces (m, d)."""
    return classifier("vote", *cast.vectors(), cast.threshold())(queries)
