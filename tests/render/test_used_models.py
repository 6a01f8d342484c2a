"""The sidecar names the very files that were used, whatever they are called."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.engines.restore.onnx_standin import write_restorer

from facepick.app import App
from facepick.models.store import sha256_of
from facepick.people.selection import Selection
from facepick.render.plan import Assignment, RenderPlan
from facepick.render.report import read_report
from facepick.speech.line import SpeechLine

pytestmark = pytest.mark.slow


def test_the_checkpoint_and_the_restorer_are_named_with_their_hashes(
    odd: Callable[[str], Path],
    shared_media: Path,
    shared_models: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    people_known: Callable[[Path], None],
) -> None:
    from tests.engines.lipsync.neural.seeded import write_seeded_onnx

    people_known(tmp_path / "home")
    folder = tmp_path / "models"
    folder.mkdir()
    checkpoint = write_seeded_onnx(folder / "renamed.onnx")
    restorer = write_restorer(folder / "GFPGANv1.4.onnx")
    monkeypatch.setenv("FACEPICK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FACEPICK_MODELS", os.pathsep.join(map(str, (shared_models, folder))))
    app = App()
    clip = odd("base_640x360.mp4")
    speech = SpeechLine(path=str(shared_media / "speech" / "en_ljspeech_f_22k.wav"))
    item = Assignment(
        selection=Selection(("P1",)),
        flow="lipsync",
        engine="wav2lip",
        settings={"restorer": "GFPGAN"},
        speech=(speech,),
    )
    app.render(RenderPlan(video=str(clip), assignments=(item,), stop=4), tmp_path / "out.mp4")
    models = {m["id"]: m for m in read_report(tmp_path / "out.mp4")["models"]}
    for model_id, path in (("wav2lip", checkpoint), ("gfpgan_onnx", restorer)):
        assert models[model_id]["file"] == path.name
        assert models[model_id]["sha256"] == sha256_of(path)
        assert models[model_id]["licence"]
