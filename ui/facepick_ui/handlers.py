"""What happens when something on the page is used.

No gradio in here: a handler takes the key of the session and plain values, and gives `Changes`
(component name -> properties).  `facepick_ui.tab` wires them to widgets.  Heavy work is handed to
child processes through `App`; this module starts, watches and stops it.
"""

from __future__ import annotations

import bisect
import functools
import hashlib
import logging
import os
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from facepick.engines.engine import EngineSpec, SpeechLine
from facepick.errors import FacepickError, JobNotFound, UserInputError
from facepick.host.host import allowed_path
from facepick.jobs.job import JobRecord
from facepick.people.identity import Identity, Scan
from facepick.people.selection import Selection
from facepick.render.plan import CONSENT_SENTENCE, Assignment, OutputSettings
from facepick_ui import messages, pictures, views
from facepick_ui.compat import Changes, path_of
from facepick_ui.flow_panels import changed_values, is_shown, plain_value
from facepick_ui.session import Session, SessionStore

if TYPE_CHECKING:
    from facepick.app import App
    from facepick_ui.tab import Page

__all__ = ["Handlers"]

log = logging.getLogger("facepick_ui.handlers")

F = TypeVar("F", bound=Callable[..., Any])

POLL_SECONDS = 0.4
"""Between two looks at a job: brisk for the eye, and a file of a few hundred bytes to read."""

KNOWN_SHOWN = 200
"""People of the cast that are listed: about 3 kB each."""

BUSY_SECONDS = 20.0
"""How long a comparison of photos waits for another user's, which takes 2 to 5 s."""

KINDS = ("scan", "render", "preview")


def explained(place: str) -> Callable[[F], F]:
    """Turns what a handler raises into a box at `place` that says what to do."""

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def wrapper(self: Handlers, key: Any, *values: Any) -> Changes:
            session = self.session(key)
            try:
                return function(self, session, *values)  # type: ignore[no-any-return]
            except FacepickError as error:
                return {place: shown(messages.error_html(error, session.language))}
            except _Say as say:
                return {place: shown(say.box(session.language))}
            except Exception as error:
                # The page must say something, whatever happened; the log keeps the trace.
                log.exception("%s failed", function.__name__)
                return {place: shown(messages.error_html(error, session.language))}

        return wrapper  # type: ignore[return-value]

    return decorate


class _Say(Exception):
    """A sentence of the catalogue for the user."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key

    def box(self, language: str) -> str:
        return views.notice(messages.text(self.key, language), kind="calm")


def shown(value: str) -> dict[str, Any]:
    return {"value": value, "visible": bool(value)}


class Handlers:
    """All handlers of one tab.

    Args:
        app: the core.
        page: names, engines and settings that the tab was built with.
    """

    def __init__(self, app: App, page: Page) -> None:
        self.app = app
        self.page = page
        self.sessions = SessionStore(app.host.home() / "ui")
        self._comparing = threading.Lock()

    # --- the page -------------------------------------------------------------------------

    def session(self, key: Any) -> Session:
        """The session of a page; an empty one when the page has lost its key."""
        if isinstance(key, str) and re.fullmatch(r"[0-9a-f]{32}", key):
            return self.sessions.by_key(key)
        return self.sessions.by_token(None)

    def hello(self, greeting: Any) -> tuple[str, Changes]:
        """A page has opened: find its session and show everything as it was left.

        Args:
            greeting: the browser's secret and its language, ``SECRET|zh-CN``.

        Returns:
            The session's key for ``gr.State``, and the changes.
        """
        token, _, browser = str(greeting or "").partition("|")
        session = self.sessions.by_token(token)
        chosen, _, wanted = browser.partition("|")
        session.language = messages.language_of(wanted or chosen, self.app.host.language())
        session.watcher += 1
        flow, style = self.page.first_choice()
        changes = self._words(session, flow, style)
        for name, what in self._everything(session).items():
            changes.setdefault(name, {}).update(what)
        changes["config"] = {"value": views.config(self.page.tick_ms, greeted=True)}
        return session.key, changes

    @explained("facts")
    def choose_language(self, session: Session, name: Any, flow: Any, style: Any) -> Changes:
        """The user picks a language for this visit."""
        codes = {label: code for code, label in messages.LANGUAGES.items()}
        session.language = codes.get(str(name), str(name))
        if session.language not in messages.LANGUAGES:
            session.language = "en"
        self.sessions.save(session)
        changes = self._words(session, str(flow), str(style))
        for name, what in self._everything(session).items():
            changes.setdefault(name, {}).update(what)
        return changes

    def _words(self, session: Session, flow: str, style: str) -> Changes:
        changes = self.page.words(session.language)
        changes.update(self._panels(session, flow, style))
        if "language" in self.page.components:
            changes["language"] = {"value": session.language}
        changes.setdefault("style", {})["choices"] = self.page.style_choices(flow, session.language)
        return changes

    def _everything(self, session: Session) -> Changes:
        changes: Changes = {"header": shown(views.header(session.language))}
        for number, key in enumerate(("video", "people", "what", "render"), 1):
            title = views.card_title(number, f"step_{key}", session.language)
            changes[f"{key}_title"] = {"value": title}
        if session.video and not Path(session.video).is_file():
            session.open("", None)
            session.video = None
        if session.video and session.scan is None:
            self._recall_scan(session)
        changes.update(self._video(session, with_player=True))
        changes.update(self._people(session))
        changes.update(self._known(session))
        changes["explain_hint"] = shown(views.hint("explain_hint", session.language))
        changes.update(self._results(session))
        changes.update(self._jobs(session))
        return changes

    def _recall_scan(self, session: Session) -> None:
        """The scan of the open video, from the cache, when its job is done."""
        job = self._record(session, "scan")
        if job is not None and job.state == "done":
            try:
                session.scan = self.app.scan_of_job(job.id)
            except FacepickError:
                session.watched.pop("scan", None)

    # --- 1 video --------------------------------------------------------------------------

    @explained("facts")
    def upload(self, session: Session, value: Any) -> Changes:
        """A video was uploaded, or the player was cleared."""
        path = path_of(value)
        if path is None:
            session.open("", None)
            session.video = None
            self.sessions.save(session)
            return {**self._video(session), **self._people(session), **self._results(session)}
        kept = self._keep_upload(session, Path(path), "video")
        return self._open(session, kept, kept)

    @explained("facts")
    def open_path(self, session: Session, name: Any) -> Changes:
        """The user named a file of this machine."""
        path = allowed_path(self.app.host, str(name or ""))
        return self._open(session, path, self._servable(session, path), with_player=True)

    @explained("facts")
    def open_demo(self, session: Session) -> Changes:
        """The clip that comes with facepick."""
        path = self.page.demo
        if path is None:
            raise _Say("no_video")
        return self._open(session, path, self._servable(session, path), with_player=True)

    def _open(
        self, session: Session, path: Path, served: Path | None, *, with_player: bool = False
    ) -> Changes:
        self.app.probe(path)
        session.open(str(path), None if served is None else str(served))
        self.sessions.save(session)
        return {
            **self._video(session, with_player=with_player),
            **self._people(session),
            **self._results(session),
        }

    def _keep_upload(self, session: Session, path: Path, kind: str) -> Path:
        """The upload in the user's own folder, where no clean-up of the host removes it.

        A hard link where the file system allows it, so that large videos are not copied.
        """
        size = path.stat()
        mark = hashlib.sha256(f"{path}|{size.st_size}|{size.st_mtime_ns}".encode()).hexdigest()[:12]
        folder = self.sessions.folder_of(session) / "uploads" / mark
        kept = folder / _plain_name(path.name, kind)
        if not kept.is_file() or kept.stat().st_size != size.st_size:
            folder.mkdir(parents=True, exist_ok=True)
            kept.unlink(missing_ok=True)
            try:
                os.link(path.resolve(), kept)
            except OSError:
                part = kept.with_name(kept.name + ".part")
                shutil.copyfile(path, part)
                os.replace(part, kept)
        return kept

    def _servable(self, session: Session, path: Path) -> Path | None:
        """The same video where the browser may fetch it; None when that needs a copy.

        Folders of the machine are never opened to browsers as a whole: one link per file.
        """
        name = hashlib.sha256(str(path).encode()).hexdigest()[:12]
        folder = self.sessions.folder_of(session) / "opened" / name
        link = folder / _plain_name(path.name, "video")
        if link.exists():
            return link
        folder.mkdir(parents=True, exist_ok=True)
        for make in (os.link, os.symlink):
            try:
                make(path, link)
                return link
            except OSError:
                continue
        return None

    def _video(self, session: Session, *, with_player: bool = False) -> Changes:
        changes: Changes = {}
        language = session.language
        if with_player:
            changes["video"] = {"value": session.served}
        if session.video is None:
            changes["facts"] = shown(views.empty("no_video", language))
            changes["scan"] = {"interactive": False, "value": messages.text("scan", language)}
        else:
            info = self.app.probe(session.video)
            changes["facts"] = shown(views.facts(info, language))
            running = self._active(session, "scan") is not None
            word = "scan_again" if session.scan is not None else "scan"
            changes["scan"] = {
                "interactive": not running,
                "value": messages.text(word, language),
            }
        changes["demo"] = {"visible": self.page.demo is not None and session.video is None}
        changes["scan_stop"] = {"visible": self._active(session, "scan") is not None}
        changes["scan_progress"] = shown(self._scan_line(session))
        return changes

    def _scan_line(self, session: Session) -> str:
        """How the scan stands: running, found so many, stopped or failed."""
        record = self._record(session, "scan")
        if record is not None and record.is_active:
            return self._progress(session, record)
        scan = session.scan
        if scan is None:
            return "" if record is None else self._end_note(record, session.language)
        count = sum(1 for p in scan.people if not p.ignored and not p.unsure)
        key = "scan_done_one" if count == 1 else "scan_done"
        return views.notice(messages.text(key, session.language, n=count, frames=scan.frames))

    @explained("scan_progress")
    def scan(self, session: Session, *values: Any) -> Changes:
        """Start the search for people in a child process."""
        if session.video is None:
            raise _Say("open_video_first")
        with _starting(session) as mine:
            if mine and self._active(session, "scan") is None:
                settings = changed_values(self.page.scan_widgets, values)
                session.scan_settings = settings
                job = self.app.start_scan(session.video, settings=settings, owner=session.key)
                session.watched["scan"] = job.id
                self.sessions.save(session)
        return {
            "scan": {"interactive": False},
            "scan_stop": {"visible": True},
            "scan_progress": shown(views.progress_view(None, session.language)),
        }

    # --- 2 people -------------------------------------------------------------------------

    def _shown_people(self, session: Session, *, unsure: bool) -> list[Identity]:
        people = session.scan.people if session.scan else ()
        return [p for p in people if not p.ignored and p.unsure is unsure]

    def _people(self, session: Session) -> Changes:
        """Gallery, chips, picture, timeline and everything below that depends on the pick."""
        language = session.language
        scan = session.scan
        if scan is not None:
            known = {p.id for p in scan.people if not p.ignored}
            session.picked = [key for key in session.picked if key in known]
        sure = self._shown_people(session, unsure=False)
        unsure = self._shown_people(session, unsure=True)
        note = ""
        if scan is None:
            note = views.empty("people_empty", language)
        elif not sure and not unsure:
            note = views.empty("people_none", language)
        changes: Changes = {
            "people_note": shown(note),
            "people": {"value": self._gallery(session, sure), "visible": bool(sure)},
            "unsure_people": {"value": self._gallery(session, unsure), "visible": bool(unsure)},
            "people_hint": {"value": views.hint("people", language), "visible": bool(sure)},
            "unsure_hint": {
                "value": views.hint("unsure_people", language),
                "visible": bool(unsure),
            },
            "tracks_hint": {"visible": False},
            "unignore": {"visible": scan is not None and any(p.ignored for p in scan.people)},
            "picking": {"visible": scan is not None and bool(sure or unsure)},
            "looking": {"visible": scan is not None and bool(sure or unsure)},
            "edit": {"visible": scan is not None and bool(sure or unsure)},
            "tracks": {"visible": False, "value": None},
            "split": {"visible": False},
            "edit_note": shown(""),
        }
        session.marked = []
        if scan is not None:
            length = views.seconds_of(scan)[-1] if scan.frames else 0.0
            session.at_seconds = min(session.at_seconds, length)
            step = round(length / max(1, scan.frames - 1), 3) or 0.04
            changes["time"] = {
                "maximum": round(max(length, step), 3),
                "step": step,
                "value": round(session.at_seconds, 3),
            }
        changes.update(self._after_pick(session))
        return changes

    def _gallery(self, session: Session, people: Sequence[Identity]) -> list[tuple[Any, str]]:
        scan = session.scan
        if scan is None:
            return []
        return [
            (
                pictures.marked_face(
                    pictures.face_thumbnail(scan, p),
                    views.color_of(p.id),
                    picked=p.id in session.picked,
                ),
                f"{p.label} - "
                + messages.text("seconds", session.language, s=f"{float(p.screen_time):.1f}"),
            )
            for p in people
        ]

    def _galleries(self, session: Session) -> Changes:
        sure = self._shown_people(session, unsure=False)
        unsure = self._shown_people(session, unsure=True)
        return {
            "people": {"value": self._gallery(session, sure)},
            "unsure_people": {"value": self._gallery(session, unsure)},
        }

    def _after_pick(self, session: Session) -> Changes:
        """What depends on who is picked, besides the galleries."""
        scan = session.scan
        language = session.language
        picked = bool(session.picked)
        changes: Changes = {
            "picked": shown(views.people_chips(scan, session.picked, language) if scan else ""),
            "what_note": shown(
                "" if picked or session.kept else views.empty("what_empty", language)
            ),
            "what": {"visible": picked},
            "for_people": shown(self._for_people(session)),
            "name": {"value": self._one_name(session)},
        }
        changes.update(self._look(session))
        changes.update(self._list(session))
        changes.update(self._buttons(session))
        return changes

    def _for_people(self, session: Session) -> str:
        if session.scan is None or not session.picked:
            return ""
        names = ", ".join(session.scan.person(key).label for key in session.picked)
        words = messages.text("for_people", session.language, people=names)
        faces = "".join(
            f'<img class="facepick-avatar" alt="" src="{pictures.face_uri(session.scan, p)}">'
            for p in map(session.scan.person, session.picked)
        )
        return f'<div class="facepick-for">{faces}<b>{_escape(words)}</b></div>'

    def _one_name(self, session: Session) -> str:
        if session.scan is None or len(session.picked) != 1:
            return ""
        return session.scan.person(session.picked[0]).name or ""

    def _look(self, session: Session) -> Changes:
        """The picture at the chosen moment and the timeline."""
        scan = session.scan
        if scan is None or not scan.frames:
            return {"frame": shown(""), "timeline": shown("")}
        times = views.seconds_of(scan)
        # The last frame that has begun; a hair of slack because sliders round to three digits.
        frame = max(0, bisect.bisect_right(times, session.at_seconds + 0.0006) - 1)
        people = [
            p.id for p in scan.people if not p.ignored and (not p.unsure or p.id in session.picked)
        ]
        try:
            picture = pictures.frame_uri(scan, frame)
            view = views.frame_view(
                picture,
                (scan.video.width, scan.video.height),
                scan,
                frame,
                session.picked,
                times[frame],
                session.language,
            )
        except FacepickError as error:
            view = messages.error_html(error, session.language)
        return {
            "frame": shown(view),
            "timeline": shown(
                views.timeline(scan, people, session.picked, times[frame], session.language)
            ),
        }

    @explained("picked")
    def look_at(self, session: Session, seconds: Any) -> Changes:
        """The slider was moved."""
        if session.scan is None:
            return {}
        session.at_seconds = max(0.0, float(seconds or 0.0))
        return self._look(session)

    @explained("picked")
    def pick_index(self, session: Session, index: int, unsure: bool) -> Changes:
        """A thumbnail was clicked: pick the person, or let it go."""
        people = self._shown_people(session, unsure=unsure)
        if not 0 <= index < len(people):
            return {}
        return self._toggle(session, people[index].id)

    def _toggle(self, session: Session, person_id: str) -> Changes:
        scan = session.scan
        if scan is None or person_id not in {p.id for p in scan.people}:
            return {}
        if person_id in session.picked:
            session.picked.remove(person_id)
        else:
            session.picked.append(person_id)
            self._go_where_seen(session, scan, person_id)
        return self._picked_changed(session)

    def _go_where_seen(self, session: Session, scan: Scan, person_id: str) -> None:
        """Move the picture to where the person is, when it is not on screen there."""
        times = views.seconds_of(scan)
        frame = max(0, bisect.bisect_right(times, session.at_seconds + 0.0006) - 1)
        tracks = scan.tracks_of(person_id)
        if all(t.position(frame) is None for t in tracks):
            longest = max(tracks, key=len)
            session.at_seconds = times[int(longest.frames[len(longest) // 2])]

    def _picked_changed(self, session: Session) -> Changes:
        self.sessions.save(session)
        changes = {**self._galleries(session), **self._after_pick(session)}
        changes["time"] = {"value": round(session.at_seconds, 3)}
        changes["tracks"] = {"visible": False, "value": None}
        changes["split"] = {"visible": False}
        changes["tracks_hint"] = {"visible": False}
        session.marked = []
        return changes

    @explained("picked")
    def pick_everyone(self, session: Session) -> Changes:
        session.picked = [p.id for p in self._shown_people(session, unsure=False)]
        return self._picked_changed(session)

    @explained("picked")
    def pick_nobody(self, session: Session) -> Changes:
        session.picked = []
        return self._picked_changed(session)

    # --- corrections ----------------------------------------------------------------------

    def _edited(self, session: Session, edit: Any, picked: list[str] | None = None) -> Changes:
        scan = self._scan_or_say(session)
        before = {p.id: p.track_ids for p in scan.people}
        session.scan = self.app.edit_people(scan, edit)
        session.picked = _follow(before, session.scan, session.picked if picked is None else picked)
        session.kept = []
        self.sessions.save(session)
        return {**self._people(session), "scan_progress": shown(self._scan_line(session))}

    def _scan_or_say(self, session: Session) -> Scan:
        if session.scan is None:
            raise _Say("scan_first")
        return session.scan

    def _one(self, session: Session) -> str:
        if len(session.picked) != 1:
            raise _Say("one_needed")
        return session.picked[0]

    @explained("edit_note")
    def rename(self, session: Session, name: Any) -> Changes:
        from facepick.people import edits

        self._scan_or_say(session)
        wanted = str(name or "").strip() or None
        return self._edited(session, edits.Rename(person=self._one(session), name=wanted))

    @explained("edit_note")
    def merge(self, session: Session) -> Changes:
        from facepick.people import edits

        self._scan_or_say(session)
        if len(session.picked) < 2:
            raise _Say("two_needed")
        return self._edited(session, edits.Merge(people=tuple(session.picked)))

    @explained("edit_note")
    def ignore(self, session: Session) -> Changes:
        """Hide the picked people from the list."""
        from facepick.people import edits

        self._scan_or_say(session)
        if not session.picked:
            raise _Say("some_needed")
        changes: Changes = {}
        for person in list(session.picked):
            changes = self._edited(session, edits.Ignore(person=person))
        return changes

    @explained("edit_note")
    def unignore(self, session: Session) -> Changes:
        """Show everybody again who was hidden from the list."""
        from facepick.people import edits

        changes: Changes = {}
        for person in [p.id for p in self._scan_or_say(session).people if p.ignored]:
            changes = self._edited(session, edits.Ignore(person=person, ignored=False))
        return changes

    @explained("edit_note")
    def undo(self, session: Session) -> Changes:
        scan = self._scan_or_say(session)
        before = {p.id: p.track_ids for p in scan.people}
        session.scan = self.app.undo_edit(scan)
        session.picked = _follow(before, session.scan, session.picked)
        self.sessions.save(session)
        return {**self._people(session), "scan_progress": shown(self._scan_line(session))}

    @explained("edit_note")
    def show_tracks(self, session: Session) -> Changes:
        """Every appearance of the one picked person, to mark those of somebody else."""
        scan = self._scan_or_say(session)
        self._one(session)
        session.marked = []
        return {
            "tracks": {"value": self._track_gallery(session, scan), "visible": True},
            "tracks_hint": shown(views.hint("tracks", session.language)),
            "split": {"visible": True},
            "edit_note": shown(""),
        }

    def _track_gallery(self, session: Session, scan: Scan) -> list[tuple[Any, str]]:
        times = views.seconds_of(scan)
        person = self._one(session)
        return [
            (
                pictures.marked_face(
                    pictures.track_face(scan, track),
                    views.color_of(person),
                    picked=track.id in session.marked,
                ),
                views.clock(times[track.start]) + " - " + views.clock(times[track.stop - 1]),
            )
            for track in scan.tracks_of(person)
        ]

    @explained("edit_note")
    def mark_track(self, session: Session, index: int) -> Changes:
        scan = self._scan_or_say(session)
        tracks = scan.tracks_of(self._one(session))
        if 0 <= index < len(tracks):
            key = tracks[index].id
            if key in session.marked:
                session.marked.remove(key)
            else:
                session.marked.append(key)
        return {"tracks": {"value": self._track_gallery(session, scan)}}

    @explained("edit_note")
    def split(self, session: Session) -> Changes:
        from facepick.people import edits

        self._scan_or_say(session)
        if not session.marked:
            raise _Say("marks_needed")
        edit = edits.Split(person=self._one(session), tracks=tuple(session.marked))
        return self._edited(session, edit)

    # --- known people ---------------------------------------------------------------------

    @explained("edit_note")
    def remember(self, session: Session, name: Any) -> Changes:
        """Put the one picked person into the cast, under the name that is written or known."""
        from facepick.people import edits

        scan = self._scan_or_say(session)
        person = scan.person(self._one(session))
        wanted = " ".join(str(name or "").split()) or person.name
        if not wanted:
            raise _Say("name_needed")
        self.app.remember(scan, person.id, wanted)
        changes: Changes = {}
        if wanted != person.name:
            changes = self._edited(session, edits.Rename(person=person.id, name=wanted))
        text = functools.partial(messages.text, language=session.language)
        done = views.notice(text("remembered", name=wanted), text("remembered_help"))
        return {**changes, **self._known(session), "edit_note": shown(done)}

    def _forget(self, session: Session, name: str) -> Changes:
        """Take somebody out of the cast; names that were given by hand stay."""
        try:
            self.app.cast().remove(name)
        except FacepickError as error:
            # Another page was quicker: the list that it left is shown as well.
            problem = messages.error_html(error, session.language)
            return {
                **self._known(session),
                "known": {"visible": True},
                "known_note": shown(problem),
            }
        return self._known(session)

    def _known(self, session: Session) -> Changes:
        """The list of the cast; the page goes on without it when the file cannot be read."""
        language = session.language
        try:
            cast = self.app.cast()
            members = cast.members()
            rows = [
                {
                    "name": member.name,
                    "faces": member.faces,
                    "face": pictures.avatar_uri(cast.thumbnail(member.name) or b""),
                }
                for member in members[:KNOWN_SHOWN]
            ]
            body, note = views.known_list(rows, max(0, len(members) - KNOWN_SHOWN), language), ""
        except FacepickError as error:
            body, note = "", messages.error_html(error, language)
        return {
            "known": {"visible": bool(body or note)},
            "known_hint": shown(views.hint("known_hint", language)),
            "known_note": shown(note),
            "known_list": shown(body),
        }

    @explained("explain_note")
    def begin_explain(self, session: Session) -> Changes:
        """Say that the comparison has begun."""
        words = messages.text("explain_running", session.language)
        return {
            "explain_note": shown(views.notice(words, kind="calm")),
            "explain_sheet": shown(""),
        }

    @explained("explain_note")
    def explain(self, session: Session, first: Any, second: Any) -> Changes:
        """Compare two photos in a child process and show every step."""
        a, b = path_of(first), path_of(second)
        if a is None or b is None:
            raise _Say("explain_needed")
        if not self._comparing.acquire(timeout=BUSY_SECONDS):
            raise _Say("explain_busy")
        try:
            with tempfile.TemporaryDirectory(prefix="facepick-") as folder:
                sheet = Path(folder) / "sheet.jpg"
                answer = self.app.explain_faces(Path(a), Path(b), sheet)
                picture = pictures.file_uri(sheet, limit_bytes=4_000_000)
        finally:
            self._comparing.release()
        text = functools.partial(messages.text, language=session.language)
        key = "explain_same" if answer["same"] else "explain_different"
        sentence = text(
            f"{key}_help",
            distance=f"{answer['distance']:.3f}",
            threshold=f"{answer['threshold']:.3f}",
        )
        kind = "good" if answer["same"] else "calm"
        view = views.sheet_view(picture, session.language) if picture else ""
        return {
            "explain_note": shown(views.notice(text(key), sentence, kind=kind)),
            "explain_sheet": shown(view),
        }

    # --- 3 what to do ---------------------------------------------------------------------

    @explained("what_problem")
    def choose_flow(self, session: Session, flow: Any) -> Changes:
        """Show the engines of a flow."""
        engines = self.page.specs(str(flow))
        choices = [
            (messages.engine_label(spec.label, session.language), spec.id) for spec in engines
        ]
        changes: Changes = {
            "style": {
                "choices": choices,
                "value": engines[0].id if engines else None,
                "visible": bool(engines),
            },
            "speech_inputs": {"visible": any(s.needs_audio for s in engines)},
            "swap_inputs": {"visible": any(s.needs_source for s in engines)},
            "consent": {"visible": flow == "swap"},
            "what_problem": shown(""),
        }
        changes.update(self._panels(session, str(flow), engines[0].id if engines else ""))
        return changes

    @explained("what_problem")
    def choose_style(self, session: Session, flow: Any, style: Any) -> Changes:
        """Show the settings of an engine."""
        return self._panels(session, str(flow), str(style))

    def _panels(self, session: Session, flow: str, style: str) -> Changes:
        changes: Changes = {}
        for panel in self.page.panels:
            mine = panel.spec.flow == flow and panel.spec.id == style
            changes[panel.name] = {"visible": mine}
            if mine:
                changes["style_help"] = shown(self._style_help(panel.spec, session.language))
        return changes

    def _style_help(self, spec: EngineSpec, language: str) -> str:
        words = [messages.engine_help(spec.label, spec.help, language)]
        if not spec.commercial_use:
            words.append(messages.text("licence_note", language, licence=spec.licence))
        body = f'<p class="facepick-hint">{_escape(" ".join(words))}</p>'
        missing = [m for m in spec.models if self.app.models.find(m) is None]
        for model in missing:
            how = messages.text("models_missing_how", language, id=model.id)
            note = messages.text("models_missing", language, file=model.file, how=how)
            body += views.notice(note, kind="calm")
        return body

    @explained("what_problem")
    def setting_changed(self, session: Session, group: Any, *values: Any) -> Changes:
        """Show and hide settings that depend on another one."""
        widgets = self.page.groups[str(group)]
        plain = {
            w.field.name: plain_value(w.field, v) for w, v in zip(widgets, values, strict=True)
        }
        return {
            w.name: {"visible": is_shown(w.field, plain)}
            for w in widgets
            if w.field.ui.only_when is not None
        }

    def _current(self, session: Session, values: Mapping[str, Any]) -> Assignment | None:
        """The choice that is on the page now, for those picked who are not in the list yet."""
        if not session.picked:
            return None
        flow, engine = str(values["flow"]), str(values["style"])
        taken = {
            person for item in session.kept if item.flow == flow for person in item.selection.people
        }
        people = tuple(key for key in session.picked if key not in taken)
        if not people:
            return None
        scan = self._scan_or_say(session)
        spec = self.app.registry.get(flow, engine).spec
        panel = next(p for p in self.page.panels if p.spec is spec or p.spec == spec)
        settings = changed_values(panel.widgets, [values[w.name] for w in panel.widgets])
        for widget in panel.widgets:
            if widget.field.kind == "file" and settings.get(widget.field.name):
                upload = Path(settings[widget.field.name])
                settings[widget.field.name] = str(self._keep_upload(session, upload, "picture"))
        speech: tuple[SpeechLine, ...] = ()
        if spec.needs_audio:
            path = path_of(values["speech"])
            if path is None:
                raise _Say("speech_needed")
            kept = self._keep_upload(session, Path(path), "speech")
            start = max(0.0, float(values["speech_start"] or 0.0))
            speech = (SpeechLine(path=str(kept), start_seconds=start),)
        source: tuple[str, ...] = ()
        if spec.needs_source:
            path = path_of(values["source"])
            if path is None:
                raise _Say("source_needed")
            source = (str(self._keep_upload(session, Path(path), "face")),)
        consent = None
        if flow == "swap":
            if values["consent"] is not True:
                raise _Say("consent_needed")
            consent = CONSENT_SENTENCE
        return Assignment(
            selection=Selection(
                people, include_unsure=any(scan.person(key).unsure for key in people)
            ),
            flow=flow,
            engine=engine,
            settings=settings,
            speech=speech,
            source=source,
            consent=consent,
        )

    @explained("what_problem")
    def keep(self, session: Session, *values: Any) -> Changes:
        """Put the current choice into the list and make room for the next person."""
        self._scan_or_say(session)
        current = self._current(session, self.page.plan_values(values))
        if current is None:
            raise _Say("pick_first")
        session.kept.append(current)
        session.picked = []
        self.sessions.save(session)
        return {
            **self._galleries(session),
            **self._after_pick(session),
            "what_problem": shown(""),
        }

    def _list(self, session: Session) -> Changes:
        scan = session.scan
        if scan is None:
            return {"assignments": shown("")}
        rows = [
            self._list_row(session, scan, item, f"drop:{number}")
            for number, item in enumerate(session.kept)
        ]
        return {"assignments": shown(views.assignments_table(rows, session.language))}

    def _list_row(
        self, session: Session, scan: Scan, item: Assignment, act: str | None
    ) -> views.Row:
        people = item.selection.resolve(scan)
        spec = self.app.registry.get(item.flow, item.engine).spec
        how = [messages.engine_label(spec.label, session.language)]
        labels = {w.field.name: w for p in self.page.panels if p.spec == spec for w in p.widgets}
        for name, value in item.settings.items():
            widget = labels.get(name)
            if widget is None:
                continue
            label = messages.setting_label(widget.field.ui.label, session.language)
            if widget.field.kind == "file":
                value = Path(str(value)).name
            how.append(f"{label} {value:g}" if isinstance(value, float) else f"{label} {value}")
        how += [Path(line.path).name for line in item.speech]
        how += [Path(name).name for name in item.source]
        return {
            "faces": [pictures.face_uri(scan, p) for p in people],
            "who": ", ".join(p.label for p in people),
            "what": messages.text(f"flow_{item.flow}", session.language),
            "how": " · ".join(how),
            "act": act,
        }

    # --- 4 render -------------------------------------------------------------------------

    def _plan(self, session: Session, values: Sequence[Any]) -> Any:
        from facepick.media.writer import EncodeSettings
        from facepick.settings import from_mapping

        if session.video is None:
            raise _Say("open_video_first")
        scan = self._scan_or_say(session)
        named = self.page.plan_values(values)
        current = self._current(session, named)
        assignments = [*session.kept, *([current] if current else [])]
        if not assignments:
            raise _Say("pick_first")
        encode = changed_values(
            self.page.encode_widgets, [named[w.name] for w in self.page.encode_widgets]
        )
        output = changed_values(
            self.page.output_widgets, [named[w.name] for w in self.page.output_widgets]
        )
        plan = self.app.make_plan(
            session.video,
            assignments,
            encode=from_mapping(EncodeSettings, encode),
            output=from_mapping(OutputSettings, output),
            scan_settings=session.scan_settings,
        )
        plan.validate(scan, self.app.registry)
        self._require_models(plan)
        return plan

    def _require_models(self, plan: Any) -> None:
        """Raises: MissingModelError, before a job is made that would fail a minute later."""
        for item in plan.assignments:
            for model in self.app.registry.get(item.flow, item.engine).spec.models:
                self.app.models.require(model)

    @explained("progress")
    def render(self, session: Session, *values: Any) -> Changes:
        """Start the render in a child process."""
        with _starting(session) as mine:
            if mine and self._active(session, "render") is None:
                plan = self._plan(session, values)
                out = self._result_path(session, "")
                job = self.app.start_render(plan, out, owner=session.key)
                session.watched["render"] = job.id
                self.sessions.save(session)
        return self._started(session)

    @explained("progress")
    def preview(self, session: Session, hardest: bool, *values: Any) -> Changes:
        """Start a preview in a child process, at the chosen moment or at the hardest one."""
        with _starting(session) as mine:
            if mine and self._active(session, "preview") is None:
                plan = self._plan(session, values)
                seconds = float(self.page.plan_values(values)["preview_seconds"] or 3.0)
                job = self.app.start_preview(
                    plan,
                    self._result_path(session, "preview"),
                    at=None if hardest else session.at_seconds,
                    seconds=seconds,
                    owner=session.key,
                )
                session.watched["preview"] = job.id
                self.sessions.save(session)
        return self._started(session)

    def _started(self, session: Session) -> Changes:
        return {
            **self._buttons(session),
            "render_note": shown(""),
            "progress": shown(views.progress_view(None, session.language)),
        }

    def _result_path(self, session: Session, mark: str) -> Path:
        """A name nobody has yet, in this user's own folder below the host's results."""
        folder = self.app.host.outputs() / session.key[:16]
        folder.mkdir(parents=True, exist_ok=True)
        stem = _plain_name(Path(session.video or "video").stem, "video")
        suffix = ".mp4"
        number = 1
        while True:
            name = "_".join(part for part in (stem, "facepick", mark, f"{number:03}") if part)
            path = folder / f"{name}{suffix}"
            try:
                # Reserved at once, so that two jobs never share a name; the render replaces it.
                with open(path.with_name(path.name + ".reserved"), "x"):
                    pass
                if not path.exists():
                    return path
            except FileExistsError:
                pass
            number += 1

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
            idle = ready and not any(session.watched.get(k) for k in ("render", "preview"))
            note = views.empty("render_empty", session.language) if idle else ""
            changes["render_note"] = shown(note)
        return changes

    @explained("progress")
    def stop(self, session: Session) -> Changes:
        """Ask the running render and preview to stop."""
        for kind in ("render", "preview"):
            job = self._active(session, kind)
            if job is not None:
                self.app.cancel_job(job.id)
        return {"stop": {"interactive": False}}

    @explained("scan_progress")
    def stop_scan(self, session: Session) -> Changes:
        job = self._active(session, "scan")
        if job is not None:
            self.app.cancel_job(job.id)
        return {"scan_stop": {"visible": False}}

    # --- watching -------------------------------------------------------------------------

    def _record(self, session: Session, kind: str) -> JobRecord | None:
        """The newest job of a kind; None when there is none, or it is not this user's."""
        job_id = session.watched.get(kind)
        if not job_id:
            return None
        try:
            record = self.app.job(job_id)
        except JobNotFound:
            session.watched.pop(kind, None)
            return None
        return record if record.owner == session.key else None

    def _active(self, session: Session, kind: str) -> JobRecord | None:
        record = self._record(session, kind)
        return record if record is not None and record.is_active else None

    def poll(self, key: Any) -> tuple[Changes, bool]:
        """One look at the running jobs.

        Returns:
            What changed on the page, and whether something still runs.
        """
        session = self.session(key)
        changes: Changes = {}
        active = False
        for kind in KINDS:
            record = self._record(session, kind)
            if record is None:
                continue
            if record.is_active:
                active = True
                changes.update(self._running(session, record))
            elif record.id not in session.finished:
                session.finished.add(record.id)
                changes.update(self._ended(session, record))
        return changes, active

    @explained("progress")
    def tick(self, session: Session) -> Changes:
        """The page asks by itself, because nothing has reached it for a while."""
        changes, active = self.poll(session.key)
        return changes if active else self._everything(session)

    def restore(self, key: Any) -> Changes:
        """Everything as it stands."""
        return self._everything(self.session(key))

    def watch(self, key: Any) -> Iterator[Changes]:
        """Looks at the running jobs until all have ended, or a newer watcher took over."""
        session = self.session(key)
        session.watcher += 1
        mine = session.watcher
        last: Changes = {}
        while session.watcher == mine:
            try:
                changes, active = self.poll(key)
            except FacepickError as error:
                yield {"progress": shown(messages.error_html(error, session.language))}
                return
            fresh = {name: value for name, value in changes.items() if last.get(name) != value}
            last.update(fresh)
            if fresh:
                yield fresh
            if not active:
                return
            time.sleep(POLL_SECONDS)

    def _running(self, session: Session, record: JobRecord) -> Changes:
        place = "scan_progress" if record.kind == "scan" else "progress"
        return {place: shown(self._progress(session, record))}

    def _progress(self, session: Session, record: JobRecord) -> str:
        progress = record.progress
        picture = None
        if progress is not None and progress.thumbnail:
            picture = pictures.file_uri(record.folder / progress.thumbnail)
        return views.progress_view(progress, session.language, thumbnail=picture)

    def _ended(self, session: Session, record: JobRecord) -> Changes:
        language = session.language
        if record.kind == "scan":
            if record.state == "done":
                session.scan = self.app.scan_of_job(record.id)
                self.sessions.save(session)
            changes = {**self._video(session), **self._people(session)}
            if record.state != "done":
                changes["scan_progress"] = shown(self._end_note(record, language))
                if session.scan is None:
                    changes["people_note"] = shown(views.empty("people_empty", language))
            return changes
        return {**self._results(session), **self._buttons(session), **self._jobs(session)}

    def _end_note(self, record: JobRecord, language: str) -> str:
        text = functools.partial(messages.text, language=language)
        if record.state == "done":
            key = "render_done" if record.kind == "render" else "preview_done"
            return views.notice(text(key), Path(record.out or "").name)
        if record.state in ("stopped", "interrupted"):
            help_key = "scan_stopped_help" if record.kind == "scan" else "stopped_help"
            return views.notice(text(record.state), text(help_key), kind="calm")
        return messages.problem_html(text("failed"), (record.error or "",))

    def _results(self, session: Session) -> Changes:
        """What the newest render and preview of the open video came to."""
        language = session.language
        render = self._record(session, "render")
        preview = self._record(session, "preview")
        changes: Changes = {
            "progress": shown(""),
            "preview_video": {"visible": False, "value": None},
            "result_row": {"visible": False},
            "result": {"value": None},
            "original": {"value": None},
            "report": shown(""),
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
        if preview is not None and preview.state == "done" and _is_file(preview.out):
            changes["preview_video"] = {"visible": True, "value": preview.out}
        if render is not None and render.state == "done" and _is_file(render.out):
            changes.update(self._result(session, render))
        changes.update(self._buttons(session))
        return changes

    def _result(self, session: Session, record: JobRecord) -> Changes:
        same = session.video == record.video
        return {
            "result_row": {"visible": True},
            "result": {"value": record.out},
            "original": {"value": session.served if same else None, "visible": same},
            "report": shown(self._report(session, record)),
            "download": {"visible": True, "value": record.out},
        }

    def _report(self, session: Session, record: JobRecord) -> str:
        from facepick.render.report import read_report

        try:
            report = read_report(Path(record.out or ""))
        except UserInputError:
            return ""
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
                    "left": entry["frames_left"],
                }
            )
        marked = bool(report["plan"]["output"].get("provenance", True)) and any(
            entry["synthetic"] for entry in report["people"]
        )
        return views.report_view(people, marked, session.language)

    # --- earlier jobs ---------------------------------------------------------------------

    def _jobs(self, session: Session) -> Changes:
        rows = []
        for record in self.app.jobs(owner=session.key)[:50]:
            acts: list[tuple[str, str]] = []
            if record.is_active:
                acts.append((f"stop:{record.id}", "job_stop"))
            elif record.kind != "scan" and record.state == "done" and _is_file(record.out):
                acts.append((f"show:{record.id}", "job_show"))
            elif record.can_resume and record.kind == "render":
                acts.append((f"resume:{record.id}", "job_resume"))
            fraction = record.progress.fraction if record.progress else None
            rows.append(
                {
                    "state": record.state,
                    "kind": record.kind,
                    "name": Path(record.out or record.video).name,
                    "when": time.strftime("%Y-%m-%d %H:%M", time.localtime(record.created)),
                    "note": record.error or "",
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

    @explained("progress")
    def act(self, session: Session, action: Any) -> Changes:
        """Something drawn as HTML was clicked: ``verb:argument``."""
        verb, _, argument = str(action or "").partition(":")
        known: Mapping[str, Callable[[Session, str], Changes]] = {
            "pick": self._toggle,
            "seek": self._seek,
            "drop": self._drop,
            "show": self._show_job,
            "resume": self._resume_job,
            "stop": self._stop_job,
            "forget": self._forget,
        }
        handler = known.get(verb)
        return {} if handler is None else handler(session, argument)

    def _seek(self, session: Session, argument: str) -> Changes:
        try:
            seconds = float(argument)
        except ValueError:
            return {}
        if session.scan is None or not 0 <= seconds < 1e7:
            return {}
        session.at_seconds = seconds
        return {**self._look(session), "time": {"value": round(seconds, 3)}}

    def _drop(self, session: Session, argument: str) -> Changes:
        if argument.isdigit() and int(argument) < len(session.kept):
            del session.kept[int(argument)]
            self.sessions.save(session)
        return self._after_pick(session)

    def _own(self, session: Session, job_id: str) -> JobRecord:
        """Raises: JobNotFound, also for a job of somebody else."""
        record = self.app.job(job_id)
        if record.owner != session.key:
            raise JobNotFound(f"There is no job {job_id!r}.")
        return record

    def _show_job(self, session: Session, argument: str) -> Changes:
        record = self._own(session, argument)
        if not _is_file(record.out):
            raise JobNotFound(f"The result of {argument} is no longer there.")
        if record.kind == "preview":
            return {"preview_video": {"visible": True, "value": record.out}}
        return {
            **self._result(session, record),
            "progress": shown(self._end_note(record, session.language)),
        }

    def _resume_job(self, session: Session, argument: str) -> Changes:
        record = self._own(session, argument)
        with _starting(session) as mine:
            if mine and self._active(session, record.kind) is None:
                self.app.resume_job(record.id)
                session.watched[record.kind] = record.id
                session.finished.discard(record.id)
                self.sessions.save(session)
        return {**self._started(session), **self._jobs(session)}

    def _stop_job(self, session: Session, argument: str) -> Changes:
        self.app.cancel_job(self._own(session, argument).id)
        return self._jobs(session)


class _starting:
    """Holds the session's lock without waiting: the second of two clicks gets False."""

    def __init__(self, session: Session) -> None:
        self._lock = session.lock
        self._mine = False

    def __enter__(self) -> bool:
        self._mine = self._lock.acquire(blocking=False)
        return self._mine

    def __exit__(self, *_: object) -> None:
        if self._mine:
            self._lock.release()


def _follow(before: Mapping[str, tuple[str, ...]], scan: Scan, picked: Sequence[str]) -> list[str]:
    """The picked people after an edit: those who hold most of the same tracks."""
    owner = {track: p.id for p in scan.people if not p.ignored for track in p.track_ids}
    found: list[str] = []
    for person in picked:
        votes = [owner[t] for t in before.get(person, ()) if t in owner]
        if votes:
            best = max(dict.fromkeys(votes), key=votes.count)
            if best not in found:
                found.append(best)
    return found


def _plain_name(name: str, fallback: str) -> str:
    """A file name that is one on every system: no separators, no control characters."""
    plain = re.sub(r'[\x00-\x1f<>:"/\\|?*]', "_", name).strip(" .")[-120:]
    return plain or fallback


def _is_file(path: str | Path | None) -> bool:
    return bool(path) and Path(str(path)).is_file()


def _escape(words: str) -> str:
    import html

    return html.escape(words)
