"""Self-check: every frame drawn small before it is drawn for good, to correct the openings.

A bent mouth does not look as far open as it was bent: a centimetre of bend is seen as 8 mm, less
where teeth shine through or a moustache hangs over the lip.  So each frame is drawn once at a
fifth of its pixels, its mouth is read as those of the clip were, and what is missing is asked for
on top.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt

from facepick.compositing.patch import BgrImage, FaceRequest
from facepick.engines.lipsync.rewrite.features import eye_distance, in_head_frame, mouth_features
from facepick.engines.lipsync.rewrite.inventory import Inventory, usable
from facepick.engines.lipsync.rewrite.warp import Layer, parted, render
from facepick.faces.detection import FloatArray
from facepick.faces.warp import to_uint8
from facepick.progress import CancelToken, ProgressMeter, never

__all__ = ["SEEN", "corrections"]

Array = npt.NDArray[np.float32]

SMALL = 60.0
"""Eye distance of the drawing in pixels.  The mesh network sees a face at about that size."""
SEEN = 0.85
"""How much of a bend is seen."""
GAIN = 1.1
"""Of what is missing: the bend is seen at `SEEN` of its size, and some of what is missing is
the network's own scatter."""
MOST = 0.025
"""A correction is at most that, in eye distances.  More was asked only where the network does not
see an opening that is there."""
SMOOTHING = (0.25, 0.5, 0.25)
"""Over the frame before, the frame and the one after.  What is missing changes slowly, with mouth
and pose (correlation 0.4 to 0.75 from frame to frame); the network's scatter does not."""


def corrections(
    footage: Iterable[FaceRequest],
    inventory: Inventory,
    *,
    sources: npt.NDArray[np.int64],
    mouth: npt.NDArray[np.int32],
    stretch: npt.NDArray[np.int32],
    opening: Array,
    face: Callable[[int], Array],
    read: Callable[[BgrImage, FloatArray], Array],
    progress: ProgressMeter | None = None,
    cancel: CancelToken = never,
) -> tuple[Array, Array]:
    """Compute what to add to the opening of every output frame, and what is seen without that.

    Both (n,) float32 in eye distances; 0 and NaN where nothing was drawn.

    Args:
        footage: the person's requests in the order of the source; one pass.
        sources: (n,) the source frame of every output frame.
        mouth: (n,) row of the shown mouth in the inventory, -1 where none is shown.
        stretch: (n,) the same number in frames that belong together.
        opening: (n,) wanted, as read.
        face: gives the shown face of an output frame, (468, 3) in the head frame.
        read: (picture, mesh) to mesh.
    """
    shown_in: dict[int, list[int]] = defaultdict(list)
    for frame in np.flatnonzero(mouth >= 0).tolist():
        shown_in[int(sources[frame])].append(frame)
    seen = np.full(len(mouth), np.nan, np.float32)
    for done, request in enumerate(footage):
        if done % 16 == 0:
            cancel.raise_if_cancelled()
            if progress is not None:
                progress.update(done)
        if not usable(request):
            continue
        for frame in shown_in.get(request.source_frame, ()):
            layer = Layer(inventory.mouth(int(mouth[frame])))
            drawn = parted(face(frame), float(opening[frame]))
            seen[frame] = _seen(request, inventory, drawn, layer, read)
    return _smoothed(np.clip(GAIN * (opening - seen), -MOST, MOST), stretch), seen


def _seen(
    request: FaceRequest,
    inventory: Inventory,
    face: Array,
    layer: Layer,
    read: Callable[[BgrImage, FloatArray], Array],
) -> float:
    """Read the opening off a small drawing, NaN when nothing can be drawn."""
    import cv2

    assert request.mesh is not None
    mesh = np.asarray(request.mesh - np.array([*request.origin, 0]), np.float32)
    zoom = min(1.0, SMALL / eye_distance(mesh))
    if zoom < 1.0:
        small = cv2.resize(request.crop, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA)
        picture = np.asarray(small, np.uint8)
    else:
        picture = request.crop.copy()
    mesh = mesh * np.float32(zoom)
    own = in_head_frame(mesh, inventory.reference)
    made = render(picture, mesh, own, eye_distance(mesh), face, [layer], 1.0)
    if made is None:
        return float("nan")
    x, y = made.origin
    height, width = made.alpha.shape
    part = picture[y : y + height, x : x + width]
    mixed = part + (made.image.astype(np.float32) - part) * made.alpha[..., None]
    part[:] = to_uint8(mixed)
    return float(mouth_features(in_head_frame(read(picture, mesh)))[0])


def _smoothed(values: Array, stretch: npt.NDArray[np.int32]) -> Array:
    """Average over neighbours of the same stretch; unknown ones are left out, 0 where all are."""
    total = np.zeros(len(values))
    weight = np.zeros(len(values))
    known = np.isfinite(values)
    for offset, share in zip((-1, 0, 1), SMOOTHING, strict=True):
        other = np.clip(np.arange(len(values)) + offset, 0, len(values) - 1)
        used = share * (known[other] & (stretch[other] == stretch))
        total += used * np.where(known[other], values[other], 0.0)
        weight += used
    return np.asarray(total / np.maximum(weight, 1e-9) * known, np.float32)
