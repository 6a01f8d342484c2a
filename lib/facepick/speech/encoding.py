"""Text encodings of files that users bring."""

from __future__ import annotations

import contextlib
import re

from facepick.errors import UserInputError

__all__ = ["decoded"]


def decoded(name: str, data: bytes) -> str:
    """Decode the text of a file that users bring.

    UTF-8, UTF-16, UTF-32, and GBK or Big5 where that is surely Chinese.  Other encodings differ in
    what the same bytes mean, so they are refused rather than guessed.

    Raises:
        UserInputError: it is none of these.
    """
    for encoding in (_unicode_of(data), _chinese_of(data)):
        if encoding:
            with contextlib.suppress(UnicodeDecodeError):
                return data.decode(encoding)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserInputError(
            f"{name} is not UTF-8 text (byte {error.start}).", hint="Save it as UTF-8."
        ) from error


def _unicode_of(data: bytes) -> str:
    """Decode by a mark, or by the zeros that Latin letters and line ends have in UTF-16."""
    if data[:4] in (b"\xff\xfe\0\0", b"\0\0\xfe\xff"):
        return "utf-32"
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    start = data[:400]
    for encoding, zeros, letters in (
        ("utf-16-le", start[1::2], start[::2]),
        ("utf-16-be", start[::2], start[1::2]),
    ):
        latin = [letter for zero, letter in zip(zeros, letters, strict=False) if zero == 0]
        # Times and line ends alone are a fifth of a Chinese list.
        plain = all(32 <= letter < 127 or letter in b"\t\r\n" for letter in latin)
        if len(data) % 2 == 0 and plain and len(latin) > max(3, 0.2 * len(zeros)):
            return encoding
    return "utf-8-sig"


def _chinese_of(data: bytes) -> str:
    """Tell ``gb18030`` from ``big5``, or neither, by where the pairs of bytes above 127 lie.

    The 3 755 common letters of GB 2312 have first bytes B0 to D7 and second ones from A1, and its
    marks A1 to A3; Korean keeps below C9, where two in five of Chinese letters lie beyond.  The
    5 401 common letters of Big5 have first bytes A4 to C6, and two in five second bytes below 7F,
    which no other of these encodings has.
    """
    pairs = re.findall(rb"[\x81-\xfe][\x40-\x7e\x80-\xfe]", data[:200_000])
    if len(pairs) < 2 or b"\0" in data:
        return ""
    gb = sum(b"\xb0" <= p[:1] <= b"\xd7" and p[1:] >= b"\xa1" for p in pairs)
    gb += sum(b"\xa1" <= p[:1] <= b"\xa3" and p[1:] >= b"\xa1" for p in pairs)
    late = sum(b"\xc9" <= p[:1] <= b"\xd7" for p in pairs)
    if gb > 0.9 * len(pairs) and late > 0.1 * len(pairs):
        return "gb18030"
    big = sum(b"\xa1" <= p[:1] <= b"\xc6" for p in pairs)
    low = sum(p[1:] < b"\x7f" for p in pairs)
    return "big5" if big > 0.9 * len(pairs) and low > 0.15 * len(pairs) else ""
