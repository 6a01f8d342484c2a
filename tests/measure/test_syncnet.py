"""SyncNet: its shapes, its sound features, the search for the shift."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from tests.contracts.face_footage import face_requests
from tests.measure.syncnet_standin import write_weights

from facepick.errors import ModelMismatchError
from facepick.faces.detection import Box
from facepick.measure.syncnet import (
    SHIFTS,
    SIDE,
    SyncNet,
    SyncNetMeter,
    agreement,
    face_picture,
    mfcc,
)

pytestmark = pytest.mark.slow

torch = pytest.importorskip("torch", reason="SyncNet runs on PyTorch")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_weights(tmp_path_factory.mktemp("syncnet") / "syncnet_v2.model")


def test_the_network_describes_lips_and_sound_by_1024_numbers(weights: Path) -> None:
    network = SyncNet(weights)
    rng = np.random.default_rng(0)
    clips = rng.integers(0, 255, (2, 5, SIDE, SIDE, 3), dtype=np.uint8)
    lips = network.lips(clips)
    assert lips.shape == (2, 1024)
    np.testing.assert_allclose(lips[1:], network.lips(clips[1:]), rtol=1e-4, atol=1e-3)
    assert np.abs(lips[0] - lips[1]).max() > 0
    columns = rng.standard_normal((3, 13, 20)).astype(np.float32)
    sound = network.sound(columns)
    assert sound.shape == (3, 1024)
    np.testing.assert_array_equal(sound, SyncNet(weights).sound(columns))


def test_other_files_are_refused(weights: Path, tmp_path: Path) -> None:
    state = torch.load(weights, weights_only=True)
    del state["netfclip.3.weight"]
    torch.save(state, tmp_path / "part.model")
    with pytest.raises(ModelMismatchError, match=r"no SyncNet \(see netfclip.3.weight\)"):
        SyncNet(tmp_path / "part.model")
    torch.save({"x": torch.nn.ReLU()}, tmp_path / "evil.model")
    with pytest.raises(ModelMismatchError, match="refused"):
        SyncNet(tmp_path / "evil.model")


@pytest.mark.parametrize("shift", [-SHIFTS, -3, 0, 7, SHIFTS])
def test_the_shift_is_found(shift: int) -> None:
    rng = np.random.default_rng(1)
    sounds = rng.standard_normal((120, 32)).astype(np.float32)
    ticks = np.arange(20, 90)
    lips = sounds[ticks + shift] + 0.01 * rng.standard_normal((70, 32)).astype(np.float32)
    found = agreement(lips, ticks, sounds)
    # The fitting sound lies `shift` ticks after the lips: the lips come before it.
    assert found.offset_ms == -40 * shift
    assert found.lse_d < 0.1
    assert found.lse_c == pytest.approx(8, abs=0.7)  # Two normal vectors: sqrt(2 x 32) apart.


def test_scores_are_those_of_the_public_script() -> None:
    """Worked out with torch's own functions on a clip whose ends reach past the sound."""
    from torch.nn import functional

    rng = np.random.default_rng(2)
    sounds = rng.standard_normal((40, 8)).astype(np.float32)
    lips = (sounds + rng.standard_normal((40, 8))).astype(np.float32)
    window = 2 * SHIFTS + 1
    padded = functional.pad(torch.from_numpy(sounds), (0, 0, SHIFTS, SHIFTS))
    gaps = [
        functional.pairwise_distance(
            torch.from_numpy(lips[[i]]).repeat(window, 1), padded[i : i + window]
        )
        for i in range(40)
    ]
    means = torch.stack(gaps, 1).mean(1)
    found = agreement(lips, np.arange(40), sounds)
    assert found.lse_d == pytest.approx(float(means.min()), abs=1e-3)
    assert found.lse_c == pytest.approx(float(means.median() - means.min()), abs=1e-3)
    assert found.offset_ms == 40 * (SHIFTS - int(means.argmin()))


def test_sound_features() -> None:
    assert mfcc(np.zeros(0, np.float32)).shape == (13, 0)
    assert mfcc(np.zeros(16_000, np.float32)).shape == (13, 99)
    time = np.arange(16_000) / 16_000
    tone = (0.1 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)
    quiet, loud = mfcc(tone), mfcc(4 * tone)
    # The energy is a logarithm; the shape of the spectrum does not depend on the level.
    np.testing.assert_allclose(loud[0] - quiet[0], np.log(16), atol=1e-3)
    np.testing.assert_allclose(loud[1:, 1:-1], quiet[1:, 1:-1], atol=1e-2)
    # Long sound is worked through in parts.
    noise = np.random.default_rng(0).standard_normal(16_000 * 12).astype(np.float32) * 0.1
    np.testing.assert_array_equal(mfcc(noise)[:, 1005], mfcc(noise[160_000:])[:, 5])


def test_the_face_is_cut_as_in_the_published_evaluation() -> None:
    crop = np.zeros((300, 300, 3), np.uint8)
    crop[100:200, 110:190] = 255
    picture = face_picture(crop, Box(110, 100, 190, 200))
    assert picture.shape == (SIDE, SIDE, 3)
    rows, columns = np.nonzero(picture[:, :, 0] > 128)
    # Side 1.4 x 100: the box begins at the top, is 80 of 140 wide, ends at 100 of 140.
    assert rows.min() <= 1
    assert rows.max() == pytest.approx(160, abs=2)
    assert columns.min() == pytest.approx(48, abs=2)
    assert columns.max() == pytest.approx(176, abs=2)
    assert (face_picture(crop, Box(0, -100, 80, 20))[0, 0] == 110).all()


def test_a_result_is_scored_at_25_frames_a_second_and_runs_end_at_cuts(
    weights: Path, odd: Callable[[str], Path]
) -> None:
    (face,) = face_requests(odd("base_640x360.mp4"), (0,), margin=0.75)
    samples = (0.1 * np.random.default_rng(0).standard_normal(48_000)).astype(np.float32)
    network = SyncNet(weights)
    few = SyncNetMeter(network, samples)
    for i in range(20):
        few.add(replace(face, frame=i, time=Fraction(i, 25)))
    assert few.report() is None
    cut = SyncNetMeter(network, samples)
    for i in range(43):
        # Thirty a second: 43 frames are 36 ticks; the cut costs four clips on each side.
        cut.add(replace(face, frame=i, time=Fraction(i, 30), shot=int(i >= 21)))
    report = cut.report()
    assert report is not None
    assert 26 <= report["clips"] <= 29
    assert report["lse_d"] > 0
    assert report["lse_c"] >= 0
