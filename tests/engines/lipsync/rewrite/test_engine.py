from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.contracts.engine_cases import context_for
from tests.contracts.face_footage import with_mesh
from tests.sounds import LJSPEECH_WORDS

from facepick.compositing.patch import FacePatch, FaceRequest, Reason
from facepick.engines.engine import EngineContext
from facepick.engines.lipsync.rewrite.adaptation import listen
from facepick.engines.lipsync.rewrite.engine import PLAN, RewriteEngine
from facepick.engines.lipsync.rewrite.features import in_head_frame, mouth_features
from facepick.engines.lipsync.rewrite.settings import RewriteSettings
from facepick.errors import Cancelled, NoAudioError
from facepick.progress import CancelToken
from facepick.speech.line import Speech, SpeechLine
from facepick.speech.visemes import curves_of, sampled

pytestmark = pytest.mark.slow


def _speech(samples: np.ndarray, text: str | None = None, **changes: Any) -> Speech:
    return Speech(samples=samples, lines=(SpeechLine(path="a.wav", text=text),), **changes)


def _context(
    folder: Path, requests: list[FaceRequest], speech: Speech | None, **changes: Any
) -> EngineContext:
    changes.setdefault("cancel", CancelToken())
    return context_for(RewriteEngine(), folder, requests, speech=speech, **changes)


def _measured(requests: list[FaceRequest], results: list[Any]) -> np.ndarray:
    """Openings that the mesh network sees in the results."""
    out = []
    for request, result in zip(requests, results, strict=True):
        crop = request.crop.copy()
        if isinstance(result, FacePatch):
            x, y = result.origin[0] - request.origin[0], result.origin[1] - request.origin[1]
            h, w = result.alpha.shape
            part = crop[y : y + h, x : x + w]
            mixed = part + (result.image.astype(np.float32) - part) * result.alpha[..., None]
            part[:] = np.rint(mixed)
        mesh = with_mesh(replace(request, crop=crop)).mesh
        out.append(mouth_features(in_head_frame(mesh))[0])
    return np.array(out)


@pytest.fixture(scope="module")
def spoken(
    talker: list[FaceRequest], ljspeech: np.ndarray, tmp_path_factory: pytest.TempPathFactory
) -> np.ndarray:
    """Measured openings of the man re-synced to the first four seconds of LJSpeech."""
    words = " ".join(LJSPEECH_WORDS.split()[:10])
    folder = tmp_path_factory.mktemp("spoken")
    speech = _speech(ljspeech[: 16_000 * 4], words)
    session = RewriteEngine().open(_context(folder, talker, speech))
    assert session.report()["phones_from"] == "words"
    results = session.process(talker)
    assert sum(isinstance(r, FacePatch) for r in results) > 80
    return _measured(talker[::2], results[::2])


def test_the_mouth_says_the_new_speech_and_no_other(
    spoken: np.ndarray, talker: list[FaceRequest], ljspeech: np.ndarray, jfk: np.ndarray
) -> None:
    seconds = np.array([float(r.time) for r in talker[::2]])

    def fit(samples: np.ndarray) -> float:
        asked = sampled(curves_of(_speech(samples), language="en-us").opening, seconds)
        return float(np.corrcoef(asked, spoken)[0, 1])

    right, wrong = fit(ljspeech[: 16_000 * 4]), fit(jfk)
    before = np.array([mouth_features(in_head_frame(r.mesh))[0] for r in talker[::2]])
    assert right > 0.7
    assert right > wrong + 0.3
    assert np.corrcoef(before, spoken)[0, 1] < 0.6, "the old mouth shines through"


def test_a_resumed_job_shows_the_same(
    talker: list[FaceRequest], ljspeech: np.ndarray, tmp_path: Path
) -> None:
    speech = _speech(ljspeech[:32_000])
    first = RewriteEngine().open(_context(tmp_path, talker[:40], speech))
    notes = [getattr(r, "note", r) for r in first.process(talker[:40])]

    def no_footage() -> list[FaceRequest]:
        raise AssertionError("what was learned is read back, not learned again")

    again = RewriteEngine().open(_context(tmp_path, talker[:40], speech, footage=no_footage))
    assert [getattr(r, "note", r) for r in again.process(talker[:40])] == notes
    assert again.report() == first.report()


def test_other_settings_make_another_plan(
    talker: list[FaceRequest], ljspeech: np.ndarray, tmp_path: Path
) -> None:
    openings = []
    for strength in (0.3, 1.0):
        settings = RewriteSettings(strength=strength)
        RewriteEngine().open(
            _context(tmp_path, talker[:50], _speech(ljspeech[:32_000]), settings=settings)
        )
        with np.load(tmp_path / "workspace" / PLAN) as plan:
            openings.append(plan["opening"])
    assert np.ptp(openings[0]) < 0.6 * np.ptp(openings[1])


def test_silence_keeps_or_closes(
    talker: list[FaceRequest], ljspeech: np.ndarray, tmp_path: Path
) -> None:
    quiet = np.zeros(16_000 * 4, np.float32)
    speech = _speech(quiet, original=ljspeech[: 16_000 * 4])
    kept = RewriteEngine().open(
        _context(tmp_path, talker, speech, settings=RewriteSettings(when_silent="keep"))
    )
    assert set(kept.process(talker)) == {Reason.SILENCE}
    closed = RewriteEngine().open(_context(tmp_path, talker, speech))
    results = closed.process(talker)
    made = [i for i, r in enumerate(results) if isinstance(r, FacePatch)]
    assert len(made) > 30
    made = made[::2]
    before = np.array([mouth_features(in_head_frame(talker[i].mesh))[0] for i in made])
    after = _measured([talker[i] for i in made], [results[i] for i in made])
    assert after.mean() < before.mean()
    assert after.std() < 0.7 * before.std()


def test_reasons(talker: list[FaceRequest], ljspeech: np.ndarray, tmp_path: Path) -> None:
    settings = RewriteSettings(min_eyes_px=200)
    speech = _speech(ljspeech[:32_000])
    session = RewriteEngine().open(_context(tmp_path, talker[:9], speech, settings=settings))
    assert set(session.process(talker[:9])) == {Reason.TOO_SMALL}
    session = RewriteEngine().open(_context(tmp_path, talker[:9], speech))
    base = talker[8]
    angle = np.radians(60)
    turn = np.array(
        [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
    )
    middle = base.mesh.mean(axis=0)
    # A sighting that the footage did not hold is judged by itself.
    turned = replace(base, row=9, mesh=((base.mesh - middle) @ turn.T + middle).astype(np.float32))
    assert session.process([turned]) == [Reason.PROFILE]
    assert session.process([replace(base, mesh=None)]) == [Reason.LOW_CONFIDENCE]


def test_a_part_from_the_middle_uses_the_given_source_frames(
    talker: list[FaceRequest], ljspeech: np.ndarray, tmp_path: Path
) -> None:
    part = [replace(r, frame=r.frame - 50) for r in talker[50:90]]
    context = _context(
        tmp_path,
        talker,
        _speech(ljspeech[:32_000]),
        frames=40,
        source_frames=np.arange(50, 90),
        footage=lambda: iter(talker[50:90]),
    )
    results = RewriteEngine().open(context).process(part)
    assert sum(isinstance(r, FacePatch) for r in results) > 20


def test_without_speech_or_footage(
    talker: list[FaceRequest], ljspeech: np.ndarray, tmp_path: Path
) -> None:
    with pytest.raises(NoAudioError):
        RewriteEngine().open(_context(tmp_path, talker[:4], None))
    with pytest.raises(NoAudioError):
        RewriteEngine().open(_context(tmp_path, talker[:4], _speech(np.zeros(0, np.float32))))
    blind = [replace(r, mesh=None, mesh_score=0.0) for r in talker[:4]]
    session = RewriteEngine().open(_context(tmp_path, blind, _speech(ljspeech[:32_000])))
    assert session.process(blind) == [Reason.LOW_CONFIDENCE] * 4


def test_cancel_while_learning(
    talker: list[FaceRequest], ljspeech: np.ndarray, tmp_path: Path
) -> None:
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        RewriteEngine().open(
            _context(tmp_path, talker[:8], _speech(ljspeech[:32_000]), cancel=cancel)
        )


def test_own_voice_is_found_where_another_speaks_first(
    jfk: np.ndarray, ljspeech: np.ndarray
) -> None:
    """Eight seconds of a stranger whose listener's mouth wanders, then the person's own speech."""
    said = np.concatenate([np.resize(ljspeech, 8 * 16_000), jfk])
    seconds = np.arange(0, 18.9, 0.04)
    curves = curves_of(_speech(jfk), language="en-us")
    noise = np.random.default_rng(5).standard_normal((len(seconds), 3)) * 0.3
    asked = sampled(curves.opening, seconds - 8.0)
    asked = (asked - asked.mean()) / asked.std()
    asked[seconds < 8.0] = np.sin(3.0 * seconds[seconds < 8.0])
    own = listen(said, seconds, (asked[:, None] + noise).astype(np.float32))
    assert own is not None
    assert own.table_r > 0.7
    assert abs(own.offset_seconds) < 0.021


def test_own_voice_is_told_from_a_strangers(jfk: np.ndarray, ljspeech: np.ndarray) -> None:
    """A made-up face that moves as JFK's words ask, heard with his voice and with another."""
    seconds = np.arange(0, 10.9, 0.04)
    curves = curves_of(_speech(jfk), language="en-us")
    noise = np.random.default_rng(5).standard_normal((len(seconds), 3)) * 0.3
    asked = sampled(curves.opening, seconds + 0.08)
    shape = (asked[:, None] - asked.mean()) / asked.std() + noise
    own = listen(jfk, seconds, shape.astype(np.float32))
    assert own is not None
    assert own.table_r > 0.7
    assert own.offset_seconds == pytest.approx(0.08, abs=0.021)
    stranger = listen(np.tile(ljspeech, 2), seconds, shape.astype(np.float32))
    assert stranger is None or stranger.share == 0.0
    assert listen(jfk, seconds[:20], shape[:20].astype(np.float32)) is None
