"""Masks of what of a face may be changed, and decisions which frames are better left alone.

All is decided in `open_masker`, in one pass over the person's footage, and kept in the session's
workspace; a request is only looked up.  So answers do not depend on where a render starts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, Protocol

import numpy as np
import numpy.typing as npt

from facepick.compositing.patch import BgrImage, FaceRequest
from facepick.engines.decisions import (
    MESH_SCORE,
    bridge_short_gaps,
    drop_short_runs,
    follows_of,
    hysteresis,
    ramps,
)
from facepick.engines.engine import EngineContext, Observer, show
from facepick.engines.occlusion import appearance
from facepick.engines.occlusion.hands import (
    HandFinder,
    HandTracker,
    hand_mask,
    opencv_reads_hands,
)
from facepick.engines.occlusion.texels import texels
from facepick.engines.occlusion.xseg import XSeg
from facepick.errors import SettingsError
from facepick.faces.detection import FloatArray
from facepick.models.catalog import XSEG
from facepick.models.store import ModelStore
from facepick.people.track import BRIDGED
from facepick.progress import ProgressMeter

__all__ = [
    "NothingInFront",
    "OcclusionMasker",
    "OcclusionObserver",
    "Part",
    "check_masker",
    "occlusion_observers",
    "open_masker",
]

Part = Literal["mouth", "face"]
Bools = npt.NDArray[np.bool_]

_VERSION = 4
# A frame is left alone when this much of what would change is covered, until less than the
# second share is: half a mouth replaced looks worse than none.
_GIVE_UP, _GO_ON = 0.35, 0.25
# Lips of which less is covered are whole: the rim of what is found is two texels wide.
_LIPS_TOUCHED = 0.03
# Between two such stretches fewer than 5 frames are no reason to change the face.
_SHORTEST_RUN = 5
# The change fades over as many frames on both sides.
_RAMP_FRAMES = 3
# A face is refined at this height: finer than the texels, and quick.
_REFINE_PX = 160.0


class OcclusionMasker(Protocol):
    """Masker that knows what is in front of one person's face."""

    def covered(self, request: FaceRequest) -> bool:
        """Tell whether so much is covered that the frame stays as it was filmed."""
        ...

    def lips_clear(self, key: tuple[int, int]) -> bool:
        """Tell whether nothing is in front of the lips, so that they may be learned from.

        Args:
            key: of the sighting, see `FaceRequest.key`.
        """
        ...

    def covered_points(self, key: tuple[int, int]) -> Bools | None:
        """Tell over which points of the mesh something lies, (468,); None when over none.

        Args:
            key: of the sighting, see `FaceRequest.key`.
        """
        ...

    def visible(self, request: FaceRequest) -> FloatArray | None:
        """Draw (h, w) float32 over `request.crop`: 1 where the face shows, 0 where something
        else does.

        None when the whole face does, which is nearly always.
        """
        ...

    def report(self) -> dict[str, Any]:
        """Report what was found, as plain JSON."""
        ...


class NothingInFront:
    """The masker of those who do not want one."""

    def covered(self, request: FaceRequest) -> bool:
        """Return False."""
        return False

    def lips_clear(self, key: tuple[int, int]) -> bool:
        """Return True."""
        return True

    def covered_points(self, key: tuple[int, int]) -> Bools | None:
        """Return None: over none."""
        return None

    def visible(self, request: FaceRequest) -> FloatArray | None:
        """Return None: the whole face."""
        return None

    def report(self) -> dict[str, Any]:
        """Say that nobody looked."""
        return {"masker": "off"}


@dataclass(frozen=True, eq=False)
class _Table:
    """Findings, one row per sighting of the face, in time order.

    Attributes:
        path, row: (n,) int64, the keys of the requests.
        frame, shot: (n,) int64, of the source.
        seconds: (n,) float64, since the source's first frame.
        bits: (n, b) uint8, covered texels, packed.
        hand: (n,) whether a hand covers some of them.
    """

    path: npt.NDArray[np.int64]
    row: npt.NDArray[np.int64]
    frame: npt.NDArray[np.int64]
    shot: npt.NDArray[np.int64]
    seconds: npt.NDArray[np.float64]
    bits: npt.NDArray[np.uint8]
    hand: Bools

    def follows(self) -> Bools:
        """Tell which rows come right after the one before them on the same path, (n,)."""
        return follows_of(self.path, self.frame, self.shot)


def open_masker(context: EngineContext, *, part: Part, fade: bool = True) -> OcclusionMasker:
    """Open the masker that the settings ask for, after one pass over the footage.

    Args:
        context: its settings have `occlusion`, see `occlusion_setting`.
        part: what the engine changes.
        fade: let the change come and go over three frames beside those left alone.

    Raises:
        MissingModelError: xseg is asked for by name and is not there.
        ModelMismatchError: it is another network.
        Cancelled: the user stopped it; what was not finished is done again.
    """
    if context.settings.occlusion == "off":
        return NothingInFront()
    network = _network(context)
    name = "built-in" if network is None else network.name
    table = _load(context.workspace / OcclusionObserver.FILE, name)
    if table is None:
        show(_counted(context), [OcclusionObserver(context, network)])
        table = _load(context.workspace / OcclusionObserver.FILE, name)
        assert table is not None
    return _Masker(name, table, part, fade=fade)


def check_masker(wanted: str, models: ModelStore) -> None:
    """Check that `open_masker` would find the network that is asked for.

    Raises:
        MissingModelError: it is not there.
    """
    if wanted == "xseg":
        models.require(XSEG)


def occlusion_observers(context: EngineContext) -> list[Observer]:
    """List the observer that `open_masker` wants to have seen the footage, if it wants one.

    Raises:
        As `open_masker`.
    """
    if context.settings.occlusion == "off":
        return []
    return [OcclusionObserver(context, _network(context))]


def _network(context: EngineContext) -> Path | None:
    """Choose the network that is to be asked; None for the built-in way."""
    wanted = context.settings.occlusion
    if wanted == "xseg":
        return context.models.require(XSEG)
    if wanted == "auto":
        return context.models.find(XSEG)
    if wanted != "built-in":
        raise SettingsError(f"There is no way called {wanted!r} to see what is before a face.")
    return None


def _load(file: Path, name: str) -> _Table | None:
    """Load what an interrupted job kept, when it was found in the same way."""
    if not file.is_file():
        return None
    with np.load(file, allow_pickle=False) as stored:
        if str(stored["key"]) != f"{_VERSION} {name}":
            return None
        return _Table(**{field: stored[field] for field in _Table.__dataclass_fields__})


def _save(file: Path, name: str, table: _Table) -> None:
    part = file.with_name("part_" + file.name)
    arrays = {field: getattr(table, field) for field in _Table.__dataclass_fields__}
    np.savez(part, key=np.array(f"{_VERSION} {name}"), **arrays)
    part.replace(file)


class _Masker:
    """Masker by hands and appearance, see `OcclusionMasker`."""

    def __init__(
        self,
        name: str,
        table: _Table,
        part: Part,
        *,
        fade: bool,
    ) -> None:
        self._name = name
        self._table = table
        keys = zip(table.path.tolist(), table.row.tolist(), strict=True)
        self._rows = {key: i for i, key in enumerate(keys)}
        self._covered = _give_up(table, part)
        self._strength = ramps(self._covered, table.follows(), _RAMP_FRAMES if fade else 0)

    def covered(self, request: FaceRequest) -> bool:
        row = self._rows.get(request.key)
        return row is not None and bool(self._covered[row])

    def lips_clear(self, key: tuple[int, int]) -> bool:
        row = self._rows.get(key)
        if row is None or not self._table.bits[row].any():
            return True
        points = texels()
        there = np.unpackbits(self._table.bits[row], count=len(points)).astype(bool)
        return bool(there[points.lips].mean() < _LIPS_TOUCHED)

    def covered_points(self, key: tuple[int, int]) -> Bools | None:
        row = self._rows.get(key)
        if row is None or not (self._table.bits[row].any() or self._covered[row]):
            return None
        if self._covered[row]:
            return np.ones(468, bool)
        points = texels()
        there = np.unpackbits(self._table.bits[row], count=len(points)).astype(bool)
        out = np.zeros(468, bool)
        # A texel belongs to the point that has most of it.
        out[points.corners[there][points.weights[there] > 0.5]] = True
        return out

    def visible(self, request: FaceRequest) -> FloatArray | None:
        row = self._rows.get(request.key)
        if row is None or request.mesh is None:
            return None
        strength = float(self._strength[row])
        height, width = request.crop.shape[:2]
        if not self._table.bits[row].any():
            if strength == 1.0:
                return None
            return np.full((height, width), strength, np.float32)
        points = texels()
        there = np.unpackbits(self._table.bits[row], count=len(points)).astype(np.float32)
        mesh = request.mesh.astype(np.float32).copy()
        mesh[:, :2] -= np.asarray(request.origin, np.float32)
        return _refined(request.crop, mesh, there) * np.float32(strength)

    def report(self) -> dict[str, Any]:
        """Report counts of frames of the footage."""
        return {
            "masker": self._name,
            "frames": len(self._table.frame),
            "frames_with_something_in_front": int(self._table.bits.any(axis=1).sum()),
            "frames_with_a_hand": int(self._table.hand.sum()),
            "frames_left_alone": int(self._covered.sum()),
        }


class OcclusionObserver:
    """Looks at a person's footage for what is in front of the face; see `Observer`.

    Texels wait in a file, so that memory stays flat.

    Args:
        context: of the session.
        network: XSeg's file, or None for the built-in way.
    """

    FILE = "occlusion.npz"

    def __init__(self, context: EngineContext, network: Path | None) -> None:
        self._name = "built-in" if network is None else network.name
        self._context, self._network = context, network
        size = 0 if network is None else network.stat().st_size
        self.key = f"occlusion {_VERSION} {self._name} {size}"
        self.files: tuple[str, ...] = (self.FILE,)
        self._points = texels()
        self._xseg: XSeg | None = None
        self._hands: HandTracker | None = None
        self._stream: BinaryIO | None = None
        self._facts: list[tuple[int, int, int, int]] = []
        self._times: list[float] = []
        self._bits: list[npt.NDArray[np.uint8]] = []
        self._seen: list[npt.NDArray[np.uint8]] = []
        self._by_hand: list[npt.NDArray[np.uint8]] = []

    @property
    def _texels_file(self) -> Path:
        return self._context.workspace / "occlusion_texels.u8"

    def _begin(self) -> BinaryIO:
        if self._network is not None:
            self._xseg = XSeg(self._network, self._context.device)
        elif opencv_reads_hands():
            self._hands = HandTracker(HandFinder(self._context.models))
        return open(self._texels_file, "wb")

    def see(self, request: FaceRequest) -> None:
        """See `Observer`."""
        if not _says_something(request):
            return
        if self._stream is None:
            self._stream = self._begin()
        if self._hands is None:
            self._take(request, [], self._stream)
            return
        for finished, hands in self._hands.push(request):
            self._take(finished, hands, self._stream)

    def _take(self, request: FaceRequest, hands: list[FloatArray], stream: BinaryIO) -> None:
        assert request.mesh is not None
        points = self._points
        self._facts.append((*request.key, request.source_frame, request.shot))
        self._times.append(float(request.time))
        mesh = request.mesh.astype(np.float32).copy()
        mesh[:, :2] -= np.asarray(request.origin, np.float32)
        seen = points.seen(mesh, (request.crop.shape[1], request.crop.shape[0]))
        if self._xseg is None:
            stream.write(points.pull(request.crop, mesh).tobytes())
            self._seen.append(np.packbits(seen))
            local = [hand - np.asarray(request.origin, np.float32) for hand in hands]
            self._by_hand.append(np.packbits(_under(local, mesh) & seen))
            return
        landmarks = request.local(request.landmarks5)
        own = self._xseg.face(request.crop, landmarks, points.places(mesh))
        # facefusion's rule: half sure is not enough.
        self._bits.append(np.packbits((own < 0.5) & seen))

    def done(self) -> None:
        """See `Observer`."""
        if self._stream is not None:
            if self._hands is not None:
                for finished, hands in self._hands.flush():
                    self._take(finished, hands, self._stream)
            self._stream.close()
        points = self._points
        known = np.array(self._facts, np.int64).reshape(-1, 4)
        path, row, frame, shot = known.T
        by_hand = np.zeros((len(known), len(points)), bool)
        if self._by_hand:
            packed = np.array(self._by_hand)
            by_hand = np.unpackbits(packed, axis=1, count=len(points)).astype(bool)
        if self._xseg is None and len(known):
            self._find_occluded(by_hand, follows_of(path, frame, shot))
        self._texels_file.unlink(missing_ok=True)
        width = -(-len(points) // 8)
        bits = np.array(self._bits, np.uint8).reshape(len(known), width)
        seconds = np.array(self._times, np.float64)
        table = _Table(path, row, frame, shot, seconds, bits, np.asarray(by_hand.any(axis=1)))
        _save(self._context.workspace / self.FILE, self._name, table)

    def drop(self) -> None:
        """See `Observer`."""
        if self._stream is not None:
            self._stream.close()
            self._texels_file.unlink(missing_ok=True)

    def _find_occluded(self, by_hand: Bools, follows: Bools) -> None:
        """Compare every frame with what is usual of this face."""
        shape = (len(by_hand), len(self._points), 3)
        colours = np.memmap(self._texels_file, np.uint8, "r", shape=shape)
        looks = np.unpackbits(np.array(self._seen), axis=1, count=len(self._points)).astype(bool)
        # A hand is no part of what is usual, nor of what the light is fitted to.
        looks &= ~by_hand
        usual = appearance.learn(colours, looks)
        others = (
            np.zeros_like(by_hand)
            if usual is None
            else appearance.occluded(usual, colours, looks, follows)
        )
        for covered, hand in zip(others, by_hand, strict=True):
            self._context.cancel.raise_if_cancelled()
            self._bits.append(np.packbits(covered | hand))


def _says_something(request: FaceRequest) -> bool:
    """Tell whether a sighting shows enough of the face."""
    return (
        request.mesh is not None
        and request.mesh_score >= MESH_SCORE
        and request.seen != BRIDGED
        and bool(np.isfinite(request.mesh).all())
    )


def _counted(context: EngineContext) -> Iterator[FaceRequest]:
    """Stream the footage, with progress and a way to stop."""
    meter = ProgressMeter(context.progress, "prepare", context.person.frames)
    for i, request in enumerate(context.footage()):
        context.cancel.raise_if_cancelled()
        meter.update(i)
        yield request


def _under(hands: list[FloatArray], mesh: FloatArray) -> Bools:
    """Mark the texels under hands, (n,): what overlaps a face that is seen is in front of it.

    Args:
        hands, mesh: (21, 2) each and (468, 3), in the same pixels.
    """
    points = texels()
    if not hands:
        return np.zeros(len(points), bool)
    # Drawn around the face alone, as fine as the mask that comes of it.
    scale = _REFINE_PX / max(float(np.linalg.norm(mesh[10, :2] - mesh[152, :2])), 1.0)
    places = points.places(mesh)
    corner = places.min(axis=0)
    at = ((places - corner) * scale).astype(np.int64)
    width, height = at.max(axis=0) + 1
    drawn = hand_mask([(hand - corner) * scale for hand in hands], (int(width), int(height)))
    return np.asarray(drawn[at[:, 1], at[:, 0]])


def _give_up(table: _Table, part: Part) -> Bools:
    """Decide which rows are left alone, (n,), with hysteresis; a moment is not."""
    points = texels()
    # Of a mouth, the lips by themselves decide too: they are a twelfth of the lower face.
    zones = [points.lower, points.lips] if part == "mouth" else [np.ones(len(points), bool)]
    share = np.zeros(len(table.frame))
    for row, bits in enumerate(table.bits):
        there = np.unpackbits(bits, count=len(points)).astype(bool)
        share[row] = max(float(there[zone].mean()) for zone in zones)
    follows = table.follows()
    out = hysteresis(share > _GIVE_UP, share > _GO_ON, follows)
    # What is in front for a moment is spared by the mask.
    out = bridge_short_gaps(out, follows, table.seconds)
    return drop_short_runs(out, follows, _SHORTEST_RUN)


def _refined(crop: BgrImage, mesh: FloatArray, there: FloatArray) -> FloatArray:
    """Refine covered texels (n,) to a mask (h, w) of what is not covered, by the picture's edges.

    Guided filter (He, Sun and Tang, *Guided Image Filtering*, PAMI 2013) on a small copy; its
    coefficients are enlarged and applied to the crop (He and Sun, *Fast Guided Filter*, 2015).
    """
    import cv2

    height, width = crop.shape[:2]
    face = float(np.linalg.norm(mesh[10, :2] - mesh[152, :2]))
    scale = min(1.0, _REFINE_PX / max(face, 1.0))
    size = (max(2, round(width * scale)), max(2, round(height * scale)))
    grey = cv2.cvtColor(np.ascontiguousarray(crop), cv2.COLOR_BGR2GRAY).astype(np.float32) / 255
    guide = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    # One texel a pixel: drawn on a copy in which the face is as high as in the texels.
    coarse = min(1.0, 64.0 / max(face, 1.0))
    tiny = (max(2, round(width * coarse)), max(2, round(height * coarse)))
    ratio = np.array([tiny[0] / width, tiny[1] / height], np.float32)
    drawn = texels().onto(there, mesh[:, :2] * ratio, tiny)
    wanted = np.clip(cv2.resize(drawn, size, interpolation=cv2.INTER_LINEAR), 0, 1)

    window = (2 * max(2, round(0.025 * _REFINE_PX)) + 1,) * 2

    def mean(picture: npt.ArrayLike) -> FloatArray:
        return np.asarray(cv2.boxFilter(np.asarray(picture, np.float32), -1, window), np.float32)

    mean_guide, mean_wanted = mean(guide), mean(wanted)
    covariance = mean(guide * wanted) - mean_guide * mean_wanted
    variance = mean(guide * guide) - mean_guide * mean_guide
    # Edges of less than about 4 % of the range are no edges.
    slope = np.asarray(covariance / (variance + np.float32(0.04**2)), np.float32)
    offset = mean(mean_wanted - slope * mean_guide)
    slope = mean(slope)
    full = (width, height)
    mask = cv2.resize(slope, full) * grey + cv2.resize(offset, full)
    # Half covered counts as covered: the rim of a hand must not carry a stripe of new skin.
    return np.asarray(np.clip(1 - (mask - 0.15) / 0.4, 0, 1), np.float32)
