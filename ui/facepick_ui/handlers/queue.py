"""Queue: what works and what waits of this tab, in its order, and a further render at its end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from facepick.errors import JobConflict, JobNotFound
from facepick.jobs.batch_queue import BatchRecord
from facepick.jobs.job import JobRecord
from facepick_ui import messages, views
from facepick_ui.changes import Changes, merged, shown
from facepick_ui.handlers.context import Context
from facepick_ui.handlers.event import Act, Event, names
from facepick_ui.handlers.jobs import Jobs, what_of
from facepick_ui.handlers.problems import GIVEN_AT
from facepick_ui.handlers.render_bar import RenderBar
from facepick_ui.handlers.renders import Renders
from facepick_ui.session import Session

__all__ = ["Queue"]

KINDS = ("scan", "render", "preview")
"""What stands in the queue; files that are fetched wait for the network and for nobody."""


class Queue:
    """The jobs of a tab that work or wait, and on this machine's own page the batches."""

    OUTPUTS = ("queue", "queue_note", "enqueue")

    def __init__(self, context: Context, renders: Renders, jobs: Jobs, bar: RenderBar) -> None:
        self._context = context
        self._app = context.app
        self._page = context.page
        self._renders = renders
        self._jobs = jobs
        self._bar = bar

    def events(self) -> list[Event]:
        """List what is answered."""
        return [
            Event(
                component="enqueue",
                trigger="click",
                handler=self.enqueue,
                inputs=tuple(self._page.plan_names()),
                outputs=names(Renders.OUTPUTS, GIVEN_AT, self.OUTPUTS),
                watch=True,
            )
        ]

    def acts(self) -> tuple[Act, ...]:
        """List what is answered of clicks on drawn places."""
        outputs = names(self.OUTPUTS, Jobs.OUTPUTS)
        handlers = {
            "queue_stop": self.stop,
            "queue_up": self.up,
            "queue_down": self.down,
            "batch_stop": self.stop_batch,
            "batch_up": self.batch_up,
            "batch_down": self.batch_down,
            "batch_resume": self.resume_batch,
            "batch_remove": self.remove_batch,
        }
        return tuple(
            Act(verb=verb, handler=handler, outputs=outputs, place="queue_note")
            for verb, handler in handlers.items()
        )

    # --- what is there -------------------------------------------------------------------------

    def active(self, session: Session) -> list[JobRecord]:
        """List this tab's jobs that work or wait: those that work first, then by their places."""
        mine = [
            record
            for record in self._app.jobs(owner=session.key)
            if record.is_active and record.kind in KINDS and record.request.get("seconds") != 0
        ]
        return sorted(mine, key=lambda r: (r.place is not None, r.place or 0, r.created))

    def poll(self, session: Session) -> tuple[Changes, bool]:
        """Look at the queue once: the next render is watched when the one before it has ended.

        Returns:
            What changed on the page, and whether something works or waits.
        """
        active = self.active(session)
        watched = self._context.record(session, "render")
        following = None
        if watched is None or not watched.is_active:
            following = self._following(session, active, watched)
        # The result of the one that has ended is shown before.
        if following is not None and (watched is None or watched.id in session.finished):
            session.watched["render"] = following.id
            self._context.save(session)
        goes_on = bool(active) or following is not None
        return self.draw(session), goes_on or any(b.is_active for b in self._batches())

    def _following(
        self, session: Session, active: list[JobRecord], watched: JobRecord | None
    ) -> JobRecord | None:
        """Find the render after the one that has ended, also one that has ended since."""
        renders = [record for record in active if record.kind == "render"]
        if watched is None or renders:
            return renders[0] if renders else None
        newer = [
            record
            for record in self._app.jobs(owner=session.key)
            if record.kind == "render"
            and record.created > watched.created
            and record.state in ("done", "failed")
            and record.id not in session.finished
        ]
        return min(newer, key=lambda record: record.created, default=None)

    def draw(self, session: Session) -> Changes:
        """Show the queue; one job alone has its bar and needs no list."""
        active = self.active(session)
        waiting = [record.id for record in active if record.place is not None]
        rows = [self._row(record, waiting, session) for record in active]
        if len(rows) == 1 and not waiting:
            rows = []
        batches = self._batches()
        rows += [self._batch_row(record, batches, session.language) for record in batches]
        ready = session.scan is not None and bool(session.picked or session.kept)
        rendering = any(record.kind == "render" for record in active)
        return {
            "queue": shown(views.queue_view(rows, session.language)),
            "queue_note": shown(""),
            "enqueue": {"visible": ready and rendering},
        }

    def _row(self, record: JobRecord, waiting: list[str], session: Session) -> dict[str, Any]:
        acts = [(f"queue_stop:{record.id}", "queue_cancel")]
        if record.id in waiting:
            at = waiting.index(record.id)
            if at + 1 < len(waiting):
                acts.insert(0, (f"queue_down:{record.id}", "queue_later"))
            if at > 0:
                acts.insert(0, (f"queue_up:{record.id}", "queue_sooner"))
        progress = record.progress
        left = progress.left_seconds if progress is not None and record.place is None else None
        share = progress.share if progress is not None and record.place is None else None
        return {
            "state": record.state,
            "kind": record.kind,
            "name": Path(record.video).name,
            "what": what_of(record, session),
            "note": self._before(record, session.language),
            "percent": None if share is None else round(100 * share),
            "left": None if left is None else views.clock(left),
            "acts": acts,
        }

    def _before(self, record: JobRecord, language: str) -> str:
        """Say how many wait before it, whoever's they are."""
        if record.place is None:
            return ""
        return messages.text("queue_place", language, n=record.place)

    def _batches(self) -> list[BatchRecord]:
        """List batches of this machine, for whoever sits at it."""
        if not self._page.at_machine:
            return []
        return [b for b in self._app.batches.all() if b.is_active or b.state != "done"][:20]

    def _batch_row(
        self, record: BatchRecord, batches: list[BatchRecord], language: str
    ) -> dict[str, Any]:
        acts = []
        if record.is_active:
            acts.append((f"batch_stop:{record.id}", "queue_cancel"))
        else:
            acts = [
                (f"batch_resume:{record.id}", "job_resume"),
                (f"batch_remove:{record.id}", "remove"),
            ]
        if record.place is not None:
            last = max(b.place or 0 for b in batches)
            if record.place < last:
                acts.insert(0, (f"batch_down:{record.id}", "queue_later"))
            if record.place > 1:
                acts.insert(0, (f"batch_up:{record.id}", "queue_sooner"))
        total = record.total
        done = len(record.episodes)
        who = messages.listed(record.people, language)
        who = who.replace("*", messages.text("queue_whoever", language))
        note = messages.text("queue_episodes", language, done=done, total=total) if total else ""
        flows = messages.listed(record.what, language)
        return {
            "state": record.state,
            "kind": "batch",
            "name": Path(record.out).name,
            "what": messages.text("jobs_what", language, flow=flows, who=who),
            "note": record.error or note,
            "percent": round(100 * done / total) if total and record.is_active else None,
            "left": None,
            "acts": acts,
        }

    # --- what can be done ----------------------------------------------------------------------

    def enqueue(self, session: Session, *values: Any) -> Changes:
        """Add a render at the end of the queue, while another one works."""
        changes = self._renders.enqueue(session, *values)
        return merged(changes, self.draw(session), {"enqueue": {"visible": True}})

    def stop(self, session: Session, job_id: str) -> Changes:
        """Take a job out of the queue.  Raises: JobNotFound, also for a job of somebody else."""
        self._app.cancel_job(self._context.own(session, job_id).id)
        return self._drawn(session)

    def up(self, session: Session, job_id: str) -> Changes:
        """Let a job change places with this tab's job before it.

        Raises:
            JobNotFound: also for a job of somebody else.
        """
        return self._moved(session, job_id, -1)

    def down(self, session: Session, job_id: str) -> Changes:
        """Let a job change places with this tab's job behind it; see `up`."""
        return self._moved(session, job_id, 1)

    def _moved(self, session: Session, job_id: str, step: int) -> Changes:
        self._context.own(session, job_id)
        waiting = [record for record in self.active(session) if record.place is not None]
        at = next((i for i, record in enumerate(waiting) if record.id == job_id), None)
        other = None if at is None else at + step
        if at is not None and other is not None and 0 <= other < len(waiting):
            # They change places, so that nobody else's job waits longer than before.
            first, second = sorted((waiting[at], waiting[other]), key=lambda r: r.place or 0)
            try:
                self._app.move_job(second.id, first.place or 1)
                self._app.move_job(first.id, second.place or 1)
            except (JobConflict, JobNotFound):
                # It has begun meanwhile.
                pass
        return self._drawn(session)

    def stop_batch(self, session: Session, name: str) -> Changes:
        """Stop a batch; what its episodes have finished is kept.  Raises: JobNotFound."""
        self._local()
        self._app.batches.cancel(name)
        return self._drawn(session)

    def resume_batch(self, session: Session, name: str) -> Changes:
        """Let a batch go on.  Raises: JobNotFound, JobConflict."""
        self._local()
        self._app.batches.resume(name)
        return self._drawn(session)

    def remove_batch(self, session: Session, name: str) -> Changes:
        """Forget a batch that has ended; its results stay.  Raises: JobNotFound, JobConflict."""
        self._local()
        self._app.batches.remove(name)
        return self._drawn(session)

    def batch_up(self, session: Session, name: str) -> Changes:
        """Let a batch that waits begin before the one before it.  Raises: JobNotFound."""
        return self._moved_batch(session, name, -1)

    def batch_down(self, session: Session, name: str) -> Changes:
        """Let a batch that waits begin after the one behind it.  Raises: JobNotFound."""
        return self._moved_batch(session, name, 1)

    def _moved_batch(self, session: Session, name: str, step: int) -> Changes:
        self._local()
        record = self._app.batches.get(name)
        if record.place is not None:
            self._app.batches.move(name, max(1, record.place + step))
        return self._drawn(session)

    def _local(self) -> None:
        """Refuse strangers the batches of the machine, as if there were none."""
        if not self._page.at_machine:
            raise JobNotFound("There is no such batch.")

    def _drawn(self, session: Session) -> Changes:
        return merged(self.draw(session), self._jobs.draw(session))
