"""Decisions over frames: hysteresis, bridged gaps, shortest runs, ramps, and all of them by key."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from facepick.compositing.patch import FaceRequest, Reason
from facepick.engines.decisions import (
    Decisions,
    Sight,
    bridge_short_gaps,
    drop_short_runs,
    follows_of,
    hysteresis,
    ramps,
    runs,
)
from facepick.faces.detection import Box
from facepick.people.track import BRIDGED


def flags(text: str) -> np.ndarray:
    """One sighting a character: ``x`` is off, ``.`` is on."""
    return np.array([c == "x" for c in text])


def shown(off: np.ndarray) -> str:
    return "".join("x" if value else "." for value in off)


def one_strand(count: int) -> np.ndarray:
    return np.arange(count) > 0


def at_rate(count: int, fps: float = 25.0) -> np.ndarray:
    return np.arange(count) / fps


def test_sightings_follow_on_one_path_in_one_shot() -> None:
    path = np.array([0, 0, 0, 0, 1, 1])
    frame = np.array([5, 6, 8, 9, 9, 10])
    shot = np.array([0, 0, 0, 1, 1, 1])
    assert follows_of(path, frame, shot).tolist() == [False, True, False, False, False, True]
    assert follows_of(path, frame, shot, step=2).tolist() == [False, True, True, False, False, True]


def test_runs_end_at_changes_and_at_cuts() -> None:
    follows = one_strand(6)
    follows[4] = False
    assert list(runs(flags("..xxxx"), follows)) == [(0, 2), (2, 4), (4, 6)]
    assert list(runs(flags(""), one_strand(0))) == []


def test_off_lasts_until_the_second_limit_is_passed_but_not_over_a_cut() -> None:
    values = np.array([1, 5, 3, 3, 1, 3])
    enter, stay = values > 4, values > 2
    assert shown(hysteresis(enter, stay, one_strand(6))) == ".xxx.."
    follows = one_strand(6)
    follows[3] = False
    assert shown(hysteresis(enter, stay, follows)) == ".xx..."


@pytest.mark.parametrize(
    ("before", "after", "fps"),
    [
        ("...x...", ".......", 25),
        ("..xxx..", ".......", 25),
        ("..xxxx..", "..xxxx..", 25),
        # The same tenths of a second at another rate.
        ("..xxxxxx..", "..........", 50),
        ("..xx..", "..xx..", 12.5),
        # One side only: nobody knows what comes.
        ("..xx", "..xx", 25),
        ("x...", "x...", 25),
    ],
)
def test_short_doubt_is_bridged_by_its_seconds(before: str, after: str, fps: float) -> None:
    n = len(before)
    assert shown(bridge_short_gaps(flags(before), one_strand(n), at_rate(n, fps))) == after


def test_doubt_at_a_cut_or_without_a_face_is_not_bridged() -> None:
    follows = one_strand(7)
    follows[3] = False
    assert shown(bridge_short_gaps(flags("...x..."), follows, at_rate(7))) == "...x..."
    follows = one_strand(7)
    follows[4] = False
    assert shown(bridge_short_gaps(flags("...x..."), follows, at_rate(7))) == "...x..."
    possible = np.array([True, True, True, False, True, True, True])
    bridged = bridge_short_gaps(flags("..xx..."), one_strand(7), at_rate(7), possible=possible)
    assert shown(bridged) == "..xx..."


def test_short_changes_between_two_left_alone_are_dropped() -> None:
    assert shown(drop_short_runs(flags("xx...xx...."), one_strand(11), 4)) == "xxxxxxx...."
    assert shown(drop_short_runs(flags("xx...xx...."), one_strand(11), 3)) == "xx...xx...."
    # At the ends nobody knows how long it goes on.
    assert shown(drop_short_runs(flags("..xx.."), one_strand(6), 4)) == "..xx.."


def test_ramps_rise_beside_what_is_off_and_not_over_cuts() -> None:
    assert ramps(flags("....x...."), one_strand(9), 2) == pytest.approx(
        [1, 1, 2 / 3, 1 / 3, 0, 1 / 3, 2 / 3, 1, 1]
    )
    follows = one_strand(5)
    follows[2] = False
    assert ramps(flags(".x..."), follows, 3).tolist() == [0.25, 0, 1, 1, 1]
    assert ramps(flags(".x."), one_strand(3), 0).tolist() == [1, 0, 1]


def sight(frame: int, **changes: object) -> Sight:
    base = Sight(
        path=0, row=frame, frame=frame, shot=0, seconds=frame / 25, turn=0.0, height=200.0,
        eyes=80.0, mesh_score=1.0, confidence=1.0, seen=0,
    )  # fmt: skip
    return replace(base, **changes)


def request_of(s: Sight) -> FaceRequest:
    return FaceRequest(
        path=s.path, row=s.row, frame=s.frame, time=Fraction(s.frame, 25),
        crop=np.zeros((8, 8, 3), np.uint8), origin=(0, 0), box=Box(20, 0, 180, 200),
        landmarks5=np.zeros((5, 2), np.float32), source_frame=s.frame,
    )  # fmt: skip


def by_turn(s: Sight, strict: bool) -> Reason | None:
    return Reason.PROFILE if s.turn > (36 if strict else 40) else None


def test_two_faces_of_a_person_in_one_frame_are_decided_apart() -> None:
    sights = [sight(i, path=p, turn=60.0 * p) for i in range(6) for p in (0, 1)]
    decisions = Decisions(by_turn, sights)
    assert [decisions.of(request_of(s)).reason for s in sights] == [None, Reason.PROFILE] * 6


def test_nobody_seen_by_tracker_and_mesh_is_not_bridged() -> None:
    """What both lose is covered or gone; what one of them still sees is there."""
    lost = [sight(i, turn=90.0 if i == 3 else 0.0) for i in range(7)]
    lost[3] = replace(lost[3], mesh_score=0.1, seen=BRIDGED)
    assert Decisions(by_turn, lost).of(request_of(lost[3])).reason is Reason.PROFILE
    lost[3] = replace(lost[3], mesh_score=0.9)
    assert Decisions(by_turn, lost).of(request_of(lost[3])).reason is None


def test_a_request_that_the_footage_did_not_hold_stands_alone() -> None:
    decisions = Decisions(by_turn, [sight(i, turn=60.0) for i in range(4)])
    # Without a mesh it is held to be turned away.
    assert decisions.of(request_of(sight(9))).reason is Reason.PROFILE
