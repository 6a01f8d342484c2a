"""Outcomes of every person in every frame of a result, read from its report and held small."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from facepick.compositing.patch import PatchKind, Reason
from facepick.errors import UserInputError
from facepick.render.report import kind_of

__all__ = ["LEFT", "Outcome", "Outcomes", "Run"]

# What a frame may be, as a number: nothing asked for, changed in some way, or left alone.
_STATES: tuple[str, ...] = (
    "",
    *(kind.value for kind in PatchKind),
    *(reason.value for reason in Reason),
)
_NUMBERS = {name: number for number, name in enumerate(_STATES)}

LEFT = frozenset(reason.value for reason in Reason)
"""States in which the person was left alone."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """Stretch of frames ``start <= i < stop`` in one state."""

    state: str
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True, eq=False, kw_only=True)
class Outcome:
    """Outcome for one person by one flow.

    Attributes:
        state: (n,) uint8, what became of each frame of the result.
        boxes: (n, 4) int32, the rectangle that was written, in display pixels; empty (0, 0, 0, 0)
            where none was.
        guessed: (n,) bool, whether the face was not seen there, only bridged.
    """

    person: str
    flow: str
    state: npt.NDArray[np.uint8]
    boxes: npt.NDArray[np.int32]
    guessed: npt.NDArray[np.bool_]

    def where(self, states: Iterable[str]) -> npt.NDArray[np.bool_]:
        """Tell for each frame whether it is in one of the states."""
        return np.isin(self.state, [_NUMBERS[name] for name in states])

    @property
    def changed(self) -> npt.NDArray[np.bool_]:
        """Whether each frame was changed."""
        return self.where(kind.value for kind in PatchKind)

    def runs(self) -> Iterator[Run]:
        """List stretches of one state, in order; frames in which nothing was asked for are none."""
        edges = np.flatnonzero(np.diff(self.state)) + 1
        starts = [0, *edges.tolist()]
        for start, stop in zip(starts, [*starts[1:], len(self.state)], strict=True):
            state = _STATES[int(self.state[start])] if stop > start else ""
            if state:
                yield Run(state=state, start=start, stop=stop)


@dataclass(eq=False, kw_only=True)
class Outcomes:
    """Outcomes of a result.

    Attributes:
        times: (n,) float64, seconds of each frame of the result.
        by: by person and flow.
    """

    times: npt.NDArray[np.float64]
    by: dict[tuple[str, str], Outcome] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.times)

    @classmethod
    def read(cls, rows: Iterable[Mapping[str, Any]], frames: int) -> Outcomes:
        """Read the "frames" of a report, one by one.

        Args:
            frames: how many the result has.

        Raises:
            UserInputError: they are no such rows.
        """
        found = cls(times=np.zeros(frames))
        try:
            for row in rows:
                i = int(row["frame"])
                if not 0 <= i < frames:
                    raise ValueError(f"there is no frame {i}")
                found.times[i] = float(Fraction(str(row["time"])))
                for change in row["changes"]:
                    found._note(i, change)
        except (KeyError, TypeError, ValueError, ArithmeticError) as error:
            raise UserInputError(
                f"The report is damaged: its frames cannot be read ({error})."
            ) from error
        return found

    def nothing(self, person: str, flow: str) -> Outcome:
        """Make the outcome of somebody of whom the report's frames say nothing."""
        count = len(self)
        return Outcome(
            person=person,
            flow=flow,
            state=np.zeros(count, np.uint8),
            boxes=np.zeros((count, 4), np.int32),
            guessed=np.zeros(count, np.bool_),
        )

    def rows(self, flow: str) -> Iterator[dict[str, Any]]:
        """Yield what a flow did as "frames" of a report, without what nobody measures by."""
        mine = [(o, o.changed) for o in self.by.values() if o.flow == flow]
        for i in range(len(self)):
            changes = [
                {"person": o.person, "flow": flow, "done": True}
                if changed[i]
                else {
                    "person": o.person,
                    "flow": flow,
                    "done": False,
                    "reason": _STATES[int(o.state[i])],
                }
                for o, changed in mine
                if o.state[i]
            ]
            yield {"frame": i, "changes": changes}

    def _note(self, frame: int, change: Mapping[str, Any]) -> None:
        key = str(change["person"]), str(change["flow"])
        if key not in self.by:
            self.by[key] = self.nothing(*key)
        mine = self.by[key]
        done = bool(change["done"])
        state = kind_of(change).value if done else str(change.get("reason", Reason.ABSENT.value))
        mine.state[frame] = _NUMBERS.get(state, _NUMBERS[Reason.LOW_CONFIDENCE.value])
        mine.guessed[frame] = bool(change.get("guessed"))
        if done and change.get("box") is not None:
            mine.boxes[frame] = np.array(change["box"], np.int64).clip(-(2**24), 2**24)
