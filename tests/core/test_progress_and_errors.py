"""Progress, cancelling and the tree of errors."""

from __future__ import annotations

import subprocess
import sys

import pytest

from facepick import errors
from facepick.progress import CancelToken, Progress, ProgressMeter, never


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
