"""Recordings that were strung together, and whose clock begins anew in the middle.

Broadcast streams and FLV can be joined by putting one file after the other (``cat a.ts b.ts``).
Where the second begins, the times of all streams leap: picture and sound have to be moved by one
and the same amount, or they would no longer fit.  ffmpeg does so while it reads; here the whole
file is looked through first (its packets, nothing is decoded), so that every reader of every
stream moves by the same, and so that nothing overlaps.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

from facepick.media.container import open_media, stream_time_base

__all__ = ["continuous", "has_splices"]

# Formats that can be joined so.  Others have an index, or count frames instead of telling times.
_FORMATS = frozenset(("mpegts", "mpeg", "flv"))

# Decoding times rise: what goes back by more than they jitter is another clock.  What leaps ahead
# by more than any pause is one, too (10 s is ffmpeg's limit).
_BACK_SECONDS = Fraction(1, 100)
_AHEAD_SECONDS = 10

# A stream that shows no leap of its own is moved where it goes back at all, looked for in so
# many packets before and after another stream's leap (a second or two); else right there.
_SEARCHED_PACKETS = 64


@dataclass
class _Part:
    """The stretch of one stream between two splices, in seconds on its own clock."""

    splice: int  # how many splices lie before it
    packet: int  # number of its first packet, among the stream's
    begin: Fraction
    end: Fraction


@dataclass(frozen=True)
class _Doubt:
    """A packet whose time may be the first of another clock, or just wrong."""

    packet: int
    at: Fraction
    shown: Fraction
    end: Fraction  # of what was shown before


@dataclass
class _Stream:
    """One stream on the way through the file."""

    parts: list[_Part] = field(default_factory=list)
    packets: int = 0
    last: Fraction | None = None  # decoding time of the packet before
    step: Fraction = Fraction(0)
    leap: _Doubt | None = None  # the next packet may confirm it
    back: _Doubt | None = None  # went back, by too little to be sure of another clock
    sought: tuple[int, int] | None = None  # (splice of another stream, packet after it)


def has_splices(path: Path | str) -> bool:
    """Tell whether times come twice or leap, so that a time does not tell a place in the file."""
    return bool(_offsets_of(path))


def continuous(container: Any, stream: Any, path: Path | str) -> Iterator[Any]:
    """Yield the packets of one stream, on one clock from the first to the last.

    The container has been opened just now: packets are counted from the beginning of the file.
    """
    offsets = _offsets_of(path).get(stream.index, ())
    if not offsets:
        yield from container.demux(stream)
        return
    base = stream_time_base(stream)
    number, moved = 0, 0
    waiting = list(offsets)
    for packet in container.demux(stream):
        if packet.size:
            while waiting and waiting[0][0] <= number:
                moved = round(waiting.pop(0)[1] / base)
            number += 1
        if packet.pts is not None:
            packet.pts += moved
        if packet.dts is not None:
            packet.dts += moved
        yield packet


Offsets = Mapping[int, tuple[tuple[int, Fraction], ...]]
"""By stream index: from which packet on (counted in its stream) how many seconds are added."""


def _offsets_of(path: Path | str) -> Offsets:
    name = os.path.abspath(path)
    try:
        facts = os.stat(name)
    except OSError:
        return {}
    return _looked_through(name, facts.st_mtime_ns, facts.st_size)


@lru_cache(maxsize=16)
def _looked_through(path: str, _mtime: int, _size: int) -> Offsets:
    import av

    with open_media(path) as container:
        if container.format.name not in _FORMATS:
            return {}
        wanted = [s for s in container.streams if s.type in ("video", "audio", "subtitle")]
        walk = _Walk({s.index: s.type for s in wanted})
        packets = container.demux(wanted)
        while True:
            try:
                packet = next(packets, None)
            except av.error.FFmpegError:
                continue
            if packet is None:
                break
            if packet.size:
                walk.push(packet, stream_time_base(packet.stream))
    return walk.offsets()


class _Walk:
    """Search for the splices in a file's packets."""

    def __init__(self, kinds: Mapping[int, str]) -> None:
        self._kinds = dict(kinds)
        self._streams = {index: _Stream() for index in kinds}
        self._splices = 0

    def push(self, packet: Any, base: Fraction) -> None:
        state = self._streams[packet.stream_index]
        number, state.packets = state.packets, state.packets + 1
        units = packet.dts if packet.dts is not None else packet.pts
        if units is None:
            return
        at = units * base
        if self._kinds[packet.stream_index] == "subtitle":
            # They are too few to show a leap, and belong to what is around them.
            if not state.parts or state.parts[-1].splice < self._splices:
                state.parts.append(_Part(self._splices, number, at, at))
            return
        shown = (packet.pts if packet.pts is not None else units) * base
        long = (packet.duration or 0) * base
        if not state.parts:
            state.parts.append(_Part(self._splices, number, shown, shown + long))
        if state.leap is not None:
            self._judge(state, at)
        elif state.last is not None and _leaps(state.last, at):
            state.leap = _Doubt(number, at, shown, state.parts[-1].end)
            return
        if state.last is not None and at < state.last:
            state.back = _Doubt(number, at, shown, state.parts[-1].end)
        if state.sought is not None:
            self._search(state, number, shown)
        if state.last is not None and at > state.last:
            state.step = at - state.last
        state.last = at
        part = state.parts[-1]
        part.begin = min(part.begin, shown)
        part.end = max(part.end, shown + (long or state.step))

    def _judge(self, state: _Stream, at: Fraction) -> None:
        """Judge whether one time is wrong or another clock begins: the next packet follows one
        of them."""
        assert state.leap is not None
        assert state.last is not None
        doubt, state.leap = state.leap, None
        if abs(at - doubt.at - state.step) >= abs(at - state.last - 2 * state.step):
            return
        splice = state.parts[-1].splice + 1
        state.parts.append(_Part(splice, doubt.packet, doubt.shown, doubt.shown))
        state.sought, state.last = None, doubt.at
        if splice <= self._splices:
            return
        self._splices = splice
        for other in self._streams.values():
            if other is state or not other.parts:
                continue
            if other.back and other.packets - other.back.packet <= _SEARCHED_PACKETS:
                self._divide(other, other.back, splice)
            else:
                other.sought = (splice, other.packets)

    def _search(self, state: _Stream, number: int, shown: Fraction) -> None:
        """Find where a stream without a leap of its own passes the splice of another."""
        assert state.sought is not None
        splice, first = state.sought
        if state.back is not None and state.back.packet == number:
            self._divide(state, state.back, splice)
        elif number >= first + _SEARCHED_PACKETS:
            self._divide(state, _Doubt(first, shown, shown, shown), splice)

    def _divide(self, state: _Stream, where: _Doubt, splice: int) -> None:
        part = state.parts[-1]
        part.end = min(part.end, where.end)
        state.parts.append(_Part(splice, where.packet, where.shown, where.shown))
        state.sought = state.back = None

    def offsets(self) -> Offsets:
        for state in self._streams.values():
            if state.sought is not None:
                # Too near to the end to be sure.
                splice, first = state.sought
                self._divide(state, _Doubt(first, *[state.parts[-1].end] * 3), splice)
        moved: dict[int, Fraction] = {0: Fraction(0)}
        for splice in range(1, self._splices + 1):
            needed = [
                before.end + moved[before.splice] - after.begin
                for index, state in self._streams.items()
                for before, after in zip(state.parts, state.parts[1:], strict=False)
                if after.splice == splice and self._kinds[index] != "subtitle"
            ]
            moved[splice] = max(needed, default=moved[splice - 1])
        return {
            index: tuple((part.packet, moved[part.splice]) for part in state.parts)
            for index, state in self._streams.items()
            if self._splices and state.parts
        }


def _leaps(last: Fraction, at: Fraction) -> bool:
    return last - at > _BACK_SECONDS or at - last > _AHEAD_SECONDS
