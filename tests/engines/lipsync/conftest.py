"""Checkpoints that several tests share; a seeded one takes a second to make."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def seeded() -> ModuleType:
    """The module ``seeded.py``."""
    from tests.engines.lipsync import seeded

    return seeded


@pytest.fixture(scope="session")
def golden(shared_models: Path) -> Path:
    """Folder of recorded reference outputs, beside the shared models."""
    folder = shared_models.parent / "golden"
    if not folder.is_dir():
        pytest.skip(f"no folder {folder}")
    return folder


@pytest.fixture(scope="session")
def seeded_onnx(seeded: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``wav2lip_96.onnx`` with seeded numbers: the stand-in that needs neither torch nor export."""
    return seeded.write_seeded_onnx(tmp_path_factory.mktemp("onnx") / "wav2lip_96.onnx")


@pytest.fixture(scope="session")
def vad_model() -> Path:
    from facepick.models.catalog import SILERO_VAD
    from facepick.models.store import BUNDLED_DIR

    return BUNDLED_DIR / SILERO_VAD.file


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty user folder."""
    monkeypatch.setenv("FACEPICK_HOME", str(tmp_path / "home"))
    return tmp_path / "home"
