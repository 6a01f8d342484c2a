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

from facepick.compositing.patch import BgrImage
from facepick.engines.lipsync.rewrite.features import eye_distance, in_head_frame, mouth_features
from facepick.engines.lipsync.rewrite.inventory import Inventory
from facepick.engines.lipsync.rewrite.small import SmallFace
from facepick.engines.lipsync.rewrite.warp import Layer, parted, render
from facepick.faces.detection import FloatArray
from facepick.faces.warp import mixed, to_uint8
from facepick.progress import CancelToken, ProgressMeter, never

__all__ = ["SEEN", "corrections", "looks_of"]

Array = npt.NDArray[np.float32]

SEEN = 0.85
"""How much of a bend is seen."""
GAIN = 1.1
"""Of what is missing: the bend is seen at `SEEN` of its size, and some of what is missing is
the network's own scatter."""
MOST = 0.025
"""A correction is at most that, in eye distances.  More was asked only where the network does not
see an opening that is there."""
EVERY = 3
"""What a closed mouth misses changes with the head alone: frames between two that are drawn, an
eighth of a second apart, are as they are."""
SMOOTHING = (0.25, 0.5, 0.25)
"""Over the frame before, the frame and the one after.  What is missing changes slowly, with mouth
and pose (correlation 0.4 to 0.75 from frame to frame); the network's scatter does not."""


def corrections(
    footage: Iterable[SmallFace],
    inventory: Inventory,
    *,
    sources: npt.NDArray[np.int64],
    mouth: npt.NDArray[np.int32],
    stretch: npt.NDArray[np.int32],
    opening: Array,
    looked_at: npt.NDArray[np.bool_],
    face: Callable[[int], Array],
    read: Callable[[BgrImage, FloatArray], Array],
    progress: ProgressMeter | None = None,
    cancel: CancelToken = never,
) -> tuple[Array, Array]:
    """Compute what to add to the opening of every output frame, and what is seen without that.

    Both (n,) float32 in eye distances; 0 and NaN where nothing was drawn.

    Args:
        footage: the person's face in frames of the source; one pass.
        sources: (n,) the source frame of every output frame.
        mouth: (n,) row of the shown mouth in the inventory, -1 where none is shown.
        stretch: (n,) the same number in frames that belong together.
        opening: (n,) wanted, as read.
        looked_at: (n,) frames that are drawn, see `looks_of`; what is missing in others is
            between what is missing beside them.
        face: gives the shown face of an output frame, (468, 3) in the head frame.
        read: (picture, mesh) to mesh.
    """
    shown_in: dict[int, list[int]] = defaultdict(list)
    for frame in np.flatnonzero((mouth >= 0) & looked_at).tolist():
        shown_in[int(sources[frame])].append(frame)
    seen = np.full(len(mouth), np.nan, np.float32)
    for done, filmed in enumerate(footage):
        if done % 16 == 0:
            cancel.raise_if_cancelled()
            if progress is not None:
                progress.update(done)
        for frame in shown_in.get(filmed.source_frame, ()):
            layer = Layer(inventory.mouth(int(mouth[frame])))
            drawn = parted(face(frame), float(opening[frame]))
            seen[frame] = _seen(filmed, inventory, drawn, layer, read)
    seen = _filled(seen, opening, stretch, (mouth >= 0) & ~looked_at)
    return _smoothed(np.clip(GAIN * (opening - seen), -MOST, MOST), stretch), seen


def looks_of(
    quiet: npt.NDArray[np.bool_], fading: npt.NDArray[np.int32], stretch: npt.NDArray[np.int32]
) -> npt.NDArray[np.bool_]:
    """Choose the frames that are drawn for the check, (n,).

    Where the speech is silent and one closed mouth goes over into the next as they were filmed,
    every `EVERY`-th one tells what the others miss.

    Args:
        quiet: (n,) frames in which the speech does not move the mouth.
        fading: (n,) as of a plan: not -1 where the mouth jumps.
        stretch: (n,) the same number in frames that belong together.
    """
    inner = quiet & (fading < 0)
    same = stretch[1:] == stretch[:-1]
    # Both ends of a run are drawn, so that all others lie between two that are.
    inner[1:] &= same & quiet[:-1]
    inner[:-1] &= same & quiet[1:] & (fading[1:] < 0)
    inner[[0, -1]] = False
    return np.asarray(~inner | (np.arange(len(quiet)) % EVERY == 0))


def _filled(
    seen: Array, opening: Array, stretch: npt.NDArray[np.int32], left: npt.NDArray[np.bool_]
) -> Array:
    """Fill in what would be seen in frames that were left out, from those beside them."""
    known = np.flatnonzero(np.isfinite(seen))
    if not len(known):
        return seen
    rows = np.flatnonzero(left)
    at = np.searchsorted(known, rows)
    before, after = known[np.maximum(at - 1, 0)], known[np.minimum(at, len(known) - 1)]
    inside = (at > 0) & (at < len(known)) & (after - before <= EVERY)
    inside &= (stretch[before] == stretch[rows]) & (stretch[after] == stretch[rows])
    rows, before, after = rows[inside], before[inside], after[inside]
    missing = opening - seen
    share = ((rows - before) / np.maximum(after - before, 1)).astype(np.float32)
    filled = seen.copy()
    filled[rows] = opening[rows] - ((1 - share) * missing[before] + share * missing[after])
    return filled


def _seen(
    filmed: SmallFace,
    inventory: Inventory,
    face: Array,
    layer: Layer,
    read: Callable[[BgrImage, FloatArray], Array],
) -> float:
    """Read the opening off a small drawing, NaN when nothing can be drawn."""
    picture, mesh = filmed.picture.copy(), filmed.mesh
    own = in_head_frame(mesh, inventory.reference)
    made = render(picture, mesh, own, eye_distance(mesh), face, [layer], 1.0)
    if made is None:
        return float("nan")
    x, y = made.origin
    height, width = made.alpha.shape
    part = picture[y : y + height, x : x + width]
    part[:] = to_uint8(mixed(part, made.image, made.alpha))
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
