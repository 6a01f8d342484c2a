"""Whose face is put in: photos, a person of this video, the cast, saved sources."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from facepick.errors import FacepickError
from facepick_ui import messages, pictures, views
from facepick_ui.background_tasks import BackgroundTask
from facepick_ui.compat import Changes, paths_of
from facepick_ui.handlers.base import Base, Say, explained, shown
from facepick_ui.session import Session, SourceChoice, SourceFace

__all__ = ["Sources"]

MAX_PHOTOS = 20
"""A texture hardly gains from more than five photos; a few more to choose from."""


class Sources(Base):
    """The picker of the source face of a swap."""

    # --- what is shown ---

    def _sources(self, session: Session) -> Changes:
        """Gallery of faces, note, and everybody who may be taken."""
        language = session.language
        choice = session.source
        faces = choice.faces if choice else ()
        chosen = sum(face.chosen for face in faces)
        note = ""
        if session.task is not None and session.task.place == "source_note":
            note = self._busy(session)
        elif choice is not None:
            note = self._refused(choice, language)
        hint = messages.text("source_none" if not faces else "source_faces", language)
        if chosen:
            hint += " " + messages.text("source_chosen", language, n=chosen)
        return {
            "source_hint": shown(views.hint("source_hint", language)),
            "source_list": shown(self._source_list(session)),
            "source_count": shown(views.paragraph(hint)),
            "source_faces": {"value": self._source_gallery(session), "visible": bool(faces)},
            "source_note": shown(note),
            "source_save_row": {"visible": choice is not None},
            "source_save": {"interactive": chosen > 0},
        }

    def _source_gallery(self, session: Session) -> list[tuple[Any, str]]:
        if session.source is None:
            return []
        return [
            (
                pictures.source_face(Path(face.image), chosen=face.chosen, usable=face.usable),
                face.label
                if face.usable
                else messages.text(f"source_{face.reason}", session.language),
            )
            for face in session.source.faces
        ]

    def _refused(self, choice: SourceChoice, language: str) -> str:
        """Why faces and photos cannot be used, one sentence each."""
        lines = []
        for face in choice.faces:
            if not face.usable:
                key = f"source_{face.reason}_help"
                place = messages.text("source_place", language, file=face.label, n=face.number)
                lines.append(f"{place}: {messages.text(key, language)} {face.problem}")
        for name, problem in choice.problems:
            said = problem or messages.text("source_no_face_help", language)
            lines.append(f"{name}: {said}")
        if not lines:
            return ""
        return views.notice_list(messages.text("source_refused", language), lines)

    def _source_list(self, session: Session) -> str:
        """People of this video, saved sources and the cast, as buttons with a face."""
        groups: list[tuple[str, list[views.Row]]] = []
        if session.scan is not None:
            # A person's own face in the person's place would change nothing.
            people = [
                p for p in session.scan.people if not p.ignored and p.id not in session.picked
            ]
            rows = [
                {
                    "label": p.label,
                    "face": pictures.face_uri(session.scan, p),
                    "act": f"face:person:{p.id}",
                }
                for p in people
            ]
            groups.append(("source_people", rows))
        try:
            saved: list[views.Row] = [
                {
                    "label": source.name,
                    "face": pictures.photo_uri(source.photos[0]),
                    "act": f"face:saved:{source.name}",
                    "remove": f"unsave:{source.name}",
                }
                for source in self.app.sources.all()
            ]
            cast = self.app.cast()
            known: list[views.Row] = [
                {
                    "label": member.name,
                    "face": pictures.avatar_uri(cast.thumbnail(member.name) or b""),
                    "act": f"face:cast:{member.name}",
                }
                for member in cast.members()[:50]
            ]
        except FacepickError as error:
            return messages.error_html(error, session.language)
        groups += [("source_saved", saved), ("source_cast", known)]
        return views.source_list(groups, session.language)

    # --- what is used ---

    @explained("source_note")
    def add_photos(self, session: Session, value: Any) -> Changes:
        """Photos were uploaded: look for every face in them, and in those already there."""
        uploads = [str(self._keep_upload(session, Path(p), "photo")) for p in paths_of(value)]
        if not uploads:
            return {}
        choice = session.source
        before = choice.texts if choice is not None and choice.label is None else ()
        texts = tuple(dict.fromkeys([*before, *uploads]))
        if len(texts) > MAX_PHOTOS:
            raise Say("source_too_many")
        return {**self._find_faces(session, texts, label=None), "source": {"value": None}}

    def _take_face(self, session: Session, argument: str) -> Changes:
        """``person:P2``, ``saved:NAME`` or ``cast:NAME`` was clicked."""
        kind, _, name = argument.partition(":")
        if kind == "person" and session.scan is not None and session.video is not None:
            person = session.scan.person(name)
            return self._find_faces(session, (f"{session.video}:{person.id}",), label=person.label)
        if kind == "cast":
            return self._find_faces(session, (f"cast:{name}",), label=name)
        if kind == "saved":
            photos = tuple(str(p) for p in self.app.sources.get(name).photos)
            return self._find_faces(session, photos, label=name)
        return {}

    def _find_faces(self, session: Session, texts: Sequence[str], *, label: str | None) -> Changes:
        """Look for the faces in a child process; the page is told when it is done."""
        folder = self.sessions.folder_of(session) / "faces" / secrets.token_hex(6)
        settings = dict(session.scan_settings)
        session.task = BackgroundTask(
            lambda: self.app.source_faces(texts, folder, scan_settings=settings),
            lambda found: self._found(session, tuple(texts), label, found),
            "source_note",
        )
        return {"source_note": shown(self._busy(session))}

    def _busy(self, session: Session) -> str:
        return views.progress_view(None, session.language, stage="faces")

    def _found(
        self, session: Session, texts: tuple[str, ...], label: str | None, found: Any
    ) -> Changes:
        before = session.source.chosen_keys() if session.source is not None else frozenset()
        session.source = SourceChoice.of(texts, label, found, before)
        self.sessions.save(session)
        return self._sources(session)

    @explained("source_note")
    def choose_face(self, session: Session, index: int) -> Changes:
        """A face was clicked: take it, or leave it out."""
        choice = session.source
        if choice is None or not 0 <= index < len(choice.faces):
            return {}
        if choice.faces[index].usable:
            session.source = choice.toggled(index)
            self.sessions.save(session)
        return self._sources(session)

    @explained("source_note")
    def clear_source(self, session: Session) -> Changes:
        session.source = None
        session.task = None
        self.sessions.save(session)
        return {**self._sources(session), "source": {"value": None}}

    @explained("source_note")
    def save_source(self, session: Session, name: Any) -> Changes:
        """Keep the chosen faces under a name."""
        wanted = " ".join(str(name or "").split())
        if not wanted:
            raise Say("source_name_needed")
        faces = self._chosen_faces(session)
        photos = [Path(face.image) for face in faces]
        labels = [face.label for face in faces]
        session.task = BackgroundTask(
            lambda: self.app.save_source(wanted, photos, origins=labels),
            lambda _: self._saved(session, wanted),
            "source_note",
        )
        return {"source_note": shown(self._busy(session))}

    def _saved(self, session: Session, name: str) -> Changes:
        words = messages.text("source_kept", session.language, name=name)
        return {
            **self._sources(session),
            "source_note": shown(views.notice(words)),
            "source_name": {"value": ""},
        }

    def _unsave(self, session: Session, name: str) -> Changes:
        self.app.sources.remove(name)
        return self._sources(session)

    def _chosen_faces(self, session: Session) -> list[SourceFace]:
        """Raises: Say, when nothing is chosen."""
        chosen = [f for f in session.source.faces if f.chosen] if session.source else []
        if not chosen:
            raise Say("source_needed")
        return chosen
