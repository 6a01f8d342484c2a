"""Kind of a file that was given for a list of lines, by its first bytes and its words."""

from __future__ import annotations

import json
import re
import zipfile
from io import BytesIO

__all__ = ["kind_of_bytes", "kind_of_text"]

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x1aE\xdf\xa3", "a video (Matroska or WebM)"),
    (b"OggS", "a sound or video (Ogg)"),
    (b"fLaC", "a sound (FLAC)"),
    (b"ID3", "a sound (MP3)"),
    (b"#!AMR", "a sound (AMR)"),
    (b"FLV", "a video (FLV)"),
    (b"0&\xb2u\x8ef\xcf\x11", "a video or sound (WMV, WMA)"),
    (b"\x00\x00\x01\xba", "a video (MPEG), or pictures of subtitles (VobSub)"),
    (b"PG", "pictures of subtitles (PGS)"),
    (b"\x89PNG", "a picture (PNG)"),
    (b"\xff\xd8\xff", "a picture (JPEG)"),
    (b"GIF8", "a picture (GIF)"),
    (b"%PDF", "a PDF"),
    (b"{\\rtf", "a document (RTF)"),
    (b"\xd0\xcf\x11\xe0", "an old Office document"),
    (b"Rar!", "an archive (RAR)"),
    (b"7z\xbc\xaf", "an archive (7z)"),
    (b"\x1f\x8b", "an archive (gzip)"),
    (b"SQLite format 3", "a database"),
    (b"ooBinaryFile", "a binary TextGrid"),
)
_RIFF = {
    b"WAVE": "a sound (WAV)", b"AVI ": "a video (AVI)", b"WEBP": "a picture (WebP)",
}  # fmt: skip
_INSIDE = (
    ("word/", "a Word document (docx)"),
    ("xl/", "an Excel table (xlsx)"),
    ("ppt/", "a presentation (pptx)"),
)


def kind_of_bytes(data: bytes) -> str | None:
    """Tell the kind of a file that holds no text; None where it may."""
    if data[4:8] == b"ftyp":
        brand = data[8:12]
        if brand.startswith((b"M4A", b"M4B")):
            return "a sound (M4A)"
        return "a picture (HEIC, AVIF)" if brand[:4] in (b"heic", b"avif") else "a video (MP4, MOV)"
    if data[:4] == b"RIFF" and data[8:12] in _RIFF:
        return _RIFF[data[8:12]]
    if data[:4] == b"PK\x03\x04":
        return _kind_of_zip(data)
    for mark, kind in _MAGIC:
        # Two letters may begin a text, too.
        if data.startswith(mark) and (len(mark) > 2 or b"\0" in data[:64]):
            return kind
    if len(data) > 1 and data[0] == 0xFF and data[1] & 0xE6 == 0xE2:
        return "a sound (MP3)"
    if data[:1] == b"\x47" and data[188:189] == b"\x47" and data[376:377] == b"\x47":
        return "a video (MPEG-TS)"
    return None


def _kind_of_zip(data: bytes) -> str:
    try:
        names = zipfile.ZipFile(BytesIO(data)).namelist()
    except (zipfile.BadZipFile, ValueError, OSError):
        names = []
    for folder, kind in _INSIDE:
        if any(name.startswith(folder) for name in names):
            return kind
    return "an OpenDocument file" if "content.xml" in names else "an archive (ZIP)"


# By the first thing that a text holds; what is read has no place here.
_TEXTS: tuple[tuple[str, str], ...] = (
    (r"# VobSub index file", "the index of pictures of subtitles (VobSub)"),
    (r"<SAMI\b", "SAMI subtitles"),
    (r"(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)?<(?:\w+:)?tt\b", "TTML subtitles"),
    (r"(?:<!DOCTYPE html|<html\b)", "a page (HTML)"),
    (r"<\?xml", "XML"),
    (r"(?:File type\s*=\s*)?\"ooTextFile", "a TextGrid: times of sounds, for --phones"),
    (r"\d{1,2}:\d{2}:\d{2}:[^\d\s]", "TMPlayer subtitles, which do not tell when a line ends"),
    (r"Scenarist_SCC", "closed captions (SCC)"),
    (r"\d+\s*\n\d\d:\d\d:\d\d:\d\d\s", "a list with frames in its times (EDL, STL or Avid)"),
)
_LRC = re.compile(r"^(?:\[\w+:[^\]]*\]\s*)*^\[\d{1,3}:\d{2}(?:[.:]\d{1,3})?\]", re.MULTILINE)
_FORMATS = {
    "facepick-plan/1": "a plan of facepick, for --plan",
    "facepick-plan/2": "a plan of facepick, for --plan",
    "facepick-people/1": "a list of people of facepick",
    "facepick-report/1": "a report of facepick",
    "facepick-source/1": "a saved face of facepick",
}


def kind_of_text(text: str) -> str | None:
    """Tell the kind of a text without lines as facepick reads them; None where it may have some."""
    start = text.lstrip("\ufeff \t\r\n")
    if start[:1] in "[{":
        try:
            data = json.loads(start)
        except (ValueError, RecursionError):
            data = None
        if isinstance(data, dict):
            return _FORMATS.get(str(data.get("format")))
    for pattern, kind in _TEXTS:
        if re.match(pattern, start[:4000], re.IGNORECASE | re.DOTALL):
            return kind
    if _LRC.search(start[:4000]) and "-->" not in text:
        return "LRC lyrics, which do not tell when a line ends"
    return None
