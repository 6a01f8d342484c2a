"""What was learnt is taken up when it is of the same content, and never when it is damaged."""

from __future__ import annotations

from pathlib import Path

from facepick.render.learned_store import LearnedStore

KEY = ["content", "tracks", "observer 1"]


def _kept(tmp_path: Path) -> tuple[LearnedStore, Path]:
    store, work = LearnedStore(tmp_path / "learned"), tmp_path / "work"
    work.mkdir()
    (work / "a.npz").write_bytes(b"what was learnt")
    store.keep(KEY, work, ("a.npz",), what="observer 1")
    return store, work


def test_the_same_content_is_taken_up(tmp_path: Path) -> None:
    store, _ = _kept(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    assert store.holds(KEY)
    assert store.take(KEY, other)
    assert (other / "a.npz").read_bytes() == b"what was learnt"


def test_other_content_is_not(tmp_path: Path) -> None:
    store, work = _kept(tmp_path)
    assert not store.holds([*KEY[:2], "observer 2"])
    assert not store.take([*KEY[:2], "observer 2"], work)


def test_a_damaged_entry_is_forgotten(tmp_path: Path) -> None:
    store, work = _kept(tmp_path)
    (entry,) = (tmp_path / "learned").iterdir()
    (entry / "a.npz").write_bytes(b"what was learnT")
    assert not store.take(KEY, work)
    assert not store.holds(KEY)


def test_what_is_written_to_later_is_a_copy(tmp_path: Path) -> None:
    store, work = _kept(tmp_path)
    assert store.take(KEY, work, own=True)
    (work / "a.npz").write_bytes(b"changed")
    assert store.take(KEY, work)
    assert (work / "a.npz").read_bytes() == b"what was learnt"


def test_without_a_folder_nothing_is_kept(tmp_path: Path) -> None:
    store = LearnedStore(None)
    store.keep(KEY, tmp_path, ())
    assert not store.holds(KEY)
    assert not store.take(KEY, tmp_path)
