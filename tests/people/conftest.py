from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from facepick.locks import locked
from facepick.models.store import ModelStore
from facepick.people.finder import ScanSettings, find_people
from facepick.people.person import Scan


@pytest.fixture(scope="session")
def store(shared_models: Path, tmp_path_factory: pytest.TempPathFactory) -> ModelStore:
    return ModelStore([shared_models], tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def cache(made_once: Callable[..., Path]) -> Path:
    """One cache for all workers: every file is scanned once."""
    return made_once("scans", lambda part: None)


@pytest.fixture(scope="session")
def scanned(odd: Callable[[str], Path], store: ModelStore, cache: Path) -> Callable[[str], Scan]:
    """The scan of a file of ``odd/``."""

    def scan_of(name: str) -> Scan:
        with locked(cache / f"{name}.lock"):
            return find_people(odd(name), ScanSettings(), models=store, cache=cache)

    return scan_of
