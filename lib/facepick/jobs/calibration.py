"""Calibration: a few seconds of real work on the bundled clip, so that estimates are of here."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from facepick.errors import NoFacesFound
from facepick.jobs.paces import PACES, Paces
from facepick.jobs.preparation import scan_video
from facepick.jobs.resources import Resources
from facepick.jobs.work import render
from facepick.jobs.workspace import Workspaces
from facepick.people.person import Scan
from facepick.people.selection import Selection
from facepick.progress import CancelToken, ProgressSink
from facepick.render.plan import Assignment, RenderPlan
from facepick.speech.line import SpeechLine

__all__ = ["calibrate", "is_calibrated"]

FRAMES = 75
"""Of the bundled clip, three seconds: a render takes a second to begin with."""

BUILT_IN = ("hide/pixelate", "lipsync/rewrite")
"""Kinds of work that need nothing of the user."""


def is_calibrated(resources: Resources) -> bool:
    """Tell whether the pace of searching and of any render is known."""
    paces = Paces(resources.cache / PACES)
    return paces.ratio("scan") is not None and paces.usual() is not None


def calibrate(
    resources: Resources,
    kinds: Sequence[str],
    clip: Path,
    speech: Path,
    *,
    progress: ProgressSink,
    cancel: CancelToken,
) -> None:
    """Search the clip for people, change three seconds of it, and keep how long that took.

    Args:
        kinds: what the user is about to do, as ``hide/blur``; those of `BUILT_IN` are tried.
        clip, speech: video of two people, and what one may speak.

    Raises:
        MissingModelError: the default models are not here.
        NoFacesFound: nobody is found in the clip: something is wrong with the models.
        Cancelled.
    """
    with tempfile.TemporaryDirectory(prefix="facepick-calibration-") as name:
        folder = Path(name)
        apart = replace(resources, cache=folder / "cache", cast=None)
        found = scan_video(clip, {}, apart, progress, cancel)
        wanted = [kind for kind in BUILT_IN if kind in kinds] or [BUILT_IN[0]]
        for number, kind in enumerate(wanted):
            plan = _plan(kind, found, clip, speech)
            workspace = Workspaces(folder / "jobs").new(
                "render",
                video=str(clip),
                out=str(folder / f"{number}.mp4"),
                request={"plan": plan.to_json()},
            )
            render(workspace, apart, progress, cancel)
        Paces(resources.cache / PACES).take(Paces(apart.cache / PACES))


def _plan(kind: str, scan: Scan, clip: Path, speech: Path) -> RenderPlan:
    people = [person for person in scan.people if not person.unsure]
    if not people:
        raise NoFacesFound(
            "Nobody was found in the bundled clip.", hint="Check the models: facepick doctor"
        )
    first = scan.tracks_of(people[0].id)[0].start
    flow, engine = kind.split("/")
    return RenderPlan(
        video=str(clip),
        assignments=(
            Assignment(
                selection=Selection((people[0].id,)),
                flow=flow,
                engine=engine,
                speech=(SpeechLine(path=str(speech)),) if flow == "lipsync" else (),
            ),
        ),
        start=first,
        stop=first + FRAMES,
    )
