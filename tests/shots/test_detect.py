"""Cuts are found to the frame, on drawn pictures and on footage with an exact cut list."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from facepick.shots.detect import ShotDetector, _Proposals

Picture = npt.NDArray[np.uint8]


def scene(seed: int, light: float = 1.0) -> Picture:
    """A still picture full of edges; one seed, one scene."""
    blocks = np.random.default_rng(seed).integers(20, 230, (9, 16, 3))
    picture = np.kron(blocks, np.ones((8, 8, 1)))
    return np.clip(picture * light, 0, 255).astype(np.uint8)


def cuts_of(pictures: Iterable[Picture]) -> list[int]:
    detector = ShotDetector()
    for index, picture in enumerate(pictures):
        detector.push(index, picture)
    return [shot.start for shot in detector.finish()[1:]]


def test_quick_cuts_are_found_to_the_frame() -> None:
    pictures = [scene(i // 15) for i in range(60)]
    assert cuts_of(pictures) == [15, 30, 45]


def test_cuts_in_close_order_are_found_by_the_fixed_threshold() -> None:
    """With a cut in every other frame none of them stands out from its neighbours."""
    assert cuts_of([scene(i // 2) for i in range(20)]) == list(range(2, 20, 2))


def test_both_detectors_find_the_same_whether_they_share_the_score() -> None:
    pictures = [scene(i // 2 if i < 20 else i // 13) for i in range(60)]
    proposed = []
    for shared in (True, False):
        detectors = _Proposals(shared=shared)
        proposed.append([set(detectors.push(i, picture)) for i, picture in enumerate(pictures)])
    assert proposed[0] == proposed[1]
    assert {2, 18, 26, 39, 52} <= set().union(*proposed[0])


def test_a_change_of_light_is_no_cut() -> None:
    assert cuts_of([scene(1, 1.0 if i < 20 else 0.45) for i in range(40)]) == []


@pytest.mark.parametrize("step", [8, 16, 28])
def test_a_camera_that_swings_round_is_no_cut(step: int) -> None:
    """28 of 128 columns a frame: whoever was on the left is gone five frames later."""
    wide = np.concatenate([scene(seed) for seed in range(12)], axis=1)
    assert cuts_of([wide[:, step * i : step * i + 128] for i in range(30)]) == []


def test_the_frames_of_a_swing_are_told() -> None:
    wide = np.concatenate([scene(seed) for seed in range(12)], axis=1)
    detector = ShotDetector()
    for i in range(40):
        at = 28 * min(max(0, i - 10), 20)
        detector.push(i, wide[:, at : at + 128])
    detector.finish()
    assert detector.swings == tuple(range(11, 31))


def test_a_cut_in_the_middle_of_a_swing_is_found() -> None:
    wide = np.concatenate([scene(seed) for seed in range(12)], axis=1)
    other = np.concatenate([scene(seed) for seed in range(20, 32)], axis=1)
    pictures = [(wide if i < 15 else other)[:, 16 * i : 16 * i + 128] for i in range(30)]
    assert cuts_of(pictures) == [15]


@pytest.mark.parametrize("length", [1, 2, 4])
def test_a_flash_is_no_cut(length: int) -> None:
    white = np.full_like(scene(1), 255)
    pictures = [white if 20 <= i < 20 + length else scene(1) for i in range(40)]
    assert cuts_of(pictures) == []


@pytest.mark.parametrize("length", [2, 3, 4])
def test_two_pictures_in_turn_are_shots_and_no_flashes(length: int) -> None:
    """A, B, A, B: after a few frames the picture from before comes back, and is another shot."""
    pictures = [scene(i // length % 2) for i in range(36)]
    assert cuts_of(pictures) == list(range(length, 36, length))


def zooming(factor: float) -> Iterable[Picture]:
    """The camera nears by `factor` a frame, from the whole of a picture, after standing still."""
    whole = np.repeat(np.repeat(scene(3), 6, axis=0), 6, axis=1)
    height, width = whole.shape[:2]
    for i in range(30):
        scale = factor ** max(0, i - 12)
        rows = ((np.arange(72) + 0.5 - 36) / scale * 6 + height / 2).astype(int)
        columns = ((np.arange(128) + 0.5 - 64) / scale * 6 + width / 2).astype(int)
        yield whole[rows][:, columns]


@pytest.mark.parametrize("factor", [1.05, 1.1, 1.15])
def test_a_fast_zoom_is_no_cut(factor: float) -> None:
    assert cuts_of(zooming(factor)) == []


@pytest.mark.parametrize("length", [5, 8, 12, 20])
def test_a_dissolve_is_one_cut_while_it_lasts(length: int) -> None:
    first, second = scene(1).astype(float), scene(2).astype(float)
    shares = [np.clip((i - 30) / length, 0.0, 1.0) for i in range(80)]
    pictures = [((1 - s) * first + s * second).astype(np.uint8) for s in shares]
    (cut,) = cuts_of(pictures)
    assert 30 < cut <= 30 + length


def test_a_fade_of_the_light_is_no_dissolve() -> None:
    assert cuts_of([scene(1, max(0.25, 1 - max(0, i - 20) / 16)) for i in range(60)]) == []


def test_shots_cover_every_frame() -> None:
    detector = ShotDetector()
    for index in range(33):
        detector.push(index, scene(index // 11))
    shots = detector.finish()
    assert [(s.start, s.stop) for s in shots] == [(0, 11), (11, 22), (22, 33)]


def test_a_frame_is_settled_before_the_tracker_may_pass_it() -> None:
    detector = ShotDetector()
    for index in range(40):
        detector.push(index, scene(0 if index < 20 else 1))
        if detector.settled > 20:
            assert detector.cuts == (20,)
    assert detector.cuts == (20,)


def test_no_frames_no_shots() -> None:
    assert ShotDetector().finish() == ()


def test_one_frame_is_one_shot() -> None:
    detector = ShotDetector()
    detector.push(0, scene(0))
    (shot,) = detector.finish()
    assert (shot.start, shot.stop) == (0, 1)


def test_a_left_out_frame_is_refused() -> None:
    detector = ShotDetector()
    detector.push(0, scene(0))
    with pytest.raises(ValueError, match="frame 1 was expected"):
        detector.push(2, scene(0))


@pytest.mark.slow
def test_cuts_of_constructed_footage(media: Callable[[str], Path]) -> None:
    """dev_gt4: 19 shots, six of them 0.6 s long, people who enter and leave, a gamma change."""
    import av

    truth = json.loads(media("gt/dev_gt4.json").read_text())
    detector = ShotDetector()
    with av.open(str(media("video/dev_gt4.mp4"))) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index == 600:
                break
            small = frame.reformat(160, 90, "bgr24").to_ndarray()
            detector.push(index, small)
    found = [shot.start for shot in detector.finish()[1:]]
    assert found == [cut for cut in truth["cuts"] if cut < 600]
