"""Checkpoints that several tests share; a seeded one takes a second to make."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def golden(shared_models: Path) -> Path:
    """Folder of recorded reference outputs, beside the shared models."""
    folder = shared_models.parent / "golden"
    if not folder.is_dir():
        pytest.skip(f"no folder {folder}")
    return folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty user folder."""
    monkeypatch.setenv("FACEPICK_HOME", str(tmp_path / "home"))
    return tmp_path / "home"
