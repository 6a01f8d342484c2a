"""Resources of jobs: engines, model files, folders, the host's restorers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facepick.engines.registry import EngineRegistry
from facepick.jobs.workspace import Workspace
from facepick.models.store import ModelStore
from facepick.progress import CancelToken, ProgressSink

__all__ = ["Resources", "Work"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Resources:
    """Resources that a job works with.

    Attributes:
        registry: the engines.
        models: the model files.
        cache: folder of cached scans.
        cast: file of known people, whose names a scan gives; None for none.
        device: see `facepick.engines.engine.EngineContext`.
    """

    registry: EngineRegistry
    models: ModelStore
    cache: Path
    cast: Path | None = None
    device: str = "auto"


Work = Callable[[Workspace, Resources, ProgressSink, CancelToken], Mapping[str, Any]]
"""A kind of job: gives its result, plain JSON."""
