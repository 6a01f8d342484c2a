"""Retakes: which lines of the page the newest result holds as they stand, and which it does not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from facepick.errors import FacepickError
from facepick.render.line_changes import LineChanges, LineNow
from facepick.render.plan import RenderPlan
from facepick_ui.handlers.context import Context, is_file
from facepick_ui.handlers.problems import Say
from facepick_ui.session import SaidLine, Session
from facepick_ui.uploads import digest_of

__all__ = ["no_retake", "retaken"]


def no_retake(context: Context, session: Session) -> Mapping[str, str]:
    """Tell of lines that cannot be taken anew why not: a key of the catalogue by a line's key."""
    changes = _changes(context, session)
    if changes is None:
        return dict.fromkeys((said.key for said in session.said), "retake_none")
    return {
        said.key: "retake_same"
        for number, said in enumerate(session.said)
        if number not in changes.changed
    }


def retaken(context: Context, session: Session, number: int, *, include_unsure: bool) -> RenderPlan:
    """Give the plan of the newest result with one line as it stands on the page.

    Raises:
        Say: there is no result, or the line is in it as it stands.
    """
    changes = _changes(context, session)
    if changes is None:
        raise Say("retake_none")
    if number not in changes.changed:
        raise Say("retake_same")
    return changes.retaken(number, include_unsure=include_unsure)


def _changes(context: Context, session: Session) -> LineChanges | None:
    """Hold the page's lines against those of the newest result; None without one that speaks."""
    record = context.last_result(session)
    if record is None:
        return None
    try:
        plan = RenderPlan.from_json(record.request["plan"])
    except (FacepickError, KeyError):
        # Of another version.
        return None
    if not any(item.flow == "lipsync" and item.speech for item in plan.assignments):
        return None
    return LineChanges(plan, [_now(said) for said in session.said], _content)


def _now(said: SaidLine) -> LineNow:
    return LineNow(
        people=said.people,
        line=said.line,
        listed=said.own.start_seconds,
        seconds=said.seconds,
    )


def _content(path: str) -> str:
    return digest_of(Path(path)) if is_file(path) else path
