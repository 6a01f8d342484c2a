"""Names of a list become people of a video, and nobody speaks another one's lines in silence."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from tests.sounds import silent_wav

from facepick.errors import SelectionError, UserInputError
from facepick.media.video import VideoInfo
from facepick.people.person import Person, Scan
from facepick.people.selection import Selection
from facepick.people.track import FaceTrack
from facepick.render.notices import Clock, off_screen_notices
from facepick.render.plan import Assignment
from facepick.shots.shot import Shot
from facepick.speech.line_owners import GivenLines, give_lines
from facepick.speech.script import Script, read_script


def person(key: str, name: str | None = None, unsure: bool = False) -> Person:
    return Person(
        id=key, name=name, track_ids=("T" + key[1:],), exemplars=np.eye(1, 8, dtype=np.float32),
        frames=50, screen_time=Fraction(2), unsure=unsure,
    )  # fmt: skip


def scan_of(*people: Person) -> Scan:
    """Twelve seconds at 25 a second: P1 is seen in the first 4 s, P2 in the next 4 s, and so on."""
    tracks = []
    for number in range(1, len(people) + 1):
        frames = np.arange(100 * (number - 1), 100 * number, dtype=np.int32)
        n = len(frames)
        tracks.append(
            FaceTrack(
                id=f"T{number}", shot=0, frames=frames,
                boxes=np.tile(np.array([0, 0, 9, 9], np.float32), (n, 1)),
                landmarks5=np.zeros((n, 5, 2), np.float32), score=np.ones(n, np.float32),
                origin=np.zeros(n, np.uint8),
            )
        )  # fmt: skip
    info = VideoInfo(
        path=Path("a.mp4"), width=640, height=360, pixel_format="yuv420p", codec="h264",
        time_base=Fraction(1, 25),
    )  # fmt: skip
    return Scan(
        video=info, content_hash="0" * 64, pts=np.arange(300, dtype=np.int64), duration_pts=1,
        shots=(Shot(0, 0, 300),), tracks=tuple(tracks), people=people,
    )  # fmt: skip


TWO = scan_of(person("P1", "Anna"), person("P2", "李明"))


def script(folder: Path, *cues: str) -> Script:
    silent_wav(folder / "all.wav", 30.0)
    rows = [
        f"{n}\n00:00:{3 * n - 2:02},000 --> 00:00:{3 * n:02},000\n{cue}\n"
        for n, cue in enumerate(cues, 1)
    ]
    (folder / "a.srt").write_text("\n".join(rows), encoding="utf-8")
    return read_script(folder / "a.srt", audio=folder / "all.wav")


def spoken(found: GivenLines) -> dict[str, list[str | None]]:
    return {who: [line.text for line in lines] for who, lines in found.speakers}


def test_names_and_ids(tmp_path: Path) -> None:
    found = give_lines(script(tmp_path, "ANNA: a", "李明：b", "p1: c", "[P2] d"), TWO)
    assert spoken(found) == {"P1": ["a", "c"], "P2": ["b", "d"]}
    assert found.notices == ()


def test_a_name_that_nobody_has(tmp_path: Path) -> None:
    lines = script(tmp_path, "Anna: a", "Ana: b", "旁白：c")
    with pytest.raises(SelectionError) as caught:
        give_lines(lines, TWO)
    assert "nobody in a.mp4 is called Ana, 旁白 (2 of the lines)" in caught.value.message
    assert "Is it Anna?" in caught.value.hint
    assert "--rename P1=Ana" in caught.value.hint
    with pytest.raises(SelectionError) as caught:
        give_lines(lines, scan_of(person("P1", "Anna"), person("P2")))
    assert "--rename P2=Ana" in caught.value.hint
    # Never silently to the one who is picked.
    found = give_lines(lines, TWO, ["P1"])
    assert spoken(found) == {"P1": ["a"]}
    (notice,) = found.notices
    assert notice.code == "lines_of_others"
    assert (notice.facts["lines"], notice.facts["names"]) == (2, "Ana, 旁白")
    with pytest.raises(UserInputError, match="Nobody of 李明 speaks"):
        give_lines(script(tmp_path, "Anna: a"), TWO, ["P2"])


def test_lines_without_a_name(tmp_path: Path) -> None:
    lines = script(tmp_path, "a", "b")
    found = give_lines(lines, TWO, ["李明"])
    assert spoken(found) == {"P2": ["a", "b"]}
    (notice,) = found.notices
    assert (notice.code, notice.person, notice.facts["lines"]) == ("lines_unnamed", "P2", 2)
    for picked in ((), ("P1", "P2")):
        with pytest.raises(UserInputError, match="does not say who speaks"):
            give_lines(lines, TWO, picked)
    # Where there is only one there is nothing to tell.
    alone = give_lines(lines, scan_of(person("P1")))
    assert spoken(alone) == {"P1": ["a", "b"]}
    assert alone.notices == ()


def test_a_name_of_several(tmp_path: Path) -> None:
    twins = scan_of(person("P1", "Anna"), person("P2", "anna"))
    with pytest.raises(SelectionError, match="names several people: P1, P2"):
        give_lines(script(tmp_path, "Anna: a"), twins)


def test_lines_after_the_end(tmp_path: Path) -> None:
    lines = script(tmp_path, "P1: a", "P1: b", "P1: c")
    found = give_lines(lines, TWO, end=5.0)
    assert spoken(found) == {"P1": ["a", "b"]}
    (notice,) = found.notices
    assert (notice.code, notice.start, notice.facts["lines"]) == ("line_after_end", 7.0, 1)
    with pytest.raises(UserInputError, match="begins after the end"):
        give_lines(lines, TWO, end=0.5)


def test_lines_of_somebody_who_is_not_there(tmp_path: Path) -> None:
    found = give_lines(script(tmp_path, "P1: a", "P1: b", "P2: c", "P2: d"), TWO)
    items = [
        Assignment(selection=Selection((who,)), flow="lipsync", engine="rewrite", speech=lines)
        for who, lines in found.speakers
    ]
    told = off_screen_notices(items, TWO)
    # P1 is seen to 4 s, so that the line from 4 to 6 s has no mouth; P2 from 4 to 8 s.
    assert [(n.code, n.person, n.start, n.facts["who"]) for n in told] == [
        ("line_off_screen", "P1", 4.0, "Anna"),
        ("line_off_screen", "P2", 10.0, "李明"),
    ]
    first = Clock(times=np.arange(90) / 25, sources=np.arange(90), end=3.6)
    assert off_screen_notices(items, TWO, clock=first) == ()
    # Shown three times slower, P1 is there for 12 s, and P2 from then on.
    slow = Clock(times=np.arange(300) * 0.12, sources=np.arange(300), end=36.0)
    assert [n.start for n in off_screen_notices(items, TWO, clock=slow)] == [7.0, 10.0]
    # What no mouth shall say is nobody's absence.
    mute = [replace(i, speech=tuple(replace(x, drawn=False) for x in i.speech)) for i in items]
    assert off_screen_notices(mute, TWO) == ()
    # A line that is mostly there is none of these.
    early = [replace(items[0], speech=(replace(items[0].speech[1], start_seconds=3.9),))]
    assert off_screen_notices(early, TWO) == ()
