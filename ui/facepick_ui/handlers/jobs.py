"""Earlier jobs: the list below the result."""

from __future__ import annotations

import time
from pathlib import Path

from facepick.jobs.job import JobRecord
from facepick_ui import messages, views
from facepick_ui.changes import Changes, shown
from facepick_ui.handlers.context import Context, is_file
from facepick_ui.handlers.event import Act
from facepick_ui.session import Session

__all__ = ["Jobs", "what_of"]

JOBS_SHOWN = 50


class Jobs:
    """The user's jobs, newest first."""

    OUTPUTS = ("jobs", "jobs_note")

    def __init__(self, context: Context) -> None:
        self._context = context
        self._app = context.app

    def acts(self) -> tuple[Act, ...]:
        """List what is answered of clicks on drawn places."""
        return (
            Act(verb="stop", handler=self.stop, outputs=self.OUTPUTS, place="jobs_note"),
            Act(verb="remove", handler=self.remove, outputs=self.OUTPUTS, place="jobs_note"),
        )

    def draw(self, session: Session) -> Changes:
        """Show the list, with what can be done about each job."""
        rows = []
        # Neither copies to play nor single frames are work that anybody looks for later.
        mine = [
            record
            for record in self._app.jobs(owner=session.key)
            if record.kind != "proxy" and record.request.get("seconds") != 0
        ]
        for record in mine[:JOBS_SHOWN]:
            acts: list[tuple[str, str]] = []
            if record.is_active:
                acts.append((f"stop:{record.id}", "job_stop"))
            elif record.kind != "scan" and record.state == "done" and is_file(record.out):
                acts.append((f"show:{record.id}", "job_show"))
            elif record.can_resume and record.kind == "render":
                acts.append((f"resume:{record.id}", "job_resume"))
            if not record.is_active:
                acts.append((f"remove:{record.id}", "remove"))
            fraction = record.progress.share if record.progress else None
            rows.append(
                {
                    "state": record.state,
                    "kind": record.kind,
                    "name": Path(record.subject).name,
                    "what": what_of(record, session),
                    "when": time.strftime("%Y-%m-%d %H:%M", time.localtime(record.created)),
                    "note": record.error or _notes(len(record.notices), session.language),
                    "percent": None
                    if fraction is None or record.state == "done"
                    else round(100 * fraction),
                    "acts": acts,
                }
            )
        table = views.jobs_table(rows, session.language)
        return {"jobs": shown(table), "jobs_note": shown("")}

    def stop(self, session: Session, job_id: str) -> Changes:
        """Ask a job to stop.  Raises: JobNotFound, also for a job of somebody else."""
        self._app.cancel_job(self._context.own(session, job_id).id)
        return self.draw(session)

    def remove(self, session: Session, job_id: str) -> Changes:
        """Take a job that has ended off the list; its result stays.

        Raises:
            JobNotFound: also for a job of somebody else.
        """
        self._app.forget_job(self._context.own(session, job_id).id)
        return self.draw(session)


def what_of(record: JobRecord, session: Session) -> str:
    """Say what a job does to whom; people of the open video by their names."""
    plan = record.request.get("plan") or {}
    scan = session.scan if record.video == session.video else None
    names = {p.id: p.label for p in scan.people} if scan is not None else {}
    parts = []
    for item in plan.get("assignments", ()):
        spared = item.get("everyone_but") or ()
        people = item.get("people") or spared
        who = messages.listed((names.get(key, key) for key in people), session.language)
        if spared:
            who = messages.text("all_but", session.language, who=who)
        flow = messages.text(f"flow_{item['flow']}", session.language)
        parts.append(messages.text("jobs_what", session.language, flow=flow, who=who))
    return "; ".join(parts)


def _notes(count: int, language: str) -> str:
    if not count:
        return ""
    return messages.text("notices_one" if count == 1 else "notices_count", language, n=count)
