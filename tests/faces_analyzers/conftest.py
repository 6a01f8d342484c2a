"""Fixtures for detectors and embedders, with their optional packages."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from facepick.models.store import ModelStore
from facepick.recognition.pipeline import load_picture


@pytest.fixture
def store(shared_models: Path, tmp_path: Path) -> ModelStore:
    """The shared model files, and those of FACEPICK_MODELS."""
    from facepick.models.store import search_folders

    return ModelStore([shared_models, *search_folders()], tmp_path / "fetched")


@pytest.fixture
def group(photos: Callable[[str], Path]) -> np.ndarray:
    """A photo of two people, large faces."""
    return _reduced(load_picture(photos("pair.jpg")))


@pytest.fixture
def nobody(photos: Callable[[str], Path]) -> np.ndarray:
    """A photo without people."""
    return _reduced(load_picture(photos("nobody.jpg")))


def _reduced(image: np.ndarray) -> np.ndarray:
    import cv2

    scale = 640 / max(image.shape[:2])
    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def need(package: str) -> None:
    """Skip without an optional package, unless the run is meant to have it."""
    if importlib.util.find_spec(package) is not None:
        return
    reason = f"the optional package {package} is not installed"
    if os.environ.get("CI") == "true" and os.environ.get("FACEPICK_REQUIRE_DEEPFACE") == "1":
        pytest.fail(reason)
    pytest.skip(reason)
