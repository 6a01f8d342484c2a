"""Voices of the cast: kept beside the faces, and known again in another video."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.films import scan_of_film, written_film

from facepick.people.person import Scan
from facepick.recognition.cast import Cast, CastKey
from facepick.recognition.cast_voices import CastVoices
from facepick.speech.known_voices import likeness_of, named_voices, owned_voices
from facepick.speech.speakers import Speakers, Turn, Voice
from facepick.speech.voices import HeardVoices

ANNA, BEN, OTHER = np.eye(3, 192, dtype=np.float32)


@pytest.fixture
def cast(tmp_path: Path) -> Path:
    path = tmp_path / "cast.sqlite"
    made = Cast(path, key=CastKey("sface", "0" * 12))
    for number, name in enumerate(("Anna", "Ben")):
        made.add(name, np.eye(2, 8, dtype=np.float32)[number : number + 1])
    return path


@pytest.fixture
def scan(tmp_path: Path) -> Scan:
    """Anna and somebody without a name."""
    film = written_film(tmp_path / "a.mp4", None, frames=3)
    found = scan_of_film(film, people=("P1", "P2"))
    anna = replace(found.people[0], name="Anna")
    return replace(found, people=(anna, found.people[1]))


def test_voices_are_kept_by_video_and_go_with_the_person(cast: Path) -> None:
    voices = CastVoices(cast, "model")
    assert voices.known() == {}
    said = {"anna": (ANNA, 10.0), "Nobody": (OTHER, 9.0)}
    assert voices.keep(said, source="first") == 1
    assert voices.keep({"Anna": (BEN, 10.0)}, source="second") == 1
    # The mean of both; one alone where the other video is asked about.
    assert voices.known()["Anna"] == pytest.approx((ANNA + BEN) / np.sqrt(2), abs=1e-6)
    assert voices.known(but="second")["Anna"] == pytest.approx(ANNA)
    # The same video again takes the place of what it gave.
    voices.keep({"Anna": (ANNA, 4.0)}, source="second")
    assert voices.known()["Anna"] == pytest.approx(ANNA)
    assert CastVoices(cast, "another model").known() == {}
    Cast(cast).rename("Anna", "Annika")
    assert set(voices.known()) == {"Annika"}
    Cast(cast).remove("Annika")
    assert voices.known() == {}
    # The cast itself is what it was.
    assert [member.name for member in Cast(cast).members()] == ["Ben"]


def test_without_a_cast_there_are_no_voices(tmp_path: Path) -> None:
    voices = CastVoices(tmp_path / "none.sqlite", "model")
    assert voices.keep({"Anna": (ANNA, 10.0)}, source="x") == 0
    assert voices.known() == {}
    assert not (tmp_path / "none.sqlite").exists()


def test_a_voice_is_held_beside_those_that_are_known(scan: Scan) -> None:
    near = 0.9 * ANNA + np.sqrt(1 - 0.81).astype(np.float32) * OTHER
    heard = HeardVoices(np.zeros(3, np.int64), np.stack([near, BEN]))
    found = likeness_of(scan, heard, {"Anna": ANNA, "Ben": BEN})
    assert found[0]["P1"] == 3.0
    assert found[0][""] == -3.0
    # Ben is in the cast and not in the video.
    assert found[1] == {"P1": -3.0, "": 3.0}
    assert named_voices(heard, {"Anna": ANNA, "Ben": BEN}) == {0: "Anna", 1: "Ben"}


def test_a_voice_is_remembered_where_one_named_person_says_nearly_all_of_it(scan: Scan) -> None:
    heard = HeardVoices(np.zeros(3, np.int64), np.stack([ANNA, BEN]))
    voices = (
        Voice(id="V1", person="P1", seconds=9.0, number=0),
        Voice(id="V2", person="P2", seconds=9.0, number=1),
    )

    def turn(start: float, end: float, person: str, voice: str) -> Turn:
        return Turn(
            id="L1", start=start, end=end, person=person, voice=voice, state="sure", score=1.0
        )

    whole = Speakers(voices=voices, turns=(turn(0, 9, "P1", "V1"), turn(9, 18, "P2", "V2")))
    owned = owned_voices(scan, heard, whole)
    assert list(owned) == ["Anna"]
    assert owned["Anna"][1] == pytest.approx(9.0)
    short = Speakers(voices=voices, turns=(turn(0, 3, "P1", "V1"),))
    assert owned_voices(scan, heard, short) == {}
    shared = Speakers(voices=voices, turns=(turn(0, 5, "P1", "V1"), turn(5, 9, "P2", "V1")))
    assert owned_voices(scan, heard, shared) == {}
