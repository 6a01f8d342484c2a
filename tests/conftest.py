"""Fixtures that every test may use."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from tests.footage import lay_out, write_photos

REPOSITORY = Path(__file__).resolve().parent.parent


def _collection(variable: str, name: str) -> Path | None:
    """A folder of the whole collection that lies outside the repository, or None."""
    named = os.environ.get(variable)
    folder = Path(named) if named else REPOSITORY.parent / "shared" / name
    if named and not folder.is_dir():
        pytest.fail(f"{variable} names {folder}, which is no folder")
    return folder if folder.is_dir() else None


@pytest.fixture(scope="session")
def shared_media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of test footage: ``video/``, ``odd/``, ``speech/``, ``gt/``, maybe ``faces/``.

    ``FACEPICK_SHARED_MEDIA`` names the whole collection; by default ``../shared/media`` beside the
    repository.  Without it, what comes with the repository: the same names, fewer and shorter
    clips.  Ask for what may be missing through `media` or `clip`.
    """
    whole = _collection("FACEPICK_SHARED_MEDIA", "media")
    return whole or lay_out(tmp_path_factory.mktemp("media"))


@pytest.fixture(scope="session")
def media(shared_media: Path) -> Callable[[str], Path]:
    """Path of a file or folder of the footage; skips where only the whole collection has it."""

    def path_of(name: str) -> Path:
        path = shared_media / name
        if not path.exists():
            pytest.skip(f"{name} may not go with the repository; set FACEPICK_SHARED_MEDIA")
        return path

    return path_of


@pytest.fixture(scope="session")
def shared_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the default models by the names of their files.

    ``FACEPICK_SHARED_MODELS`` or ``../shared/models``; else what facepick has on this machine.
    """
    whole = _collection("FACEPICK_SHARED_MODELS", "models")
    if whole is not None:
        return whole
    from facepick.models.catalog import default_specs
    from facepick.models.store import default_store

    folder = tmp_path_factory.mktemp("models")
    store = default_store()
    for spec in default_specs():
        found = store.find(spec)
        if found is None:
            pytest.skip(f"no {spec.file} on this machine: python -m facepick models fetch")
        shutil.copy(found, folder / spec.file)
    return folder


@pytest.fixture(scope="session")
def odd(shared_media: Path) -> Callable[[str], Path]:
    """Path of a file of ``odd/``: short, strange, all cut from the first 6 s of dev_gt2."""

    def path_of(name: str) -> Path:
        path = shared_media / "odd" / name
        assert path.is_file(), path
        return path

    return path_of


@pytest.fixture(scope="session")
def clip(media: Callable[[str], Path]) -> Callable[[str], Path]:
    """Path of a file of ``video/`` by its name without the suffix: ``clip("dev_gt2")``."""
    return lambda name: media(f"video/{name}.mp4")


@pytest.fixture(scope="session")
def photos(
    clip: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """Path of a photo: ``anna/1.jpg``, ``ben/2.jpg``, ``carl/3.jpg``, ``pair.jpg``, ``nobody.jpg``.

    Three of each person, from footage that may go with the repository; and folders of them.
    """
    folder = tmp_path_factory.mktemp("photos")
    write_photos(folder, clip("dev_gt2"), clip("latentsync_demo3"))
    return lambda name: folder / name


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
    # No test may touch the home of whoever runs it; most set one of their own.
    os.environ.setdefault("FACEPICK_HOME", tempfile.mkdtemp(prefix="facepick-tests-"))
    config.addinivalue_line("markers", "logs_errors: this test expects facepick to log an ERROR")


@pytest.fixture(scope="session")
def ljspeech(shared_media: Path) -> np.ndarray:
    """A woman reading one sentence, 7.7 s; the words are `LJSPEECH_WORDS`."""
    from facepick.media.audio import read_mono

    return read_mono(shared_media / "speech" / "en_ljspeech_f_22k.wav")


@pytest.fixture(scope="session")
def jfk(shared_media: Path) -> np.ndarray:
    """A recording of 1961 with a narrow band, 11 s."""
    from facepick.media.audio import read_mono

    return read_mono(shared_media / "speech" / "en_jfk_m_11s_44k.flac")


@pytest.fixture(scope="session")
def vad_model() -> Path:
    from facepick.models.catalog import SILERO_VAD
    from facepick.models.store import BUNDLED_DIR

    return BUNDLED_DIR / SILERO_VAD.file


@pytest.fixture(scope="session")
def seeded() -> ModuleType:
    """The module ``seeded.py``."""
    from tests.engines.lipsync.neural import seeded

    return seeded


@pytest.fixture(scope="session")
def seeded_onnx(seeded: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``wav2lip_96.onnx`` with seeded numbers: the stand-in that needs neither torch nor export."""
    return seeded.write_seeded_onnx(tmp_path_factory.mktemp("onnx") / "wav2lip_96.onnx")
