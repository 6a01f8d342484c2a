"""The joint decision, on made-up observations whose truth is known."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from facepick.media.video import VideoInfo
from facepick.people.person import Person, Scan
from facepick.people.track import FaceTrack
from facepick.shots.shot import Shot
from facepick.speech.diarization import refined
from facepick.speech.face_watch import Watched, WatchedFace
from facepick.speech.line_speakers import is_voice_name
from facepick.speech.script import PersonSpan
from facepick.speech.speakers import who_speaks
from facepick.speech.vad import Stretch
from facepick.speech.voices import clustered

RATE = 25
SECONDS = 24


def scene(*shown: tuple[int, int]) -> Scan:
    """P1, P2, ... are each seen in these seconds."""
    tracks, people = [], []
    for number, (first, last) in enumerate(shown, 1):
        frames = np.arange(first * RATE, last * RATE, dtype=np.int32)
        n = len(frames)
        tracks.append(
            FaceTrack(
                id=f"T{number}", shot=0, frames=frames,
                boxes=np.tile(np.array([0, 0, 90, 90], np.float32), (n, 1)),
                landmarks5=np.zeros((n, 5, 2), np.float32), score=np.ones(n, np.float32),
                origin=np.zeros(n, np.uint8),
            )
        )  # fmt: skip
        people.append(
            Person(
                id=f"P{number}", track_ids=(f"T{number}",),
                exemplars=np.eye(1, 8, dtype=np.float32), frames=n, screen_time=Fraction(n, RATE),
            )
        )  # fmt: skip
    info = VideoInfo(
        path=Path("a.mp4"), width=640, height=360, pixel_format="yuv420p", codec="h264",
        time_base=Fraction(1, RATE),
    )  # fmt: skip
    return Scan(
        video=info, content_hash="0" * 64, pts=np.arange(SECONDS * RATE, dtype=np.int64),
        duration_pts=1, shots=(Shot(0, 0, SECONDS * RATE),), tracks=tuple(tracks),
        people=tuple(people),
    )  # fmt: skip


def observed(scan: Scan, speaker: np.ndarray, *, doubt: float = 0.0) -> Watched:
    """Whoever speaks (number of a person, or -1) looks so and follows the sound; others do not."""
    rng = np.random.default_rng(5)
    heard = np.convolve(rng.random(len(speaker)), np.ones(5) / 5, "same").astype(np.float32)
    faces = []
    for number, track in enumerate(scan.tracks):
        a, b = track.start, track.stop
        own = speaker[a:b] == number
        other = np.convolve(rng.random(b - a), np.ones(5) / 5, "same")
        faces.append(
            WatchedFace(
                track.id, a,
                np.where(own, 3.0 * (1 - doubt), -3.0 * (1 - doubt)).astype(np.float32),
                np.where(own & (doubt < 1), heard[a:b], other).astype(np.float32),
            )
        )  # fmt: skip
    speech = (Stretch(0.4, SECONDS - 0.4),)
    return Watched(moments=len(speaker), speech=speech, heard=heard, faces=tuple(faces))


SPEAKER = np.repeat([0, 1, 0, 1], SECONDS * RATE // 4)


def test_faces_of_a_moment_are_compared() -> None:
    scan = scene((0, SECONDS), (0, SECONDS))
    found = who_speaks(scan, observed(scan, SPEAKER), SPEAKER.astype(np.int64))
    long = [t for t in found.turns if t.end - t.start > 0.2]
    assert [(t.person, t.state) for t in long] == [
        ("P1", "sure"), ("P2", "sure"), ("P1", "sure"), ("P2", "sure"),
    ]  # fmt: skip
    # At a change without a pause it is not said for sure who is heard.
    assert {t.state for t in found.turns if t not in long} == {"unsure"}
    assert [t.start for t in long[1:]] == pytest.approx([6.16, 12.16, 18.16], abs=0.05)
    assert [t.end for t in long[:-1]] == pytest.approx([5.84, 11.84, 17.84], abs=0.05)
    assert [(v.id, v.person) for v in found.voices] == [("V1", "P1"), ("V2", "P2")]
    # Without voices, by sight alone.
    alone = who_speaks(scan, observed(scan, SPEAKER), np.zeros(len(SPEAKER), np.int64))
    for second, who in ((3, "P1"), (9, "P2"), (15, "P1"), (21, "P2")):
        assert {t.person for t in alone.turns if t.start < second < t.end} == {who}


@pytest.mark.parametrize(("doubt", "state"), [(0.0, "sure"), (1.0, "unsure"), (2.0, "off_screen")])
def test_a_single_face_speaks_only_if_mouth_and_voice_go_together(doubt: float, state: str) -> None:
    """A narrator over a talking head; `doubt` makes its mouth move on its own, then rest."""
    scan = scene((0, SECONDS))
    voice = np.zeros(SECONDS * RATE, np.int64)
    watched = observed(scan, voice)
    if doubt:
        (face,) = watched.faces
        other = np.roll(face.opening, 7 * RATE)
        looks = np.full(len(other), 3.0 if doubt == 1 else -3.0, np.float32)
        faces = (replace(face, score=looks, opening=other if doubt == 1 else other * 0),)
        watched = replace(watched, faces=faces)
    found = who_speaks(scan, watched, voice)
    assert {t.state for t in found.turns} == {state}
    assert [t.drawn for t in found.turns] == ["P1" if state == "sure" else None]
    assert [v.person for v in found.voices] == ["P1" if state == "sure" else None]


def test_a_narrator_and_the_voice_of_a_face_are_kept_apart() -> None:
    scan = scene((0, SECONDS))
    half = SECONDS * RATE // 2
    voices = np.repeat([0, 1], half)
    watched = observed(scan, np.zeros(2 * half, np.int64))
    (face,) = watched.faces
    other = np.concatenate([face.opening[:half], face.opening[:half]])
    watched = replace(watched, faces=(replace(face, opening=other),))
    found = who_speaks(scan, watched, voices)
    assert [(t.person, t.state) for t in found.turns] == [("P1", "sure"), ("P1", "unsure")]
    assert found.turns[0].end == pytest.approx(SECONDS / 2, abs=0.1)
    assert [v.person for v in found.voices] == ["P1", None]


def test_a_voice_names_who_is_not_seen() -> None:
    scan = scene((0, SECONDS), (0, 12))
    found = who_speaks(scan, observed(scan, SPEAKER), SPEAKER.astype(np.int64))
    last = found.turns[-1]
    assert (last.person, last.state) == ("P2", "off_screen")
    assert last.drawn is None


def test_every_line_has_a_turn_and_a_change_of_speaker_parts_it() -> None:
    scan = scene((0, SECONDS), (0, SECONDS))
    lines = [
        PersonSpan(person=None, start=1.0, end=4.0, text="a"),
        PersonSpan(person=None, start=4.0, end=8.0, text="b"),
        PersonSpan(person=None, start=30.0, end=31.0, text="late"),
    ]
    watched = observed(scan, SPEAKER)
    found = who_speaks(scan, watched, SPEAKER.astype(np.int64), lines=lines)
    assert [(t.id, t.person, t.state) for t in found.turns] == [
        ("L1", "P1", "sure"), ("L2.1", "P1", "sure"), ("L2.2", "P2", "sure"),
        ("L3", None, "silent"),
    ]  # fmt: skip
    assert (found.turns[0].start, found.turns[0].end) == (1.0, 4.0)
    assert found.turns[1].end == pytest.approx(6.0, abs=0.1)


def test_nobody_has_two_voices() -> None:
    scan = scene((0, SECONDS), (0, SECONDS))
    watched = observed(scan, np.zeros(SECONDS * RATE, np.int64))
    own, other = watched.faces
    half = SECONDS * RATE // 2
    # P1 is heard in the first half, and talks on to somebody else's voice in the second.
    silent = np.random.default_rng(1).permutation(own.opening[half:])
    talks = replace(own, score=np.repeat([3.0, 2.0], half).astype(np.float32),
                    opening=np.append(own.opening[:half], silent).astype(np.float32))  # fmt: skip
    watched = replace(watched, faces=(talks, other))
    voices = np.repeat([0, 1], half)

    def told(prints: np.ndarray) -> list[tuple[str | None, str]]:
        found = who_speaks(scan, watched, voices, prints=prints.astype(np.float32))
        return [(t.person, t.state) for t in found.turns if t.end - t.start > 0.2]

    assert told(np.eye(2, 8)) == [("P1", "sure"), (None, "off_screen")]
    # Two that sound alike may be one person's.
    assert told(np.ones((2, 8)) / 8**0.5) == [("P1", "sure")]


def test_a_mouth_that_is_still_is_not_surely_the_speakers() -> None:
    scan = scene((0, SECONDS), (0, SECONDS))
    watched = observed(scan, np.zeros(SECONDS * RATE, np.int64))
    own, other = watched.faces
    score = own.score.copy()
    score[18 * RATE :] = -3.0
    watched = replace(watched, faces=(replace(own, score=score), other))
    found = who_speaks(scan, watched, np.zeros(SECONDS * RATE, np.int64))
    assert [(t.person, t.state) for t in found.turns] == [("P1", "sure"), ("P1", "unsure")]
    assert found.turns[0].end == pytest.approx(18, abs=1)


def test_a_voice_heard_for_a_second_is_not_that_of_somebody_else() -> None:
    x = np.eye(3, 192, dtype=np.float32)[np.repeat([0, 1, 2], [10, 10, 2])]
    assert clustered(x).tolist() == np.repeat([0, 1, 2], [10, 10, 2]).tolist()
    # Half of it is the first voice's.
    x[20:] = (x[0] + x[20]) / np.sqrt(2)
    assert clustered(x)[20:].tolist() == [0, 0]


@pytest.mark.parametrize("n", [40, 700])
def test_embeddings_are_clustered_into_the_voices_there_are(n: int) -> None:
    rng = np.random.default_rng(2)
    truth = np.repeat([0, 1, 0, 2], n // 4)
    centres = np.eye(3, 192, dtype=np.float32)
    x = centres[truth] + rng.standard_normal((len(truth), 192)).astype(np.float32) * 0.04
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    labels = clustered(x)
    assert len({(a, b) for a, b in zip(truth.tolist(), labels.tolist(), strict=True)}) == 3
    assert labels.max() == 2
    assert clustered(x, count=2).max() == 1


def test_a_change_of_voice_is_placed_by_how_it_sounds(
    jfk: np.ndarray, ljspeech: np.ndarray
) -> None:
    one, two = jfk[: 16_000 * 5], ljspeech[: 16_000 * 5]
    samples = np.concatenate([one, two]).astype(np.float32)
    coarse = np.repeat([0, 1], 500)
    coarse[440:500] = 1
    placed = refined(samples, coarse)
    assert (placed[:440] == 0).all()
    assert (placed[440:560] == np.repeat([0, 1], 60)).mean() > 0.7  # of 0.5 before
    # A third voice of which little is heard does not stand in the way.
    coarse[:20] = 2
    again = refined(samples, coarse)
    assert (again[:20] == 2).all()
    assert (again[440:] == placed[440:]).all()


@pytest.mark.parametrize("name", ["spk0", "SPEAKER_01", "说话人1", "Speaker 2"])
def test_names_of_voices_are_known(name: str) -> None:
    assert is_voice_name(name)


@pytest.mark.parametrize("name", ["Anna", "P1", "speaker", "S1"])
def test_names_of_people_are_no_voices(name: str) -> None:
    assert not is_voice_name(name)


def looking(scan: Scan, amount: float) -> Watched:
    """Whoever speaks looks so by so much, above or below 0; mouths tell nothing."""
    watched = observed(scan, SPEAKER)
    faces = tuple(
        replace(f, score=np.sign(f.score) * np.float32(amount), opening=np.zeros_like(f.opening))
        for f in watched.faces
    )
    return replace(watched, faces=faces)


def test_a_voice_that_is_known_from_another_video_belongs_to_its_face() -> None:
    scan = scene((0, SECONDS), (0, SECONDS))
    voices = SPEAKER.astype(np.int64)
    blank = looking(scan, 0.0)
    unknown = who_speaks(scan, blank, voices)
    assert "sure" not in {t.state for t in unknown.turns}
    likeness = {0: {"P1": 3.0, "P2": -3.0}, 1: {"P1": -3.0, "P2": 3.0}}
    found = who_speaks(scan, blank, voices, likeness=likeness, names={0: "Anna"})
    assert [(t.person, t.state) for t in found.turns if t.end - t.start > 0.2] == [
        ("P1", "sure"), ("P2", "sure"), ("P1", "sure"), ("P2", "sure"),
    ]  # fmt: skip
    assert [(v.person, v.name) for v in found.voices] == [("P1", "Anna"), ("P2", None)]
    away = who_speaks(scan, blank, voices, likeness={0: {"P1": -3.0, "P2": -3.0, "": 3.0}})
    assert {t.state for t in away.turns if t.voice == "V1"} <= {"off_screen", "unsure"}


def test_two_people_whose_voices_cannot_be_told_apart_are_told_by_their_faces() -> None:
    scan = scene((0, SECONDS), (0, SECONDS))
    found = who_speaks(scan, observed(scan, SPEAKER), np.zeros(len(SPEAKER), np.int64))
    for second, who in ((3, "P1"), (9, "P2"), (15, "P1"), (21, "P2")):
        assert {t.person for t in found.turns if t.start < second < t.end} == {who}
    # Faces that differ little are not enough then, though they differ all the time.
    found = who_speaks(scan, looking(scan, 0.7), np.zeros(len(SPEAKER), np.int64))
    assert {t.state for t in found.turns} == {"unsure"}
    for second, who in ((3, "P1"), (9, "P2"), (15, "P1"), (21, "P2")):
        assert {t.person for t in found.turns if t.start < second < t.end} == {who}
