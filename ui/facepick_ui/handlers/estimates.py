"""Estimates: about how long what is chosen will take, before Render is pressed."""

from __future__ import annotations

import functools
from dataclasses import replace

from facepick.errors import FacepickError
from facepick.media.writer import EncodeSettings
from facepick.people.selection import Selection
from facepick.render.plan import Assignment, OutputSettings, RenderPlan
from facepick.text import about_size, byte_size
from facepick_ui import messages, views
from facepick_ui.changes import Changes, shown
from facepick_ui.handlers.context import Context
from facepick_ui.session import Session

__all__ = ["NO_ESTIMATE", "draw_estimate"]

MEASURED, GUESSED = (0.8, 1.3), (0.5, 2.0)
"""Between which parts of an estimate work ends, once its kind was done here, and before: what else
the machine does changes its pace by a third, and machines differ by more than 2."""

RESULT_SHARES = (0.3, 1.1)
"""Between which parts of its estimate a result's size lies, see `facepick.render.space`."""

NO_ESTIMATE: Changes = {"estimate": shown("")}


def draw_estimate(context: Context, session: Session) -> Changes:
    """Say what the list of changes and the picked people will take; nothing while it is unknown."""
    plan = _plan(context, session)
    if plan is None or session.scan is None:
        return NO_ESTIMATE
    try:
        found = context.app.estimate(plan, session.scan)
    except FacepickError:
        return NO_ESTIMATE
    text = functools.partial(messages.text, language=session.language)
    need = found.result_bytes + found.work_bytes
    least, most = MEASURED if found.measured else GUESSED
    words = text(
        "estimate" if found.measured else "estimate_guess",
        time=_span(least * found.seconds, most * found.seconds, session.language),
        size=_size_span(*(share * found.result_bytes for share in RESULT_SHARES)),
        memory=about_size(found.memory_bytes),
    )
    if need > found.free_bytes:
        full = text("estimate_full", need=byte_size(need), free=byte_size(found.free_bytes))
        return {"estimate": shown(views.notice(full, kind="calm"))}
    return {"estimate": shown(views.paragraph(words))}


def _span(least: float, most: float, language: str) -> str:
    """Word between which times something takes, in one unit."""
    size, unit = next(
        (s, u) for s, u in ((1, "s"), (60, "min"), (3600, "h")) if most < 90 * s or u == "h"
    )
    shown = [_rounded(value / size) for value in (least, most)]
    return messages.text(f"span_{unit}", language, least=shown[0], most=shown[1])


def _size_span(least: float, most: float) -> str:
    """Word between which sizes a file lies, in one unit."""
    size, unit = next(
        (s, u) for s, u in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")) if most >= s or u == "kB"
    )
    return f"{_rounded(least / size)}–{_rounded(most / size)} {unit}"


def _rounded(value: float) -> str:
    """Write a number as exactly as an estimate is: 0.3, 4, 25, 140."""
    if value < 1:
        return f"{max(0.1, value):.1f}"
    step = 1 if value < 15 else 5 if value < 60 else 10
    return str(round(value / step) * step)


def _plan(context: Context, session: Session) -> RenderPlan | None:
    """Make a plan of what decides the time: who, how, and how it is encoded."""
    form = session.form
    flow = context.flow(session)
    style = str(form.get("style") or "")
    specs = {spec.id for spec in context.page.specs(flow)}
    if style not in specs:
        style = session.styles.get(flow, "") if session.styles.get(flow) in specs else ""
    style = style or next(iter(specs), "")
    if not style or not session.video:
        return None
    taken = {p for item in session.kept if item.flow == flow for p in item.selection.people}
    picked = tuple(key for key in session.picked if key not in taken)
    assignments = [replace(item, speech=(), source=()) for item in session.kept]
    if picked:
        spared = bool(form.get("everyone_but")) and flow == "hide"
        selection = Selection((), True, picked) if spared else Selection(picked, True)
        assignments.append(Assignment(selection=selection, flow=flow, engine=style))
    if not assignments:
        return None
    usual = EncodeSettings()
    encode = replace(
        usual,
        encoder=str(form.get("encode_encoder") or usual.encoder),
        preset=str(form.get("encode_preset") or usual.preset),
    )
    output = OutputSettings(review=str(form.get("output_review") or OutputSettings().review))
    return RenderPlan(
        video=session.video, assignments=tuple(assignments), encode=encode, output=output
    )
