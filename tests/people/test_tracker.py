"""The tracker on drawn motions: faces are boxes that a made-up detector sees or misses."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from facepick.faces.detection import Box, FaceBatch
from facepick.people.track import BRIDGED, DETECTED, TRACKED
from facepick.people.tracker import RawTrack, ShotTracker, TrackerOptions

Motion = Callable[[int], Box | None]
WIDTH, HEIGHT, SIZE = 1280, 720, 100.0
SHAPE = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]])


def square(x: float, y: float = 200.0, size: float = SIZE) -> Box:
    return Box(x, y, x + size, y + size)


class Stage:
    """Where everybody is in every frame; counts what the tracker looks at."""

    width, height = WIDTH, HEIGHT

    def __init__(
        self,
        people: Mapping[str, Motion],
        *,
        score: Callable[[str, int], float] = lambda _who, _frame: 0.9,
    ) -> None:
        self.people = people
        self.score = score
        self.whole: list[int] = []
        self.looks: list[int] = []

    def _batch(self, frame: int, near: Box | None) -> FaceBatch:
        rows = []
        for who, motion in self.people.items():
            box, score = motion(frame), self.score(who, frame)
            if box is None or score < 0.3:
                continue
            if near is not None and box.iou(near.grown(0.5)) <= 0:
                continue
            rows.append((score, box))
        rows.sort(key=lambda row: -row[0])
        if not rows:
            return FaceBatch.empty()
        boxes = np.array([box for _, box in rows], np.float32)
        sizes = boxes[:, 2:] - boxes[:, :2]
        landmarks = boxes[:, None, :2] + SHAPE[None] * sizes[:, None]
        return FaceBatch(
            boxes, np.array([s for s, _ in rows], np.float32), landmarks.astype(np.float32)
        )

    def detect(self, frame: int) -> FaceBatch:
        self.whole.append(frame)
        return self._batch(frame, None)

    def look(self, frame: int, box: Box) -> FaceBatch:
        self.looks.append(frame)
        return self._batch(frame, box)

    def patch(self, frame: int, box: Box) -> npt.NDArray[np.uint8]:
        """Every person has a pattern of their own."""
        best = max(
            (who for who, motion in self.people.items() if motion(frame) is not None),
            key=lambda who: (self.people[who](frame) or box).iou(box),
        )
        seed = sum(map(ord, best))
        return np.random.default_rng(seed).integers(0, 255, (32, 32)).astype(np.uint8)


def track(stage: Stage, frames: int, **options: int) -> list[RawTrack]:
    tracker = ShotTracker(stage, 0, TrackerOptions(**options))
    for last in range(frames):
        tracker.advance(last, final=last == frames - 1)
    return tracker.finish()


def spans(tracks: list[RawTrack]) -> list[tuple[int, int]]:
    return [(t.first.frame, t.last.frame) for t in tracks]


def test_a_face_that_stays_is_one_track_over_every_frame() -> None:
    (only,) = track(Stage({"a": lambda i: square(100 + 3 * i)}), 50)
    frames, boxes, _, _, origin = only.arrays()
    assert list(frames) == list(range(50))
    np.testing.assert_allclose(boxes[:, 0], [100 + 3 * i for i in range(50)], atol=0.5)
    assert set(origin) == {DETECTED, TRACKED}


def test_most_frames_are_never_detected_in() -> None:
    stage = Stage({"a": lambda _i: square(100)})
    track(stage, 80, step=4, whole_every=2)
    assert len(stage.whole) <= 80 / 8 + 3
    assert len(stage.looks) <= 80 / 8 + 3


def test_a_face_is_followed_while_the_camera_swings_round() -> None:
    """It moves by 0.65 of its width a frame, 2.6 from one usual sample to the next; of two who
    move so, one is then where the other was."""
    stage = Stage({"a": lambda i: square(1000 - 65 * i), "b": lambda i: square(1260 - 65 * i)})
    tracker = ShotTracker(stage, 0, TrackerOptions())
    for last in range(15):
        tracker.advance(last, final=last == 14, swings=range(1, last + 1))
    found = tracker.finish()
    assert [[o.frame for o in t.observations] for t in found] == [list(range(15))] * 2
    for item, x in zip(found, (1000, 1260), strict=True):
        assert [float(o.box[0]) for o in item.observations] == [x - 65 * i for i in range(15)]
    assert spans(track(stage, 15)) != [(0, 14)] * 2


def test_entering_and_leaving_are_exact_to_the_frame() -> None:
    stage = Stage({"a": lambda i: square(500) if 13 <= i <= 38 else None})
    assert spans(track(stage, 60)) == [(13, 38)]


def test_two_who_cross_keep_their_own_tracks() -> None:
    stage = Stage(
        {
            "a": lambda i: square(100 + 12 * i, 150),
            "b": lambda i: square(1000 - 12 * i, 290),
        }
    )
    first, second = track(stage, 60)
    assert first.last.box[0] > 700
    assert second.last.box[0] < 400


def test_a_short_miss_is_bridged_and_marked() -> None:
    def score(_who: str, frame: int) -> float:
        return 0.0 if 20 <= frame <= 27 else 0.9

    (only,) = track(Stage({"a": lambda i: square(300 + i)}, score=score), 60)
    frames, boxes, _, _, origin = only.arrays()
    assert list(frames) == list(range(60))
    assert set(origin[20:28]) == {BRIDGED}
    assert BRIDGED not in set(origin[:20]) | set(origin[28:])
    np.testing.assert_allclose(boxes[20:28, 0], 300 + np.arange(20, 28), atol=1.0)


def test_a_long_absence_is_not_bridged() -> None:
    def score(_who: str, frame: int) -> float:
        return 0.0 if 20 <= frame <= 49 else 0.9

    assert spans(track(Stage({"a": lambda _i: square(300)}, score=score), 70)) == [
        (0, 19),
        (50, 69),
    ]


def test_who_goes_out_at_the_edge_and_comes_back_was_away() -> None:
    def motion(i: int) -> Box | None:
        x = 1100 + 12 * min(i, 24 - i if i <= 24 else i - 24, 24)
        if i < 12:
            x = 1100 + 8 * i
        elif i < 22:
            return None
        else:
            x = 1190 - 8 * (i - 22)
        return square(x)

    assert spans(track(Stage({"a": motion}), 40)) == [(0, 11), (22, 39)]


def test_somebody_else_in_the_same_place_is_another_track() -> None:
    stage = Stage(
        {
            "a": lambda i: square(400) if i < 30 else None,
            "zz": lambda i: square(405) if i >= 30 else None,
        }
    )
    assert spans(track(stage, 60)) == [(0, 29), (30, 59)]


def test_a_doubtful_face_only_continues_a_track() -> None:
    def score(who: str, frame: int) -> float:
        return 0.4 if who == "b" or frame > 10 else 0.9

    stage = Stage({"a": lambda _i: square(200), "b": lambda _i: square(800)}, score=score)
    assert spans(track(stage, 40)) == [(0, 39)]


def test_a_face_of_one_frame_in_a_long_shot_is_nobody() -> None:
    stage = Stage({"a": lambda i: square(200) if i == 16 else None})
    assert track(stage, 40) == []


def test_a_shot_of_one_frame_has_its_faces() -> None:
    assert spans(track(Stage({"a": lambda _i: square(200)}), 1)) == [(0, 0)]


def test_memory_is_given_back() -> None:
    tracker = ShotTracker(Stage({"a": lambda _i: square(200)}), 0, TrackerOptions(step=4))
    for last in range(100):
        tracker.advance(last, final=False)
        assert tracker.needed_from >= last - 12
