"""What a render came to, the buttons that start one, and earlier jobs."""

from __future__ import annotations

import functools
import time
from pathlib import Path

from facepick.errors import UserInputError
from facepick.jobs.job import JobRecord
from facepick.render.report import sidecar_of
from facepick_ui import messages, pictures, views
from facepick_ui.compat import Changes
from facepick_ui.handlers.base import explained, is_file, shown
from facepick_ui.handlers.players import Players
from facepick_ui.session import Session

__all__ = ["Results"]

DEBUG_SHEETS = 12
"""Shown at most, 60 kB each."""


class Results(Players):
    """The lower part of the page."""

    def _results(self, session: Session) -> Changes:
        """What the newest render and preview of the open video came to."""
        language = session.language
        render = self._record(session, "render")
        preview = self._record(session, "preview")
        changes: Changes = {
            "progress": shown(""),
            "preview_video": {"visible": False, "value": None},
            "preview_player": shown(""),
            "result_row": {"visible": False},
            "result": {"value": None},
            "result_player": shown(""),
            "original": {"value": None},
            "report": shown(""),
            "debug_sheets": shown(""),
            "download": {"visible": False, "value": None},
        }
        newest = max(
            (r for r in (render, preview) if r is not None), key=lambda r: r.created, default=None
        )
        if newest is not None and newest.is_active:
            changes["progress"] = shown(self._progress(session, newest))
        elif newest is not None:
            session.finished.add(newest.id)
            changes["progress"] = shown(self._end_note(newest, language))
        # A render that came after it shows more than the preview does.
        current = render is None or preview is None or render.created <= preview.created
        if preview is not None and current and preview.state == "done" and is_file(preview.out):
            changes.update(self._show_preview(session, preview))
            changes["debug_sheets"] = shown(self._debug_sheets(session, preview))
        if render is not None and render.state == "done" and is_file(render.out):
            changes.update(self._result(session, render))
        changes.update(self._buttons(session))
        return changes

    def _show_preview(self, session: Session, record: JobRecord) -> Changes:
        changes = self._player(session, "preview", record.out or "")
        changes["preview_video"]["visible"] = True
        return changes

    def _result(self, session: Session, record: JobRecord) -> Changes:
        if session.video == record.video:
            original = self._original(session)
        else:
            original = {"original": {"value": None, "visible": False}}
        return {
            "result_row": {"visible": True},
            **self._player(session, "result", record.out or ""),
            **original,
            "report": shown(self._report(session, record)),
            "debug_sheets": shown(self._debug_sheets(session, record)),
            "download": {"visible": True, "value": _files(record)},
        }

    def _debug_sheets(self, session: Session, record: JobRecord) -> str:
        """The steps of an engine, where its setting 'Active debug' is on."""
        sheets = sorted(record.folder.glob("debug-*/*.jpg"))[:DEBUG_SHEETS]
        found = [uri for sheet in sheets if (uri := pictures.file_uri(sheet))]
        return views.debug_view(found, session.language)

    def _report(self, session: Session, record: JobRecord) -> str:
        from facepick.render.report import read_report

        told = views.notices_view(record.notices, session.language)
        try:
            report = read_report(Path(record.out or ""))
        except UserInputError:
            return told
        people = []
        for entry in report["people"]:
            spec = self.app.registry.get(entry["flow"], entry["engine"]).spec
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
        return told + views.report_view(people, marked, session.language)

    def _buttons(self, session: Session) -> Changes:
        rendering = self._active(session, "render") is not None
        previewing = self._active(session, "preview") is not None
        ready = session.scan is not None and bool(session.picked or session.kept)
        changes: Changes = {
            "render": {"interactive": ready and not rendering},
            "preview": {"interactive": ready and not previewing},
            "preview_hard": {"interactive": ready and not previewing},
            "stop": {"interactive": rendering or previewing},
        }
        if not rendering and not previewing:
            missing = self._missing(session) if ready else ""
            idle = ready and not any(session.watched.get(k) for k in ("render", "preview"))
            note = views.empty("render_empty", session.language) if idle else ""
            changes["render_note"] = shown(views.notice(missing, kind="calm") if missing else note)
        return changes

    def _missing(self, session: Session) -> str:
        """What a render lacks as the page stands, in one sentence; "" when it lacks nothing."""
        scan = session.scan
        flow = str(session.form.get("flow") or self.page.first_choice()[0])
        engines = self.page.specs(flow)
        taken = {p for item in session.kept if item.flow == flow for p in item.selection.people}
        picked = [key for key in session.picked if key not in taken]
        if scan is None or not engines or not picked:
            return ""
        text = functools.partial(messages.text, language=session.language)
        who = ", ".join(scan.person(key).label for key in picked)
        form = session.form
        lacking = []
        sounds = ("speech", "recording", "lines", "output_soundtrack")
        if any(s.needs_audio for s in engines) and not any(form.get(name) for name in sounds):
            lacking.append(text("missing_speech", who=who))
        if any(s.needs_source for s in engines):
            if session.source is None or not session.source.chosen_keys():
                lacking.append(text("missing_face", who=who))
            if form.get("consent") is not True:
                lacking.append(text("missing_consent", who=who))
        return text("still_missing", what=", ".join(lacking)) if lacking else ""

    def _outdated(self, session: Session) -> Changes:
        """A preview of another flow than the chosen one goes away; so does an old complaint."""
        changes: Changes = {}
        preview = self._record(session, "preview")
        if preview is not None and not preview.is_active:
            plan = preview.request.get("plan", {})
            flows = {item["flow"] for item in plan.get("assignments", ())}
            if session.form.get("flow") not in flows:
                changes["preview_video"] = {"visible": False}
                changes["preview_player"] = shown("")
        if session.problem:
            session.problem = False
            changes["progress"] = shown("")
        return changes

    def _jobs(self, session: Session) -> Changes:
        rows = []
        mine = [r for r in self.app.jobs(owner=session.key) if r.kind != "proxy"]
        for record in mine[:50]:
            acts: list[tuple[str, str]] = []
            if record.is_active:
                acts.append((f"stop:{record.id}", "job_stop"))
            elif record.kind != "scan" and record.state == "done" and is_file(record.out):
                acts.append((f"show:{record.id}", "job_show"))
            elif record.can_resume and record.kind == "render":
                acts.append((f"resume:{record.id}", "job_resume"))
            fraction = record.progress.fraction if record.progress else None
            rows.append(
                {
                    "state": record.state,
                    "kind": record.kind,
                    "name": Path(record.subject).name,
                    "when": time.strftime("%Y-%m-%d %H:%M", time.localtime(record.created)),
                    "note": record.error or _notes(len(record.notices), session.language),
                    "percent": None
                    if fraction is None or record.state == "done"
                    else round(100 * fraction),
                    "acts": acts,
                }
            )
        return {"jobs": shown(views.jobs_table(rows, session.language))}

    @explained("jobs")
    def list_jobs(self, session: Session) -> Changes:
        return self._jobs(session)


def _notes(count: int, language: str) -> str:
    if not count:
        return ""
    return messages.text("notices_one" if count == 1 else "notices_count", language, n=count)


def _files(record: JobRecord) -> list[str]:
    """The result, and the report beside it."""
    out = Path(record.out or "")
    return [str(path) for path in (out, sidecar_of(out)) if path.is_file()]
