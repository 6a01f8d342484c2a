"""A retake draws what a changed line reaches, and keeps the bytes of all else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from facepick.app import App
from facepick.cli import main
from facepick.people.selection import Selection
from facepick.render.plan import Assignment
from facepick.render.retake import (
    LONGEST_FRAMES,
    SHORTEST_FRAMES,
    SaidLine,
    Take,
    cut_at_pauses,
    silent_frames,
    touched,
)
from facepick.speech.line import SpeechLine

TIMES = np.arange(500) / 25


def said(start: float, stop: float, digest: str = "a") -> SaidLine:
    return SaidLine(who="P1", start=start, stop=stop, digest=digest)


def take(
    *lines: SaidLine, base: str = "b", segments: tuple[int, ...] = (0, 100, 200, 300, 500)
) -> Take:
    return Take(base=base, segments=segments, lines=lines)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ([said(1, 2)], [said(1, 2)], set()),
        ([said(1, 2)], [said(1, 2, "other words")], {0}),
        ([said(1, 2)], [said(9, 10)], {0, 2}),
        ([said(1, 2)], [], {0}),
        ([], [said(3.8, 4.2)], {0, 1}),
        # What is near a line counts, too.
        ([], [said(4.2, 5)], {0, 1}),
        ([], [said(4.4, 5)], {1}),
        # A line that goes on over a cut takes the segment behind it along, and the next one.
        ([said(3, 9)], [said(3, 9), said(0, 1)], {0, 1, 2}),
        ([said(3, 9)], [said(3, 9), said(15, 16)], {3}),
    ],
)
def test_what_a_change_reaches_is_drawn_anew(
    old: list[SaidLine], new: list[SaidLine], expected: set[int]
) -> None:
    assert touched(take(*old), take(*new), TIMES) == expected
    assert touched(take(*new), take(*old), TIMES) == expected


def test_a_line_may_be_cut_where_a_shot_begins() -> None:
    old, new = take(said(3, 9)), take(said(3, 9), said(0, 1))
    assert touched(old, new, TIMES, {100}) == {0}
    assert touched(old, new, TIMES, {200}) == {0, 1}


def test_when_more_than_lines_has_changed_everything_is_drawn() -> None:
    assert touched(take(said(1, 2)), take(said(1, 2), base="c"), TIMES) == {0, 1, 2, 3}


def test_segments_end_in_pauses_and_at_cuts() -> None:
    lines = [said(0.5, 3), said(4, 8.5), said(10, 19)]
    silent = silent_frames(lines, TIMES)
    found = cut_at_pauses({0, 150, 330}, silent)
    assert [s.start for s in found][1:] == [s.stop for s in found][:-1]
    assert (found[0].start, found[-1].stop) == (0, 500)
    borders = [s.start for s in found[1:]]
    assert {150, 330} <= set(borders)
    assert all(silent[i] or i in (150, 330) for i in borders), "no line is cut within a shot"
    assert all(s.stop - s.start >= SHORTEST_FRAMES for s in found)
    # One long speech is cut all the same.
    found = cut_at_pauses((), np.zeros(500, bool))
    assert [s.stop - s.start for s in found] == [LONGEST_FRAMES, LONGEST_FRAMES]


def test_a_take_survives_json_and_nonsense_is_none() -> None:
    one = take(said(1, 2))
    assert Take.from_json(json.loads(json.dumps(one.to_json()))) == one
    for wrong in ({}, {**one.to_json(), "segments": [0, 0]}, {**one.to_json(), "lines": [1]}):
        with pytest.raises((KeyError, TypeError, ValueError)):
            Take.from_json(wrong)


def packets(path: Path) -> list[bytes]:
    import av

    with av.open(str(path)) as container:
        return [bytes(p) for p in container.demux(video=0) if p.size]


@pytest.mark.slow
def test_a_line_is_taken_anew_and_the_rest_is_the_same_to_the_byte(
    odd: Callable[[str], Path],
    shared_media: Path,
    shared_models: Path,
    people_known: Callable[[Path], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("FACEPICK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FACEPICK_MODELS", str(shared_models))
    people_known(tmp_path / "home")
    app = App()
    sound = str(shared_media / "speech/en_ljspeech_f_22k.wav")
    first = SpeechLine(path=sound, start_seconds=0.3, duration_seconds=1.2)
    last = SpeechLine(path=sound, start_seconds=4.4, offset_seconds=2.0, duration_seconds=1.2)
    speaks = Assignment(
        selection=Selection(("P1",)), flow="lipsync", engine="rewrite", speech=(first, last)
    )
    plan = app.make_plan(odd("base_640x360.mp4"), [speaks])
    plan = replace(plan, output=replace(plan.output, review="off"))
    out, kept = tmp_path / "out.mp4", tmp_path / "first.mp4"
    result = app.run(app.new_render_job(plan, out)).result
    assert (result["segments"], result["kept"]) == (3, 0)
    shutil.copyfile(out, kept)

    # The plan as a file, with other sound in the last line.
    other = replace(last, offset_seconds=4.0)
    changed = replace(plan, assignments=(replace(speaks, speech=(first, other)),))
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(changed.to_json()))
    words = ["render", "--plan", str(file), "-o", str(out), "--update", "--progress", "none"]
    assert main(words) == 0
    assert "segments\t1 of 3 drawn anew" in capsys.readouterr().out
    old, new = packets(kept), packets(out)
    assert len(old) == len(new) == 150
    # What is drawn anew begins where the last segment does.
    same = [a == b for a, b in zip(old, new, strict=True)]
    begins = same.index(False)
    assert begins >= SHORTEST_FRAMES
    assert not any(same[begins + 3 :][:20])
    assert app.inspect(out)["unchanged_since"] is True

    # Nothing has changed: nothing is drawn.
    assert main(words) == 0
    assert "segments\t0 of 3 drawn anew" in capsys.readouterr().out
    assert packets(out) == new
    # What was changed by somebody else is left alone.
    out.write_bytes(out.read_bytes() + b"\0")
    assert main(words) == 2
    assert "changed since" in capsys.readouterr().err
