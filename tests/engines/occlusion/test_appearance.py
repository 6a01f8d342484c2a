"""Tests of the arithmetic behind what is usual of a face."""

from __future__ import annotations

import warnings

import numpy as np

from facepick.engines.occlusion.appearance import _quantiles


def test_quantiles_are_those_of_numpy_and_zero_where_nothing_was_seen() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=(31, 40, 3)).astype(np.float32)
    values[rng.random(values.shape) < 0.4] = np.nan
    values[:, 7] = np.nan
    values[1:, 8] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        expected = np.nan_to_num(np.nanquantile(values, (0.5, 0.85), axis=0))
    middle, high = _quantiles(values, 0.5, 0.85)
    assert np.allclose(middle, expected[0], atol=1e-6)
    assert np.allclose(high, expected[1], atol=1e-6)
    assert not middle[7].any()
