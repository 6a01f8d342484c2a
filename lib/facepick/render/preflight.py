"""Preflight: what a plan lacks, said before the video is looked through, which takes long."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facepick.compositing.pictures import load_picture
from facepick.engines.engine import Engine
from facepick.engines.registry import EngineRegistry
from facepick.media.audio import decode_audio
from facepick.media.video import VideoInfo
from facepick.models.store import ModelStore
from facepick.notices import Notice
from facepick.progress import CancelToken, never
from facepick.render.plan import Assignment, RenderPlan
from facepick.settings import fields_of, from_mapping

__all__ = ["Preflight", "check_files", "check_photos"]


@dataclass(frozen=True, kw_only=True)
class Preflight:
    """Findings of the checks of a plan, for those who come after.

    Attributes:
        plan, out: what was checked.
        video: facts of the video, where it was read.
        notices: what people should know before the work.
    """

    plan: RenderPlan
    out: Path
    video: VideoInfo | None = None
    notices: tuple[Notice, ...] = ()


def check_files(
    plan: RenderPlan,
    registry: EngineRegistry,
    models: ModelStore,
) -> None:
    """Check that every network is there that the plan asks for, and every speech can be heard.

    Quick: of networks only the description is read, of speech the first block.

    Raises:
        MissingModelError, ModelMismatchError, PackageMissing: of a network.
        VideoOpenError, NoAudioError, UserInputError: of speech, or of a file named in settings.
    """
    for item in plan.assignments:
        engine, settings = _opened(item, registry)
        engine.preflight(settings, models)
    heard = (plan.output.soundtrack, plan.output.background)
    spoken = [line.path for item in plan.assignments for line in item.speech]
    for path in dict.fromkeys([*spoken, *filter(None, heard)]):
        # The generator raises where nothing of the file can be decoded.
        next(decode_audio(path), None)


def check_photos(
    plan: RenderPlan,
    registry: EngineRegistry,
    models: ModelStore,
    *,
    cancel: CancelToken = never,
) -> None:
    """Check that every photo can be read and shows the face that is wanted.

    Photos are decoded and searched: for the process that does the job, not for a host's.

    Raises:
        UserInputError, NoFacesFound: one sentence about the first that cannot be used.
        MissingModelError: the face detector is not there.
        Cancelled.
    """
    from facepick.engines.swap.source import load_sources

    for item in plan.assignments:
        engine, settings = _opened(item, registry)
        if engine.spec.needs_source:
            load_sources(item.source, models, face=getattr(settings, "face", 0), cancel=cancel)
        for entry in fields_of(settings):
            value = getattr(settings, entry.name)
            if entry.name == "picture" and value:
                load_picture(value, keep_alpha=True)


def _opened(item: Assignment, registry: EngineRegistry) -> tuple[Engine, Any]:
    engine = registry.get(item.flow, item.engine)
    return engine, from_mapping(engine.spec.settings, item.settings)
