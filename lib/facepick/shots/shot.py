"""A shot: what one camera showed without a cut."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Shot", "shot_at"]


@dataclass(frozen=True, order=True)
class Shot:
    """Frames ``start <= i < stop``.

    Attributes:
        index: position among the video's shots, from 0.
        start: first frame.
        stop: one past the last frame.

    >>> shot = Shot(0, 100, 150)
    >>> len(shot), 149 in shot, 150 in shot
    (50, True, False)
    """

    index: int
    start: int
    stop: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop:
            raise ValueError(f"a shot holds at least one frame, got [{self.start}, {self.stop})")

    def __len__(self) -> int:
        return self.stop - self.start

    def __contains__(self, frame: object) -> bool:
        return isinstance(frame, int) and self.start <= frame < self.stop


def shot_at(shots: Sequence[Shot], frame: int) -> Shot:
    """Find the shot that holds frame `frame`; `shots` are in order and leave no gap.

    Raises:
        IndexError: no shot holds it.
    """
    position = bisect_right([s.start for s in shots], frame) - 1
    if position < 0 or frame not in shots[position]:
        raise IndexError(f"no shot holds frame {frame}")
    return shots[position]
