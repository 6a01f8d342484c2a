"""Preview: a few seconds, before and after, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facepick.compositing.patch import BgrImage
from facepick.errors import RenderError, UserInputError
from facepick.media.encode import PRESETS, EncodeSettings, encoder_works
from facepick.media.probe import probe
from facepick.media.reader import VideoReader
from facepick.media.timeline import constant_rate
from facepick.media.writer import (
    AudioOut,
    AudioTrack,
    SegmentWriter,
    join_segments,
)
from facepick.people.person import Person, Scan
from facepick.people.track import BRIDGED
from facepick.progress import CancelToken, ProgressMeter, ProgressSink

if TYPE_CHECKING:
    from facepick.media.picture import Picture

__all__ = [
    "FRAME_REACH",
    "PICTURES",
    "encoded_again",
    "frame_sheet",
    "hardest_moment",
    "shown_soon",
    "side_by_side",
]

PICTURES = (".png", ".jpg", ".jpeg", ".webp")
"""Suffixes of a preview of one frame."""

GAP_PX = 4
"""Width of the dark line between the two halves."""


def encoded_again(encode: EncodeSettings) -> EncodeSettings:
    """Choose how the changed half is encoded before it is laid beside the original.

    Nobody keeps it: two fifths of the usual preset's CPU, in eight times the bytes, and 4 dB nearer
    to what was drawn, so that the second encoding is the one that is seen.
    """
    if encode.encoder != "x264" and not encoder_works("x264"):
        return encode
    return replace(encode, encoder="x264", preset=PRESETS[0], quality=min(encode.quality, 12))


def shown_soon(encode: EncodeSettings) -> EncodeSettings:
    """Choose how the two halves are encoded.

    Of the same quality (49.7 dB to what is given, where `superfast` has 49.6) in a third of its
    CPU and 2.4 times its bytes, which for a few seconds matter less than the wait.
    """
    return replace(encode, preset=PRESETS[0])


def hardest_moment(
    scan: Scan, people: Sequence[Person], *, at: float | None, seconds: float
) -> tuple[int, int]:
    """Choose the half-open part of the video to preview, in frames.

    Args:
        at: second at which it starts; None looks for the stretch in which the picked people are
            hardest to see: small, guessed at, or found with a low score.
        seconds: how long it lasts; cut off at the end of the video.

    Raises:
        UserInputError: `at` lies behind the end of the video.
    """
    times = (scan.pts - scan.pts[0]).astype(np.float64) * float(scan.video.time_base)
    if at is not None:
        if at < 0 or at > times[-1]:
            raise UserInputError(
                f"--at {at:g} lies outside the video, which lasts {times[-1]:.1f} s."
            )
        start = int(np.searchsorted(times, at))
        return start, max(start + 1, int(np.searchsorted(times, at + seconds)))
    hardness = np.zeros(scan.frames)
    for person in people:
        for track in scan.tracks_of(person.id):
            size = (track.boxes[:, 3] - track.boxes[:, 1]) / scan.video.height
            worth = 1.0 - np.clip(track.score, 0, 1) + 0.5 * (track.origin == BRIDGED)
            # A face under a tenth of the height is hard, one of a third is easy.
            worth = worth + np.clip((0.33 - size) / 0.23, 0, 1) * 0.5 + 0.2
            hardness[track.frames] += worth
    window = max(1, int(np.searchsorted(times, seconds)))
    sums = np.convolve(hardness, np.ones(min(window, scan.frames)), mode="valid")
    start = int(np.argmax(sums))
    return start, min(scan.frames, start + window)


def side_by_side(
    scan: Scan,
    part: tuple[int, int],
    after: Path,
    out: Path,
    folder: Path,
    encode: EncodeSettings,
    progress: ProgressSink,
    cancel: CancelToken,
) -> None:
    """Write the part of the source on the left and `after` on the right, with the new sound.

    Raises:
        Cancelled: `out` is untouched.
    """
    meter = ProgressMeter(progress, "publish", part[1] - part[0])
    video = scan.video
    # 4:2:0 wants an even width.
    width = (2 * video.width + GAP_PX + 1) // 2 * 2
    info = replace(video, width=width, rotation=0)
    segment = folder / "preview.nut"
    rate = constant_rate(scan.pts[slice(*part)].tolist(), video.time_base, video.average_rate)
    writer = SegmentWriter(segment, info=info, encode=encode.for_output(out, video), rate=rate)
    pts: list[int] = []
    try:
        with VideoReader(video.path, cancel=cancel) as before, VideoReader(after) as changed:
            pairs = zip(
                before.frames(start=part[0], pts=scan.pts.tolist()), changed.frames(), strict=False
            )
            for left, right in pairs:
                cancel.raise_if_cancelled()
                both = left.picture.beside(right.picture, GAP_PX, width)
                if both is None:
                    both = _converted(left.picture, right.picture, width)
                pts.append(int(scan.pts[left.index]))
                writer.write(both, pts[-1])
                meter.update(len(pts))
                if len(pts) == part[1] - part[0]:
                    break
        writer.close()
    except BaseException:
        writer.abort()
        raise
    sound = AudioOut.none()
    if probe(after).audio:
        sound = AudioOut.replace(AudioTrack(samples=after))
    join_segments(
        [segment],
        out=out,
        info=info,
        pts=pts,
        duration_pts=scan.duration_pts,
        audio=sound,
        origin=pts[0] * video.time_base,
        cancel=cancel,
    )
    segment.unlink()


def _converted(left: Picture, right: Picture, width: int) -> Picture:
    """Put two pictures of different kinds side by side, by way of BGR."""
    from facepick.media.picture import Picture

    sheet = np.full((left.height, width, 3), 16, np.uint8)
    sheet[:, : left.width] = left.bgr()
    sheet[:, left.width + GAP_PX : left.width + GAP_PX + right.width] = right.bgr()
    return Picture.from_bgr(
        sheet, format=left.format, matrix=left.matrix, full_range=left.full_range
    )


FRAME_REACH = 6
"""Frames on either side of one that is looked at alone, which decide how its mouth or its light is
chosen: a quarter of a second at 25 frames a second."""


def frame_sheet(before: BgrImage, after: BgrImage, out: Path) -> None:
    """Write one frame before, after, and what was changed (white), side by side.

    Args:
        before, after: (h, w, 3) uint8 BGR.
        out: .png, .jpg or .webp.

    Raises:
        RenderError: the picture cannot be written.
    """
    import cv2

    changed = np.repeat((before != after).any(axis=2, keepdims=True), 3, axis=2)
    gap = np.full((len(before), GAP_PX, 3), 16, np.uint8)
    sheet = np.hstack([before, gap, after, gap, changed.astype(np.uint8) * np.uint8(255)])
    done, data = cv2.imencode(out.suffix, sheet)
    if not done:
        raise RenderError(f"{out.name} cannot be written.", hint="Take .png for the picture.")
    out.write_bytes(data.tobytes())
