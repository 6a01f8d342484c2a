"""The engines: which checkpoint they take, what they leave alone, what they say of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from tests.contracts.engine_cases import context_for
from tests.contracts.face_footage import face_requests

from facepick.compositing.patch import FacePatch, FaceRequest, PatchKind, Reason
from facepick.engines.lipsync.gating import Gating
from facepick.engines.lipsync.neural.engine import (
    Wav2LipEngine,
    Wav2LipGanEngine,
    Wav2LipSession,
    checkpoint_of,
)
from facepick.engines.lipsync.neural.mel import mel_window
from facepick.engines.lipsync.neural.settings import Wav2LipSettings
from facepick.engines.restore.restorer import NoRestorer
from facepick.errors import (
    EngineError,
    MissingModelError,
    ModelMismatchError,
    UserInputError,
)
from facepick.faces.head_pose import pose_of_mesh
from facepick.models.store import ModelStore
from facepick.progress import CancelToken
from facepick.speech.line import Speech
from facepick.speech.vad import Stretch

ALWAYS = Gating(speak=(Stretch(0, 1000),))


@pytest.fixture(scope="module")
def faces(odd: Callable[[str], Path]) -> list[FaceRequest]:
    return face_requests(odd("base_640x360.mp4"), (0, 1, 2, 3), margin=0.5, mesh=True)


class Recorder:
    """A network that draws the face that is there and remembers what it was given."""

    def __init__(self) -> None:
        self.mel: list[np.ndarray] = []

    def __call__(self, mel: np.ndarray, face: np.ndarray) -> np.ndarray:
        self.mel.extend(mel)
        return face[:, 3:].copy()


def session_of(
    faces: list[FaceRequest],
    tmp_path: Path,
    *,
    gating: Gating = ALWAYS,
    network: Any = None,
    samples: np.ndarray | None = None,
    **settings: Any,
) -> Wav2LipSession:
    if samples is None:
        samples = np.zeros(16_000, np.float32)
    context = context_for(
        Wav2LipEngine(),
        tmp_path,
        faces,
        cancel=CancelToken(),
        settings=Wav2LipSettings(**settings),
        speech=Speech(samples=samples),
    )
    return Wav2LipSession(context, network or Recorder(), gating, NoRestorer(), Path("w.onnx"))


# ------------------------------------------------------------------------------ which checkpoint


def store(*folders: Path) -> ModelStore:
    return ModelStore(folders, folders[0])


def test_public_names_are_found(seeded_onnx: Path, tmp_path: Path) -> None:
    os.link(seeded_onnx, tmp_path / "wav2lip_96.onnx")
    os.link(seeded_onnx, tmp_path / "wav2lip_gan_96.onnx")
    settings = Wav2LipSettings()
    assert checkpoint_of("wav2lip", settings, store(tmp_path)).path.name == "wav2lip_96.onnx"
    found = checkpoint_of("wav2lip_gan", settings, store(tmp_path))
    assert found.path.name == "wav2lip_gan_96.onnx"


def test_renamed_files_are_found_by_content(seeded_onnx: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sd-wav2lip-uhq" / "scripts" / "wav2lip" / "checkpoints"
    folder.mkdir(parents=True)
    os.link(seeded_onnx, folder / "my GAN copy.v2.onnx")
    settings = Wav2LipSettings()
    models = store(tmp_path / "empty", folder)
    assert checkpoint_of("wav2lip_gan", settings, models).path.name == "my GAN copy.v2.onnx"
    with pytest.raises(MissingModelError, match="no wav2lip checkpoint"):
        checkpoint_of("wav2lip", settings, models)


def test_a_wrong_file_under_a_public_name_hides_no_right_one(
    seeded_onnx: Path, tmp_path: Path
) -> None:
    (tmp_path / "wav2lip_gan.pth").write_bytes(b"<html>Sign in to SharePoint</html>")
    with pytest.raises(ModelMismatchError, match=r"wav2lip_gan\.pth"):
        checkpoint_of("wav2lip_gan", Wav2LipSettings(), store(tmp_path))
    os.link(seeded_onnx, tmp_path / "a copy of gan.onnx")
    found = checkpoint_of("wav2lip_gan", Wav2LipSettings(), store(tmp_path))
    assert found.path.name == "a copy of gan.onnx"


def test_a_missing_checkpoint_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(MissingModelError) as caught:
        checkpoint_of("wav2lip_gan", Wav2LipSettings(), store(tmp_path))
    sentence = caught.value.sentence()
    assert "wav2lip_gan.pth" in sentence
    assert str(tmp_path) in sentence
    assert "non-commercial" in sentence
    assert "rewrite" in sentence


def test_a_file_that_was_named_is_taken_or_refused(
    seeded_onnx: Path, vad_model: Path, tmp_path: Path
) -> None:
    # A dot in a folder's name once cut the path there.
    folder = tmp_path / "my.models"
    folder.mkdir()
    os.link(seeded_onnx, folder / "a.b.onnx")
    named = Wav2LipSettings(checkpoint=str(folder / "a.b.onnx"))
    assert checkpoint_of("wav2lip_gan", named, store(tmp_path)).path == folder / "a.b.onnx"
    with pytest.raises(UserInputError, match="no checkpoint"):
        checkpoint_of("wav2lip", Wav2LipSettings(checkpoint="nowhere.pth"), store(tmp_path))
    with pytest.raises(ModelMismatchError, match="not a 96-pixel"):
        checkpoint_of("wav2lip", Wav2LipSettings(checkpoint=str(vad_model)), store(tmp_path))


def test_open_needs_speech(faces: list[FaceRequest], tmp_path: Path) -> None:
    context = context_for(Wav2LipEngine(), tmp_path, faces, cancel=CancelToken())
    with pytest.raises(UserInputError, match="needs speech"):
        Wav2LipEngine().open(context)


def test_both_engines_run_the_same_network(
    faces: list[FaceRequest], seeded_onnx: Path, shared_media: Path, tmp_path: Path
) -> None:
    from tests.contracts.engine_cases import _speech

    extra = _speech(tmp_path, faces, shared_media)
    settings = Wav2LipSettings(checkpoint=str(seeded_onnx), keep_grain=False)
    results = []
    for engine in (Wav2LipEngine(), Wav2LipGanEngine()):
        assert engine.spec.needs_audio
        assert engine.spec.needs_mesh
        assert not engine.spec.commercial_use
        context = context_for(
            engine, tmp_path, faces, cancel=CancelToken(), settings=settings, **extra
        )
        session = engine.open(context)
        results.append(session.process(faces[:2]))
        report = session.report()
        assert report["checkpoint"] == "wav2lip_96.onnx"
        assert report["frames"] == {"speak": 2}
        assert len(report["checkpoint_sha256"]) == 64
        session.close()
        session.close()
        with pytest.raises(EngineError, match="closed"):
            session.process(faces[:1])
    for a, b in zip(*results, strict=True):
        assert isinstance(a, FacePatch)
        np.testing.assert_array_equal(a.image, b.image)


# --------------------------------------------------------------------------- what is left alone


def test_silence_is_left_alone_and_closing_is_told(
    faces: list[FaceRequest], tmp_path: Path
) -> None:
    gating = Gating(speak=(Stretch(0.0, 0.01),), close=(Stretch(0.08, 0.5),), fade_seconds=0.0)
    session = session_of(faces, tmp_path, gating=gating)
    speak, silent, closed, _ = session.process(faces)
    assert isinstance(speak, FacePatch)
    assert speak.kind is PatchKind.DRAWN
    assert silent is Reason.SILENCE
    assert isinstance(closed, FacePatch)
    assert closed.kind is PatchKind.CLOSED
    assert session.report()["frames"] == {"close": 2, "silence": 1, "speak": 1}


def test_faces_that_cannot_be_done_well_are_left_alone(
    faces: list[FaceRequest], tmp_path: Path
) -> None:
    base = faces[0]
    assert base.mesh is not None
    turned = base.mesh.copy()
    centre = turned.mean(axis=0)
    angle = np.radians(70)
    turn = np.array(
        [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
    )
    turned = ((turned - centre) @ turn.T + centre).astype(np.float32)
    assert abs(pose_of_mesh(turned).yaw) > 55
    # A sighting that the footage did not hold is judged by itself.
    base = replace(base, row=1000)
    small = replace(base, box=type(base.box)(10, 10, 40, 45))
    broken = base.mesh.copy()
    broken[3] = np.nan
    wrong = [
        (replace(base, mesh=None), Reason.OCCLUDED),
        (replace(base, mesh_score=0.2), Reason.OCCLUDED),
        (replace(base, mesh=broken), Reason.OCCLUDED),
        (replace(base, mesh=turned), Reason.PROFILE),
        (replace(base, confidence=0.1), Reason.LOW_CONFIDENCE),
        (small, Reason.TOO_SMALL),
    ]
    session = session_of(faces, tmp_path)
    assert session.process([r for r, _ in wrong]) == [reason for _, reason in wrong]


def test_a_frame_that_is_missing_shifts_no_other(faces: list[FaceRequest], tmp_path: Path) -> None:
    """The fork of old paired faces and sounds by counting: after one miss all were wrong."""
    samples = (0.1 * np.random.default_rng(0).standard_normal(16_000 * 2)).astype(np.float32)
    times = [Fraction(0), Fraction(1, 25), Fraction(7, 25), Fraction(1001, 1000)]
    requests = [
        replace(f, time=t, frame=i * 5) for i, (f, t) in enumerate(zip(faces, times, strict=True))
    ]
    network = Recorder()
    requests[1] = replace(requests[1], mesh=None)
    answers = session_of(faces, tmp_path, network=network, samples=samples).process(requests)
    assert [isinstance(a, FacePatch) for a in answers] == [True, False, True, True]
    wanted = [mel_window(samples, t) for t in (times[0], times[2], times[3])]
    np.testing.assert_array_equal(np.stack(network.mel)[:, 0], wanted)


def test_speech_that_ends_early_leaves_the_last_frames_a_window(
    faces: list[FaceRequest], tmp_path: Path
) -> None:
    """The last frame was dropped, and the last sounds were shown twice."""
    network = Recorder()
    late = [replace(f, time=Fraction(99, 100) + Fraction(i, 2)) for i, f in enumerate(faces)]
    answers = session_of(faces, tmp_path, network=network).process(late)
    assert all(isinstance(a, FacePatch) for a in answers)
    assert all(m.shape == (1, 80, 16) for m in network.mel)
    assert (network.mel[-1] == -4).all()


def test_a_cut_between_two_frames_changes_neither(faces: list[FaceRequest], tmp_path: Path) -> None:
    """Boxes were averaged over five frames, across cuts too."""
    session = session_of(faces, tmp_path)
    alone = session.process([faces[2]])[0]
    other = replace(faces[0], shot=1, box=type(faces[0].box)(*(v + 40 for v in faces[0].box)))
    among = session.process([faces[1], faces[2], other])[1]
    assert isinstance(alone, FacePatch)
    assert isinstance(among, FacePatch)
    assert alone.origin == among.origin
    np.testing.assert_array_equal(alone.image, among.image)
    np.testing.assert_array_equal(alone.alpha, among.alpha)


def test_debug_keeps_one_sheet_a_second(faces: list[FaceRequest], tmp_path: Path) -> None:
    import cv2

    session = session_of(faces, tmp_path, debug=True)
    session.process([replace(f, time=Fraction(i, 2)) for i, f in enumerate(faces)])
    sheets = sorted((tmp_path / "workspace" / "debug").iterdir())
    assert [p.name for p in sheets] == ["00000.jpg", "00001.jpg"]
    picture = cv2.imread(str(sheets[0]))
    assert picture.shape == (256, 6 * 256, 3)
    assert not session_of(faces, tmp_path).process([]), "no debug without being asked"


def test_weights_are_not_needed_to_describe_the_engines() -> None:
    """Menus are built from the specs alone."""
    import subprocess
    import sys

    code = (
        "import sys; from facepick.engines.registry import default_registry;"
        "ids = [e.spec.id for e in default_registry().of_flow('lipsync')];"
        "assert ids == ['rewrite', 'wav2lip', 'wav2lip_gan', 'edtalk_256'], ids;"
        "heavy = {'torch', 'onnxruntime', 'cv2', 'av', 'spandrel'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    lib = Path(__file__).resolve().parents[4] / "lib"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(lib)},
    )
    assert done.returncode == 0, done.stderr


def test_seeded_helper_writes_what_it_says(seeded: ModuleType, seeded_onnx: Path) -> None:
    from facepick.engines.lipsync.neural.checkpoints import identify

    assert identify(seeded_onnx).format == "onnx"
    assert len(seeded.seeded_arrays()) == 352
