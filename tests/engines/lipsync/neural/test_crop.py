"""Where the network looks, and how exactly its picture goes back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.contracts.face_footage import face_requests

from facepick.compositing.patch import FaceRequest
from facepick.engines.lipsync.neural.crop import (
    FaceCut,
    Pads,
    cut_face,
    detector_box,
    network_input,
    warp_back,
    warp_out,
)
from facepick.faces.detection import Box
from facepick.people.track import BRIDGED


@pytest.fixture(scope="module")
def request_(clip: Callable[[str], Path]) -> FaceRequest:
    return face_requests(clip("dev_gt2"), (20,), margin=0.5, mesh=True, place=1)[0]


def test_the_meshs_box_is_the_detectors(clip: Callable[[str], Path]) -> None:
    """The mapping holds on footage: both boxes agree to a few hundredths."""
    for name, frames in (("dev_gt2", (20, 90)), ("latentsync_demo3", (10,))):
        for item in face_requests(clip(name), frames, margin=0.5, mesh=True):
            own = detector_box(item, smooth=False)
            assert own.iou(item.box) > 0.87, (name, item.frame)
            size = item.box.height
            for a, b in zip(own, item.box, strict=True):
                assert abs(a - b) < 0.07 * size


def test_a_box_that_lost_the_face_is_not_used(request_: FaceRequest) -> None:
    astray = replace(request_, box=Box(*(v + 150 for v in request_.box)))
    assert detector_box(astray) == detector_box(astray, smooth=False)
    bridged = replace(request_, seen=BRIDGED)
    assert detector_box(bridged) == detector_box(request_, smooth=False)
    assert detector_box(request_) == request_.box
    assert detector_box(replace(request_, mesh=None)) == request_.box


def test_pads_are_shares_of_the_face(request_: FaceRequest) -> None:
    plain = cut_face(request_).box
    padded = cut_face(request_, pads=Pads(top=16, bottom=32, left=8)).box
    unit = request_.box.height / 256
    assert padded.y0 == pytest.approx(plain.y0 - 16 * unit)
    assert padded.y1 == pytest.approx(plain.y1 + 32 * unit)
    assert padded.x0 == pytest.approx(plain.x0 - 8 * unit)
    assert padded.x1 == pytest.approx(plain.x1)


def test_input_is_the_box_stretched_lower_half_black(request_: FaceRequest) -> None:
    import cv2

    cut = cut_face(request_)
    face = network_input(request_.crop, cut)
    assert face.shape == (6, 96, 96)
    assert face.dtype == np.float32
    assert not face[:3, 48:].any()
    np.testing.assert_array_equal(face[:3, :48], face[3:, :48])
    x0, y0, x1, y1 = (round(v) for v in cut.box)
    plain = cv2.resize(request_.crop[y0:y1, x0:x1], (96, 96), interpolation=cv2.INTER_AREA)
    shown = face[3:].transpose(1, 2, 0) * 255
    # The cut is exact to the fraction of a pixel, the plain one to the pixel; both are BGR.
    assert np.abs(shown - plain).mean() < 4
    assert np.abs(shown[:, :, ::-1] - plain).mean() > 8


def test_large_faces_do_not_alias(request_: FaceRequest) -> None:
    stripes = np.zeros((960, 960, 3), np.uint8)
    stripes[:, ::2] = 255
    cut = FaceCut(np.array([[10.0, 0, 0], [0, 10.0, 0]]), Box(0, 0, 960, 960), 1.0)
    inner = warp_out(stripes, cut)[8:-8, 8:-8].astype(float)
    assert np.abs(inner - 127.5).max() < 12


def test_there_and_back_lands_on_the_same_pixels(request_: FaceRequest) -> None:
    import cv2

    cut = cut_face(request_)
    smooth = cv2.GaussianBlur(request_.crop, (0, 0), 6)
    back = warp_back(
        warp_out(smooth, cut).astype(np.float32),
        cut,
        origin=(0, 0),
        size=(smooth.shape[1], smooth.shape[0]),
    )
    x0, y0, x1, y1 = (round(v) for v in cut.box)
    inside = (slice(y0 + 6, y1 - 6), slice(x0 + 6, x1 - 6))
    shifts = {
        (dx, dy): float(np.abs(back[inside] - np.roll(smooth, (dy, dx), (0, 1))[inside]).mean())
        for dx in (-1, 0, 1)
        for dy in (-1, 0, 1)
    }
    assert min(shifts, key=shifts.__getitem__) == (0, 0)
    assert shifts[0, 0] < 1.0


def test_only_tilted_heads_are_turned(request_: FaceRequest) -> None:
    def tilted(degrees: float) -> float:
        angle = np.radians(degrees)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        middle = request_.landmarks5.mean(0)
        points = (request_.landmarks5 - middle) @ turn.T + middle
        level = points[1] - points[0]
        now = np.degrees(np.arctan2(level[1], level[0]))
        cut = cut_face(replace(request_, landmarks5=points.astype(np.float32)))
        turned = np.degrees(np.arctan2(cut.to_crop[1, 0], cut.to_crop[0, 0]))
        return float(turned) / now if abs(now) > 1e-6 else 0.0

    base = np.degrees(np.arctan2(*(request_.landmarks5[1] - request_.landmarks5[0])[::-1]))
    assert tilted(5 - base) == 0
    assert tilted(40 - base) == pytest.approx(1.0)
    assert 0 < tilted(20 - base) < 1
    assert tilted(-40 - base) == pytest.approx(1.0)
    # Upside-down points are taken for a mistake.
    assert tilted(170 - base) == 0


def test_a_face_at_the_picture_border_repeats_it(clip: Callable[[str], Path]) -> None:
    item = face_requests(clip("dev_gt2"), (20,), margin=0.5, mesh=True)[0]
    half = item.crop.shape[1] // 2
    left = replace(
        item,
        crop=np.ascontiguousarray(item.crop[:, half:]),
        origin=(item.origin[0] + half, item.origin[1]),
    )
    face = network_input(left.crop, cut_face(left))
    assert np.isfinite(face).all()
    # Everything left of the border shows the border's own colours, row by row.
    assert np.abs(face[3:, :, 0] - face[3:, :, 10]).max() < 0.02
