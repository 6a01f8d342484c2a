"""Estimates: about how long what is chosen will take, before Render is pressed."""

from __future__ import annotations

import functools
from dataclasses import replace

from facepick.errors import FacepickError
from facepick.media.writer import EncodeSettings
from facepick.people.selection import Selection
from facepick.render.plan import Assignment, OutputSettings, RenderPlan
from facepick.text import about_size, byte_size, duration
from facepick_ui import messages, views
from facepick_ui.changes import Changes, shown
from facepick_ui.handlers.context import Context
from facepick_ui.session import Session

__all__ = ["NO_ESTIMATE", "draw_estimate"]

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
    words = text(
        "estimate" if found.measured else "estimate_guess",
        time=duration(found.seconds),
        size=about_size(found.result_bytes),
        memory=about_size(found.memory_bytes),
    )
    if need > found.free_bytes:
        full = text("estimate_full", need=byte_size(need), free=byte_size(found.free_bytes))
        return {"estimate": shown(views.notice(full, kind="calm"))}
    return {"estimate": shown(views.paragraph(words))}


def _plan(context: Context, session: Session) -> RenderPlan | None:
    """Make a plan of what decides the time: who, how, and how it is encoded."""
    form = session.form
    flow = str(form.get("flow") or context.page.first_choice()[0])
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
