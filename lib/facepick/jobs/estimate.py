"""Estimates of what a plan takes on this machine: minutes, disk and memory."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facepick.engines.registry import EngineRegistry
from facepick.errors import FacepickError
from facepick.jobs.paces import PACES, Paces
from facepick.jobs.resources import Resources
from facepick.media.video import VideoInfo
from facepick.models.store import ModelStore
from facepick.people.person import Scan
from facepick.people.selection import Selection
from facepick.render.plan import RenderPlan
from facepick.render.space import MESH_BYTES, SOUND_BYTES_PER_SECOND, SPARE_BYTES, result_bytes

__all__ = ["Estimate", "Work", "estimate", "frames_of", "kinds_of", "note_render", "note_scan"]

# --- the reference: seconds on two cores of a small server, docs/farm.md has the runs ------------

SCAN_FRAME, SCAN_PIXELS = 0.004, 0.006
"""Seconds a frame and a megapixel of it: detection looks at one size, decoding at all of it."""

RENDER_START = 2.0
"""Seconds before the first frame: imports, models, checks."""

RENDER_PIXELS = 0.011
"""Seconds a megapixel to decode, blend and encode at the usual preset."""

REVIEW_PIXELS = 0.007
"""Seconds a megapixel to look a result over, source and result side by side."""

MEASURE_SIGHTING = 0.02
"""Seconds a sighting to read the lips of a result that speaks."""

PRESET_COST: Mapping[str, float] = {
    "ultrafast": 0.7, "superfast": 0.8, "veryfast": 1.0, "faster": 1.4, "fast": 1.7,
    "medium": 2.0, "slow": 3.2, "slower": 6.0,
}  # fmt: skip
"""How x264's presets compare, over decoding and encoding together."""

ENCODER_COST: Mapping[str, float] = {"x265": 4.0, "vp9": 5.0, "av1": 4.0}
"""How other encoders compare with x264."""

SIGHTING: Mapping[str, float] = {
    "hide": 0.006,
    "lipsync/rewrite": 0.06,
    "lipsync": 0.25,
    "swap/mesh": 0.08,
    "swap": 0.25,
}
"""Seconds for each face in a frame, learning and drawing, by engine or else by flow."""

PRESENCE = 0.5
"""Share of the frames in which somebody is taken to be seen while nobody knows."""

# --- memory ---------------------------------------------------------------------------------------

BASE_BYTES = 280 * 10**6
"""Of a process with the search for people in it."""

PIXEL_BYTES = 110
"""A pixel at the usual preset: frames of 1.5 bytes that wait, and those that x264 holds."""

PRESET_MEMORY: Mapping[str, float] = {
    "ultrafast": 0.8, "superfast": 0.9, "veryfast": 1.0, "faster": 1.5, "fast": 2.0,
    "medium": 2.7, "slow": 3.3, "slower": 4.0,
}  # fmt: skip
"""Slower presets look further ahead and at more frames: medium was measured, the rest follows the
frames that x264 looks ahead."""

WEIGHTS_TIMES = 2
"""A network's weights, and about as much for its layers' results."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a plan does to a video, counted.

    Attributes:
        frames: of the result.
        megapixels: of a frame.
        sightings: faces to be changed, summed over frames, by ``flow/engine``.
    """

    frames: int
    megapixels: float
    sightings: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a plan takes.

    Attributes:
        scan_seconds: of the search for people; 0 when it was done.
        render_seconds: of everything after it.
        result_bytes: of the result.
        work_bytes: needed meanwhile in the folder of jobs, besides the result.
        memory_bytes: peak of the process.
        free_bytes: on the disk of the folder of jobs.
        scanned: the people were found, so that it is known in how many frames they are.
        measured: work of this kind was done on this machine, so that its pace is known.
    """

    scan_seconds: float
    render_seconds: float
    result_bytes: int
    work_bytes: int
    memory_bytes: int
    free_bytes: int
    scanned: bool
    measured: bool

    @property
    def seconds(self) -> float:
        """Seconds of all of it."""
        return self.scan_seconds + self.render_seconds

    def to_json(self) -> dict[str, Any]:
        """Convert to plain JSON, format ``facepick-estimate/1``."""
        return {
            "format": "facepick-estimate/1",
            "seconds": round(self.seconds, 1),
            "scan_seconds": round(self.scan_seconds, 1),
            "render_seconds": round(self.render_seconds, 1),
            "result_bytes": self.result_bytes,
            "work_bytes": self.work_bytes,
            "memory_bytes": self.memory_bytes,
            "free_bytes": self.free_bytes,
            "scanned": self.scanned,
            "measured": self.measured,
        }


def frames_of(info: VideoInfo) -> int:
    """Tell about how many frames a video has; 0 when nothing says so."""
    if info.declared_frames:
        return info.declared_frames
    if info.duration_seconds is None:
        return 0
    return round(float(info.duration_seconds * (info.average_rate or 25)))


def kinds_of(plan: RenderPlan) -> tuple[str, ...]:
    """List the kinds of work of a plan, ``flow/engine`` each."""
    return tuple(dict.fromkeys(f"{item.flow}/{item.engine}" for item in plan.assignments))


def work_of(plan: RenderPlan, info: VideoInfo, scan: Scan | None) -> Work:
    """Count what a plan does; without a scan people are taken to be in half of the frames."""
    whole = scan.frames if scan is not None else frames_of(info)
    stop = whole if plan.stop is None else min(plan.stop, whole)
    frames = max(0, stop - plan.start)
    sightings: dict[str, float] = {}
    for item in plan.assignments:
        kind = f"{item.flow}/{item.engine}"
        seen = (
            _seen(item.selection, scan, plan.start, stop)
            if scan is not None
            else PRESENCE * frames * _people(item.selection)
        )
        sightings[kind] = sightings.get(kind, 0.0) + seen
    return Work(frames=frames, megapixels=info.width * info.height / 1e6, sightings=sightings)


def _people(selection: Selection) -> int:
    # Of everyone but some, two others; of whoever speaks, one at a time.
    return 2 if selection.everyone_but else max(1, len(selection.people))


def _seen(selection: Selection, scan: Scan, start: int, stop: int) -> float:
    try:
        people = selection.resolve(scan)
    except FacepickError:
        # A name for which somebody is found later, such as whoever speaks.
        return PRESENCE * (stop - start) * _people(selection)
    wanted = {track for person in people for track in person.track_ids}
    return float(
        sum(
            ((track.frames >= start) & (track.frames < stop)).sum()
            for track in scan.tracks
            if track.id in wanted
        )
    )


def scan_seconds(frames: int, megapixels: float) -> float:
    """Tell how long the reference searches for people."""
    return frames * (SCAN_FRAME + SCAN_PIXELS * megapixels)


def render_seconds(plan: RenderPlan, work: Work) -> float:
    """Tell how long the reference renders."""
    encode = plan.encode
    pixels = work.frames * work.megapixels
    dear = ENCODER_COST.get(encode.encoder, 1.0)
    if encode.encoder == "x264":
        dear = PRESET_COST.get(encode.preset, 1.0)
    seconds = RENDER_START + RENDER_PIXELS * dear * pixels
    for kind, seen in work.sightings.items():
        flow = kind.partition("/")[0]
        seconds += seen * SIGHTING.get(kind, SIGHTING.get(flow, SIGHTING["lipsync"]))
    if plan.output.review != "off" and plan.output.provenance:
        seconds += REVIEW_PIXELS * pixels
        if any(item.flow == "lipsync" for item in plan.assignments):
            seconds += MEASURE_SIGHTING * sum(work.sightings.values())
    return seconds


def note_scan(resources: Resources, scan: Scan, seconds: float) -> None:
    """Keep how long a search for people has taken."""
    pixels = scan.video.width * scan.video.height / 1e6
    expected = scan_seconds(scan.frames, pixels)
    if expected:
        Paces(resources.cache / PACES).note(["scan"], seconds / expected, seconds)


def note_render(resources: Resources, plan: RenderPlan, scan: Scan, seconds: float) -> None:
    """Keep how long a render has taken, from its people to its end."""
    expected = render_seconds(plan, work_of(plan, scan.video, scan))
    Paces(resources.cache / PACES).note(kinds_of(plan), seconds / expected, seconds)


def estimate(
    plan: RenderPlan,
    info: VideoInfo,
    scan: Scan | None,
    *,
    resources: Resources,
    folder: Path,
) -> Estimate:
    """Estimate what a plan takes on this machine.

    Args:
        info: of the plan's video.
        scan: its people, when they were found.
        folder: of jobs.
    """
    registry, paces = resources.registry, Paces(resources.cache / PACES)
    work = work_of(plan, info, scan)
    kinds = kinds_of(plan)
    known = [ratio for kind in kinds if (ratio := paces.ratio(kind)) is not None]
    usual = paces.usual() or 1.0
    # A render of several kinds goes at the pace of those that were done; of others at the usual.
    pace = (sum(known) + (len(kinds) - len(known)) * usual) / len(kinds) if kinds else usual
    searched = 0.0
    if scan is None:
        searched = scan_seconds(frames_of(info), work.megapixels)
        searched *= paces.ratio("scan") or usual
    result = result_bytes(info, frames_of(info) or work.frames, work.frames, plan.encode)
    meshes = sum(
        seen
        for kind, seen in work.sightings.items()
        if registry.get(*kind.split("/")).spec.needs_mesh
    )
    sound = SOUND_BYTES_PER_SECOND * float(info.duration_seconds or 0) if plan.has_speech else 0
    return Estimate(
        scan_seconds=searched,
        render_seconds=render_seconds(plan, work) * pace,
        result_bytes=result,
        # The segments, until the whole is joined of them.
        work_bytes=int(result + meshes * MESH_BYTES + sound + SPARE_BYTES),
        memory_bytes=_memory(plan, work, registry, resources.models),
        free_bytes=_free(folder),
        scanned=scan is not None,
        measured=len(known) == len(kinds),
    )


def _memory(plan: RenderPlan, work: Work, registry: EngineRegistry, models: ModelStore) -> int:
    weights = 0
    for item in plan.assignments:
        for model in registry.get(item.flow, item.engine).spec.models:
            file = models.find(model)
            weights += file.stat().st_size if file is not None else model.size or 0
    pixel = PIXEL_BYTES * PRESET_MEMORY.get(plan.encode.preset, 1.0)
    return int(BASE_BYTES + pixel * work.megapixels * 1e6 + WEIGHTS_TIMES * weights)


def _free(folder: Path) -> int:
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free
