"""Files that work is made of are watched while it lasts."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from facepick.errors import SourceChanged, UserInputError
from facepick.unchanged import FileIdentity, Pins, check, pinned


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    path.write_text("one")
    return path


def replaced(file: Path) -> None:
    other = file.with_name("other")
    other.write_text("two")
    os.utime(other, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
    os.replace(other, file)


def written(file: Path) -> None:
    facts = file.stat()
    file.write_text("two")
    os.utime(file, ns=(facts.st_atime_ns, facts.st_mtime_ns + 1))


def removed(file: Path) -> None:
    file.unlink()


@pytest.mark.parametrize("change", [replaced, written, removed])
def test_a_change_is_seen_at_the_next_opening_and_at_the_end(
    file: Path, change: Callable[[Path], None]
) -> None:
    def work() -> None:
        with pinned([file]):
            check(file)
            change(file)
            with pytest.raises(SourceChanged):
                check(file)

    with pytest.raises(SourceChanged, match="clip"):
        work()
    if file.exists():
        check(file)


def test_other_errors_of_a_changed_file_are_explained_by_the_change(file: Path) -> None:
    def work(change: Callable[[Path], object]) -> None:
        with pinned([file]):
            change(file)
            raise UserInputError("This is no video.")

    with pytest.raises(SourceChanged):
        work(replaced)
    with pytest.raises(UserInputError, match="no video"):
        work(Path.read_text)


def test_a_change_that_no_time_betrays_is_seen_by_the_hash(file: Path) -> None:
    pins = Pins([file])
    pins.hash_all()
    facts = file.stat()
    with open(file, "r+") as stream:
        stream.write("two")
    os.utime(file, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    pins.check()
    with pytest.raises(SourceChanged):
        pins.verify()


def test_looking_at_a_file_or_linking_it_is_no_change(file: Path) -> None:
    with pinned([file, file.with_name("not there")]) as pins:
        file.read_text()
        os.link(file, file.with_name("link"))
        shutil.copy(file, file.with_name("copy"))
        file.chmod(0o400)
        check(file)
        pins.hash_all()
        pins.verify()


def test_an_identity_survives_json(file: Path) -> None:
    identity = FileIdentity.of(file)
    assert FileIdentity.from_json(identity.to_json()) == identity
    for wrong in (None, [], {}, {"device": "a"}):
        assert FileIdentity.from_json(wrong) is None
