"""Progress, cancelling and the tree of errors."""

from __future__ import annotations

import subprocess
import sys

import pytest

from facepick import errors
from facepick.progress import CancelToken, Phase, Phases, Progress, ProgressMeter, never


def test_cancel_is_seen_by_the_worker() -> None:
    token = CancelToken()
    token.raise_if_cancelled()
    token.cancel()
    with pytest.raises(errors.Cancelled):
        token.raise_if_cancelled()


def test_never_cannot_be_cancelled_for_everybody() -> None:
    with pytest.raises(RuntimeError):
        never.cancel()
    assert not never.is_cancelled


def test_meter_sends_the_first_and_the_last_report_and_not_each() -> None:
    seen: list[Progress] = []
    meter = ProgressMeter(seen.append, "render", 1000)
    for done in range(1001):
        meter.update(done)
    assert seen[0].done == 0
    assert seen[-1].done == 1000
    assert seen[-1].fraction == 1.0
    assert len(seen) < 200


def test_a_meter_never_passes_its_end() -> None:
    seen: list[Progress] = []
    meter = ProgressMeter(seen.append, "scan", 100)
    for done in range(0, 131, 10):
        meter.update(done, force=True)
    assert [r.total for r in seen if r.done > 100] == [110, 120, 130]
    assert all(r.fraction is not None and r.fraction <= 1 for r in seen)


class Work:
    """A job whose units take a second each, as `Phases` is told."""

    def __init__(self, *phases: Phase) -> None:
        self.seen: list[Progress] = []
        self.now = 0.0
        self.sink = Phases(self.seen.append, phases, clock=lambda: self.now)

    def stage(self, name: str, units: int, seconds: float = 1.0, start: int = 0) -> None:
        for done in range(start, units + 1):
            self.sink(Progress(stage=name, done=done, total=units))
            self.now += seconds

    @property
    def shares(self) -> list[float]:
        assert all(r.overall is not None for r in self.seen)
        return [r.overall for r in self.seen if r.overall is not None]


def test_phases_are_one_way_from_nothing_to_all() -> None:
    work = Work(Phase("scan", 1.0), Phase("prepare", 2.0), Phase("render", 1.0))
    work.stage("scan", 20)
    work.stage("prepare", 20, seconds=2.0)
    work.stage("render", 20)
    assert work.shares[0] == 0.0
    assert work.shares[-1] == 1.0
    assert work.shares == sorted(work.shares)
    # Half of the scan: 10 s, then 40 s and 20 s.
    assert work.seen[10].left_seconds == pytest.approx(70.0)
    assert work.seen[-1].left_seconds == pytest.approx(0.0)
    assert {(r.stage, r.phase, r.phases) for r in work.seen} == {
        ("scan", 1, 3), ("prepare", 2, 3), ("render", 3, 3),
    }  # fmt: skip


def test_what_was_done_before_is_skipped_and_tells_no_pace() -> None:
    work = Work(Phase("scan", 1.0), Phase("prepare", 2.0), Phase("render", 1.0))
    work.stage("render", 20, start=10)
    assert work.shares[0] == pytest.approx(0.875)
    assert work.seen[0].left_seconds is None
    assert work.seen[5].left_seconds == pytest.approx(5.0)
    # A stage that is over comes again: the whole does not fall back.
    work.stage("prepare", 20)
    assert work.shares == sorted(work.shares)


def test_two_phases_of_one_stage_follow_each_other() -> None:
    work = Work(Phase("prepare", 1.0), Phase("prepare", 1.0), Phase("render", 2.0))
    work.stage("prepare", 10)
    assert work.shares[-1] == pytest.approx(0.25)
    work.stage("prepare", 10)
    assert work.shares[-1] == pytest.approx(0.5)


def test_a_phase_counts_by_the_units_that_it_tells() -> None:
    work = Work(Phase("scan", 1.0), Phase("prepare", 1.0, 10))
    work.stage("scan", 90)
    assert work.shares[-1] == pytest.approx(0.9)


def test_a_report_of_a_newer_version_is_read() -> None:
    written = {"stage": "scan", "done": 3, "total": 9, "of_tomorrow": 1}
    assert Progress.from_json(written) == Progress(stage="scan", done=3, total=9)


def test_waiting_is_no_part_of_the_work() -> None:
    work = Work(Phase("scan", 1.0))
    work.sink(Progress(stage="wait", done=2))
    assert work.seen[0].overall is None
    assert work.seen[0].share is None


def test_every_error_has_an_exit_code_and_is_exported() -> None:
    for name in errors.__all__:
        cls = getattr(errors, name)
        assert cls.exit_code in (2, 3, 4, 5)
    assert list(errors.__all__) == sorted(errors.__all__)


def test_sentence_is_one_line_with_the_hint() -> None:
    error = errors.SelectionError("Nobody\nis picked.", hint="Pick\tsomebody.")
    assert error.sentence() == "Nobody is picked. Pick somebody."


def test_the_command_line_imports_nothing_heavy() -> None:
    code = (
        "import sys, facepick.cli, facepick.app; "
        "heavy = {'torch', 'cv2', 'gradio', 'deepface', 'av', 'onnxruntime', 'scenedetect'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
