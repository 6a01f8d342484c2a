"""Meshes of a person's path: smoothed, and bridged where the network loses a face for a moment."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from facepick.people.track import BRIDGED, TRACKED
from facepick.render.footage import MeshTable
from facepick.render.geometry import FacePath


def table(folder: Path, *, lost: tuple[int, ...], fps: float = 25.0) -> MeshTable:
    """A face that moves two pixels a frame to the right and opens by one; some frames are lost."""
    n = 12
    frames = np.arange(n, dtype=np.int32)
    path = FacePath(
        person="P1",
        number=0,
        frames=frames,
        boxes=np.zeros((n, 4), np.float32),
        landmarks5=np.zeros((n, 5, 2), np.float32) + 2.0 * frames[:, None, None].astype(np.float32),
        confidence=np.ones(n, np.float32),
        seen=np.full(n, TRACKED, np.uint8),
        shots=np.zeros(n, np.int32),
        track_ids=("T1",),
    )
    made = MeshTable.open(folder, path, frames / fps)
    made.raw[:] = 2.0 * frames[:, None, None]
    made.raw[:, 0, 1] += frames
    made.score[:] = 0.9
    for row in lost:
        made.raw[row], made.score[row] = 0.0, 0.1
    return made


def test_a_lost_mesh_is_interpolated_between_its_neighbours(tmp_path: Path) -> None:
    made = table(tmp_path, lost=(5, 6))
    assert made.at(5) == (None, pytest.approx(0.1))
    mesh, score = made.at(5, bridge=True)
    assert mesh is not None
    assert score == pytest.approx(0.1)
    # The place is the tracker's (which has no depth), the shape lies between the two.
    assert mesh[7] == pytest.approx([10, 10, 10])
    assert mesh[0, 1] == pytest.approx(10 + 5)


@pytest.mark.parametrize(("lost", "fps"), [((5, 6, 7, 8), 25.0), ((0,), 25.0), ((5,), 6.0)])
def test_longer_and_one_sided_losses_stay(
    tmp_path: Path, lost: tuple[int, ...], fps: float
) -> None:
    assert table(tmp_path, lost=lost, fps=fps).at(lost[0], bridge=True)[0] is None


def test_a_face_that_nobody_saw_or_after_a_cut_is_not_made_up(tmp_path: Path) -> None:
    made = table(tmp_path, lost=(5,))
    seen = made.path.seen.copy()
    seen[5] = BRIDGED
    made.path = replace(made.path, seen=seen)
    assert made.at(5, bridge=True)[0] is None
    made.path = replace(
        made.path,
        seen=np.full(12, TRACKED, np.uint8),
        shots=(np.arange(12) > 5).astype(np.int32),
    )
    assert made.at(5, bridge=True)[0] is None
    made = table(tmp_path / "", lost=(5,))
    made.score[6] = np.nan
    assert made.at(5, bridge=True)[0] is None
