"""A mouth that goes together with a voice is proof, unless it does not move."""

from __future__ import annotations

import numpy as np

from facepick.speech.mouth_proof import LEAST_MOTION, proof, steadied


def test_a_mouth_that_follows_is_proof_and_a_shut_one_is_none() -> None:
    rng = np.random.default_rng(0)
    syllables = np.convolve(rng.standard_normal(500), np.ones(5) / 5, "same")
    heard, spoken = steadied(syllables), np.ones(500, bool)
    moves = heard / heard.std() * 2 * LEAST_MOTION
    own = proof(moves, heard, spoken)
    assert own is not None
    assert own > 2.5
    # The mesh scatters by less than that, and now and then as somebody speaks.
    shut = proof(moves / 4, heard, spoken)
    assert shut == 0.0
    foreign = proof(-moves / 4, heard, spoken)
    assert foreign is not None
    assert foreign < 0
    assert proof(moves, heard, np.arange(500) < 50) is None
