"""Every engine of the registry keeps the same promises to the renderer."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from tests.contracts.engine_cases import CASES, context_for, drawing_guest, swapping_guest
from tests.contracts.face_footage import face_requests, moved

from facepick.compositing.patch import FacePatch, FaceRequest, Reason
from facepick.engines.engine import Engine, EngineResult, EngineSession
from facepick.engines.registry import default_registry
from facepick.errors import FacepickError
from facepick.people.track import BRIDGED
from facepick.progress import CancelToken
from facepick.settings import fields_of, from_mapping, to_mapping

ENGINES = (*default_registry().all(), drawing_guest(), swapping_guest())


def _name(engine: Engine) -> str:
    return f"{engine.spec.flow}-{engine.spec.id}"


# They share all their code with the first of their kind: pytest -m slow runs them.
SIBLINGS = {"wav2lip_gan", "edtalk_256", "inswapper_128_fp16", "hyperswap", "ghost"}
TRIED = [
    pytest.param(engine, marks=pytest.mark.slow if engine.spec.id in SIBLINGS else ())
    for engine in ENGINES
]


@dataclass
class Bench:
    """One engine with what it takes to run it."""

    engine: Engine
    requests: list[FaceRequest]
    open: Callable[..., EngineSession]
    opened: list[EngineSession]
    cancel: CancelToken


@contextlib.contextmanager
def _bench(engine: Engine, folder: Path, video: Path, media: Path) -> Iterator[Bench]:
    """An engine, requests of the left person of a 640x360 clip, and a way to open sessions."""
    key = (engine.spec.flow, engine.spec.id)
    assert key in CASES, f"add {key} to tests/contracts/engine_cases.py"
    case = CASES[key]
    requests = face_requests(
        video,
        tuple(range(case.frames)),
        margin=engine.spec.margin,
        mesh=engine.spec.needs_mesh,
    )
    cancel = CancelToken()
    opened: list[EngineSession] = []

    def open_session(seen: Sequence[FaceRequest] | None = None) -> EngineSession:
        given = list(requests if seen is None else seen)
        extra = case.extra(folder, given, media)
        context = context_for(engine, folder, given, cancel=cancel, **extra)
        opened.append(engine.open(context))
        return opened[-1]

    yield Bench(engine, requests, open_session, opened, cancel)
    for session in opened:
        session.close()


@pytest.fixture(params=TRIED, ids=_name)
def bench(
    request: pytest.FixtureRequest, tmp_path: Path, odd: Callable[[str], Path], shared_media: Path
) -> Iterator[Bench]:
    """For tests that open sessions of their own."""
    with _bench(request.param, tmp_path, odd("base_640x360.mp4"), shared_media) as made:
        yield made


@dataclass
class Running:
    """One session of an engine, and what it answered at first."""

    session: EngineSession
    requests: list[FaceRequest]
    results: list[EngineResult]


@pytest.fixture(scope="module", params=TRIED, ids=_name)
def running(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    odd: Callable[[str], Path],
    shared_media: Path,
) -> Iterator[Running]:
    """A session that several tests use one after the other: earlier requests must not matter."""
    folder = tmp_path_factory.mktemp("running")
    with _bench(request.param, folder, odd("base_640x360.mp4"), shared_media) as made:
        session = made.open()
        yield Running(session, made.requests, session.process(made.requests))


def _digest(result: EngineResult) -> object:
    if isinstance(result, FacePatch):
        pixels = hashlib.sha256(result.image.tobytes() + result.alpha.tobytes()).hexdigest()
        return result.origin, result.image.shape, pixels, result.kind, result.note
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


def test_one_answer_each_in_order_and_well_formed(running: Running) -> None:
    results = running.results
    assert len(results) == len(running.requests)
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


def test_a_patch_stays_inside_its_crop(running: Running) -> None:
    """Outside the crop an engine knows nothing of the picture; it must not paint there."""
    for request, result in zip(running.requests, running.results, strict=True):
        if not isinstance(result, FacePatch):
            continue
        rows, columns = np.nonzero(result.alpha)
        x, y = columns + result.origin[0], rows + result.origin[1]
        height, width = request.crop.shape[:2]
        assert x.min() >= request.origin[0]
        assert y.min() >= request.origin[1]
        assert x.max() < request.origin[0] + width
        assert y.max() < request.origin[1] + height


def test_no_requests_no_answers(running: Running) -> None:
    assert running.session.process([]) == []


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


def test_requests_are_not_changed(running: Running) -> None:
    def state(r: FaceRequest) -> tuple[bytes, ...]:
        mesh = b"" if r.mesh is None else r.mesh.tobytes()
        return r.crop.tobytes(), r.landmarks5.tobytes(), mesh

    requests = [
        replace(r, crop=r.crop.copy(), landmarks5=r.landmarks5.copy()) for r in running.requests
    ]
    before = [state(r) for r in requests]
    for r in requests:
        r.crop.setflags(write=False)
        r.landmarks5.setflags(write=False)
    running.session.process(requests)
    assert [state(r) for r in requests] == before


def test_patches_do_not_share_memory_with_the_crop_or_each_other(running: Running) -> None:
    results = [r for r in running.results if isinstance(r, FacePatch)]
    for patch in results:
        assert not any(np.shares_memory(patch.image, r.crop) for r in running.requests)
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
    running: Running, dx: float, dy: float, scale: float
) -> None:
    strange = [moved(r, dx, dy, scale) for r in running.requests[:2]]
    guessed = [replace(r, seen=BRIDGED, confidence=0.1) for r in strange]
    results = running.session.process([*strange, *guessed])
    assert len(results) == 4
    for result in results:
        if isinstance(result, FacePatch):
            assert np.isfinite(result.alpha).all()
            assert result.alpha.max() <= 1


@pytest.mark.parametrize(("width", "height"), [(1, 1), (2, 9), (15, 3)])
def test_crops_of_a_few_pixels_do_not_crash(running: Running, width: int, height: int) -> None:
    base = running.requests[0]
    small = replace(base, crop=np.ascontiguousarray(base.crop[:height, :width]))
    assert len(running.session.process([small])) == 1


def test_points_that_coincide_do_not_crash(running: Running) -> None:
    """A tracker that loses a face may hand over five equal landmarks."""
    base = running.requests[0]
    center = np.full((5, 2), base.box.center, np.float32)
    flat = replace(base, landmarks5=center, mesh=None, mesh_score=0.0)
    assert len(running.session.process([flat])) == 1


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
