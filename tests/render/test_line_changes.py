"""Which lines of a plan have changed, and the plan with one of them changed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from facepick.people.selection import Selection
from facepick.render.line_changes import LineChanges, LineNow
from facepick.render.plan import Assignment, RenderPlan
from facepick.speech.line import SpeechLine


def line(start: float, path: str = "dub.wav", **more: object) -> SpeechLine:
    return SpeechLine(
        path=path, start_seconds=start, offset_seconds=start, duration_seconds=0.8, **more
    )  # type: ignore[arg-type]


def says(*lines: SpeechLine, who: str = "P1", **more: object) -> Assignment:
    return Assignment(
        selection=Selection((who,)), flow="lipsync", engine="rewrite", speech=lines, **more
    )  # type: ignore[arg-type]


def plan(*items: Assignment) -> RenderPlan:
    return RenderPlan(video="clip.mp4", assignments=items)


def now(said: SpeechLine, who: str = "P1", listed: float | None = None) -> LineNow:
    start = said.start_seconds if listed is None else listed
    return LineNow(people=(who,), line=said, listed=start, seconds=0.8)


BEFORE = plan(says(line(1), line(2), line(3), settings={"x": 1}), says(line(5), who="P2"))


def test_a_line_that_is_the_same_has_not_changed_wherever_its_file_lies() -> None:
    same = [now(line(2)), now(line(1)), now(line(3)), now(line(5), "P2")]
    assert LineChanges(BEFORE, same).changed == frozenset()
    elsewhere = [now(replace(n.line, path="there/dub.wav"), n.people[0]) for n in same]
    assert len(LineChanges(BEFORE, elsewhere).changed) == 4
    by_name = LineChanges(BEFORE, elsewhere, lambda path: path.rsplit("/", 1)[-1])
    assert by_name.changed == frozenset()
    with pytest.raises(KeyError):
        by_name.retaken(0)


def test_of_two_lines_that_changed_only_the_one_asked_for_does() -> None:
    trimmed = replace(line(2), start_seconds=2.4, offset_seconds=2.4)
    spoken = line(3, "new.wav")
    found = LineChanges(BEFORE, [now(line(1)), now(trimmed, listed=2), now(spoken)])
    assert found.changed == {1, 2}
    own, other = found.retaken(1).assignments
    assert own == replace(BEFORE.assignments[0], speech=(line(1), trimmed, line(3)))
    assert other is BEFORE.assignments[1]
    assert found.retaken(2).assignments[0].speech == (line(1), line(2), spoken)


def test_a_line_goes_to_somebody_else_and_nobody_is_left_without_one() -> None:
    moved = LineChanges(BEFORE, [now(line(3), "P2")]).retaken(0)
    assert [item.speech for item in moved.assignments] == [
        (line(1), line(2)),
        (line(3), line(5)),
    ]
    alone = LineChanges(BEFORE, [now(line(5), "P3")]).retaken(0, include_unsure=True)
    assert alone.assignments[0] is BEFORE.assignments[0]
    assert alone.assignments[1] == replace(
        BEFORE.assignments[1], selection=Selection(("P3",), True), speech=(line(5),)
    )
    assert len(alone.assignments) == 2


def test_a_new_line_is_put_in_between_and_far_ones_are_not_it() -> None:
    between = line(7)
    found = LineChanges(BEFORE, [now(between)])
    assert found.retaken(0).assignments[0].speech == (line(1), line(2), line(3), between)


def test_two_that_changed_near_each_other_do_not_change_places() -> None:
    first, second = line(2, "a.wav"), line(3, "b.wav")
    found = LineChanges(BEFORE, [now(second), now(first)])
    assert found.retaken(0).assignments[0].speech == (line(1), line(2), second)
    assert found.retaken(1).assignments[0].speech == (line(1), first, line(3))


def test_a_plan_in_which_nobody_speaks_has_nothing_to_retake() -> None:
    hidden = Assignment(selection=Selection(("P1",)), flow="hide", engine="pixelate")
    with pytest.raises(ValueError, match="nobody"):
        LineChanges(plan(hidden), [now(line(1))]).retaken(0)
