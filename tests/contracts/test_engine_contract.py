"""Every engine of the registry keeps the same promises to the renderer."""

from __future__ import annotations

import gc
import hashlib
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from tests.contracts.engine_cases import CASES, context_for
from tests.contracts.face_footage import face_requests, moved

from facepick.compositing.patch import FacePatch, FaceRequest, Reason
from facepick.engines.engine import Engine, EngineResult, EngineSession
from facepick.engines.registry import default_registry
from facepick.errors import FacepickError
from facepick.people.track import BRIDGED
from facepick.progress import CancelToken
from facepick.settings import fields_of, from_mapping, to_mapping

ENGINES = default_registry().all()


def _name(engine: Engine) -> str:
    return f"{engine.spec.flow}-{engine.spec.id}"


@dataclass
class Bench:
    """One engine with what it takes to run it."""

    engine: Engine
    requests: list[FaceRequest]
    open: Callable[..., EngineSession]
    opened: list[EngineSession]
    cancel: CancelToken


@pytest.fixture(params=ENGINES, ids=_name)
def bench(
    request: pytest.FixtureRequest, tmp_path: Path, odd: Callable[[str], Path], shared_media: Path
) -> Iterator[Bench]:
    """An engine, requests of the left person of a 640x360 clip, and a way to open sessions."""
    engine: Engine = request.param
    key = (engine.spec.flow, engine.spec.id)
    assert key in CASES, f"add {key} to tests/contracts/engine_cases.py"
    case = CASES[key]
    requests = face_requests(
        odd("base_640x360.mp4"),
        tuple(range(case.frames)),
        margin=engine.spec.margin,
        mesh=engine.spec.needs_mesh,
    )
    cancel = CancelToken()
    opened: list[EngineSession] = []

    def open_session(seen: Sequence[FaceRequest] | None = None) -> EngineSession:
        given = list(requests if seen is None else seen)
        extra = case.extra(tmp_path, given, shared_media)
        context = context_for(engine, tmp_path, given, cancel=cancel, **extra)
        opened.append(engine.open(context))
        return opened[-1]

    yield Bench(engine, requests, open_session, opened, cancel)
    for session in opened:
        session.close()


def _digest(result: EngineResult) -> object:
    if isinstance(result, FacePatch):
        pixels = hashlib.sha256(result.image.tobytes() + result.alpha.tobytes()).hexdigest()
        return result.origin, result.image.shape, pixels, result.note
    return result


def test_every_engine_has_a_case_and_every_case_an_engine() -> None:
    assert set(CASES) == {(e.spec.flow, e.spec.id) for e in ENGINES}


@pytest.mark.parametrize("engine", ENGINES, ids=_name)
def test_spec_is_complete(engine: Engine) -> None:
    spec = engine.spec
    assert spec.label
    assert spec.help.endswith(".")
    assert spec.margin >= 0
    assert fields_of(spec.settings), "an engine without settings cannot be told anything"
    defaults = spec.settings()
    assert from_mapping(spec.settings, to_mapping(defaults)) == defaults
    if spec.flow == "hide":
        assert spec.covers_gaps
        assert not spec.synthetic
    else:
        assert spec.synthetic


def test_one_answer_each_in_order_and_well_formed(bench: Bench) -> None:
    results = bench.open().process(bench.requests)
    assert len(results) == len(bench.requests)
    patches = [r for r in results if isinstance(r, FacePatch)]
    assert patches, "not one of the frames was changed: the case proves nothing"
    for result in results:
        assert result is None or isinstance(result, (FacePatch, Reason))
    for patch in patches:
        assert patch.image.dtype == np.uint8
        assert patch.alpha.dtype == np.float32
        assert patch.alpha.min() >= 0
        assert patch.alpha.max() <= 1
        assert patch.alpha.max() > 0
        assert all(isinstance(v, int) for v in patch.origin)


def test_a_patch_stays_inside_its_crop(bench: Bench) -> None:
    """Outside the crop an engine knows nothing of the picture; it must not paint there."""
    for request, result in zip(bench.requests, bench.open().process(bench.requests), strict=True):
        if not isinstance(result, FacePatch):
            continue
        rows, columns = np.nonzero(result.alpha)
        x, y = columns + result.origin[0], rows + result.origin[1]
        height, width = request.crop.shape[:2]
        assert x.min() >= request.origin[0]
        assert y.min() >= request.origin[1]
        assert x.max() < request.origin[0] + width
        assert y.max() < request.origin[1] + height


def test_no_requests_no_answers(bench: Bench) -> None:
    assert bench.open().process([]) == []


def test_deterministic_over_sessions(bench: Bench) -> None:
    first = [_digest(r) for r in bench.open().process(bench.requests)]
    second = [_digest(r) for r in bench.open().process(bench.requests)]
    assert first == second


def test_independent_of_batch_size_and_of_earlier_requests(bench: Bench) -> None:
    session = bench.open()
    whole = [_digest(r) for r in session.process(bench.requests)]
    singly = [_digest(session.process([r])[0]) for r in bench.requests]
    assert singly == whole
    backwards = [_digest(r) for r in session.process(bench.requests[::-1])][::-1]
    assert backwards == whole
    # A segment that starts in the middle, in a session that saw nothing else.
    half = len(bench.requests) // 2
    fresh = bench.open()
    assert [_digest(r) for r in fresh.process(bench.requests[half:])] == whole[half:]


def test_requests_are_not_changed(bench: Bench) -> None:
    def state(r: FaceRequest) -> tuple[bytes, ...]:
        mesh = b"" if r.mesh is None else r.mesh.tobytes()
        return r.crop.tobytes(), r.landmarks5.tobytes(), mesh

    before = [state(r) for r in bench.requests]
    for r in bench.requests:
        r.crop.setflags(write=False)
        r.landmarks5.setflags(write=False)
    bench.open().process(bench.requests)
    assert [state(r) for r in bench.requests] == before


def test_patches_do_not_share_memory_with_the_crop_or_each_other(bench: Bench) -> None:
    results = [r for r in bench.open().process(bench.requests) if isinstance(r, FacePatch)]
    for patch in results:
        assert not any(np.shares_memory(patch.image, r.crop) for r in bench.requests)
    for a, b in pairwise(results):
        assert not np.shares_memory(a.image, b.image)


def test_cancel_is_honoured(bench: Bench) -> None:
    from facepick.errors import Cancelled

    session = bench.open()
    bench.cancel.cancel()
    with pytest.raises(Cancelled):
        session.process(bench.requests)


@pytest.mark.parametrize(
    ("dx", "dy", "scale"),
    [
        (0, 0, 0.02),
        (0, 0, 0.1),
        (0, 0, 3.0),
        (-160, 0, 1.0),
        (0, 140, 1.0),
        (-5000, -5000, 1.0),
    ],
    ids=["speck", "tiny", "huge", "left edge", "below", "far outside"],
)
def test_odd_places_and_sizes_do_not_crash(
    bench: Bench, dx: float, dy: float, scale: float
) -> None:
    session = bench.open()
    strange = [moved(r, dx, dy, scale) for r in bench.requests[:2]]
    guessed = [replace(r, seen=BRIDGED, confidence=0.1) for r in strange]
    results = session.process([*strange, *guessed])
    assert len(results) == 4
    for result in results:
        if isinstance(result, FacePatch):
            assert np.isfinite(result.alpha).all()
            assert result.alpha.max() <= 1


@pytest.mark.parametrize(("width", "height"), [(1, 1), (2, 9), (15, 3)])
def test_crops_of_a_few_pixels_do_not_crash(bench: Bench, width: int, height: int) -> None:
    session = bench.open()
    base = bench.requests[0]
    small = replace(base, crop=np.ascontiguousarray(base.crop[:height, :width]))
    assert len(session.process([small])) == 1


def test_points_that_coincide_do_not_crash(bench: Bench) -> None:
    """A tracker that loses a face may hand over five equal landmarks."""
    base = bench.requests[0]
    center = np.full((5, 2), base.box.center, np.float32)
    flat = replace(base, landmarks5=center, mesh=None, mesh_score=0.0)
    assert len(bench.open().process([flat])) == 1


def test_close_twice_and_memory_freed(bench: Bench) -> None:
    session = bench.open()
    results = session.process(bench.requests[:2])
    gone = weakref.ref(session)
    session.close()
    session.close()
    with pytest.raises(FacepickError):
        session.process(bench.requests[:1])
    del session, results
    bench.opened.clear()
    gc.collect()
    assert gone() is None, "something still holds the session"


def test_report_is_plain_json(bench: Bench) -> None:
    import json

    session = bench.open()
    session.process(bench.requests)
    report = session.report()
    assert json.loads(json.dumps(report)) == report
