from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from facepick.models.store import ModelStore
from facepick.people.finder import ScanSettings, find_people
from facepick.people.person import Scan


@pytest.fixture(scope="session")
def store(shared_models: Path, tmp_path_factory: pytest.TempPathFactory) -> ModelStore:
    return ModelStore([shared_models], tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for the session: every file is scanned once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def scanned(odd: Callable[[str], Path], store: ModelStore, cache: Path) -> Callable[[str], Scan]:
    """The scan of a file of ``odd/``."""

    def scan_of(name: str) -> Scan:
        return find_people(odd(name), ScanSettings(), models=store, cache=cache)

    return scan_of
