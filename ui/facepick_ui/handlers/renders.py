"""Preview, render, stop, resume."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facepick.errors import JobNotFound
from facepick.jobs.job import JobRecord
from facepick.notices import Notice, as_notices
from facepick_ui import views
from facepick_ui.changes import Changes, merged, shown
from facepick_ui.handlers.context import Context, starting
from facepick_ui.handlers.event import Act, Event, names
from facepick_ui.handlers.graphics_card import GraphicsCard
from facepick_ui.handlers.jobs import Jobs
from facepick_ui.handlers.offers import Offers
from facepick_ui.handlers.plans import Plans
from facepick_ui.handlers.problems import GIVEN_AT, asking
from facepick_ui.handlers.render_bar import RenderBar
from facepick_ui.handlers.scan_line import SCAN_STARTED, scan_started
from facepick_ui.session import Session
from facepick_ui.uploads import plain_name

if TYPE_CHECKING:
    from facepick.render.plan import RenderPlan

__all__ = ["Renders"]


class Renders:
    """Starts and stops renders and previews."""

    OUTPUTS = names(Offers.OUTPUTS, RenderBar.OUTPUTS, GraphicsCard.OUTPUTS, ("progress",))
    """What a start changes."""

    GO_ON = names(OUTPUTS, SCAN_STARTED)
    """What going on with something that was put off changes."""

    def __init__(
        self,
        context: Context,
        plans: Plans,
        card: GraphicsCard,
        offers: Offers,
        bar: RenderBar,
        jobs: Jobs,
    ) -> None:
        self._context = context
        self._app = context.app
        self._page = context.page
        self._plans = plans
        self._card = card
        self._offers = offers
        self._bar = bar
        self._jobs = jobs

    def events(self) -> list[Event]:
        """List what is answered."""
        plan = tuple(self._page.plan_names())
        clicked = {
            "render": self.render,
            "preview": self.preview_here,
            "preview_hard": self.preview_hardest,
        }
        found = [
            Event(
                component=name,
                trigger="click",
                handler=handler,
                inputs=plan,
                outputs=names(self.OUTPUTS, GIVEN_AT),
                watch=True,
            )
            for name, handler in clicked.items()
        ]
        found.append(
            Event(
                component="preview_frame",
                trigger="click",
                handler=self.preview_frame,
                inputs=plan,
                outputs=names(("frame_sheet", "what_problem"), GIVEN_AT),
                place="what_problem",
                watch=True,
            )
        )
        stop = Event(component="stop", trigger="click", handler=self.stop, outputs=("stop",))
        return [*found, stop]

    def acts(self) -> tuple[Act, ...]:
        """List what is answered of clicks on drawn places."""
        return (
            Act(verb="resume", handler=self.resume, outputs=names(self.OUTPUTS, Jobs.OUTPUTS)),
            Act(verb="card", handler=self.make_room, outputs=self.GO_ON),
        )

    def render(self, session: Session, *values: Any) -> Changes:
        """Start the render in a child process."""
        return self.begin(session, lambda: self._plans.plan(session, values))

    def begin(
        self, session: Session, made: Callable[[], tuple[RenderPlan, tuple[Notice, ...]]]
    ) -> Changes:
        """Start the render of a plan, unless one runs; of the newest result all that stays is kept.

        Args:
            made: gives the plan, and what was found out while it was made.
        """
        with starting(session) as mine:
            if mine and self._context.active(session, "render") is None:
                plan, told = made()
                how = {"notices": [n.to_json() for n in told]}
                job = self._start(session, "render", plan, how)
                session.watched["render"] = job.id
                self._context.save(session)
        return self._started(session)

    def enqueue(self, session: Session, *values: Any) -> Changes:
        """Start a further render: it waits for its turn, and the page goes on watching this one."""
        with starting(session) as mine:
            if mine:
                plan, told = self._plans.plan(session, values)
                self._start(session, "render", plan, {"notices": [n.to_json() for n in told]})
        return merged(self._offers.draw(session), self._card.draw(session))

    def _start(
        self, session: Session, kind: str, plan: RenderPlan, how: Mapping[str, Any]
    ) -> JobRecord:
        """Start a child process that renders the plan, or previews it as `how` says."""
        self._card.ask_for_room(session, kind, plan, how)
        told = as_notices(how.get("notices"))
        stored = {"kind": kind, "plan": plan.to_json(), "notices": [n.to_json() for n in told]}
        if kind == "render":
            with asking(**stored):
                out = self._result_path(session, "")
                last = self._context.last_result(session)
                # What no changed line reaches is kept of it.
                earlier = Path(last.out or "") if last and last.video == plan.video else None
                return self._app.start_render(
                    plan, out, owner=session.key, notices=told, update=earlier
                )
        at, seconds = how["at"], how["seconds"]
        with asking(**stored, at=at, seconds=seconds):
            out = self._result_path(session, "preview") if seconds else self._frame_path(session)
            return self._app.start_preview(
                plan, out, at=at, seconds=seconds, owner=session.key, notices=told
            )

    def preview_here(self, session: Session, *values: Any) -> Changes:
        """Start a preview of the chosen moment in a child process."""
        return self._preview(session, session.at_seconds, values)

    def preview_hardest(self, session: Session, *values: Any) -> Changes:
        """Start a preview of the hardest moment in a child process."""
        return self._preview(session, None, values)

    def _preview(self, session: Session, at: float | None, values: Sequence[Any]) -> Changes:
        with starting(session) as mine:
            if mine and self._context.active(session, "preview") is None:
                plan, told = self._plans.plan(session, values)
                seconds = float(self._page.plan_values(values)["preview_seconds"] or 3.0)
                how = {"at": at, "seconds": seconds, "notices": [n.to_json() for n in told]}
                job = self._start(session, "preview", plan, how)
                session.watched["preview"] = job.id
                self._context.save(session)
        return self._started(session)

    def preview_frame(self, session: Session, *values: Any) -> Changes:
        """Start the preview of one frame in a child process; a newer one takes its place."""
        with starting(session) as mine:
            if mine:
                plan, told = self._plans.plan(session, values)
                before = self._context.active(session, "frame")
                if before is not None:
                    self._app.cancel_job(before.id)
                notices = [n.to_json() for n in told]
                how = {"at": session.at_seconds, "seconds": 0.0, "notices": notices}
                job = self._start(session, "preview", plan, how)
                session.watched["frame"] = job.id
        bar = views.progress_view(None, session.language)
        return {"frame_sheet": shown(bar), "what_problem": shown("")}

    def _started(self, session: Session) -> Changes:
        return merged(
            self._offers.draw(session),
            self._bar.draw(session),
            self._card.draw(session),
            {
                "render_note": shown(""),
                "progress": shown(views.progress_view(None, session.language)),
            },
        )

    def _frame_path(self, session: Session) -> Path:
        """Name the picture of one frame, in the user's own folder: it is shown and then removed."""
        folder = self._context.sessions.folder_of(session) / "frames"
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.iterdir():
            # Of a page that was closed before it came.
            left.unlink(missing_ok=True)
        return self._app.free_target(folder, "frame", ".jpg")

    def _result_path(self, session: Session, mark: str, video: str | None = None) -> Path:
        """Find a name nobody has yet, in this user's own folder below the host's results.

        Args:
            mark: a word in the name.
            video: after which it is named; None for the open one.
        """
        folder = self._app.host.outputs() / session.key[:16]
        folder.mkdir(parents=True, exist_ok=True)
        stem = plain_name(Path(video or session.video or "video").stem, "video")
        return self._app.free_target(folder, "_".join(filter(None, (stem, "facepick", mark))))

    def stop(self, session: Session) -> Changes:
        """Ask the running render and preview to stop."""
        for kind in ("render", "preview"):
            job = self._context.active(session, kind)
            if job is not None:
                self._app.cancel_job(job.id)
        return {"stop": {"interactive": False}}

    def resume(self, session: Session, argument: str) -> Changes:
        record = self._context.own(session, argument)
        with starting(session) as mine:
            if mine and self._context.active(session, record.kind) is None:
                out = None
                if record.out and os.path.lexists(record.out):
                    # Somebody has put a file there; the result gets another name.
                    mark = "" if record.kind == "render" else record.kind
                    out = self._result_path(session, mark, record.video)
                self._app.resume_job(record.id, out=out)
                session.watched[record.kind] = record.id
                session.finished.discard(record.id)
                self._context.save(session)
        return merged(self._started(session), self._jobs.draw(session))

    def go_on(self, session: Session, asked: Mapping[str, Any] | None) -> Changes:
        """Start what could not be started, or failed, for want of the files."""
        from facepick.render.plan import RenderPlan

        if asked is None:
            return {}
        if asked["kind"] == "resume":
            try:
                record = self._app.resume_job(self._context.own(session, asked["job"]).id)
            except JobNotFound:
                return {}  # somebody has removed it meanwhile
        else:
            plan = RenderPlan.from_json(asked["plan"])
            record = self._start(session, asked["kind"], plan, asked)
        session.watched[record.kind] = record.id
        session.finished.discard(record.id)
        if record.kind == "scan":
            return scan_started(session.language)
        return self._started(session)

    def make_room(self, session: Session, argument: str) -> Changes:
        """Do what was chosen where the card is too full: ``unload``, ``go`` or ``back``."""
        if argument == "back":
            return self._card.load_back(session)
        asked = session.asked_room
        if asked is None or argument not in ("unload", "go"):
            return {}
        if argument == "unload":
            self._card.unload()
        session.asked_room = None
        return merged(self.go_on(session, {**asked, "room_asked": True}), self._card.draw(session))
