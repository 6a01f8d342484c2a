"""Finding files: which folders, which names, and what happens to a wrong file."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from facepick.errors import MissingModelError, ModelMismatchError
from facepick.models.catalog import EDTALK_256, SFACE, WAV2LIP, WAV2LIP_ONNX, YUNET
from facepick.models.spec import ModelSpec
from facepick.models.store import ModelStore, default_store, search_folders, sha256_of
from facepick.paths import home_dir

RIGHT = b"the right content"


@pytest.fixture
def spec() -> ModelSpec:
    return ModelSpec(
        id="small",
        file="small.onnx",
        sha256=hashlib.sha256(RIGHT).hexdigest(),
        size=len(RIGHT),
        licence="MIT",
        purpose="For tests.",
        aliases=("other name.onnx",),
    )


@pytest.fixture
def large(tmp_path: Path) -> ModelSpec:
    """A spec and its file of 5 MiB in `tmp_path`: large enough for its hash to be remembered."""
    content = bytes(5 * 1024 * 1024)
    _put(tmp_path / "large.onnx", content)
    return ModelSpec(
        id="large",
        file="large.onnx",
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        licence="MIT",
        purpose="For tests.",
    )


def _put(path: Path, content: bytes = RIGHT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_folders_are_searched_in_order_and_the_fetch_folder_last(
    tmp_path: Path, spec: ModelSpec
) -> None:
    one, two, own = tmp_path / "one", tmp_path / "two", tmp_path / "own"
    store = ModelStore([one, two], own)
    assert store.find(spec) is None
    in_own = _put(own / "small.onnx")
    assert store.find(spec) == in_own
    in_two = _put(two / "small.onnx")
    assert store.find(spec) == in_two
    in_one = _put(one / "small.onnx")
    assert store.find(spec) == in_one


def test_aliases_and_direct_subfolders_count_deeper_ones_do_not(
    tmp_path: Path, spec: ModelSpec
) -> None:
    store = ModelStore([tmp_path / "host"], tmp_path / "own")
    _put(tmp_path / "host" / "a" / "b" / "small.onnx")
    _put(tmp_path / "host" / ".hidden" / "small.onnx")
    assert store.find(spec) is None
    alias = _put(tmp_path / "host" / "a" / "other name.onnx")
    assert store.find(spec) == alias


def test_a_wrong_file_is_passed_over_for_a_right_one(tmp_path: Path, spec: ModelSpec) -> None:
    _put(tmp_path / "one" / "small.onnx", b"the wrong content")  # the same length
    store = ModelStore([tmp_path / "one", tmp_path / "two"], tmp_path / "own")
    assert store.find(spec) is None
    with pytest.raises(ModelMismatchError, match=r"one.small\.onnx is not the small\.onnx"):
        store.require(spec)
    right = _put(tmp_path / "two" / "small.onnx")
    assert store.require(spec) == right


@pytest.mark.parametrize("spec", [WAV2LIP, EDTALK_256], ids=lambda spec: spec.id)
def test_a_file_that_circulates_in_versions_is_found_by_name_unless_it_is_empty(
    tmp_path: Path, spec: ModelSpec
) -> None:
    store = ModelStore([tmp_path], tmp_path / "own")
    _put(tmp_path / spec.file, b"")
    assert store.find(spec) is None
    path = _put(tmp_path / spec.file, b"anything")
    assert store.find(spec) == path
    assert store.verify(spec) == path
    assert store.fetch(spec) == path


def test_a_missing_file_says_how_to_get_it(tmp_path: Path) -> None:
    store = ModelStore([], tmp_path)
    with pytest.raises(MissingModelError) as failure:
        store.require(SFACE)
    assert "facepick models fetch sface" in failure.value.sentence()
    assert "38.7 MB" in failure.value.message
    with pytest.raises(MissingModelError) as failure:
        store.require(WAV2LIP_ONNX)
    sentence = failure.value.sentence()
    assert str(tmp_path) in sentence
    assert WAV2LIP_ONNX.homepage in sentence
    assert "non-commercial" in sentence


def test_fetching_what_users_must_bring_is_refused_with_the_same_words(tmp_path: Path) -> None:
    with pytest.raises(MissingModelError, match=r"wav2lip_96\.onnx"):
        ModelStore([], tmp_path).fetch(WAV2LIP_ONNX)


def test_bundled_files_are_found_without_any_folder(tmp_path: Path) -> None:
    store = ModelStore([], tmp_path / "nowhere")
    assert store.require(YUNET).name == YUNET.file
    assert store.fetch(YUNET) == store.require(YUNET)
    assert not (tmp_path / "nowhere").exists()


def test_verify_reads_again_what_find_remembers(
    tmp_path: Path, large: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large file is hashed once; `verify` notices damage that kept size and time."""
    from facepick.models import store as module

    path = tmp_path / large.file
    assert ModelStore([], tmp_path).find(large) == path

    counted: list[Path] = []

    def counting(path: Path, **options: object) -> str:
        counted.append(path)
        return sha256_of(path)

    monkeypatch.setattr(module, "sha256_of", counting)
    assert ModelStore([], tmp_path).find(large) == path
    assert counted == []

    before = path.stat()
    with open(path, "r+b") as stream:
        stream.write(b"damage")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    store = ModelStore([], tmp_path)
    assert store.find(large) == path  # remembered
    with pytest.raises(ModelMismatchError, match="damaged"):
        store.verify(large)
    assert store.find(large) is None  # and forgotten

    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert ModelStore([], tmp_path).find(large) is None


def test_a_damaged_note_is_ignored(tmp_path: Path, large: ModelSpec) -> None:
    path = tmp_path / large.file
    for damage in ("", "[]", '{"x": 1}', "{", '{"x": [1, 2]}'):
        (tmp_path / ".hashes.json").write_text(damage)
        assert ModelStore([], tmp_path).find(large) == path


def test_default_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEPICK_HOME", str(tmp_path / "home"))
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path / "user"))
    named = os.pathsep.join([str(tmp_path / "a"), "", f" {tmp_path / 'b'} "])
    monkeypatch.setenv("FACEPICK_MODELS", named)
    extra = tmp_path / "host"
    own = tmp_path / "home" / "models"
    assert search_folders([extra]) == (tmp_path / "a", tmp_path / "b", own, extra)
    shared = tmp_path / "user" / ".insightface" / "models"
    shared.mkdir(parents=True)
    assert search_folders([extra])[3:] == (extra, shared)
    shared.rmdir()
    store = default_store([extra])
    assert store.fetch_dir == own
    assert store.folders == (tmp_path / "a", tmp_path / "b", own, extra)


def test_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEPICK_HOME", "~/somewhere")
    assert home_dir() == Path.home() / "somewhere"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FACEPICK_HOME", "relative")
    assert home_dir() == tmp_path / "relative"
    monkeypatch.delenv("FACEPICK_HOME")
    assert home_dir().is_absolute()
    assert home_dir().name == "facepick"
    assert not (tmp_path / "relative").exists()


def test_every_file_of_the_shared_models_is_found_and_right(
    shared_models: Path, tmp_path: Path
) -> None:
    store = ModelStore([shared_models], tmp_path)
    assert store.verify(SFACE) == shared_models / SFACE.file
