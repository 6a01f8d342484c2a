"""Disk space that a render needs, compared with what is free before it starts."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from facepick.errors import DiskFull
from facepick.media.encode import EncodeSettings
from facepick.media.video import VideoInfo
from facepick.people.person import Scan
from facepick.text import byte_size

__all__ = ["SpaceNeed", "check_space", "need_of", "result_bytes"]

MOST_BITS_PER_PIXEL = 0.4
"""At CRF 18 seven clips of 180 to 720 lines take 0.04 to 0.32 bits a pixel and frame, and one of
192 lines 0.75."""

MESH_BYTES = 478 * 3 * 4 + 64
"""Kept for every frame and face by engines that want a mesh: 478 points of three float32."""

SOUND_BYTES_PER_SECOND = 48_000 * 2 * 2
"""A mix of 16 bits in stereo."""

SPARE_BYTES = 16 * 2**20
"""Notes, thumbnails and the report, in the job's folder."""


def result_bytes(video: VideoInfo, total: int, frames: int, encode: EncodeSettings) -> int:
    """Estimate how large a result of so many frames will be, of a video with so many in total.

    At CRF 18 results are about as large as their sources (0.3 to 1.1 times, seven clips), unless a
    source is hardly compressed; six steps of CRF halve or double x264's size.
    """
    of_source = video.size_bytes * frames / max(1, total)
    of_pixels = video.width * video.height * frames * MOST_BITS_PER_PIXEL / 8
    return int(min(of_source, of_pixels) * 2 ** ((18 - encode.quality) / 6))


@dataclass(frozen=True, kw_only=True)
class SpaceNeed:
    """Disk space that a render needs.

    Attributes:
        workspace: bytes in the job's folder, besides those that are there already.
        target: bytes where the result goes, if that is another disk; else 0.
    """

    workspace: int
    target: int


def check_space(need: SpaceNeed, workspace: Path, folder: Path) -> None:
    """Refuse a render that would fill a disk.

    Args:
        workspace: the job's folder.
        folder: where the result goes.

    Raises:
        DiskFull: it says how much is needed where, and how much is free.
    """
    for place, bytes_needed, hint in (
        (
            workspace,
            need.workspace,
            "Free some space (facepick cache clear, facepick jobs prune), or set FACEPICK_HOME to "
            "a folder on another disk.",
        ),
        (folder, need.target, "Free some space, or choose a place on another disk."),
    ):
        if not bytes_needed:
            continue
        free = shutil.disk_usage(place).free
        if free < bytes_needed:
            raise DiskFull(
                f"The render needs about {byte_size(bytes_needed)} in {place}, where "
                f"{byte_size(free)} are free.",
                hint=hint,
            )


def need_of(
    scan: Scan,
    encode: EncodeSettings,
    *,
    frames: int,
    meshes: int,
    sound_seconds: float,
    workspace: Path,
    folder: Path,
) -> SpaceNeed:
    """Estimate what a render needs besides what an earlier run has left.

    Args:
        frames: of the output.
        meshes: how many people get engines that keep a mesh for every frame.
        sound_seconds: length of the mix of new speech; 0 without.
    """
    result = result_bytes(scan.video, scan.frames, frames, encode)
    # The segments, and the whole that is joined of them before they go.
    whole = 2 * result + meshes * scan.frames * MESH_BYTES
    whole += int(sound_seconds * SOUND_BYTES_PER_SECOND)
    there = sum(p.stat().st_size for p in workspace.rglob("*") if p.is_file())
    elsewhere = os.stat(workspace).st_dev != os.stat(folder).st_dev
    return SpaceNeed(
        workspace=max(0, whole - there) + SPARE_BYTES, target=result if elsewhere else 0
    )
