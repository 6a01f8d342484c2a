"""What a preview learns from, and what is taken up from an earlier pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.films import StillEngine, scan_of_film, written_film

from facepick.compositing.patch import FaceRequest
from facepick.engines.engine import Engine, EngineContext
from facepick.errors import Cancelled
from facepick.models.store import default_store
from facepick.people.person import Scan
from facepick.people.selection import Selection
from facepick.people.track import BRIDGED
from facepick.progress import CancelToken, no_progress
from facepick.render.footage import PersonFootage, Pupil, learn, near_and_well_seen
from facepick.render.learned_store import LearnedStore
from facepick.render.learning import PREVIEW_FRAMES, Classroom, Lesson
from facepick.render.plan import Assignment

FRAMES = 700
Frames = np.ndarray[Any, np.dtype[np.int64]]


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Scan:
    folder = tmp_path_factory.mktemp("film")
    return scan_of_film(written_film(folder / "film.mp4", None, frames=FRAMES))


def seen_by(scan: Scan, origin: np.ndarray[Any, Any], folder: Path) -> PersonFootage:
    """The person's footage, when the track was seen like that."""
    track = replace(scan.tracks[0], origin=origin)
    other = replace(scan, tracks=(track,))
    return PersonFootage(other, other.people[0], StillEngine.spec, folder)


def chosen(scan: Scan, tmp_path: Path, part: tuple[int, int], hard: slice, count: int) -> Frames:
    origin = np.zeros(FRAMES, np.uint8)
    origin[hard] = BRIDGED
    footage = seen_by(scan, origin, tmp_path)
    return near_and_well_seen([footage], part, (0, FRAMES), count)


def test_a_part_learns_from_itself_and_from_what_lies_beside_it(scan: Scan, tmp_path: Path) -> None:
    frames = chosen(scan, tmp_path, (300, 350), slice(0, 0), 150)
    assert np.isin(np.arange(300, 350), frames).all()
    assert 150 <= len(frames) < 150 + 30
    assert (np.diff(frames) > 0).all()
    assert frames.min() > 200
    assert frames.max() < 450


def test_well_seen_frames_further_off_are_better_than_guessed_ones_near_by(
    scan: Scan, tmp_path: Path
) -> None:
    # Guessed for two seconds before the part, seen before and after.
    frames = chosen(scan, tmp_path, (300, 350), slice(250, 300), 200)
    assert not np.isin(np.arange(250, 300), frames).any()
    assert np.isin(np.arange(350, 400), frames).all()


def test_a_part_takes_all_there_is_when_that_is_not_enough(scan: Scan, tmp_path: Path) -> None:
    frames = chosen(scan, tmp_path, (300, 350), slice(0, 0), 10 * FRAMES)
    assert frames.tolist() == list(range(FRAMES))


class Diary:
    """Observer that writes down which frames it saw."""

    files = ("diary.txt",)

    def __init__(self, folder: Path, key: str) -> None:
        self.key = key
        self._folder = folder
        self.frames: list[int] = []

    def see(self, request: FaceRequest) -> None:
        self.frames.append(request.source_frame)

    def done(self) -> None:
        (self._folder / "diary.txt").write_text(" ".join(map(str, self.frames)))

    def drop(self) -> None:
        """Nothing is open."""


class Diarist(StillEngine):
    """Engine whose observer is a `Diary`; remembers every one that it made."""

    def __init__(self, key: str = "diary 1") -> None:
        super().__init__()
        self.key = key
        self.made: list[Diary] = []

    def observers(self, context: EngineContext) -> list[Diary]:
        self.made.append(Diary(context.workspace, self.key))
        return [self.made[-1]]

    @property
    def learnt_from(self) -> list[int]:
        return [frame for diary in self.made for frame in diary.frames]


@pytest.fixture
def attend(scan: Scan, tmp_path: Path) -> Callable[..., list[int]]:
    """Takes a lesson in a folder of its own; gives the frames that the diary there names."""
    count = [0]

    def lesson(engine: Engine, *, quick: bool = False, part: tuple[int, int]) -> list[int]:
        count[0] += 1
        folder = tmp_path / f"work{count[0]}"
        folder.mkdir()
        person = scan.people[0]
        footage = PersonFootage(scan, person, engine.spec, folder)
        context = EngineContext(
            settings=engine.spec.settings(), scan=scan, person=person, frames=scan.frames,
            workspace=folder, models=default_store(), device="cpu",
            footage=lambda: iter(()), cancel=CancelToken(),
        )  # fmt: skip
        assignment = Assignment(selection=Selection((person.id,)), flow="lipsync", engine="still")
        notices = Classroom(
            scan, [Lesson(assignment, engine, footage, context)], part=part, window=(0, FRAMES),
            quick=quick, store=LearnedStore(tmp_path / "learned"), models=default_store(),
            progress=no_progress, cancel=CancelToken(),
        ).learn()  # fmt: skip
        assert not notices
        return [int(word) for word in (folder / "diary.txt").read_text().split()]

    return lesson


def test_what_was_learnt_is_taken_up_and_not_learnt_again(
    attend: Callable[..., list[int]],
) -> None:
    first = Diarist()
    whole = attend(first, part=(0, FRAMES))
    assert whole == list(range(FRAMES)) == first.learnt_from
    second = Diarist()
    assert attend(second, part=(0, FRAMES)) == whole
    assert second.learnt_from == []


def test_a_preview_takes_up_the_whole_but_a_render_not_the_part(
    attend: Callable[..., list[int]],
) -> None:
    preview = Diarist()
    some = attend(preview, part=(300, 350), quick=True)
    assert PREVIEW_FRAMES <= len(some) < FRAMES
    render = Diarist()
    assert attend(render, part=(0, FRAMES)) == list(range(FRAMES)) == render.learnt_from
    again = Diarist()
    assert attend(again, part=(100, 150), quick=True) == list(range(FRAMES))
    assert again.learnt_from == []


def test_another_version_of_an_observer_learns_anew(attend: Callable[..., list[int]]) -> None:
    attend(Diarist(), part=(0, FRAMES))
    newer = Diarist("diary 2")
    attend(newer, part=(0, FRAMES))
    assert len(newer.learnt_from) == FRAMES


def test_what_was_begun_is_dropped_when_learning_stops(scan: Scan, tmp_path: Path) -> None:
    token = CancelToken()

    class Begun:
        key, files = "begun 1", ("whole.bin",)

        def __init__(self) -> None:
            self.stream: Any = None

        def see(self, request: FaceRequest) -> None:
            self.stream = self.stream or (tmp_path / "part.bin").open("wb")
            token.cancel()

        def done(self) -> None:
            raise AssertionError("not all was seen")

        def drop(self) -> None:
            self.stream.close()
            (tmp_path / "part.bin").unlink()

    observer = Begun()
    person = scan.people[0]
    footage = PersonFootage(scan, person, StillEngine().spec, tmp_path)
    with pytest.raises(Cancelled):
        learn(
            scan, [Pupil(footage, None, [observer])], np.arange(200, 300),
            progress=no_progress, cancel=token,
        )  # fmt: skip
    assert observer.stream.closed
    assert not (tmp_path / "part.bin").exists()
