"""Stabilization of the mesh against trembling.

The network places every frame's points anew, about half a pixel off; a texture drawn on them
trembles.  Optical flow (Kroeger et al., *Fast Optical Flow using Dense Inverse Search*, ECCV 2016)
knows how the skin moved from frame to frame but drifts.  Each point is therefore carried along by
the flow and drawn towards the network's place by a part: no lag, no drift, less than half of the
tremble.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from facepick.compositing.patch import FaceRequest
from facepick.faces.detection import FloatArray
from facepick.faces.landmarks468 import LEFT_EYE, LIPS_INNER, LIPS_OUTER, RIGHT_EYE
from facepick.faces.mesh_topology import topology

__all__ = ["MeshSteadier"]

# Share of the network's place: an average over 1 / share frames leaves sqrt(s / (2 - s)) = 0.38
# of the tremble.  Lips and lids move faster than flow follows.
_SHARE_SKIN, _SHARE_LIPS = 0.25, 0.7
# Flow is computed on a copy in which the face is this many pixels wide.
_FLOW_FACE_PX = 160.0
# Around the mesh, as a share of the face's width.
_FLOW_PAD = 0.2
# Where flow and network disagree by more than this share of the face's width, flow was wrong.
_MAX_DISAGREEMENT = 0.04


@cache
def _shares() -> npt.NDArray[np.float64]:
    """Compute the share of the network's place for every point, (468, 1)."""
    shape = topology().shape
    moving = np.array([*LIPS_INNER, *LIPS_OUTER, *RIGHT_EYE, *LEFT_EYE])
    gaps = shape[:, None, :2] - shape[None, moving, :2]
    near = np.sqrt((gaps**2).sum(axis=2)).min(axis=1)
    # From the full share on the lips to the skin's within 0.15 eye distances.
    weight = np.clip(1 - near / 0.15, 0, 1)
    return np.asarray(_SHARE_SKIN + (_SHARE_LIPS - _SHARE_SKIN) * weight)[:, None]


class MeshSteadier:
    """Stabilizer of one person's meshes, pushed in time order."""

    def __init__(self) -> None:
        import cv2

        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        self._last: FaceRequest | None = None
        self._mesh: npt.NDArray[np.float64] | None = None

    def push(self, request: FaceRequest) -> FloatArray | None:
        """Return the mesh of this request, (468, 3) float32 display pixels, or None without one."""
        before, last = self._mesh, self._last
        self._last, self._mesh = request, None
        if request.mesh is None:
            return None
        mesh = request.mesh.astype(np.float64)
        if before is not None and last is not None and _moved_little(last, request):
            carried = self._carried(last, request, before[:, :2])
            if carried is not None:
                share = np.repeat(_shares(), 2, axis=1)
                away = np.linalg.norm(carried - mesh[:, :2], axis=1, keepdims=True)
                limit = _MAX_DISAGREEMENT * request.box.width
                share = np.maximum(share, np.clip(away / limit, 0, 1) ** 2)
                mesh[:, :2] = carried + share * (mesh[:, :2] - carried)
                mesh[:, 2] = before[:, 2] + 0.5 * (mesh[:, 2] - before[:, 2])
        self._mesh = mesh
        return mesh.astype(np.float32)

    def _carried(
        self, last: FaceRequest, now: FaceRequest, points: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64] | None:
        """Carry `points` of the last frame to where the flow takes them in this one."""
        import cv2

        assert now.mesh is not None
        shown = np.concatenate([points, now.mesh[:, :2]])
        # What lies further around the face tells nothing of it.
        pad = _FLOW_PAD * now.box.width
        x0, y0 = (int(v) for v in np.floor(shown.min(axis=0) - pad))
        x1, y1 = (int(v) for v in np.ceil(shown.max(axis=0) + pad))
        scale = min(1.0, _FLOW_FACE_PX / max(now.box.width, 1.0))
        size = (max(32, round((x1 - x0) * scale)), max(32, round((y1 - y0) * scale)))
        views = []
        for request in (last, now):
            height, width = request.crop.shape[:2]
            left, top = x0 - request.origin[0], y0 - request.origin[1]
            right, bottom = x1 - request.origin[0], y1 - request.origin[1]
            part = request.crop[max(0, top) : max(0, bottom), max(0, left) : max(0, right)]
            if not part.size:
                return None
            gray = cv2.cvtColor(part, cv2.COLOR_BGR2GRAY)
            above, below = max(0, -top), max(0, bottom - height)
            before, behind = max(0, -left), max(0, right - width)
            gray = cv2.copyMakeBorder(gray, above, below, before, behind, cv2.BORDER_REPLICATE)
            views.append(cv2.resize(gray, size, interpolation=cv2.INTER_AREA))
        flow = self._flow.calc(views[0], views[1], None)
        ratio = np.array([size[0] / (x1 - x0), size[1] / (y1 - y0)])
        at = ((points - (x0, y0)) * ratio - 0.5).astype(np.float32)
        # A small mean makes the flow at a point as steady as that of its surroundings.
        flow = cv2.blur(flow, (5, 5))
        moved = cv2.remap(
            flow, at[:, 0:1], at[:, 1:2], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        return np.asarray(points + moved[:, 0].astype(np.float64) / ratio)


def _moved_little(last: FaceRequest, now: FaceRequest) -> bool:
    """Tell whether flow can follow the face from one request to the other."""
    return now.follows(last) and last.box.iou(now.box) > 0.3
