"""The pose of heads that are built and turned by known angles."""

from __future__ import annotations

import math

import numpy as np
import pytest

from facepick.faces.head_pose import HeadPose, pose_of_mesh, pose_of_points
from facepick.faces.mesh_topology import topology

# Where the five points of the detector lie on the mesh: eyes, nose, corners of the mouth.
EYES, NOSE, MOUTH = ((33, 133), (263, 362)), 1, (61, 291)


def turned(*, yaw: float = 0, pitch: float = 0, roll: float = 0) -> np.ndarray:
    """The mean head, 100 pixels between the eyes: down, then to the right, then clockwise."""
    head = topology().shape * 100.0
    b, a, c = (math.radians(angle) for angle in (pitch, yaw, roll))
    middle = head.mean(axis=0)
    x, y, z = (head - middle).T
    y, z = math.cos(b) * y - math.sin(b) * z, math.sin(b) * y + math.cos(b) * z
    x, z = math.cos(a) * x - math.sin(a) * z, math.sin(a) * x + math.cos(a) * z
    x, y = math.cos(c) * x - math.sin(c) * y, math.sin(c) * x + math.cos(c) * y
    return np.asarray(np.stack([x, y, z], axis=1) + middle, np.float32)


def five_points(mesh: np.ndarray) -> np.ndarray:
    points = [mesh[list(corners), :2].mean(axis=0) for corners in EYES]
    return np.stack([*points, *(mesh[i, :2] for i in (NOSE, *MOUTH))])


def test_the_construction_turns_the_nose_where_it_says() -> None:
    straight = turned()[NOSE]
    assert turned(yaw=20)[NOSE][0] > straight[0] + 10, "to the right of the picture"
    assert turned(pitch=20)[NOSE][1] > straight[1] + 10, "down"
    tilted = turned(roll=20)
    assert tilted[263][1] > tilted[33][1] + 10, "the eye on the right sinks: clockwise"


@pytest.mark.parametrize("axis", ["yaw", "pitch", "roll"])
@pytest.mark.parametrize("degrees", [-20, 20])
def test_both_estimators_tell_the_axis_and_the_sign(axis: str, degrees: float) -> None:
    mesh = turned(**{axis: degrees})
    pose = pose_of_mesh(mesh)
    expected = {"yaw": 0.0, "pitch": 0.0, "roll": 0.0, axis: float(degrees)}
    assert pose == HeadPose(**{k: pytest.approx(v, abs=0.1) for k, v in expected.items()})
    # The head behind the five points is another one: a few degrees off, never the other way.
    straight, rough = pose_of_points(five_points(turned())), pose_of_points(five_points(mesh))
    for name, value in expected.items():
        assert getattr(rough, name) - getattr(straight, name) == pytest.approx(value, abs=8)


def test_a_turn_about_two_axes_keeps_both_signs() -> None:
    pose = pose_of_mesh(turned(yaw=-30, pitch=10, roll=5))
    assert pose.yaw == pytest.approx(-30, abs=1)
    assert pose.pitch == pytest.approx(10, abs=2)
    assert pose.roll == pytest.approx(5, abs=1)


def test_off_frontal_grows_with_every_turn_but_a_lean() -> None:
    assert HeadPose(0, 0, 30).off_frontal == 0
    assert HeadPose(30, 0, 0).off_frontal == pytest.approx(30)
    assert HeadPose(0, -30, 0).off_frontal == pytest.approx(30)
    assert HeadPose(30, 30, 0).off_frontal == pytest.approx(41.4, abs=0.1)
