"""List of changes: what will happen to whom."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from facepick.people.person import Person, Scan
from facepick.render.plan import Assignment
from facepick.speech.line import SpeechLine
from facepick_ui import messages, pictures, views
from facepick_ui.changes import Changes, shown
from facepick_ui.handlers.context import Context
from facepick_ui.session import Session

__all__ = ["Assignments"]


class Assignments:
    """The list as a table."""

    OUTPUTS = ("assignments",)

    def __init__(self, context: Context) -> None:
        self._app = context.app
        self._page = context.page

    def draw(self, session: Session) -> Changes:
        """Show the list."""
        scan = session.scan
        if scan is None:
            return {"assignments": shown("")}
        rows = [
            {
                **self._row(session, scan, item),
                "drop": f"drop:{number}",
                "edit": f"edit:{number}" if session.kept_forms[number] else "",
            }
            for number, item in enumerate(session.kept)
        ]
        return {"assignments": shown(views.assignments_table(rows, session.language))}

    def _row(self, session: Session, scan: Scan, item: Assignment) -> views.Row:
        people = item.selection.resolve(scan)
        spec = self._app.registry.get(item.flow, item.engine).spec
        how = [messages.engine_label(spec.label, session.language)]
        labels = {w.field.name: w for p in self._page.panels if p.spec == spec for w in p.widgets}
        for name, value in item.settings.items():
            widget = labels.get(name)
            if widget is None:
                continue
            label = messages.setting_label(widget.field.ui.label, session.language)
            if widget.field.kind == "file":
                value = Path(str(value)).name
            how.append(f"{label} {value:g}" if isinstance(value, float) else f"{label} {value}")
        how += [_line_words(line, session.language) for line in item.speech[:3]]
        if len(item.speech) > 3:
            how.append(messages.text("lines_more", session.language, n=len(item.speech) - 3))
        return {
            "faces": [pictures.face_uri(self._app, scan, p) for p in people[:6]],
            "who": _who(item, scan, people, session.language),
            "what": messages.text(f"flow_{item.flow}", session.language),
            "how": " · ".join(how),
            "into": [uri for name in item.source if (uri := pictures.photo_uri(Path(name)))],
        }


def _who(item: Assignment, scan: Scan, people: Sequence[Person], language: str) -> str:
    spared = item.selection.everyone_but
    if not spared:
        return messages.listed((p.label for p in people), language)
    who = messages.listed((scan.person(k).label for k in spared), language)
    return messages.text("all_but", language, who=who)


def _line_words(line: SpeechLine, language: str) -> str:
    """``hello.wav 0:02 "Good morning"``, as short as it goes."""
    words = Path(line.path).name
    if line.start_seconds:
        words += f" @ {views.clock(line.start_seconds)}"
    if line.text:
        words += f" “{line.text if len(line.text) <= 40 else line.text[:39] + '…'}”"
    if line.phones:
        words += f" ({messages.text('phones_given', language)})"
    return words
