"""Closed mouths: they go with the cheeks around them, and breathe."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from facepick.engines.lipsync.rewrite.inventory import Inventory
from facepick.engines.lipsync.rewrite.rest import (
    BEND_MOST,
    BREATH_MOST,
    bends,
    bent,
    breath,
    smile,
)
from facepick.faces.mesh_topology import topology


def inventory(opening: np.ndarray, width: np.ndarray) -> Inventory:
    """A person of one shot at 25 frames a second, every frame of whom is kept as a mouth."""
    n = len(opening)
    shape = np.stack([opening, width, 0.5 + opening], axis=1).astype(np.float32)
    return Inventory(
        folder=Path(),
        frames=np.arange(n),
        seconds=np.arange(n) / 25,
        shots=np.zeros(n, np.int64),
        shape=shape,
        pose=np.zeros((n, 4), np.float32),
        reference=lifted(np.zeros(1))[0],
        rows=np.arange(n),
        offsets=np.arange(n + 1),
        mesh=lifted(width),
        look=np.zeros((n, 2), np.float32),
        sharpness=np.ones(n, np.float32),
    )


def lifted(smiles: np.ndarray) -> np.ndarray:
    """The mean head with the corners of its mouth so much higher."""
    mesh = np.repeat(topology().shape[None], len(smiles), axis=0).astype(np.float32)
    mesh[:, [61, 291], 1] -= smiles[:, None].astype(np.float32)
    return mesh


def talks_then_listens() -> Inventory:
    """Four seconds of talk, then four of listening; the second half of each with a smile."""
    times = np.arange(200) / 25
    talk = 0.1 + 0.08 * np.sin(2 * np.pi * 4 * times)
    rest = 0.02 + 0.004 * np.sin(2 * np.pi * 0.8 * times)
    opening = np.where(times < 4, talk, rest)
    smiles = (times % 4) >= 2
    width = 0.5 + 0.1 * smiles + np.where(times < 4, 0.03 * np.sin(2 * np.pi * 4 * times), 0)
    return inventory(opening, width)


def test_a_mouth_that_is_shut_smiles_with_the_cheeks_and_not_with_the_words() -> None:
    found = smile(talks_then_listens(), np.arange(200))
    wanted = found.wanted
    for serious, smiling in ((25, 75), (125, 175)):
        assert wanted[serious] < wanted[smiling] - 1
        assert found.own[serious] < found.own[smiling] - 1
    # The words, four a second, are not seen.
    assert np.abs(np.diff(wanted)).max() < 0.1


def test_breath_is_the_listeners_own_small_and_without_a_jump() -> None:
    moves = breath(talks_then_listens(), 750, 25.0)
    assert 0.0015 < moves.std() < 0.006
    assert np.abs(moves).max() <= BREATH_MOST
    assert np.abs(np.diff(moves)).max() < 0.001
    # Thirty seconds are more than was filmed: it goes there and back again.
    assert moves[500:].std() > 0.0015


def test_whoever_never_listens_lends_no_breath() -> None:
    times = np.arange(200) / 25
    person = inventory(0.1 + 0.08 * np.sin(2 * np.pi * 4 * times), np.full(200, 0.5))
    assert not breath(person, 100, 25.0).any()


def test_a_shut_mouth_without_a_smile_is_bent_into_the_filmed_one() -> None:
    found = smile(talks_then_listens(), np.arange(200))
    closing = np.arange(200) >= 100
    # The serious mouth of frame 120 is shown throughout.
    mouth = np.full(200, 120, np.int32)
    bend = bends(found, mouth, closing, np.zeros(200, np.int32), np.arange(200) / 25)
    assert np.abs(bend[125]).max() < 0.01
    assert bend[175].min() > 0.02
    assert bend.max() <= BEND_MOST
    # Words, where nothing is closed, keep their own; it comes and goes without a jump.
    assert not bend[:80].any()
    assert np.abs(np.diff(bend, axis=0)).max() < 0.01
    face = lifted(np.zeros(1))[0]
    smiling = bent(face, bend[175])
    away = smiling - face
    assert away[61, 0] < -0.02 < 0.02 < away[291, 0]
    assert away[[61, 291], 1].max() < -0.02
    # The middle of the lips hardly moves.
    assert np.abs(away[[13, 14]]).max() < 0.006
