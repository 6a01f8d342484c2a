"""Printable text: a line stays a line, and nothing in it moves a cursor or turns words round."""

from __future__ import annotations

import re
import sys
from typing import TextIO

__all__ = ["clock", "printable", "say"]

# Controls (C0, DEL, C1), ends of line and paragraph, lone surrogates, the marks, overrides and
# isolates of direction, the byte order mark, interlinear annotations and tags.  Joiners stay:
# Persian, Hindi and emoji are written with them.
_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff"
    "\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)


def printable(text: str, *, keep: str = "") -> str:
    """Escape everything in the text that a terminal would obey instead of showing.

    Names of files and people, words of reports and of foreign programs may hold such letters.

    Args:
        keep: letters that are left as they are.

    >>> print(printable("one" + chr(10) + "two"))
    one\\ntwo
    """

    def escaped(match: re.Match[str]) -> str:
        letter = match[0]
        if letter in keep:
            return letter
        return letter.encode("unicode_escape", "surrogatepass").decode("ascii")

    return _UNPRINTABLE.sub(escaped, text)


def clock(seconds: float) -> str:
    """Word a time of a video.

    >>> clock(61.7), clock(3661)
    ('1:02', '1:01:01')
    """
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def duration(seconds: float) -> str:
    """Word about how long something takes.

    >>> duration(8.2), duration(59), duration(95), duration(7000)
    ('8 s', '59 s', '1.6 min', '1.9 h')
    """
    if seconds < 59.5:
        return f"{max(1, round(seconds))} s"
    for unit, size in (("min", 60), ("h", 3600)):
        if seconds < 59.5 * size or unit == "h":
            value = seconds / size
            return f"{value:.1f} {unit}" if value < 10 else f"{value:.0f} {unit}"
    raise AssertionError(seconds)


def byte_size(count: float) -> str:
    """Word a number of bytes.

    >>> byte_size(950), byte_size(2_340_000), byte_size(12e9)
    ('1 kB', '2.3 MB', '12.0 GB')
    """
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{max(0, count) / 1e3:.0f} kB"


def about_size(count: float) -> str:
    """Word a number of bytes that is only estimated.

    >>> about_size(3_940_000), about_size(381_400_000), about_size(1.23e9)
    ('4 MB', '380 MB', '1.2 GB')
    """
    if count < 1e6 or count >= 1e9:
        return byte_size(count)
    megabytes = count / 1e6
    return f"{round(megabytes, -1 if megabytes >= 100 else None):.0f} MB"


def say(line: str, *, file: TextIO | None = None) -> None:
    """Print one line; tabs part its columns.

    Args:
        file: None for standard output.
    """
    print(printable(line, keep="\t"), file=sys.stdout if file is None else file)
