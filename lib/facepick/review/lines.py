"""Lines of a person in a result, each with what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from facepick.people.person import Scan
from facepick.render.plan import RenderPlan
from facepick.review.moments import left_alone
from facepick.review.outcomes import Outcome
from facepick.speech.line import SpeechLine

__all__ = ["LineRow", "line_rows"]


@dataclass(frozen=True, kw_only=True)
class LineRow:
    """One line.

    Attributes:
        start, seconds: when it is said.
        text: its words, None when unknown.
        drawn: whether a mouth was to say it.
        made, left: frames in which the mouth was re-made, and in which the person was on screen
            and left alone.
        reasons: why, each once.
        fit: correlation of the mouth's opening with what is said; None when not measured.
        lag_ms: by how much the lips are late; None when that is not clear.
        closures: as in `facepick.measure.sync_report`, or None.
    """

    start: float
    seconds: float
    text: str | None
    drawn: bool
    made: int
    left: int
    reasons: tuple[str, ...]
    fit: float | None = None
    lag_ms: float | None = None
    closures: Mapping[str, Any] | None = None


def line_rows(
    plan: RenderPlan,
    scan: Scan,
    person: str,
    outcome: Outcome,
    times: npt.NDArray[np.float64],
    sync: Mapping[str, Any] | None,
) -> list[LineRow]:
    """List a person's lines in order of time.

    Args:
        outcome: of the person's lip sync.
        times: (n,) seconds of every frame of the result.
        sync: what `facepick.measure.lip_sync.measure_sync` found of the person, or None.
    """
    measured = {line["start"]: line for line in (sync or {}).get("lines", ())}
    left = left_alone(outcome)
    rows = []
    for line in _lines_of(plan, scan, person):
        found = measured.get(round(line.start_seconds, 3), {})
        known = found.get("stop", line.start_seconds) - line.start_seconds
        seconds = known or line.duration_seconds or line.cue_seconds or 0.0
        a, b = np.searchsorted(times, [line.start_seconds, line.start_seconds + seconds])
        near = [run for run in left if run.start < b and run.stop > a]
        openness = found.get("openness") or {}
        rows.append(
            LineRow(
                start=line.start_seconds,
                seconds=seconds,
                text=line.text,
                drawn=line.drawn,
                made=int(outcome.changed[a:b].sum()),
                left=sum(min(run.stop, int(b)) - max(run.start, int(a)) for run in near),
                reasons=tuple(dict.fromkeys(run.state for run in near)),
                fit=openness.get("r"),
                lag_ms=openness.get("best_lag_ms"),
                closures=found.get("closures"),
            )
        )
    return sorted(rows, key=lambda row: row.start)


def _lines_of(plan: RenderPlan, scan: Scan, person: str) -> list[SpeechLine]:
    return [
        line
        for item in plan.assignments
        if item.flow == "lipsync" and person in {p.id for p in item.selection.resolve(scan)}
        for line in plan.lines_of(item)
    ]
