"""Requests cut from real footage, as the renderer would hand them to an engine."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from facepick.compositing.patch import FaceRequest
from facepick.faces.detection import Box
from facepick.models.catalog import YUNET
from facepick.models.store import BUNDLED_DIR


@lru_cache(maxsize=8)
def frames_of(path: Path, indices: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """The pictures at these indices, BGR."""
    import av

    found = {}
    with av.open(str(path)) as container:
        for i, frame in enumerate(container.decode(video=0)):
            if i in indices:
                found[i] = frame.to_ndarray(format="bgr24")
            if i >= max(indices):
                break
    return tuple(found[i] for i in indices)


def faces_in(image: np.ndarray) -> list[tuple[Box, np.ndarray]]:
    """Faces from left to right: box and five landmarks."""
    height, width = image.shape[:2]
    detector = cv2.FaceDetectorYN.create(str(BUNDLED_DIR / YUNET.file), "", (width, height), 0.7)
    rows = detector.detect(image)[1]
    if rows is None:
        return []
    return [
        (Box(r[0], r[1], r[0] + r[2], r[1] + r[3]), r[4:14].reshape(5, 2))
        for r in sorted(rows.astype(float), key=lambda r: r[0])
    ]


def request_for(
    image: np.ndarray, box: Box, points: np.ndarray, *, margin: float, frame: int = 0
) -> FaceRequest:
    """A request whose crop reaches `margin` past the box, cut at the picture's border."""
    height, width = image.shape[:2]
    reach = box.grown(margin)
    x0, y0 = max(0, int(reach.x0)), max(0, int(reach.y0))
    x1, y1 = min(width, int(reach.x1) + 1), min(height, int(reach.y1) + 1)
    return FaceRequest(
        row=frame,
        frame=frame,
        time=Fraction(frame, 25),
        crop=np.ascontiguousarray(image[y0:y1, x0:x1]),
        origin=(x0, y0),
        box=box,
        landmarks5=points.astype(np.float32),
        source_frame=frame,
    )


def with_mesh(request: FaceRequest) -> FaceRequest:
    """The same request with the 468 points found in its crop."""
    from facepick.faces.mesh import FaceMesh
    from facepick.models.store import default_store

    mesh, score = FaceMesh(default_store()).locate(
        request.crop, request.landmarks5, origin=request.origin
    )
    return replace(request, mesh=mesh, mesh_score=score)


def face_requests(
    path: Path, indices: tuple[int, ...], *, margin: float, mesh: bool = False, place: int = 0
) -> list[FaceRequest]:
    """Requests of the `place`-th face from the left at these frames; each call has its own."""
    return [
        replace(
            r,
            crop=r.crop.copy(),
            landmarks5=r.landmarks5.copy(),
            mesh=None if r.mesh is None else r.mesh.copy(),
        )
        for r in _found(path, indices, margin, mesh, place)
    ]


@lru_cache(maxsize=32)
def _found(
    path: Path, indices: tuple[int, ...], margin: float, mesh: bool, place: int
) -> tuple[FaceRequest, ...]:
    requests = []
    for index, image in zip(indices, frames_of(path, indices), strict=True):
        box, points = faces_in(image)[place]
        request = request_for(image, box, points, margin=margin, frame=index)
        requests.append(with_mesh(request) if mesh else request)
    return tuple(requests)


def moved(request: FaceRequest, dx: float, dy: float, scale: float) -> FaceRequest:
    """The same pixels with a face said to be elsewhere and of another size; no mesh."""
    cx, cy = request.box.center
    shift = np.array([cx + dx, cy + dy], np.float32)
    points = (request.landmarks5 - np.float32([cx, cy])) * np.float32(scale) + shift
    w, h = request.box.width * scale / 2, request.box.height * scale / 2
    box = Box(cx + dx - w, cy + dy - h, cx + dx + w, cy + dy + h)
    return replace(request, box=box, landmarks5=points, mesh=None, mesh_score=0.0)
