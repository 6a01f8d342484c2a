"""Whose face is put in: photos, a person of this video, the cast, saved sources."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from facepick.errors import FacepickError
from facepick_ui import messages, pictures, views
from facepick_ui.background_tasks import BackgroundTask
from facepick_ui.changes import Changes, merged, shown
from facepick_ui.handlers.context import Context
from facepick_ui.handlers.event import Act, Event, names
from facepick_ui.handlers.problems import Say
from facepick_ui.handlers.render_bar import RenderBar
from facepick_ui.handlers.standing import busy
from facepick_ui.session import Session, SourceChoice, SourceFace
from facepick_ui.uploads import paths_of

__all__ = ["Sources"]

MAX_PHOTOS = 20
"""A texture hardly gains from more than five photos; a few more to choose from."""


class Sources:
    """The picker of the source face of a swap."""

    OUTPUTS = (
        "source_hint", "source_list", "source_count", "source_faces", "source_note",
        "source_save_row", "source_save",
    )  # fmt: skip

    CHOSEN = names(OUTPUTS, RenderBar.OUTPUTS)
    """What changes when a face is taken or left out."""

    def __init__(self, context: Context, bar: RenderBar) -> None:
        self._context = context
        self._bar = bar
        self._app = context.app

    def events(self) -> list[Event]:
        """List what is answered."""
        place = "source_note"
        return [
            Event(
                component="source",
                trigger="upload",
                handler=self.add_photos,
                inputs=("source",),
                outputs=("source", place),
                place=place,
                watch=True,
            ),
            Event(
                component="source_faces",
                trigger="select",
                handler=self.choose_face,
                outputs=self.CHOSEN,
                place=place,
            ),
            Event(
                component="source_clear",
                trigger="click",
                handler=self.clear_source,
                outputs=names(self.CHOSEN, ("source",)),
                place=place,
            ),
            Event(
                component="source_save",
                trigger="click",
                handler=self.save_source,
                inputs=("source_name",),
                outputs=(place,),
                place=place,
                watch=True,
            ),
        ]

    def acts(self) -> tuple[Act, ...]:
        """List what is answered of clicks on drawn places."""
        place = "source_note"
        return (
            Act(verb="face", handler=self.take_face, outputs=(place,), place=place),
            Act(verb="unsave", handler=self.unsave, outputs=self.OUTPUTS, place=place),
        )

    def draw(self, session: Session) -> Changes:
        """Show the faces, what is wrong with some, and everybody who may be taken."""
        language = session.language
        choice = session.source
        faces = choice.faces if choice else ()
        chosen = sum(face.chosen for face in faces)
        note = ""
        if session.task is not None and session.task.place == "source_note":
            note = busy(session.language)
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
                detail = messages.core_words(face.problem, language)
                lines.append(f"{place}: {messages.text(key, language)} {detail}".rstrip())
        for name, problem in choice.problems:
            key = "source_unreadable_help" if problem else "source_no_face_help"
            said = messages.core_words(problem, language) or messages.text(key, language)
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
                    "face": pictures.face_uri(self._app, session.scan, p),
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
                for source in self._app.sources.all()
            ]
            cast = self._app.cast()
            known: list[views.Row] = [
                {
                    "label": member.name,
                    "face": pictures.avatar_uri(cast.thumbnail(member.name) or b""),
                    "act": f"face:cast:{member.name}",
                }
                for member in cast.members()[:50]
            ]
        except FacepickError as error:
            return views.error_box(error, session.language)
        groups += [("source_saved", saved), ("source_cast", known)]
        return views.source_list(groups, session.language)

    def add_photos(self, session: Session, value: Any) -> Changes:
        """Look for every face in new photos, and in those already there."""
        uploads = [
            str(self._context.keep_upload(session, Path(p), "photo")) for p in paths_of(value)
        ]
        if not uploads:
            return {}
        choice = session.source
        before = choice.texts if choice is not None and choice.label is None else ()
        texts = tuple(dict.fromkeys([*before, *uploads]))
        if len(texts) > MAX_PHOTOS:
            raise Say("source_too_many")
        return merged(self._find_faces(session, texts, label=None), {"source": {"value": None}})

    def take_face(self, session: Session, argument: str) -> Changes:
        """Look for the faces of ``person:P2``, ``saved:NAME`` or ``cast:NAME``."""
        kind, _, name = argument.partition(":")
        if kind == "person" and session.scan is not None and session.video is not None:
            person = session.scan.person(name)
            return self._find_faces(session, (f"{session.video}:{person.id}",), label=person.label)
        if kind == "cast":
            return self._find_faces(session, (f"cast:{name}",), label=name)
        if kind == "saved":
            photos = tuple(str(p) for p in self._app.sources.get(name).photos)
            return self._find_faces(session, photos, label=name)
        return {}

    def _find_faces(self, session: Session, texts: Sequence[str], *, label: str | None) -> Changes:
        """Look for the faces in a child process; the page is told when it is done."""
        folder = self._context.sessions.folder_of(session) / "faces" / secrets.token_hex(6)
        settings = dict(session.scan_settings)
        session.task = BackgroundTask(
            lambda: self._app.source_faces(texts, folder, scan_settings=settings),
            lambda found: self._found(session, tuple(texts), label, found),
            "source_note",
        )
        return {"source_note": shown(busy(session.language))}

    def _found(
        self, session: Session, texts: tuple[str, ...], label: str | None, found: Any
    ) -> Changes:
        before = session.source.chosen_keys() if session.source is not None else frozenset()
        session.source = SourceChoice.of(texts, label, found, before)
        self._context.save(session)
        return self._chosen(session)

    def _chosen(self, session: Session) -> Changes:
        """Show which faces are taken, and what is still missing."""
        return merged(self.draw(session), self._bar.draw(session))

    def choose_face(self, session: Session, index: int) -> Changes:
        """Take a face, or leave it out."""
        choice = session.source
        if choice is None or not 0 <= index < len(choice.faces):
            return {}
        if choice.faces[index].usable:
            session.source = choice.toggled(index)
            self._context.save(session)
        return self._chosen(session)

    def clear_source(self, session: Session) -> Changes:
        """Take all faces away."""
        session.source = None
        session.task = None
        self._context.save(session)
        return merged(self._chosen(session), {"source": {"value": None}})

    def save_source(self, session: Session, name: Any) -> Changes:
        """Keep the chosen faces under a name."""
        wanted = " ".join(str(name or "").split())
        if not wanted:
            raise Say("source_name_needed")
        faces = self.chosen_faces(session)
        photos = [Path(face.image) for face in faces]
        labels = [face.label for face in faces]
        session.task = BackgroundTask(
            lambda: self._app.save_source(wanted, photos, origins=labels),
            lambda _: self._saved(session, wanted),
            "source_note",
        )
        return {"source_note": shown(busy(session.language))}

    def _saved(self, session: Session, name: str) -> Changes:
        words = messages.text("source_kept", session.language, name=name)
        done = {"source_note": shown(views.notice(words)), "source_name": {"value": ""}}
        return merged(self.draw(session), done)

    def unsave(self, session: Session, name: str) -> Changes:
        """Remove a saved face."""
        self._app.sources.remove(name)
        return self.draw(session)

    def chosen_faces(self, session: Session) -> list[SourceFace]:
        """List the faces that are taken.  Raises: Say, when nothing is chosen."""
        chosen = [f for f in session.source.faces if f.chosen] if session.source else []
        if not chosen:
            raise Say("source_needed", "source_note")
        return chosen
