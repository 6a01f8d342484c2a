"""Preview, render, stop, resume."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facepick.errors import JobNotFound
from facepick.jobs.job import JobRecord
from facepick.notices import Notice, as_notices
from facepick.render.plan import OutputSettings
from facepick.render.report import sidecar_of
from facepick_ui import views
from facepick_ui.compat import Changes
from facepick_ui.flow_panels import changed_values
from facepick_ui.handlers.base import Say, asking, explained, is_file, shown, starting
from facepick_ui.handlers.card import Card
from facepick_ui.handlers.people import People
from facepick_ui.session import Session
from facepick_ui.uploads import plain_name

if TYPE_CHECKING:
    from facepick.render.plan import RenderPlan

__all__ = ["Render"]


class Render(People, Card):
    """The fourth card of the page."""

    @explained("what_problem")
    def keep(self, session: Session, *values: Any) -> Changes:
        """Put the current choice into the list and make room for the next person."""
        self._scan_or_say(session)
        current, told = self._current(session, self.page.plan_values(values))
        if not current:
            raise Say("pick_first")
        session.kept.extend(current)
        session.kept_notices.extend((told, *[()] * (len(current) - 1)))
        session.picked = []
        self.sessions.save(session)
        return {
            **self._galleries(session),
            **self._after_pick(session),
            **self._no_speech(),
            "what_problem": shown(""),
        }

    def _drop(self, session: Session, argument: str) -> Changes:
        if argument.isdigit() and int(argument) < len(session.kept):
            del session.kept[int(argument)]
            del session.kept_notices[int(argument)]
            self.sessions.save(session)
        return self._after_pick(session)

    def _plan(
        self, session: Session, values: Sequence[Any]
    ) -> tuple[RenderPlan, tuple[Notice, ...]]:
        """The plan, and what was found out while it was made."""
        from facepick.media.writer import EncodeSettings
        from facepick.settings import from_mapping

        if session.video is None:
            raise Say("open_video_first")
        scan = self._scan_or_say(session)
        named = self.page.plan_values(values)
        current, told = self._current(session, named)
        assignments = [*session.kept, *current]
        if not assignments:
            raise Say("pick_first")
        encode = changed_values(
            self.page.encode_widgets, [named[w.name] for w in self.page.encode_widgets]
        )
        output = changed_values(
            self.page.output_widgets, [named[w.name] for w in self.page.output_widgets]
        )
        for widget in self.page.output_widgets:
            if widget.field.kind == "file" and output.get(widget.field.name):
                upload = Path(output[widget.field.name])
                output[widget.field.name] = str(self._keep_upload(session, upload, "sound"))
        plan = self.app.make_plan(
            session.video,
            assignments,
            encode=from_mapping(EncodeSettings, encode),
            output=from_mapping(OutputSettings, output),
            scan_settings=session.scan_settings,
        )
        plan.validate(scan, self.app.registry)
        return plan, (*(n for kept in session.kept_notices for n in kept), *told)

    @explained("progress")
    def render(self, session: Session, *values: Any) -> Changes:
        """Start the render in a child process."""
        with starting(session) as mine:
            if mine and self._active(session, "render") is None:
                plan, told = self._plan(session, values)
                how = {"notices": [n.to_json() for n in told]}
                job = self._start(session, "render", plan, how)
                session.watched["render"] = job.id
                self.sessions.save(session)
        return self._started(session)

    def _start(
        self, session: Session, kind: str, plan: RenderPlan, how: Mapping[str, Any]
    ) -> JobRecord:
        """A child process that renders the plan, or previews it as `how` says."""
        self._ask_for_room(session, kind, plan, how)
        told = as_notices(how.get("notices"))
        stored = {"kind": kind, "plan": plan.to_json(), "notices": [n.to_json() for n in told]}
        if kind == "render":
            with asking(**stored):
                out = self._result_path(session, "")
                return self.app.start_render(plan, out, owner=session.key, notices=told)
        at, seconds = how["at"], how["seconds"]
        with asking(**stored, at=at, seconds=seconds):
            out = self._result_path(session, "preview")
            return self.app.start_preview(
                plan, out, at=at, seconds=seconds, owner=session.key, notices=told
            )

    @explained("progress")
    def preview(self, session: Session, hardest: bool, *values: Any) -> Changes:
        """Start a preview in a child process, at the chosen moment or at the hardest one."""
        with starting(session) as mine:
            if mine and self._active(session, "preview") is None:
                plan, told = self._plan(session, values)
                seconds = float(self.page.plan_values(values)["preview_seconds"] or 3.0)
                how = {
                    "at": None if hardest else session.at_seconds,
                    "seconds": seconds,
                    "notices": [n.to_json() for n in told],
                }
                job = self._start(session, "preview", plan, how)
                session.watched["preview"] = job.id
                self.sessions.save(session)
        return self._started(session)

    def _started(self, session: Session) -> Changes:
        return {
            **self._models(session),
            **self._buttons(session),
            **self._card(session),
            "render_note": shown(""),
            "progress": shown(views.progress_view(None, session.language)),
        }

    def _result_path(self, session: Session, mark: str, video: str | None = None) -> Path:
        """A name nobody has yet, in this user's own folder below the host's results.

        Args:
            mark: a word in the name.
            video: after which it is named; None for the open one.
        """
        folder = self.app.host.outputs() / session.key[:16]
        folder.mkdir(parents=True, exist_ok=True)
        stem = plain_name(Path(video or session.video or "video").stem, "video")
        # What a job will write is not there yet, but its name is taken.
        taken = {record.out for record in self.app.jobs()}
        for number in itertools.count(1):
            name = "_".join(part for part in (stem, "facepick", mark, f"{number:03}") if part)
            path = folder / f"{name}.mp4"
            free = not path.exists() and not sidecar_of(path).exists()
            if free and str(path.absolute()) not in taken:
                break
        return path

    @explained("progress")
    def stop(self, session: Session) -> Changes:
        """Ask the running render and preview to stop."""
        for kind in ("render", "preview"):
            job = self._active(session, kind)
            if job is not None:
                self.app.cancel_job(job.id)
        return {"stop": {"interactive": False}}

    def _show_job(self, session: Session, argument: str) -> Changes:
        record = self._own(session, argument)
        if not is_file(record.out):
            raise JobNotFound(f"The result of {argument} is no longer there.")
        if record.kind == "preview":
            return self._show_preview(session, record)
        return {
            **self._result(session, record),
            "progress": shown(self._end_note(record, session.language)),
        }

    def _resume_job(self, session: Session, argument: str) -> Changes:
        record = self._own(session, argument)
        with starting(session) as mine:
            if mine and self._active(session, record.kind) is None:
                out = None
                if record.out and os.path.lexists(record.out):
                    # Somebody has put a file there; the result gets another name.
                    mark = "" if record.kind == "render" else record.kind
                    out = self._result_path(session, mark, record.video)
                self.app.resume_job(record.id, out=out)
                session.watched[record.kind] = record.id
                session.finished.discard(record.id)
                self.sessions.save(session)
        return {**self._started(session), **self._jobs(session)}

    def _stop_job(self, session: Session, argument: str) -> Changes:
        self.app.cancel_job(self._own(session, argument).id)
        return self._jobs(session)
