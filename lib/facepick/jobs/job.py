"""Record of a job: a scan, render, preview, proxy or download that outlives whoever asked for
it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from facepick.notices import Notice, as_notices, notices_of_result
from facepick.progress import Progress

__all__ = ["JobKind", "JobRecord", "JobState"]

JobKind = Literal["scan", "render", "preview", "fetch", "proxy"]
JobState = Literal["queued", "running", "done", "failed", "stopped", "interrupted"]


@dataclass(frozen=True, kw_only=True)
class JobRecord:
    """State of a job as seen from outside.

    Attributes:
        id: ``20261122-215701-4f2a``: when it was made, and four random digits.
        kind: what it does.
        state: ``queued`` (made, not started), ``running``, ``done``, ``failed`` (see `error`),
            ``stopped`` (by the user), ``interrupted`` (its process died; it can be resumed).
        place: of a queued job among those that wait, from 1; None when it is in no line.
        video: path of the source; empty when models are fetched.
        out: path of the result, for a render or preview.
        force: whether what lies there may be overwritten.
        request: what was asked, plain JSON.
        progress: the newest report, or None.
        error: one sentence, or None.
        missing: ids of the model files for want of which it failed.
        exit_code: of the work, or None while it runs.
        created: seconds since the epoch.
        owner: who may see it in a shared UI; empty on the command line.
        folder: its workspace.
        result: what came out, plain JSON.
    """

    id: str
    kind: JobKind
    state: JobState
    video: str
    out: str | None
    force: bool = False
    request: Mapping[str, Any]
    progress: Progress | None = None
    error: str | None = None
    missing: tuple[str, ...] = ()
    exit_code: int | None = None
    created: float
    place: int | None = None
    owner: str = ""
    folder: Path
    result: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_active(self) -> bool:
        """True while it works or waits to."""
        return self.state in ("queued", "running")

    @property
    def can_resume(self) -> bool:
        """True when the job can go on."""
        return self.state in ("stopped", "interrupted", "failed", "queued")

    @property
    def subject(self) -> str:
        """Subject of the job, for lists: path of the result or of the source, or ids of models."""
        return self.out or self.video or ", ".join(map(str, self.request.get("models", ())))

    @property
    def notices(self) -> tuple[Notice, ...]:
        """Notices for people: of the result, or while there is none of what was asked."""
        return notices_of_result(self.result) or as_notices(self.request.get("notices"))

    def to_json(self) -> dict[str, Any]:
        """Convert to plain JSON, for lists and HTTP."""
        return {
            "id": self.id,
            "kind": self.kind,
            "state": self.state,
            "place": self.place,
            "video": self.video,
            "out": self.out,
            "force": self.force,
            "created": self.created,
            "progress": None if self.progress is None else asdict(self.progress),
            "error": self.error,
            "missing": list(self.missing),
            "exit_code": self.exit_code,
            "result": dict(self.result),
            "notices": [notice.to_json() for notice in self.notices],
            "folder": str(self.folder),
        }
