"""Pose of a head in degrees, from its mesh or from five points."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facepick.faces.detection import FloatArray
from facepick.faces.mesh_topology import topology
from facepick.faces.similarity import fit_similarity

__all__ = ["HeadPose", "pose_of_mesh", "pose_of_points"]

# Mean adult head in millimetres: x to the person's left (right in the picture), y down, z away
# from the camera; origin between the eyes.  63 mm is the mean distance of the pupils; heights
# follow from the ArcFace template, depths from cephalometric means.
_HEAD_MM = np.array(
    [
        [-31.5, 0.0, 0.0],
        [31.5, 0.0, 0.0],
        [0.0, 36.0, -38.0],
        [-26.0, 73.0, -12.0],
        [26.0, 73.0, -12.0],
    ]
)

# Points that expressions move little: temples, forehead, bridge and sides of the nose, jaw hinge.
_RIGID = (10, 67, 297, 109, 338, 127, 356, 234, 454, 168, 6, 197, 195, 5, 133, 362, 33, 263)


@dataclass(frozen=True)
class HeadPose:
    """Direction of a head, in degrees.

    Attributes:
        yaw: positive when the nose points to the right of the picture.
        pitch: positive when it points down.
        roll: positive when the head leans clockwise in the picture.
    """

    yaw: float
    pitch: float
    roll: float

    @property
    def off_frontal(self) -> float:
        """Angle between the view and straight into the face."""
        cosine = math.cos(math.radians(self.yaw)) * math.cos(math.radians(self.pitch))
        return math.degrees(math.acos(max(-1.0, min(1.0, cosine))))


def pose_of_mesh(mesh: FloatArray) -> HeadPose:
    """Estimate the pose of a head from its mesh, (468, 3) in pixels.

    Fits the rotation that brings the mean head onto the mesh (Kabsch), by points of little motion.
    """
    target = np.asarray(mesh, np.float64)[list(_RIGID)]
    mean = topology().shape.astype(np.float64)[list(_RIGID)]
    rotation = fit_similarity(mean, target).rotation
    yaw = math.degrees(math.asin(float(np.clip(rotation[0, 2], -1, 1))))
    pitch = math.degrees(math.atan2(-float(rotation[1, 2]), float(rotation[2, 2])))
    roll = math.degrees(math.atan2(float(rotation[1, 0]), float(rotation[0, 0])))
    return HeadPose(-yaw, pitch, roll)


def pose_of_points(landmarks5: npt.ArrayLike, *, pixel_aspect: float = 1.0) -> HeadPose:
    """Estimate the pose of a head from its five points, (5, 2) in pixels.

    Under weak perspective the points are an affine image of a mean head, whose rotation is read
    off by DeMenthon and Davis, *Model-Based Object Pose in 25 Lines of Code*, IJCV 15, 1995 (the
    POS step).
    """
    points = np.asarray(landmarks5, np.float64) * np.array([pixel_aspect, 1.0])
    model = _HEAD_MM - _HEAD_MM.mean(axis=0)
    rows = np.linalg.pinv(model) @ (points - points.mean(axis=0))
    first, second = rows[:, 0], rows[:, 1]
    scale = (np.linalg.norm(first) + np.linalg.norm(second)) / 2
    if scale < 1e-9:
        return HeadPose(0.0, 0.0, 0.0)
    x = first / max(float(np.linalg.norm(first)), 1e-9)
    y = second - (second @ x) * x
    y = y / max(float(np.linalg.norm(y)), 1e-9)
    z = np.cross(x, y)
    # Where the nose of the model, which looks along -z, points in the picture.
    nose = np.array([-x[2], -y[2], -z[2]])
    yaw = math.degrees(math.atan2(nose[0], -nose[2]))
    pitch = math.degrees(math.asin(max(-1.0, min(1.0, float(nose[1])))))
    eyes = points[1] - points[0]
    roll = math.degrees(math.atan2(eyes[1], eyes[0]))
    return HeadPose(float(yaw), float(pitch), float(roll))
