"""The bars of the benchmarks: what falls below one is told, and ends the command with 1."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

from bars import FILE, Bars  # noqa: E402


def test_a_figure_below_its_bar_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    bars = Bars("swap", {"*": {"r": {"least": 0.5}}, "AB": {"error": {"most": 1}}})
    bars.judge("AB", {"r": 0.4, "error": 2.0, "ms": 9.0})
    bars.judge("BA", {"r": 0.5, "error": 2.0})
    assert bars.outcome() == 1
    told = capsys.readouterr().out.splitlines()
    assert told == [
        "below its bar: AB: r is 0.4, at least 0.5 is wanted",
        "below its bar: AB: error is 2, at most 1 is wanted",
    ]


def test_what_is_not_measured_is_not_judged() -> None:
    bars = Bars("swap", {"*": {"r": {"least": 0.5}}})
    bars.judge("AB", {"r": None})
    assert bars.outcome() == 0


def test_each_bar_belongs_to_a_benchmark_that_judges_by_it() -> None:
    for name, cases in json.loads(FILE.read_text()).items():
        source = (BENCHMARKS / f"{name}.py").read_text()
        assert f'Bars("{name}")' in source
        for bars in cases.values():
            for figure, bar in bars.items():
                assert set(bar) <= {"least", "most"}, figure
