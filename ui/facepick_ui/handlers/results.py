"""What a render and a preview came to."""

from __future__ import annotations

from pathlib import Path

from facepick.errors import JobNotFound, UserInputError
from facepick.jobs.job import JobRecord
from facepick_ui import messages, pictures, views
from facepick_ui.changes import Changes, merged, shown
from facepick_ui.handlers.context import Context, is_file, names_of
from facepick_ui.handlers.event import Act, names
from facepick_ui.handlers.players import Players
from facepick_ui.handlers.render_bar import RenderBar
from facepick_ui.handlers.standing import end_note, progress_bar
from facepick_ui.session import Session

__all__ = ["Results"]

DEBUG_SHEETS = 12
"""Shown at most, 60 kB each."""


class Results:
    """The lower part of the page."""

    OUTPUTS = names(
        (
            "progress",
            "told",
            "result_row",
            "result_note",
            "compare",
            "saved",
            "report",
            "review",
            "debug_sheets",
            "download",
        ),
        Players.OUTPUTS,
        RenderBar.OUTPUTS,
    )

    def __init__(self, context: Context, players: Players, bar: RenderBar) -> None:
        self._context = context
        self._app = context.app
        self._players = players
        self._bar = bar

    def acts(self) -> tuple[Act, ...]:
        """List what is answered of clicks on drawn places."""
        return (
            Act(verb="show", handler=self.show_job, outputs=self.OUTPUTS),
            Act(verb="folder", handler=self.open_folder, outputs=("saved",), place="saved"),
            Act(verb="review", handler=self.show_review, outputs=("review",)),
        )

    def draw(self, session: Session) -> Changes:
        """Show what the newest render and preview of the open video came to."""
        language = session.language
        render = self._context.record(session, "render")
        preview = self._context.record(session, "preview")
        changes: Changes = {
            "progress": shown(""),
            "told": shown(""),
            "preview_video": {"visible": False, "value": None},
            "preview_player": shown(""),
            "result_row": {"visible": False},
            "result_note": shown(""),
            "result": {"value": None},
            "result_player": shown(""),
            "original": {"value": None},
            "compare": shown(""),
            "saved": shown(""),
            "report": shown(""),
            "review": shown(""),
            "debug_sheets": shown(""),
            "download": {"visible": False, "value": None},
        }
        newest = self._newest(session)
        stands = preview is not None and self._stands(session, preview)
        if newest is not None and newest.is_active:
            changes["progress"] = shown(progress_bar(newest, language))
        elif newest is not None:
            session.finished.add(newest.id)
            if newest.kind != "preview" or newest.state != "done" or stands:
                changes["progress"] = shown(end_note(self._app, newest, language))
        if preview is not None and stands:
            changes = merged(changes, self._show_preview(session, preview))
            changes["debug_sheets"] = shown(self._debug_sheets(preview, language))
        if render is not None and render.state == "done" and is_file(render.out):
            changes = merged(changes, self._show_result(session, render))
            if changes["preview_video"]["visible"]:
                older = messages.text("result_earlier", language, file=Path(render.out or "").name)
                changes["result_note"] = shown(views.paragraph(older))
        return merged(changes, self._bar.draw(session))

    def show_job(self, session: Session, job_id: str) -> Changes:
        """Show the result of an earlier job.

        Raises:
            JobNotFound: it is somebody else's, or its result is gone.
        """
        record = self._context.own(session, job_id)
        if not is_file(record.out):
            raise JobNotFound(f"The result of {job_id} is no longer there.")
        if record.kind == "preview":
            note = {"progress": shown(end_note(self._app, record, session.language))}
            return merged(self._show_preview(session, record), self._named_result(session), note)
        return merged(
            self._show_result(session, record),
            {"progress": shown(end_note(self._app, record, session.language))},
        )

    def _named_result(self, session: Session) -> Changes:
        """Name the result below a preview of another job, so that they are not taken for one."""
        render = self._context.record(session, "render")
        if render is None or render.state != "done" or not is_file(render.out):
            return {}
        file = Path(render.out or "").name
        words = messages.text("result_named", session.language, file=file)
        return {"result_note": shown(views.paragraph(words))}

    def show_review(self, session: Session, job_id: str) -> Changes:
        """Show the review of a result below it.

        Raises:
            JobNotFound: it is somebody else's.
        """
        page = self._app.review_of_job(self._context.own(session, job_id))
        return {"review": shown(views.review_frame(page) if page else "")}

    def follow_flow(self, session: Session) -> Changes:
        """Show the newest preview only beside the flow that it is of; forget an old complaint."""
        preview = self._context.record(session, "preview")
        if preview is None or preview.is_active or self._context.active(session, "render"):
            return self._bar.forget_problem(session)
        if self._stands(session, preview):
            note = {"progress": shown(end_note(self._app, preview, session.language))}
            return merged(self._show_preview(session, preview), note)
        changes: Changes = {
            "told": shown(""),
            "preview_video": {"visible": False},
            "preview_player": shown(""),
        }
        newest = self._newest(session)
        # What was stopped keeps its Resume.
        if newest is not None and newest.id == preview.id and preview.state in ("done", "failed"):
            changes["progress"] = shown("")
        return merged(changes, self._bar.forget_problem(session))

    def _newest(self, session: Session) -> JobRecord | None:
        """Give the newest of render and preview of the open video."""
        found = [self._context.record(session, kind) for kind in ("render", "preview")]
        return max((r for r in found if r is not None), key=lambda r: r.created, default=None)

    def _stands(self, session: Session, preview: JobRecord) -> bool:
        """Say whether a preview shows the flows that are chosen, and nothing was rendered since.

        A render that came after it shows more than the preview does.
        """
        render = self._context.record(session, "render")
        if preview.state != "done" or not is_file(preview.out):
            return False
        if render is not None and render.created > preview.created:
            return False
        assignments = preview.request.get("plan", {}).get("assignments", ())
        previewed = {item["flow"] for item in assignments}
        wanted = {item.flow for item in session.kept}
        if session.picked:
            wanted.add(self._context.flow(session))
        return wanted <= previewed

    def _show_preview(self, session: Session, record: JobRecord) -> Changes:
        return merged(
            self._players.play(session, "preview", record.out or ""),
            {
                "preview_video": {"visible": True},
                # A render tells it with its report.
                "told": shown(self._notices(session, record)),
            },
        )

    def _show_result(self, session: Session, record: JobRecord) -> Changes:
        if session.video == record.video:
            original = self._players.play_original(session)
        else:
            original = {"original": {"value": None, "visible": False}}
        files = [str(path) for path in self._app.result_files(record)]
        return merged(
            {"result_row": {"visible": True}, "result_note": shown("")},
            self._players.play(session, "result", record.out or ""),
            original,
            {
                "compare": shown(self._compare(session, record)),
                "saved": shown(self._saved(record, session.language)),
                "report": shown(self._report(session, record)),
                "review": shown(""),
                "debug_sheets": shown(self._debug_sheets(record, session.language)),
                "download": {"visible": True, "value": files},
            },
        )

    def open_folder(self, session: Session, job_id: str) -> Changes:
        """Open the folder of a result, where the user sits at this machine.

        Raises:
            JobNotFound: it is somebody else's.
            ToolError: the desktop has no program for it.
        """
        record = self._context.own(session, job_id)
        if self._context.page.local:
            self._app.show_folder(Path(record.out or ""))
        return {}

    def _saved(self, record: JobRecord, language: str) -> str:
        act = f"folder:{record.id}" if self._context.page.local else ""
        return views.saved_view(record.out or "", act, language)

    def _compare(self, session: Session, record: JobRecord) -> str:
        """Draw the two on each other, where the original is at hand."""
        if session.video != record.video:
            return ""
        info = self._app.facts(record.video)
        # A clip that does not say its rate is stepped through as most are.
        rate = float(info.average_rate or 25)
        return views.compare_view(record.id, (info.width, info.height), rate, session.language)

    def _debug_sheets(self, record: JobRecord, language: str) -> str:
        """Show the steps of an engine, where its setting 'Active debug' is on."""
        sheets = sorted(record.folder.glob("debug-*/*.jpg"))[:DEBUG_SHEETS]
        found = [uri for sheet in sheets if (uri := pictures.file_uri(sheet))]
        return views.debug_view(found, language)

    def _notices(self, session: Session, record: JobRecord) -> str:
        """Draw what people should know of it; people of the open video by their names."""
        names = names_of(session.scan) if record.video == session.video else {}
        return views.notices_view(record.notices, session.language, names=names)

    def _review_offer(self, session: Session, record: JobRecord) -> str:
        """Draw the button that shows the review, if there is one."""
        if not record.result.get("review"):
            return ""
        return views.review_offer(record.id, session.language)

    def _report(self, session: Session, record: JobRecord) -> str:
        told = self._notices(session, record)
        try:
            report = self._app.report(Path(record.out or ""))
        except UserInputError:
            return told
        people = []
        for entry in report["people"]:
            spec = self._app.registry.get(entry["flow"], entry["engine"]).spec
            label = messages.engine_label(spec.label, session.language)
            people.append(
                {
                    "label": entry["name"] or entry["id"],
                    "what": f"{messages.text('flow_' + entry['flow'], session.language)} · {label}",
                    "color": views.color_of(entry["id"]),
                    "changed": entry["frames_changed"],
                    "closed": entry.get("frames_closed", 0),
                    "left": entry["frames_left"],
                }
            )
        marked = bool(report["plan"]["output"].get("provenance", True)) and any(
            entry["synthetic"] for entry in report["people"]
        )
        return (
            told
            + views.report_view(people, marked, session.language)
            + self._review_offer(session, record)
        )
