"""Footage and speech that several of these tests share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.contracts.face_footage import face_requests

from facepick.compositing.patch import FaceRequest


@pytest.fixture(scope="session")
def talker(odd: Callable[[str], Path]) -> list[FaceRequest]:
    """The right-hand man of a 640x360 clip, four seconds at 25 frames a second.

    With meshes smoothed over three frames, as an engine is given them.
    """
    found = face_requests(
        odd("base_640x360.mp4"), tuple(range(100)), margin=0.4, mesh=True, place=1
    )
    out = []
    for i, now in enumerate(found):
        near = [found[j] for j in (i - 1, i + 1) if 0 <= j < len(found)]
        total = 0.6 * now.mesh + 0.2 * sum(
            other.mesh + np.append(now.landmarks5.mean(0) - other.landmarks5.mean(0), 0.0)
            for other in near
        )
        smooth = (total / (0.6 + 0.2 * len(near))).astype(np.float32)
        out.append(replace(now, mesh=smooth))
    return out
