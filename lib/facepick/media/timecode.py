"""Exact time: integers and fractions, never a float frame rate."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import total_ordering

__all__ = ["Timecode"]


@total_ordering
@dataclass(frozen=True, eq=False)
class Timecode:
    """A moment in a stream.

    Attributes:
        pts: presentation timestamp in units of `time_base`; may be negative.
        time_base: seconds per unit, positive.

    >>> Timecode(512, Fraction(1, 12800)).seconds
    Fraction(1, 25)
    """

    pts: int
    time_base: Fraction

    def __post_init__(self) -> None:
        if not isinstance(self.pts, int):
            raise TypeError(f"pts must be an int, got {self.pts!r}")
        if not isinstance(self.time_base, Fraction) or self.time_base <= 0:
            raise ValueError(f"time_base must be a positive Fraction, got {self.time_base!r}")

    @property
    def seconds(self) -> Fraction:
        """The moment in seconds, exactly."""
        return self.pts * self.time_base

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Timecode) and self.seconds == other.seconds

    def __lt__(self, other: Timecode) -> bool:
        return self.seconds < other.seconds

    def __hash__(self) -> int:
        return hash(self.seconds)
