"""Decisions over the frames of one person: hysteresis, bridged gaps, shortest runs, ramps.

Engines decide for the whole clip before the first frame is drawn, so that an answer does not
depend on where a render starts.  They judge every sighting by itself and pass the flags through
`hysteresis`, `bridge_short_gaps`, `drop_short_runs` and `ramps`, in this order; `Decisions` does
all of that.  The functions take arrays with one entry a sighting, sorted by path and time, and
`follows`, (n,): whether an entry belongs to the one before it; nothing reaches over a False.

"Off" is a frame that is left alone, "on" one that is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass, fields

import numpy as np
import numpy.typing as npt

from facepick.compositing.patch import FaceRequest, Reason
from facepick.engines.engine import EngineContext, show
from facepick.faces.head_pose import pose_of_mesh
from facepick.people.track import BRIDGED

__all__ = [
    "GAP_SECONDS",
    "Decision",
    "Decisions",
    "Sight",
    "SightObserver",
    "bridge_short_gaps",
    "drop_short_runs",
    "follows_of",
    "hysteresis",
    "look",
    "ramps",
    "runs",
    "sights_of",
]

Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

GAP_SECONDS = 0.13
"""Longest doubt that is bridged: three frames at 25 a second.  What is filmed for so short flashes
as the old mouth between two new ones; longer doubt has a cause that people see as well."""


MESH_SCORE = 0.5
"""Below this the mesh network itself doubts that it sees a face."""


@dataclass(frozen=True)
class Sight:
    """Facts that decide about one sighting of the face.

    Attributes:
        path, row: its key, see `FaceRequest`.
        frame, shot: of the source.
        seconds: since the first frame of the source.
        turn: degrees to either side.
        height: of the box in pixels.
        eyes: distance of the outer eye corners in pixels, as if seen from the front.
        mesh_score, confidence: certainties in [0, 1]; without a mesh the first is 0.
        seen: see `facepick.people.track`.
    """

    path: int
    row: int
    frame: int
    shot: int
    seconds: float
    turn: float
    height: float
    eyes: float
    mesh_score: float
    confidence: float
    seen: int

    @property
    def sure(self) -> bool:
        """Whether somebody saw a face there: the mesh network, or at least the tracker."""
        return self.mesh_score >= MESH_SCORE or self.seen != BRIDGED


def look(request: FaceRequest) -> Sight:
    """Collect the facts of one request that a decision rests on."""
    mesh = request.mesh
    if mesh is not None and not np.isfinite(mesh).all():
        mesh = None
    return Sight(
        path=request.path,
        row=request.row,
        frame=request.source_frame,
        shot=request.shot,
        seconds=float(request.time),
        turn=abs(pose_of_mesh(mesh).yaw) if mesh is not None else 90.0,
        height=float(request.box.height),
        eyes=float(np.linalg.norm(mesh[263] - mesh[33])) if mesh is not None else 0.0,
        mesh_score=float(request.mesh_score) if mesh is not None else 0.0,
        confidence=float(request.confidence),
        seen=int(request.seen),
    )


class SightObserver:
    """Observer that keeps the facts of every sighting; see `facepick.engines.engine.Observer`."""

    FILE = "sights.npy"
    key = "sights 1"
    files: tuple[str, ...] = (FILE,)

    def __init__(self, context: EngineContext) -> None:
        self._workspace, self._cancel = context.workspace, context.cancel
        self._sights: list[Sight] = []

    def see(self, request: FaceRequest) -> None:
        """See `Observer`."""
        self._cancel.raise_if_cancelled()
        self._sights.append(look(request))

    def done(self) -> None:
        """See `Observer`."""
        columns = [(field.name, str(field.type)) for field in fields(Sight)]
        table = np.array([astuple(sight) for sight in self._sights], columns)
        part = self._workspace / ("part_" + self.FILE)
        np.save(part, table)
        part.replace(self._workspace / self.FILE)

    def drop(self) -> None:
        """See `Observer`; nothing is begun before `done`."""


def sights_of(context: EngineContext) -> list[Sight]:
    """Read the sightings of the session's person, in time order: what `SightObserver` has kept,
    else after one pass over the footage.

    Raises:
        Cancelled: the user stopped it.
    """
    file = context.workspace / SightObserver.FILE
    if not file.is_file():
        show(context.footage(), [SightObserver(context)])
    table = np.load(file, allow_pickle=False)
    return [Sight(*row) for row in table.tolist()]


@dataclass(frozen=True)
class Decision:
    """Outcome: `reason` to leave the frame alone, or None and the strength of the change in
    (0, 1]."""

    reason: Reason | None
    strength: float = 1.0


class Decisions:
    """Decisions about every sighting of one person.

    Args:
        judge: gives the reason why a sighting is better left alone, or None; told whether the
            one before it was, for the limit is a stricter one then.
        sights: of the person's footage; may be empty, then every request is judged by itself.
        shortest: changes of fewer frames between two that are left alone are none: they flash.
        ramp: frames over which the change comes and goes.
    """

    def __init__(
        self,
        judge: Callable[[Sight, bool], Reason | None],
        sights: Sequence[Sight],
        *,
        shortest: int = 1,
        ramp: int = 0,
    ) -> None:
        self._judge = judge
        ordered = sorted(sights, key=lambda s: (s.path, s.row))
        loose = [judge(s, False) for s in ordered]
        strict = [judge(s, True) for s in ordered]
        # A frame may be missing: the person was at the picture's edge.
        follows = follows_of(
            *(np.array([getattr(s, n) for s in ordered], np.int64) for n in _KEYS), step=2
        )
        off = hysteresis(_flags(loose), _flags(strict), follows)
        seconds = np.array([s.seconds for s in ordered], np.float64)
        sure = np.array([s.sure for s in ordered], bool)
        off = bridge_short_gaps(off, follows, seconds, possible=sure)
        off = drop_short_runs(off, follows, shortest)
        strength = ramps(off, follows, ramp)
        self._known: dict[tuple[int, int], Decision] = {}
        reason: Reason | None = None
        for i, sight in enumerate(ordered):
            # A flash between two that are left alone has no reason of its own.
            reason = (loose[i] or strict[i] or reason) if off[i] else None
            self._known[sight.path, sight.row] = Decision(reason, float(strength[i]))

    def of(self, request: FaceRequest) -> Decision:
        """Look up what to do with `request`; one that the footage did not hold stands alone."""
        known = self._known.get(request.key)
        return known or Decision(self._judge(look(request), False))


_KEYS = ("path", "frame", "shot")


def _flags(reasons: Sequence[Reason | None]) -> Flags:
    return np.array([reason is not None for reason in reasons], bool)


def follows_of(path: Ints, frame: Ints, shot: Ints, *, step: int = 1) -> Flags:
    """Tell which sightings come right after the one before them, (n,); the first does not.

    Args:
        path, frame, shot: (n,) each, of the source.
        step: most frames from one to the next.
    """
    out = np.zeros(len(frame), bool)
    ahead = np.diff(frame)
    out[1:] = (ahead > 0) & (ahead <= step) & (np.diff(shot) == 0) & (np.diff(path) == 0)
    return out


def runs(flags: Flags, follows: Flags) -> Iterator[tuple[int, int]]:
    """Find stretches of equal flags that follow each other, as (first, past the last)."""
    start = 0
    for i in range(1, len(flags) + 1):
        if i == len(flags) or flags[i] != flags[start] or not follows[i]:
            yield start, i
            start = i


def hysteresis(enter: Flags, stay: Flags, follows: Flags) -> Flags:
    """Decide with two limits, (n,): off begins where `enter` and lasts while `stay` holds.

    Args:
        enter: (n,) what turns a sighting off.
        stay: (n,) what keeps it off after one that is; holds wherever `enter` does.
        follows: (n,).
    """
    out = np.zeros(len(enter), bool)
    for i in range(len(enter)):
        before = i > 0 and bool(follows[i]) and bool(out[i - 1])
        out[i] = stay[i] if before else enter[i]
    return out


def bridge_short_gaps(
    off: Flags,
    follows: Flags,
    seconds: npt.NDArray[np.float64],
    *,
    longest: float = GAP_SECONDS,
    possible: Flags | None = None,
) -> Flags:
    """Turn short doubt on when both sides are, (n,): a face does not change for a moment.

    A gap at a cut, or at the end of what is known, has one side and stays.

    Args:
        off: (n,) what is in doubt.
        follows: (n,).
        seconds: (n,) times of the sightings; a gap lasts from the last one before it to the
            first after it, less the time that one sighting is shown.
        longest: seconds of doubt that are bridged.
        possible: (n,) sightings that can be changed at all; a gap is bridged as a whole or not.
    """
    out = off.copy()
    for start, stop in _inner(off, follows):
        if not off[start]:
            continue
        shown = (seconds[stop] - seconds[start - 1]) * (stop - start) / (stop - start + 1)
        if shown <= longest and (possible is None or bool(possible[start:stop].all())):
            out[start:stop] = False
    return out


def drop_short_runs(off: Flags, follows: Flags, shortest: int) -> Flags:
    """Turn off what is on for fewer than `shortest` sightings between two that are off, (n,)."""
    out = off.copy()
    for start, stop in _inner(off, follows):
        if not off[start] and stop - start < shortest:
            out[start:stop] = True
    return out


def ramps(off: Flags, follows: Flags, frames: int) -> npt.NDArray[np.float32]:
    """Compute how strongly the change shows, (n,) in [0, 1]: 0 where off, softly beside it.

    Args:
        off, follows: (n,) each.
        frames: sightings on either side over which it rises, by 1 / (frames + 1) each; at a cut
            and at the end of what is known it is shown fully.
    """
    # Distance to the nearest sighting that is off, forwards and backwards along the strand.
    away = np.full(len(off), frames + 1, np.int64)
    far = frames + 1
    for i in range(len(off)):
        far = 0 if off[i] else min(far, frames) + 1 if follows[i] else frames + 1
        away[i] = min(away[i], far)
    far = frames + 1
    for i in reversed(range(len(off))):
        linked = i + 1 < len(off) and bool(follows[i + 1])
        far = 0 if off[i] else min(far, frames) + 1 if linked else frames + 1
        away[i] = min(away[i], far)
    return np.asarray(away / (frames + 1), np.float32)


def _inner(flags: Flags, follows: Flags) -> Iterator[tuple[int, int]]:
    """Find runs with a neighbour of the other kind on both sides."""
    for start, stop in runs(flags, follows):
        if start > 0 and stop < len(flags) and follows[start] and follows[stop]:
            yield start, stop
