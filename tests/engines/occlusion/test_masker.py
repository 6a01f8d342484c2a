"""What is in front of a face: both maskers keep the same promises."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.contracts.engine_cases import context_for
from tests.contracts.face_footage import face_requests
from tests.engines.occlusion.xseg_standin import write_xseg

from facepick.compositing.patch import FacePatch, FaceRequest, PatchKind, Reason
from facepick.engines.engine import EngineContext, EngineResult
from facepick.engines.lipsync.rewrite.engine import RewriteEngine
from facepick.engines.lipsync.rewrite.settings import RewriteSettings
from facepick.engines.occlusion import appearance
from facepick.engines.occlusion.masker import NothingInFront, OcclusionMasker, open_masker
from facepick.engines.occlusion.session import OcclusionSession, behind_occluders
from facepick.engines.occlusion.texels import texels
from facepick.errors import MissingModelError, ModelMismatchError
from facepick.models.store import ModelStore
from facepick.progress import CancelToken

FRAMES = 48
SMALL, LARGE = range(12, 20), range(30, 38)
BLUE = (255, 0, 0)


def bar(request: FaceRequest, width: float) -> np.ndarray:
    """(h, w) bool: an upright bar from the crop's lower edge to below the nose.

    A narrow one stands beside the mouth and over its corner.
    """
    mesh = request.local(request.mesh)
    unit = float(np.linalg.norm(mesh[33] - mesh[263]))
    x, y = mesh[[2, 13]].mean(axis=0)
    if width < 0.5:
        x = mesh[61, 0] - 0.1 * unit
    there = np.zeros(request.crop.shape[:2], bool)
    left, right = int(x - width * unit), int(x + width * unit)
    there[int(y) :, max(0, left) : right] = True
    return there


def width_at(frame: int) -> float:
    return 0.18 if frame in SMALL else 0.9 if frame in LARGE else 0.0


@pytest.fixture(scope="module")
def clean(odd: Callable[[str], Path]) -> list[FaceRequest]:
    return face_requests(
        odd("base_640x360.mp4"), tuple(range(FRAMES)), margin=0.4, mesh=True, place=0
    )


@pytest.fixture(scope="module")
def footage(clean: list[FaceRequest]) -> list[FaceRequest]:
    """A narrow bar over the middle of the mouth for 8 frames, later a wide one over all of it."""
    out = []
    for request in clean:
        crop = request.crop.copy()
        crop[bar(request, width_at(request.frame))] = BLUE
        out.append(replace(request, crop=crop))
    return out


@pytest.fixture(params=["built-in", "xseg"])
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def context(tmp_path: Path, footage: list[FaceRequest], way: str) -> EngineContext:
    return _context(tmp_path, footage, way)


def _context(folder: Path, requests: list[FaceRequest], way: str) -> EngineContext:
    models = folder / "models"
    models.mkdir(exist_ok=True)
    if way == "xseg":
        write_xseg(models / "xseg_2.onnx")
    return context_for(
        RewriteEngine(),
        folder,
        requests,
        cancel=CancelToken(),
        settings=RewriteSettings(occlusion=way),
        models=ModelStore([models], models),
    )


@pytest.mark.slow
def test_an_untouched_face_is_wholly_visible(
    tmp_path: Path, clean: list[FaceRequest], way: str
) -> None:
    masker = open_masker(_context(tmp_path, clean, way), part="mouth")
    assert [masker.visible(r) for r in clean] == [None] * FRAMES
    assert not any(masker.covered(r) for r in clean)


@pytest.mark.slow
def test_what_is_in_front_is_found_and_nothing_else(
    context: EngineContext, footage: list[FaceRequest]
) -> None:
    masker = open_masker(context, part="mouth")
    for request in (footage[i] for i in SMALL):
        visible = masker.visible(request)
        assert visible is not None
        assert visible.shape == request.crop.shape[:2]
        assert visible.dtype == np.float32
        assert visible.min() >= 0
        assert visible.max() <= 1
        mesh = request.local(request.mesh)
        face = np.zeros(visible.shape, np.uint8)
        cv2.fillConvexPoly(face, cv2.convexHull(np.rint(mesh).astype(np.int32)), 1)
        there = bar(request, width_at(request.frame)) & (face > 0)
        assert np.mean(visible[there] < 0.5) > 0.85
        # A texel is 1.4 % of the face, about two pixels here: three of them away nothing is lost
        # but now and then a gap between the bar and the edge of what is seen.
        away = cv2.dilate(there.astype(np.uint8), np.ones((11, 11), np.uint8)) == 0
        assert np.mean(visible[away & (face > 0)] > 0.95) > 0.95


def test_a_covered_mouth_leaves_the_frame_alone(
    context: EngineContext, footage: list[FaceRequest]
) -> None:
    masker = open_masker(context, part="mouth")
    left = [r.frame for r in footage if masker.covered(r)]
    # Frames are looked at with their neighbours: one more or less at either end.
    assert set(LARGE[1:-1]) <= set(left) <= set(range(LARGE[0] - 1, LARGE[-1] + 2))
    report = masker.report()
    assert report["frames"] == FRAMES
    assert report["frames_left_alone"] == len(left)


@pytest.mark.slow
def test_the_change_fades_beside_frames_left_alone(
    context: EngineContext, footage: list[FaceRequest]
) -> None:
    masker = open_masker(context, part="mouth")
    first = min(r.frame for r in footage if masker.covered(r))
    near = [masker.visible(footage[first - step]) for step in (1, 2, 3)]
    assert [round(float(v.max()), 2) for v in near if v is not None] == [0.25, 0.5, 0.75]
    assert masker.visible(footage[first - 4]) is None


@pytest.mark.slow
def test_answers_come_from_the_workspace_when_a_job_goes_on(
    context: EngineContext, footage: list[FaceRequest]
) -> None:
    first = open_masker(context, part="mouth")

    def broken() -> Iterator[FaceRequest]:
        raise AssertionError("the footage was read again")

    again = open_masker(replace(context, footage=broken), part="mouth")
    for request in reversed(footage):
        before, after = first.visible(request), again.visible(request)
        assert (before is None) == (after is None)
        if before is not None and after is not None:
            np.testing.assert_array_equal(before, after)


def test_few_frames_say_nothing(tmp_path: Path, footage: list[FaceRequest]) -> None:
    few = footage[: SMALL[0] + 4]
    masker = open_masker(_context(tmp_path, few, "built-in"), part="mouth")
    assert all(masker.visible(r) is None for r in few)


def test_auto_takes_the_network_where_it_is(tmp_path: Path, footage: list[FaceRequest]) -> None:
    context = _context(tmp_path, footage[:2], "xseg")
    context = replace(context, settings=RewriteSettings(occlusion="auto"))
    assert open_masker(context, part="face").report()["masker"] == "xseg_2.onnx"


def test_a_missing_or_wrong_network_is_named(tmp_path: Path, footage: list[FaceRequest]) -> None:
    context = _context(tmp_path, footage[:2], "off")
    context = replace(context, settings=RewriteSettings(occlusion="xseg"))
    with pytest.raises(MissingModelError, match="xseg_1"):
        open_masker(context, part="mouth")
    write_xseg(tmp_path / "models" / "xseg_1.onnx", channels=4)
    with pytest.raises(ModelMismatchError, match="no XSeg network"):
        open_masker(context, part="mouth")


class Painter:
    """A session that paints the whole crop white."""

    closed = False

    def process(self, requests: list[FaceRequest]) -> list[EngineResult]:
        return [
            FacePatch(
                image=np.full_like(r.crop[4:], 255),
                alpha=np.ones((r.crop.shape[0] - 4, r.crop.shape[1]), np.float32),
                origin=(r.origin[0], r.origin[1] + 4),
                kind=PatchKind.HIDDEN if r.frame == SMALL[0] else PatchKind.DRAWN,
            )
            for r in requests
        ]

    def report(self) -> dict[str, int]:
        return {"painted": 1}

    def close(self) -> None:
        self.closed = True


@pytest.mark.slow
def test_a_session_spares_what_is_in_front(
    context: EngineContext, footage: list[FaceRequest]
) -> None:
    session = behind_occluders(Painter(), context, part="mouth")
    assert isinstance(session, OcclusionSession)
    answers = dict(zip(range(FRAMES), session.process(footage), strict=True))
    masker: OcclusionMasker = open_masker(context, part="mouth")
    untouched, narrow, hidden = answers[0], answers[SMALL[3]], answers[SMALL[0]]
    assert isinstance(untouched, FacePatch)
    assert untouched.alpha.min() == 1
    assert isinstance(narrow, FacePatch)
    visible = masker.visible(footage[SMALL[3]])
    assert visible is not None
    np.testing.assert_array_equal(narrow.alpha, visible[4:])
    assert isinstance(hidden, FacePatch)
    assert hidden.alpha.min() == 1
    assert answers[LARGE[4]] is Reason.OCCLUDED
    assert session.report()["painted"] == 1
    assert session.report()["occlusion"]["frames"] == FRAMES


def test_off_changes_nothing(context: EngineContext) -> None:
    context = replace(context, settings=RewriteSettings(occlusion="off"))
    painter = Painter()
    assert behind_occluders(painter, context, part="mouth") is painter
    assert isinstance(open_masker(context, part="mouth"), NothingInFront)


def test_a_fold_beside_the_mouth_is_no_object_and_what_comes_over_the_edge_is() -> None:
    """A strange place that ends where the face's edge begins, and the same reaching over it."""
    points = texels()
    seen = np.ones(len(points), bool)
    row = int(points.rows.mean())
    band = np.abs(points.rows - row) < 8
    last = np.array([points.columns[points.rows == r].max() for r in points.rows])
    inside = band & (points.columns > last - 22)
    fold = np.where(inside & (points.columns <= last - 4), 6.0, 1.0).astype(np.float32)
    hand = np.where(inside, 6.0, 1.0).astype(np.float32)
    assert not appearance._regions(fold, seen).any()
    assert appearance._regions(hand, seen)[inside].mean() > 0.8
