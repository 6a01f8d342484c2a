"""One browser user's work: what is open, who is picked, what shall happen.

The page holds nothing but the key of its session (in ``gr.State``); the rest lies here and, so
that it survives a reload and a restart, in one JSON file a session.  A browser keeps a random
secret; the key is its hash, so that no folder or file name gives the secret away.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facepick.errors import FacepickError
from facepick.notices import Notice, as_notices
from facepick.people.person import Scan
from facepick.render.plan import Assignment
from facepick.speech.line import SpeechLine

__all__ = [
    "GIVEN_FOR_ONE",
    "GIVEN_FOR_VIDEO",
    "SaidLine",
    "Session",
    "SessionStore",
    "SourceChoice",
    "SourceFace",
    "Take",
]

if TYPE_CHECKING:
    from facepick_ui.background_tasks import BackgroundTask

GIVEN_FOR_ONE = (
    "speech", "recording", "speech_text", "phones", "speech_start", "speech_offset",
    "speech_duration",
)  # fmt: skip
"""Widgets of the speech of those who are picked."""

GIVEN_FOR_VIDEO = (*GIVEN_FOR_ONE, "lines", "output_soundtrack", "output_background")
"""Widgets of what is heard in one video, and in no other."""

_TOKEN = re.compile(r"[0-9A-Za-z_-]{16,64}")


@dataclass(frozen=True, kw_only=True)
class Take:
    """What the user has made of a line's sound.

    Attributes:
        path: of a recording in its place, or "" for the sound that the list gives it.
        begin, end: seconds on the clock of the sound's file between which it is heard; None for
            all of it.
    """

    path: str = ""
    begin: float | None = None
    end: float | None = None

    def recorded(self, line: SpeechLine) -> SpeechLine:
        """Give the line with the recording, if there is one, all of it."""
        if not self.path:
            return line
        return replace(line, path=self.path, offset_seconds=0.0, duration_seconds=None, phones=None)

    def applied(self, line: SpeechLine) -> SpeechLine:
        """Give the line as it is heard: what is left of its sound stays where it was in time."""
        own = self.recorded(line)
        if self.begin is None or self.end is None:
            return own
        start = own.start_seconds + self.begin - own.offset_seconds
        return replace(
            own,
            start_seconds=max(0.0, start),
            offset_seconds=self.begin,
            duration_seconds=self.end - self.begin,
        )


@dataclass(frozen=True, kw_only=True)
class SaidLine:
    """One line as the page shows it.

    Attributes:
        key: its name in clicks and corrections.
        people: ids of who says it.
        line: its sound, time and words.
        own: the same before the user has trimmed it.
        seconds: how long it is heard.
        level: of its sound by twentieths of a second, in [0, 1]; empty when not drawn.
        recorded: whether the user has recorded it here.
    """

    key: str
    people: tuple[str, ...]
    line: SpeechLine
    own: SpeechLine
    seconds: float
    level: tuple[float, ...] = ()
    recorded: bool = False

    @property
    def trimmed(self) -> bool:
        """Whether the user has left out some of its sound, or let more of it be heard."""
        return self.line != self.own


@dataclass(frozen=True, kw_only=True)
class SourceFace:
    """A face that may be put in.

    Attributes:
        image: a photo of this face alone.
        photo: the file that it was found in.
        label: what the page calls it.
        number: from the left, from 1.
        person: faces of one person have one number; None when that is not known.
        usable: whether a swap can take it; if not, `reason` (see
            `facepick.engines.swap.source_picker`) and `problem`, a sentence of the core.
        merit: higher is better.
        chosen: whether it is taken.
    """

    image: str
    photo: str
    label: str
    number: int
    person: int | None
    usable: bool
    reason: str
    problem: str
    merit: float
    chosen: bool = False

    @property
    def key(self) -> tuple[str, int]:
        return self.photo, self.number


@dataclass(frozen=True, kw_only=True)
class SourceChoice:
    """The faces that were found, and which are taken.

    Attributes:
        texts: what was looked through, as `App.source_faces` takes it.
        label: the person it stands for; None for photos that were uploaded.
        faces: usable or not.
        problems: name and sentence of photos without a face; the sentence is "" when the photo
            could be read.
    """

    texts: tuple[str, ...]
    label: str | None
    faces: tuple[SourceFace, ...]
    problems: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(
        cls,
        texts: tuple[str, ...],
        label: str | None,
        found: Any,
        before: frozenset[tuple[str, int]] = frozenset(),
    ) -> SourceChoice:
        """Take over what `App.source_faces` gave.

        Faces chosen `before` stay so, and so do those of the same person; if there are none, the
        person of the best face is taken.
        """
        faces, problems = [], []
        for entry in found:
            name = Path(entry["file"]).name
            if not entry["faces"]:
                problems.append((name, str(entry["problem"])))
            for face in entry["faces"]:
                faces.append(
                    SourceFace(
                        image=str(face["image"]),
                        photo=str(entry["file"]),
                        label=label or name,
                        number=int(face["number"]),
                        person=face["person"],
                        usable=bool(face["usable"]),
                        reason=str(face["reason"]),
                        problem=str(face["problem"]),
                        merit=float(face["merit"] or 0.0),
                    )
                )
        choice = cls(texts=texts, label=label, faces=tuple(faces), problems=tuple(problems))
        return choice._chosen(before)

    def _chosen(self, before: frozenset[tuple[str, int]]) -> SourceChoice:
        usable = [f for f in self.faces if f.usable]
        wanted = [f for f in usable if f.key in before]
        if not wanted and usable:
            wanted = [max(usable, key=lambda f: f.merit)]
        people = {f.person for f in wanted if f.person is not None}
        keys = {f.key for f in wanted} | {f.key for f in usable if f.person in people}
        return replace(self, faces=tuple(replace(f, chosen=f.key in keys) for f in self.faces))

    def chosen_keys(self) -> frozenset[tuple[str, int]]:
        return frozenset(f.key for f in self.faces if f.chosen)

    def toggled(self, index: int) -> SourceChoice:
        """Take the face or leave it out.  Somebody else's face replaces those taken before."""
        face = self.faces[index]
        other = not face.chosen and face.person is not None
        return replace(
            self,
            faces=tuple(
                replace(f, chosen=not f.chosen)
                if i == index
                else replace(f, chosen=f.chosen and not (other and f.person != face.person))
                for i, f in enumerate(self.faces)
            ),
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SourceChoice:
        """Take back what `to_json` gave.  Raises: TypeError, KeyError."""
        return cls(
            texts=tuple(map(str, data["texts"])),
            label=data["label"],
            faces=tuple(SourceFace(**face) for face in data["faces"]),
            problems=tuple((str(n), str(p)) for n, p in data["problems"]),
        )


@dataclass(frozen=True, kw_only=True)
class Offer:
    """Model files that are missing and can be fetched, or must be brought.

    Attributes:
        models: their ids in the catalogue.
        asked: what could not be done without them, plain JSON: ``{"kind": "resume", "job": ID}``,
            or ``kind`` ``render`` or ``preview`` with ``plan`` and more; None for nothing.
    """

    models: tuple[str, ...]
    asked: Mapping[str, Any] | None = None


@dataclass(eq=False)
class Session:
    """One browser user.

    Attributes:
        key: hash of the browser's secret; names the user's folders and owns the user's jobs.
        language: ``en`` or ``zh``.
        video: path of the open video, or None.
        scan_settings: values that differ from the defaults.
        scan: the people of the open video; not stored, found again in the cache.
        picked: ids of the picked people, in the order of picking.
        marked: ids of the tracks that are marked for a split.
        kept: assignments in the list.
        kept_notices: for each of them what was found out when it was made.
        kept_forms: for each of them the form that it was made of, to edit it; entries made
            together have equal ones; {} where an older version made it.
        source: the faces that may be put in, or None.
        offer: missing model files that something asked for, or None.
        put_off: whether the user wants to hear nothing of missing files until something needs
            them; not stored.
        shown: the flow and engine that the page shows; not stored.
        task: work of some seconds that runs now, or None; not stored.
        form: what the widgets of the page hold, by name; files by the path of the kept copy.
        speech_for: who was picked when the speech was given.
        styles: the engine that was last chosen for each flow.
        problem: whether a complaint stands where progress is shown; not stored.
        line_who: by list of lines what the user has said whose its lines are.
        line_takes: by list of lines what the user has made of single lines' sounds, by their key.
        own_lines: the listed lines before they were trimmed, by the key of what they became; not
            stored.
        spoken: the language that was chosen in the page's menu, or "".
        by_sight: whether it is known who the video shows to speak.
        nameless: whether the panel's list does not say who speaks, and nobody has looked yet; not
            stored.
        unreadable: whether a sound of the speech cannot be read; not stored.
        said: the lines that the page shows; not stored.
        said_of: which list they are of; not stored.
        heard: what the widgets held when they were read; not stored.
        at_seconds: the moment that is looked at.
        corrections: ``content_hash`` and ``entries`` of a project that was opened, until the people
            of its video are found; None for none.
        put_away: what was given for the video that was taken away last, should it come back: its
            path, what the widgets held, for whom, and the new face; not stored.
        watched: newest job of each kind, ``scan``, ``render``, ``preview`` and ``fetch``, and of
            each player that waits for a proxy.
        asked_room: the render or preview that waits for room on the graphics card; not stored.
        card_note: what the newest of them takes of the card, as HTML; not stored.
        finished: jobs whose end this page has shown.
        watcher: number of the newest loop that watches jobs; older ones end.
        told_in: the language that the page was last told its words in; not stored.
        speaking: held while it is told them.
        lock: held while a job is being started, so that a double click starts one.
    """

    key: str
    language: str = "en"
    video: str | None = None
    scan_settings: dict[str, Any] = field(default_factory=dict)
    scan: Scan | None = None
    picked: list[str] = field(default_factory=list)
    marked: list[str] = field(default_factory=list)
    kept: list[Assignment] = field(default_factory=list)
    kept_notices: list[tuple[Notice, ...]] = field(default_factory=list)
    kept_forms: list[dict[str, Any]] = field(default_factory=list)
    source: SourceChoice | None = None
    offer: Offer | None = None
    put_off: bool = False
    shown: tuple[str, str] | None = None
    task: BackgroundTask | None = None
    form: dict[str, Any] = field(default_factory=dict)
    speech_for: list[str] = field(default_factory=list)
    styles: dict[str, str] = field(default_factory=dict)
    problem: bool = False
    line_who: dict[str, dict[str, str]] = field(default_factory=dict)
    line_takes: dict[str, dict[str, Take]] = field(default_factory=dict)
    own_lines: dict[str, SpeechLine] = field(default_factory=dict)
    spoken: str = ""
    by_sight: bool = False
    nameless: bool = False
    unreadable: bool = False
    said: list[SaidLine] = field(default_factory=list)
    said_of: str = ""
    heard: tuple[Any, ...] | None = None
    at_seconds: float = 0.0
    corrections: dict[str, Any] | None = None
    put_away: tuple[str, dict[str, Any], list[str], SourceChoice | None] | None = None
    watched: dict[str, str] = field(default_factory=dict)
    asked_room: dict[str, Any] | None = None
    card_note: str = ""
    finished: set[str] = field(default_factory=set)
    watcher: int = 0
    told_in: str = ""
    speaking: threading.Lock = field(default_factory=threading.Lock)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def open(self, video: str | None, *, same: bool = False) -> None:
        """Start anew with another video, or none; finished work stays in the list of jobs.

        Args:
            same: whether it holds what the open one does: speech and source face are kept.
        """
        if self.video is not None and video is None:
            given = {name: self.form[name] for name in GIVEN_FOR_VIDEO if name in self.form}
            self.put_away = self.video, given, self.speech_for, self.source
        self.video = video
        if not same:
            self.forget_given(GIVEN_FOR_VIDEO)
            self.source = None
        self.scan = None
        self.picked, self.marked = [], []
        self.drop_all()
        self.line_who, self.by_sight, self.said, self.heard = {}, False, [], None
        self.line_takes, self.own_lines = {}, {}
        self.at_seconds = 0.0
        self.corrections = None
        # A download goes on, but nothing is left to go on with.
        self.watched = {k: v for k, v in self.watched.items() if k == "fetch"}
        self.offer = None if self.offer is None else Offer(models=self.offer.models)

    def bring_back(self) -> dict[str, Any]:
        """Give what was given for the video that has come back to the widgets; by name."""
        if self.put_away is None:
            return {}
        _, given, self.speech_for, self.source = self.put_away
        self.form.update(given)
        self.put_away = None
        return given

    def forget_given(self, widgets: Sequence[str]) -> None:
        """Forget what some widgets hold."""
        for name in widgets:
            self.form.pop(name, None)
        self.speech_for, self.unreadable = [], False

    def speech_is_of_others(self) -> bool:
        """Tell whether the speech was given for people of whom nobody is picked any more."""
        return bool(self.speech_for and self.picked) and set(self.speech_for).isdisjoint(
            self.picked
        )

    def keep(
        self, items: Sequence[Assignment], told: tuple[Notice, ...], form: Mapping[str, Any]
    ) -> None:
        """Put assignments into the list that were made together."""
        self.kept.extend(items)
        self.kept_notices.extend((told, *[()] * (len(items) - 1)))
        self.kept_forms.extend(dict(form) for _ in items)

    def drop(self, number: int) -> None:
        """Take an entry out of the list."""
        del self.kept[number], self.kept_notices[number], self.kept_forms[number]

    def drop_all(self) -> None:
        """Empty the list."""
        self.kept, self.kept_notices, self.kept_forms = [], [], []

    def take_work(self, other: Session) -> None:
        """Take over what was set, picked and listed in a project."""
        self.scan_settings, self.at_seconds = other.scan_settings, other.at_seconds
        self.picked, self.source = other.picked, other.source
        self.kept, self.kept_notices = other.kept, other.kept_notices
        self.kept_forms, self.form, self.styles = other.kept_forms, other.form, other.styles
        self.speech_for = other.speech_for
        self.line_who, self.line_takes = other.line_who, other.line_takes

    def to_json(self) -> dict[str, Any]:
        """Give what is stored."""
        return {
            "language": self.language,
            "video": self.video,
            "scan_settings": self.scan_settings,
            "picked": self.picked,
            "kept": [item.to_json() for item in self.kept],
            "kept_notices": [[n.to_json() for n in told] for told in self.kept_notices],
            "kept_forms": self.kept_forms,
            "source": None if self.source is None else self.source.to_json(),
            "form": self.form.copy(),
            "speech_for": self.speech_for,
            "styles": self.styles.copy(),
            "line_who": {mark: dict(who) for mark, who in self.line_who.items()},
            "line_takes": {
                mark: {key: asdict(take) for key, take in takes.items()}
                for mark, takes in self.line_takes.items()
            },
            "spoken": self.spoken,
            "by_sight": self.by_sight,
            "at_seconds": self.at_seconds,
            "corrections": self.corrections,
            "offer": None if self.offer is None else asdict(self.offer),
            "watched": self.watched,
        }

    def restore(self, data: Mapping[str, Any]) -> None:
        """Take back what `to_json` gave."""
        self.language = str(data.get("language", "en"))
        self.video = data.get("video")
        self.scan_settings = dict(data.get("scan_settings", {}))
        self.picked = [str(v) for v in data.get("picked", ())]
        self.kept = [Assignment.from_json(v) for v in data.get("kept", ())]
        told = [as_notices(v) for v in data.get("kept_notices", ())]
        self.kept_notices = [*told, *[()] * len(self.kept)][: len(self.kept)]
        forms = [dict(v) for v in data.get("kept_forms", ())]
        self.kept_forms = [*forms, *({} for _ in self.kept)][: len(self.kept)]
        source = data.get("source")
        self.source = None if source is None else SourceChoice.from_json(source)
        self.form = {str(k): v for k, v in dict(data.get("form", {})).items()}
        self.speech_for = [str(v) for v in data.get("speech_for", self.picked)]
        self.styles = {str(k): str(v) for k, v in dict(data.get("styles", {})).items()}
        self.line_who = {
            str(mark): {str(k): str(v) for k, v in dict(who).items()}
            for mark, who in dict(data.get("line_who", {})).items()
        }
        self.line_takes = {
            str(mark): {str(key): Take(**take) for key, take in dict(takes).items()}
            for mark, takes in dict(data.get("line_takes", {})).items()
        }
        self.spoken = str(data.get("spoken", ""))
        self.by_sight = data.get("by_sight") is True
        self.at_seconds = float(data.get("at_seconds", 0.0))
        corrections = data.get("corrections")
        self.corrections = None if corrections is None else dict(corrections)
        self.watched = {str(k): str(v) for k, v in dict(data.get("watched", {})).items()}
        offer = data.get("offer")
        self.offer = None
        if offer is not None:
            models = tuple(map(str, offer["models"]))
            self.offer = Offer(models=models, asked=offer.get("asked"))


class SessionStore:
    """The sessions of all browser users.

    Args:
        folder: where they are stored and uploads are kept, one subfolder a session.
    """

    # A scan of a ten-minute video holds a few MB of boxes; this many stay in memory.
    LIMIT = 64

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._used: dict[str, float] = {}
        self._lock = threading.Lock()

    def by_token(self, token: str | None) -> Session:
        """Find the session of a browser's secret; a new one when there is no proper secret."""
        if not token or not _TOKEN.fullmatch(token):
            token = secrets.token_urlsafe(24)
        return self.by_key(hashlib.sha256(token.encode()).hexdigest()[:32])

    def by_key(self, key: str) -> Session:
        """Find the session with this key, in memory or in its file."""
        if not re.fullmatch(r"[0-9a-f]{32}", key):
            raise ValueError(f"not the key of a session: {key!r}")
        with self._lock:
            session = self._sessions.get(key)
            if session is None:
                session = Session(key=key)
                self._load(session)
                self._sessions[key] = session
            self._sessions.move_to_end(key)
            self._used[key] = time.time()
            while len(self._sessions) > self.LIMIT:
                self._sessions.popitem(last=False)
            return session

    def folder_of(self, session: Session) -> Path:
        """Name the folder of this user's own files."""
        return self.folder / session.key

    def last_used(self, key: str) -> float:
        """When the session was last asked for or stored, in seconds since the epoch; 0 when it
        was never stored."""
        try:
            stored = (self.folder / key / "session.json").stat().st_mtime
        except OSError:
            stored = 0.0
        return max(stored, self._used.get(key, 0.0))

    def stored(self, key: str) -> dict[str, Any]:
        """Give what there is to store of a session, from memory or from its file."""
        with self._lock:
            session = self._sessions.get(key)
        if session is None:
            session = Session(key=key)
            self._load(session)
        return session.to_json()

    def touch(self, session: Session) -> None:
        """Note that a page of this session was opened, also for a program started later."""
        path = self.folder_of(session) / "session.json"
        if path.is_file():
            os.utime(path)

    def forget(self, key: str) -> None:
        """Drop a session from memory."""
        with self._lock:
            self._sessions.pop(key, None)
            self._used.pop(key, None)

    def save(self, session: Session) -> None:
        """Store the session; the file is replaced as a whole."""
        folder = self.folder_of(session)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "session.json"
        draft = folder / f".session-{secrets.token_hex(4)}"
        draft.write_text(json.dumps(session.to_json()), encoding="utf-8")
        os.replace(draft, path)

    def _load(self, session: Session) -> None:
        path = self.folder_of(session) / "session.json"
        try:
            session.restore(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError, KeyError, AttributeError, FacepickError):
            # Written by another version or by hand: the user starts with an empty page, and the
            # jobs are still listed, because they do not lie in this file.
            fresh = Session(key=session.key)
            session.restore(fresh.to_json())
