"""Paths: gaps, edges and smoothing of a person's face over a shot."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np

from facepick.media.video import VideoInfo
from facepick.people.person import Person, Scan
from facepick.people.track import BRIDGED, DETECTED, FaceTrack
from facepick.render.geometry import paths_of
from facepick.shots.shot import Shot


def track(name: str, shot: int, frames: list[int], *, x: float = 100.0, speed: float = 0.0):
    n = len(frames)
    left = np.array([x + speed * (f - frames[0]) for f in frames], np.float32)
    boxes = np.stack([left, np.full(n, 50.0), left + 40, np.full(n, 100.0)], 1).astype(np.float32)
    points = np.repeat(boxes[:, None, :2] + 20, 5, axis=1).astype(np.float32)
    return FaceTrack(
        name,
        shot,
        np.array(frames, np.int32),
        boxes,
        points,
        np.full(n, 0.9, np.float32),
        np.full(n, DETECTED, np.uint8),
    )


def scan_of(tracks: list[FaceTrack], *, frames: int = 100, cut: int = 60) -> Scan:
    video = VideoInfo(
        path=Path("a.mp4"),
        width=640,
        height=360,
        pixel_format="yuv420p",
        codec="h264",
        time_base=Fraction(1, 25),
    )
    person = Person(
        id="P1",
        track_ids=tuple(t.id for t in tracks),
        exemplars=np.zeros((1, 128), np.float32),
        frames=sum(map(len, tracks)),
        screen_time=Fraction(1),
    )
    return Scan(
        video=video,
        content_hash="",
        pts=np.arange(frames, dtype=np.int64),
        duration_pts=1,
        shots=(Shot(0, 0, cut), Shot(1, cut, frames)),
        tracks=tuple(tracks),
        people=(person,),
    )


def test_without_cover_only_seen_frames_are_there() -> None:
    scan = scan_of([track("T1", 0, list(range(10, 20))), track("T2", 0, list(range(25, 40)))])
    (path,) = paths_of(scan, scan.people[0], cover_gaps=False)
    assert path.frames.tolist() == [*range(10, 20), *range(25, 40)]
    assert path.at(22) is None


def test_short_gaps_are_bridged_and_edges_extended_inside_the_shot() -> None:
    scan = scan_of([track("T1", 0, list(range(20, 30))), track("T2", 0, list(range(40, 50)))])
    (path,) = paths_of(scan, scan.people[0], cover_gaps=True)
    # 0.4 s are 10 frames at 25 a second; the gap of 10 frames is under a second.
    assert path.frames.tolist() == list(range(10, 60))
    middle = path.at(35)
    assert middle is not None
    assert middle.seen == BRIDGED
    assert path.at(25).seen == DETECTED  # type: ignore[union-attr]


def test_nothing_crosses_a_cut() -> None:
    scan = scan_of([track("T1", 0, list(range(50, 60))), track("T2", 1, list(range(62, 99)))])
    (path,) = paths_of(scan, scan.people[0], cover_gaps=True)
    first_of_next = path.at(60)
    assert first_of_next is not None
    assert first_of_next.shot == 1
    assert path.at(59).shot == 0  # type: ignore[union-attr]


def test_long_gaps_stay_open_in_the_middle() -> None:
    scan = scan_of([track("T1", 0, list(range(5))), track("T2", 0, list(range(45, 60)))])
    (path,) = paths_of(scan, scan.people[0], cover_gaps=True)
    assert path.at(14) is not None
    assert path.at(15) is None
    assert path.at(34) is None
    assert path.at(35) is not None


def test_a_leaving_face_is_followed_at_its_speed_until_it_is_gone() -> None:
    scan = scan_of([track("T1", 0, list(range(10, 30)), x=400, speed=10.0)])
    (path,) = paths_of(scan, scan.people[0], cover_gaps=True)
    after = path.at(33)
    assert after is not None
    assert abs(after.box.x0 - (400 + 10 * 23)) < 2
    # At frame 34 the left edge is at 640, the picture's width: gone.
    assert path.at(34) is None


def test_smoothing_removes_noise_without_lag() -> None:
    rng = np.random.default_rng(0)
    clean = track("T1", 0, list(range(60)), x=100, speed=3.0)
    noisy_boxes = clean.boxes + rng.normal(0, 2, clean.boxes.shape).astype(np.float32)
    noisy = FaceTrack(
        "T1", 0, clean.frames, noisy_boxes, clean.landmarks5, clean.score, clean.origin
    )
    scan = scan_of([noisy])
    (path,) = paths_of(scan, scan.people[0], cover_gaps=False)
    error_before = np.abs(noisy.boxes - clean.boxes).mean()
    error_after = np.abs(path.boxes - clean.boxes).mean()
    assert error_after < 0.75 * error_before
    assert abs(float((path.boxes[5:-5] - clean.boxes[5:-5]).mean())) < 0.5


def test_overlapping_tracks_of_merged_people_give_two_paths() -> None:
    scan = scan_of([track("T1", 0, list(range(30))), track("T2", 0, list(range(10, 40)), x=300)])
    paths = paths_of(scan, scan.people[0], cover_gaps=False)
    assert sorted(p.track_ids for p in paths) == [("T1",), ("T2",)]
