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
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from facepick.errors import FacepickError
from facepick.people.identity import Scan
from facepick.render.plan import Assignment

__all__ = ["Session", "SessionStore"]

_TOKEN = re.compile(r"[0-9A-Za-z_-]{16,64}")


@dataclass(eq=False)
class Session:
    """One browser user.

    Attributes:
        key: hash of the browser's secret; names the user's folders and owns the user's jobs.
        language: ``en`` or ``zh``.
        video: path of the open video, or None.
        served: the same video where the browser may fetch it, or None.
        scan_settings: values that differ from the defaults.
        scan: the people of the open video; not stored, found again in the cache.
        picked: ids of the picked people, in the order of picking.
        marked: ids of the tracks that are marked for a split.
        kept: assignments in the list.
        at_seconds: the moment that is looked at.
        watched: newest job of each kind, ``scan``, ``render`` and ``preview``.
        finished: jobs whose end this page has shown.
        watcher: number of the newest loop that watches jobs; older ones end.
        lock: held while a job is being started, so that a double click starts one.
    """

    key: str
    language: str = "en"
    video: str | None = None
    served: str | None = None
    scan_settings: dict[str, Any] = field(default_factory=dict)
    scan: Scan | None = None
    picked: list[str] = field(default_factory=list)
    marked: list[str] = field(default_factory=list)
    kept: list[Assignment] = field(default_factory=list)
    at_seconds: float = 0.0
    watched: dict[str, str] = field(default_factory=dict)
    finished: set[str] = field(default_factory=set)
    watcher: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def open(self, video: str, served: str | None) -> None:
        """Start anew with another video; finished work stays in the list of jobs."""
        self.video, self.served = video, served
        self.scan = None
        self.picked, self.marked, self.kept = [], [], []
        self.at_seconds = 0.0
        self.watched = {}

    def to_json(self) -> dict[str, Any]:
        return {
            "language": self.language,
            "video": self.video,
            "served": self.served,
            "scan_settings": self.scan_settings,
            "picked": self.picked,
            "kept": [item.to_json() for item in self.kept],
            "at_seconds": self.at_seconds,
            "watched": self.watched,
        }

    def restore(self, data: Mapping[str, Any]) -> None:
        """Take back what `to_json` gave."""
        self.language = str(data.get("language", "en"))
        self.video = data.get("video")
        self.served = data.get("served")
        self.scan_settings = dict(data.get("scan_settings", {}))
        self.picked = [str(v) for v in data.get("picked", ())]
        self.kept = [Assignment.from_json(v) for v in data.get("kept", ())]
        self.at_seconds = float(data.get("at_seconds", 0.0))
        self.watched = {str(k): str(v) for k, v in dict(data.get("watched", {})).items()}


class SessionStore:
    """The sessions of all browser users.

    Args:
        folder: where they are stored and uploads are kept, one subfolder a session.
    """

    # A scan of a ten-minute video holds a few MB of boxes; this many stay in memory.
    LIMIT = 64

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._lock = threading.Lock()

    def by_token(self, token: str | None) -> Session:
        """The session of a browser's secret; a new one when there is no proper secret."""
        if not token or not _TOKEN.fullmatch(token):
            token = secrets.token_urlsafe(24)
        return self.by_key(hashlib.sha256(token.encode()).hexdigest()[:32])

    def by_key(self, key: str) -> Session:
        """The session with this key, from memory or from its file."""
        if not re.fullmatch(r"[0-9a-f]{32}", key):
            raise ValueError(f"not the key of a session: {key!r}")
        with self._lock:
            session = self._sessions.get(key)
            if session is None:
                session = Session(key=key)
                self._load(session)
                self._sessions[key] = session
            self._sessions.move_to_end(key)
            while len(self._sessions) > self.LIMIT:
                self._sessions.popitem(last=False)
            return session

    def folder_of(self, session: Session) -> Path:
        """The folder of this user's own files."""
        return self._folder / session.key

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
        except (OSError, ValueError, TypeError, AttributeError, FacepickError):
            # Written by another version or by hand: the user starts with an empty page, and the
            # jobs are still listed, because they do not lie in this file.
            fresh = Session(key=session.key)
            session.restore(fresh.to_json())
