"""What a plan lacks is said before the video is looked through."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facepick.app import App
from facepick.errors import (
    FacepickError,
    MissingModelError,
    ModelMismatchError,
    NoAudioError,
    NoFacesFound,
    UserInputError,
    VideoOpenError,
)
from facepick.host.standalone import StandaloneHost
from facepick.people.selection import Selection
from facepick.render.plan import Assignment
from facepick.speech.line import SpeechLine


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> App:
    """Without any model file but those that come with facepick."""
    monkeypatch.setenv("FACEPICK_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("FACEPICK_MODELS", raising=False)
    return App(StandaloneHost())


@pytest.fixture
def video(shared_media: Path) -> Path:
    return shared_media / "odd" / "base_640x360.mp4"


@pytest.fixture
def seeded_onnx(tmp_path: Path) -> Path:
    from tests.engines.lipsync.neural.seeded import write_seeded_onnx

    return write_seeded_onnx(tmp_path / "wav2lip_96.onnx")


def lip_sync(speech: Path, engine: str, **settings: Any) -> Assignment:
    return Assignment(
        selection=Selection(("P1",)),
        flow="lipsync",
        engine=engine,
        settings=settings,
        speech=(SpeechLine(path=str(speech)),),
    )


def swap(photo: Path) -> Assignment:
    return Assignment(
        selection=Selection(("P1",)),
        flow="swap",
        engine="mesh",
        source=(str(photo),),
        consent="I have the right.",
    )


def refused(app: App, video: Path, item: Assignment, error: type[FacepickError]) -> str:
    """The sentence; nothing was begun."""
    plan = app.make_plan(video, [item])
    for new_job in (app.new_render_job, app.new_preview_job):
        with pytest.raises(error) as caught:
            new_job(plan, video.parents[0] / "result-that-is-never-made.mp4")
    assert app.jobs() == []
    assert not app.cache.exists()
    return caught.value.sentence()


@pytest.fixture
def writable(video: Path, tmp_path: Path) -> Path:
    """The clip in a folder into which a result could be written."""
    (tmp_path / "clip.mp4").write_bytes(video.read_bytes())
    return tmp_path / "clip.mp4"


@pytest.mark.parametrize(
    ("engine", "settings", "words"),
    [
        ("wav2lip", {}, ("wav2lip.pth", "non-commercial", "models fetch wav2lip")),
        ("wav2lip_gan", {}, ("wav2lip_gan.pth", "non-commercial", "models fetch wav2lip_gan")),
        ("edtalk_256", {}, ("edtalk_256.onnx", "Apache-2.0")),
    ],
)
def test_a_missing_network(
    app: App, writable: Path, video: Path, engine: str, settings: Any, words: tuple[str, ...]
) -> None:
    sentence = refused(app, writable, lip_sync(video, engine, **settings), MissingModelError)
    for word in words:
        assert word in sentence


@pytest.mark.parametrize("engine", ["wav2lip", "edtalk_256"])
def test_a_checkpoint_that_is_none(
    app: App, writable: Path, video: Path, tmp_path: Path, engine: str
) -> None:
    (tmp_path / "notes.onnx").write_bytes(b"no network" * 99)
    item = lip_sync(video, engine, checkpoint=str(tmp_path / "notes.onnx"))
    assert "notes.onnx" in refused(app, writable, item, ModelMismatchError)
    item = lip_sync(video, engine, checkpoint=str(tmp_path / "nowhere.pth"))
    assert "nowhere.pth" in refused(app, writable, item, UserInputError)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("restorer", "words"),
    [
        ("GFPGAN", "models fetch gfpgan"),
        ("CodeFormer", "models fetch codeformer"),
        ("RestoreFormer", "RestoreFormer.pth"),
        ("GPEN", "gpen_bfr_512.onnx"),
    ],
)
def test_a_missing_restorer(
    app: App, writable: Path, video: Path, seeded_onnx: Path, restorer: str, words: str
) -> None:
    item = lip_sync(video, "wav2lip", checkpoint=str(seeded_onnx), restorer=restorer)
    assert words in refused(app, writable, item, MissingModelError)


def test_a_missing_network_for_what_is_in_front(
    app: App, writable: Path, video: Path, seeded_onnx: Path
) -> None:
    item = lip_sync(video, "wav2lip", checkpoint=str(seeded_onnx), occlusion="xseg")
    assert "xseg_1.onnx" in refused(app, writable, item, MissingModelError)


@pytest.mark.parametrize(("name", "error"), [("no_audio.mp4", NoAudioError), ("", VideoOpenError)])
def test_speech_that_cannot_be_heard(
    app: App,
    writable: Path,
    shared_media: Path,
    tmp_path: Path,
    name: str,
    error: type[FacepickError],
) -> None:
    speech = shared_media / "odd" / name
    if not name:
        speech = tmp_path / "speech.wav"
        speech.write_bytes(np.random.default_rng(3).bytes(4000))
    assert speech.name in refused(app, writable, lip_sync(speech, "rewrite"), error)


def test_a_photo_without_a_face(app: App, writable: Path, tmp_path: Path) -> None:
    import cv2

    photo = tmp_path / "wall.png"
    cv2.imwrite(str(photo), np.full((300, 300, 3), 120, np.uint8))
    with pytest.raises(NoFacesFound, match=r"wall\.png"):
        app.render(app.make_plan(writable, [swap(photo)]), tmp_path / "out.mp4")
    assert not app.cache.exists()


def test_nothing_is_lacking(app: App, writable: Path, video: Path, seeded_onnx: Path) -> None:
    item = lip_sync(video, "wav2lip_gan", checkpoint=str(seeded_onnx), restorer="sharpen")
    app.new_render_job(app.make_plan(writable, [item]), writable.parent / "out.mp4")
    assert len(app.jobs()) == 1
