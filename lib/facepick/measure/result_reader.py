"""Reading of a finished result, frame by frame beside its source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facepick.compositing.patch import FaceRequest
from facepick.media.reader import Frame, VideoReader
from facepick.people.person import Scan
from facepick.progress import CancelToken
from facepick.render.footage import crop_region
from facepick.render.geometry import FacePath

if TYPE_CHECKING:
    from facepick.faces.mesh import FaceMesh
    from facepick.media.picture import Picture
    from facepick.render.learning import KnownMeshes

__all__ = ["frame_pairs", "picture_pairs", "reasons_of", "request_at"]

# The mesh network looks at 1.5 x the face, rotated: 0.75 on each side holds its corners.
_MARGIN = 0.75


def reasons_of(report: Mapping[str, Any], flow: str) -> dict[tuple[int, str], str | None]:
    """Read why each person was left alone by a flow in each output frame; None where not."""
    return {
        (entry["frame"], change["person"]): None
        if change.get("done")
        else str(change.get("reason", "absent"))
        for entry in report.get("frames", ())
        for change in entry.get("changes", ())
        if change.get("flow") == flow
    }


def picture_pairs(
    result: Path, scan: Scan, part: tuple[int, int], cancel: CancelToken
) -> Iterator[tuple[Picture, Picture]]:
    """Yield pictures of the result and of the source, until one of them ends."""
    for new, old in frame_pairs(result, scan, part, cancel):
        yield new.picture, old.picture


def frame_pairs(
    result: Path, scan: Scan, part: tuple[int, int], cancel: CancelToken
) -> Iterator[tuple[Frame, Frame]]:
    """Yield frames of the result and of the source, until one of them ends."""
    with (
        VideoReader(result, cancel=cancel) as shown,
        VideoReader(scan.video.path, cancel=cancel) as filmed,
    ):
        sources = filmed.frames(start=part[0], pts=scan.pts.tolist())
        # The result may be longer (loop, bounce, freeze), the source too (a part of it).
        for new, old in zip(shown.frames(), sources, strict=False):
            if old.index >= part[1]:
                return
            yield new, old


def request_at(
    path: FacePath,
    source: int,
    output: int,
    time: Fraction,
    picture: Picture,
    mesh: FaceMesh,
    known: KnownMeshes | None = None,
) -> FaceRequest | None:
    """Make the request an engine would get, with the mesh of this very frame, or None.

    Args:
        known: meshes that need not be looked for.
    """
    state = path.at(source)
    if state is None:
        return None
    region = crop_region(state.box, _MARGIN, picture.width, picture.height)
    if region is None:
        return None
    x0, y0, x1, y1 = region
    crop = picture.crop(x0, y0, x1, y1)
    found = None if known is None else known.at(state.path, state.row)
    points, score = found or mesh.locate(crop, state.landmarks5, (x0, y0))
    return FaceRequest(
        path=state.path,
        row=state.row,
        frame=output,
        time=time,
        crop=crop,
        origin=(x0, y0),
        box=state.box,
        landmarks5=state.landmarks5,
        mesh=points,
        mesh_score=score,
        confidence=state.confidence,
        seen=state.seen,
        shot=state.shot,
        source_frame=source,
    )
