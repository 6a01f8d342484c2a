"""Page of what was found in a library: a folder with thumbnails that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from facepick.pages import filled
from facepick.publishing import write_outputs
from facepick.recognition.library import Appearance
from facepick.text import clock

__all__ = ["LANGUAGES", "page_files", "write_page"]

_WORDS: dict[str, dict[str, str]] = {
    "en": {
        "title": "Where {who} appears",
        "summary": "{people} in {videos}",
        "video": "1 video",
        "videos": "{n} videos",
        "entry": "1 appearance",
        "entries": "{n} appearances",
        "nobody": "Nobody in the library is surely this person.",
        "sure": "{n} % sure",
        "kept_apart": "kept apart: not surely one person",
        "missing": "the file is gone",
    },
    "zh": {
        "title": "{who} 出现在哪里",
        "summary": "{videos}，{people}",
        "video": "1 个视频",
        "videos": "{n} 个视频",
        "entry": "1 处",
        "entries": "{n} 处",
        "nobody": "库里没有人能确定是此人。",
        "sure": "把握 {n} %",
        "kept_apart": "单列：未必是同一个人",
        "missing": "文件已不在",
    },
}

LANGUAGES = tuple(_WORDS)

MAX_SPANS = 40
"""Moments that are listed of one person of one video; the rest is a number."""


def write_page(
    folder: Path,
    who: Sequence[str],
    found: Sequence[Appearance],
    *,
    language: str = "en",
    force: bool = False,
) -> Path:
    """Write ``index.html`` and the thumbnails into a folder; gives the page.

    Raises what `facepick.publishing.write_output` raises.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = page_files(who, found, language=language)
    write_outputs({folder / name: data for name, data in files.items()}, force=force)
    return folder / "index.html"


def page_files(
    who: Sequence[str], found: Sequence[Appearance], *, language: str = "en"
) -> dict[str, bytes]:
    """Make the files of the page, by name.

    Args:
        who: what was looked for, as it was given.
        language: one of `LANGUAGES`.
    """
    words = _WORDS[language]
    files: dict[str, bytes] = {}
    cards = [_card(item, number, files) for number, item in enumerate(found, 1)]
    videos = len({item.video for item in found})
    many = words["videos"] if videos != 1 else words["video"]
    entries = words["entries"] if len(found) != 1 else words["entry"]
    page = filled(
        Path(__file__).parent / "data" / "found.html",
        language="zh-CN" if language == "zh" else "en",
        words=words,
        title=words["title"].format(who=", ".join(Path(name).name for name in who)),
        summary=words["summary"].format(
            people=entries.format(n=len(found)), videos=many.format(n=videos)
        ),
        cards=cards,
    )
    files["index.html"] = page.encode("utf-8", "surrogateescape")
    return files


def _card(item: Appearance, number: int, files: dict[str, bytes]) -> dict[str, Any]:
    """Describe one entry for the template, and add its picture to the files."""
    picture = ""
    if item.thumbnail is not None:
        picture = f"{number:04d}.jpg"
        files[picture] = item.thumbnail
    address = item.video.absolute().as_uri()
    return {
        "picture": picture,
        "video": item.video.name,
        "folder": str(item.video.parent),
        "missing": not item.video.is_file(),
        "person": f"{item.name} ({item.person})" if item.name else item.person,
        "sure": round(100 * item.sure),
        "unsure": item.unsure,
        "seconds": f"{item.seconds:.1f}",
        # Players and browsers that open a file begin at the second behind the mark.
        "spans": [
            {"href": f"{address}#t={a:.2f},{b:.2f}", "text": f"{clock(a)}–{clock(b)}"}
            for a, b in item.spans[:MAX_SPANS]
        ],
        "more": max(0, len(item.spans) - MAX_SPANS),
    }
