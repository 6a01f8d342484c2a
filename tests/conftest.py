"""Fixtures that every test may use."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


def _shared_folder(variable: str, name: str) -> Path:
    """A folder of footage or models that lies outside the repository.

    Missing is a reason to skip at home and a failure where ``CI`` is set, so that no run of
    the pipeline can pass by leaving the tests on real footage out.
    """
    named = os.environ.get(variable)
    folder = Path(named) if named else REPOSITORY.parent / "shared" / name
    if folder.is_dir():
        return folder
    reason = f"no folder {folder}; set {variable}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def shared_media() -> Path:
    """Folder of test footage: ``video/``, ``odd/``, ``speech/``, ``faces/``, ``gt/``.

    ``FACEPICK_SHARED_MEDIA`` names it; by default ``../shared/media`` beside the repository.
    """
    return _shared_folder("FACEPICK_SHARED_MEDIA", "media")


@pytest.fixture(scope="session")
def shared_models() -> Path:
    """Folder of model files; ``FACEPICK_SHARED_MODELS`` or ``../shared/models``."""
    return _shared_folder("FACEPICK_SHARED_MODELS", "models")


@pytest.fixture(scope="session")
def odd(shared_media: Path) -> Callable[[str], Path]:
    """Path of a file of ``odd/``: short, strange, all cut from the first 6 s of dev_gt2."""

    def path_of(name: str) -> Path:
        path = shared_media / "odd" / name
        assert path.is_file(), path
        return path

    return path_of


@pytest.fixture(scope="session")
def clip(shared_media: Path) -> Callable[[str], Path]:
    """Path of a file of ``video/`` by its name without the suffix: ``clip("dev_gt2")``."""

    def path_of(name: str) -> Path:
        path = shared_media / "video" / f"{name}.mp4"
        assert path.is_file(), path
        return path

    return path_of


@pytest.fixture(scope="session")
def _found_people(
    odd: Callable[[str], Path], shared_models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    from facepick.models.store import ModelStore
    from facepick.people.finder import find_people

    folder = tmp_path_factory.mktemp("found")
    models = ModelStore([shared_models], folder / "models")
    find_people(odd("base_640x360.mp4"), models=models, cache=folder / "cache")
    return folder / "cache"


@pytest.fixture(scope="session")
def people_known(_found_people: Path) -> Callable[[Path], None]:
    """Puts what a scan of ``odd("base_640x360.mp4")`` found into a home: a second a test.

    For tests of what comes after the scan; the scan itself is tested without.
    """

    def put(home: Path) -> None:
        shutil.copytree(_found_people, home / "cache")

    return put


@pytest.fixture(autouse=True)
def no_logged_errors(
    caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest
) -> Iterator[None]:
    """Fails a test in which facepick logged an ERROR; mark it ``logs_errors`` if that is meant."""
    yield
    if request.node.get_closest_marker("logs_errors"):
        return
    logged = [
        record
        for when in ("setup", "call")
        for record in caplog.get_records(when)
        if record.levelno >= logging.ERROR and record.name.split(".")[0].startswith("facepick")
    ]
    assert not logged, [record.getMessage() for record in logged]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "logs_errors: this test expects facepick to log an ERROR")
