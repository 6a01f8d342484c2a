"""Hands are found, followed in both directions, and drawn where they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.contracts.face_footage import face_requests

from facepick.compositing.patch import FaceRequest
from facepick.engines.occlusion.hands import (
    HandFinder,
    HandTracker,
    hand_mask,
    opencv_reads_hands,
)
from facepick.media.reader import VideoReader
from facepick.models.store import default_store

pytestmark = pytest.mark.skipif(
    not opencv_reads_hands(), reason="this OpenCV cannot read the hand network (before 4.10)"
)

# An open hand before a white shirt.
FRAME, PLACE = 120, (slice(840, 1240), slice(580, 980))


@pytest.fixture(scope="module")
def picture(shared_media: Path) -> np.ndarray:
    with VideoReader(shared_media / "video/latentsync_demo3.mp4") as reader:
        for frame in reader.frames(start=FRAME):
            return np.ascontiguousarray(frame.picture.bgr()[PLACE])
    raise AssertionError("the clip is too short")


@pytest.fixture(scope="module")
def finder() -> HandFinder:
    return HandFinder(default_store())


def tracked(
    finder: HandFinder, requests: Iterable[FaceRequest]
) -> Iterator[tuple[FaceRequest, list[np.ndarray]]]:
    """Each request with its hands, through a tracker."""
    tracker = HandTracker(finder)
    for request in requests:
        yield from tracker.push(request)
    yield from tracker.flush()


def test_a_hand_is_drawn_where_it_is(picture: np.ndarray, finder: HandFinder) -> None:
    (region,) = finder.regions(picture)
    points = finder.points(picture, region)
    assert points is not None
    found = hand_mask([points], (picture.shape[1], picture.shape[0]))
    # Skin is redder than the shirt; what is below the wrist is no hand.
    skin = cv2.cvtColor(picture, cv2.COLOR_BGR2LAB)[:, :, 1] > 136
    hand = skin & (np.arange(len(skin))[:, None] < points[0, 1])
    assert np.mean(found[hand]) > 0.85
    assert np.mean(hand[found & (np.arange(len(skin))[:, None] < points[0, 1])]) > 0.8


@pytest.mark.slow
def test_no_hand_is_seen_without_one(odd: Callable[[str], Path], finder: HandFinder) -> None:
    requests = face_requests(
        odd("base_640x360.mp4"), tuple(range(26)), margin=0.6, mesh=True, place=0
    )
    assert not any(hands for _, hands in tracked(finder, iter(requests)))


def test_a_hand_is_followed_back_to_where_it_came_in(
    odd: Callable[[str], Path], picture: np.ndarray, finder: HandFinder
) -> None:
    clean = face_requests(odd("base_640x360.mp4"), tuple(range(26)), margin=0.6, mesh=True, place=0)
    seen = range(7, 18)

    def shown() -> Iterator[FaceRequest]:
        for request in clean:
            crop = request.crop.copy()
            if request.frame in seen:
                side = crop.shape[1] // 2
                hand = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
                left = request.frame % 4
                crop[-side:, left : left + side] = hand
            yield replace(request, crop=crop)

    found = {request.frame: hands for request, hands in tracked(finder, shown())}
    assert list(found) == [r.frame for r in clean]
    assert [frame for frame, hands in found.items() if hands] == list(seen)
