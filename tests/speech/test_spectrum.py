"""Mel scales, triangular bands and the cosine transform that all front ends share."""

from __future__ import annotations

import numpy as np
import pytest

from facepick.speech.spectrum import (
    cosine_transform,
    htk_hz,
    htk_mel,
    power_spectrum,
    slaney_hz,
    slaney_mel,
    triangles,
    windows,
)


@pytest.mark.parametrize(("there", "back"), [(htk_mel, htk_hz), (slaney_mel, slaney_hz)])
def test_mels_and_back(there: object, back: object) -> None:
    hz = np.array([0.0, 55.0, 999.0, 1000.0, 1001.0, 7600.0])
    np.testing.assert_allclose(back(there(hz)), hz, atol=1e-6)
    assert (np.diff(there(hz)) > 0).all()


def test_bands_rise_to_one_and_overlap_by_half() -> None:
    bands = triangles(np.array([0.0, 2.0, 4.0, 8.0]), np.arange(9.0))
    assert bands[0].tolist() == [0, 0.5, 1, 0.5, 0, 0, 0, 0, 0]
    assert bands[1].tolist() == [0, 0, 0, 0.5, 1, 0.75, 0.5, 0.25, 0]
    even = triangles(np.array([0.0, 2.0, 4.0, 8.0]), np.linspace(0, 8, 8001), unit_area=True)
    assert even.sum(axis=1) * 0.001 == pytest.approx([1, 1], rel=1e-3)


def test_a_tone_stands_in_its_band_alone() -> None:
    rate, size = 16_000, 512
    tone = np.sin(2 * np.pi * 1000 * np.arange(rate) / rate)
    frames = windows(tone, 400, 160)
    assert frames.shape == (98, 400)
    power = power_spectrum(frames * np.hanning(400), size)
    edges = htk_hz(np.linspace(htk_mel(100.0), htk_mel(7000.0), 22))
    heard = power @ triangles(edges, np.arange(257) * rate / size).T
    loudest = heard.argmax(axis=1)
    assert (loudest == loudest[0]).all()
    assert edges[loudest[0]] < 1000 < edges[loudest[0] + 2]


def test_the_first_cosine_is_the_mean() -> None:
    rows = cosine_transform(5, 20)
    np.testing.assert_allclose(rows @ rows.T, np.eye(5), atol=1e-12)
    assert rows[0] == pytest.approx(np.full(20, 20**-0.5))
