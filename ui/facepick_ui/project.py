"""Project files: one user's work on one video, to be saved and opened again, also elsewhere.

A project is a ZIP: ``project.json`` with what is set, picked and listed and with the corrections of
the list of people, and below ``files/`` the sounds, photos and pictures that it names, and the
video, if it is wanted.  What is opened may come from anybody: it may name no file but its own.
"""

from __future__ import annotations

import json
import secrets
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facepick.errors import UserInputError
from facepick_ui.uploads import plain_name

__all__ = ["SUFFIX", "Project", "read_project", "write_project"]

SUFFIX = ".facepick"
FORMAT = "facepick-project/1"
FILE, VIDEO = "file:", "video:"
"""How a text of the project begins that names one of its files, or the video."""

MAX_JSON_BYTES = 32 * 2**20
MAX_FILES = 2000
MAX_BYTES = 20 * 2**30
"""As much as the page takes as an upload."""


@dataclass(frozen=True, kw_only=True)
class Project:
    """What a project file holds.

    Attributes:
        video: name of the video's file.
        video_bytes: its size.
        video_path: where it lay.
        embedded: where it was unpacked to, or None when the project does not hold it.
        work: of the session, as `Session.to_json` gives it; paths are those of the unpacked files,
            the video's still begins with ``video:``.
        content_hash: of the video that was searched for people, "" before it was.
        corrections: of its list of people.
    """

    video: str
    video_bytes: int
    video_path: str
    embedded: Path | None
    work: dict[str, Any]
    content_hash: str
    corrections: list[Any]

    def with_video(self, video: Path) -> dict[str, Any]:
        """Give the work with the path of the video put in."""

        def put(text: str) -> str:
            return f"{video}{text[len(VIDEO) :]}" if text.startswith(VIDEO) else text

        return dict(_mapped(self.work, put))


def write_project(
    target: Path,
    work: Mapping[str, Any],
    *,
    own: Path,
    with_video: bool,
    content_hash: str,
    corrections: list[Any],
) -> None:
    """Write a project file.

    Args:
        target: replaced, if it is there.
        work: of `Session.to_json`.
        own: the user's own folder: files below it are put into the project.
        with_video: whether the video is put in, too.
        content_hash, corrections: see `Project`.

    Raises:
        UserInputError: the video is gone.
    """
    video = Path(str(work["video"]))
    if not video.is_file():
        raise UserInputError(f"{video.name} is gone.", hint="Open the video again.")
    files: dict[str, str] = {}

    def named(text: str) -> str:
        if text == str(video) or text.startswith(f"{video}:"):
            return VIDEO + text[len(str(video)) :]
        path = Path(text) if len(text) < 4096 else None
        if path is None or not path.is_absolute() or not path.is_relative_to(own):
            return text
        if not path.is_file():
            return ""
        inside = files.setdefault(text, f"{len(files) + 1}_{plain_name(path.name, 'file')}")
        return FILE + inside

    plain = {
        "format": FORMAT,
        "video": {"name": video.name, "bytes": video.stat().st_size, "path": str(video)},
        "content_hash": content_hash,
        "corrections": corrections,
        "work": _mapped(dict(work), named),
    }
    draft = target.with_name(f".{target.name}-{secrets.token_hex(4)}")
    try:
        # Sounds, photos and videos are compressed already.
        with zipfile.ZipFile(draft, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr("project.json", json.dumps(plain, ensure_ascii=False))
            for path, inside in files.items():
                archive.write(path, f"files/{inside}")
            if with_video:
                archive.write(video, f"video/{plain_name(video.name, 'video')}")
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def read_project(source: Path, folder: Path) -> Project:
    """Read a project file and unpack what it holds.

    Args:
        source: of anybody.
        folder: new; what is unpacked goes there.

    Raises:
        UserInputError: it is no project, or names files that are not its own.
    """
    try:
        with zipfile.ZipFile(source) as archive:
            return _read(archive, folder)
    except UserInputError:
        raise
    # RuntimeError: an encrypted entry, an unknown compression, objects within objects without end.
    except (
        zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, TypeError, KeyError,
        AttributeError, RuntimeError,
    ) as error:  # fmt: skip
        raise UserInputError(
            f"{source.name} is no project that can be read.", hint="Choose a .facepick file."
        ) from error


def _read(archive: zipfile.ZipFile, folder: Path) -> Project:
    entries = archive.infolist()
    if len(entries) > MAX_FILES or sum(entry.file_size for entry in entries) > MAX_BYTES:
        raise UserInputError("The project holds too much.", hint="Save it without the video.")
    main = archive.getinfo("project.json")
    if main.file_size > MAX_JSON_BYTES:
        raise UserInputError("The project holds too much.", hint="Save it again.")
    plain = json.loads(archive.read(main))
    if plain["format"] != FORMAT:
        raise UserInputError(
            "The project is of another version of facepick.", hint="Open it with that version."
        )
    if not isinstance(plain["work"], dict):
        raise ValueError("the work is no object")
    unpacked: dict[str, Path] = {}
    embedded: Path | None = None
    for number, entry in enumerate(entries):
        place, _, name = entry.filename.partition("/")
        if place not in ("files", "video") or not name:
            continue
        # A folder each, so that no two names meet; the name is made one that is only a name.
        path = folder / f"{number}" / plain_name(name.split("_", 1)[-1], "file")
        path.parent.mkdir(parents=True)
        _unpack(archive, entry, path)
        if place == "video":
            embedded = path
        else:
            unpacked[FILE + name] = path

    def found(text: str) -> str:
        if text.startswith(FILE):
            return str(unpacked[text])
        if _is_here(text) or _is_here(text.rpartition(":")[0]):
            raise UserInputError("The project names files of this machine.", hint="Save it again.")
        return text

    return Project(
        video=plain_name(str(plain["video"]["name"]), "video"),
        video_bytes=int(plain["video"]["bytes"]),
        video_path=str(plain["video"]["path"]),
        embedded=embedded,
        work=dict(_mapped(plain["work"], found)),
        content_hash=str(plain["content_hash"]),
        corrections=list(plain["corrections"]),
    )


def _is_here(text: str) -> bool:
    """Tell whether a text is the path of a file of this machine."""
    try:
        path = Path(text)
        return path.is_file() or (path.is_absolute() and len(path.parts) > 1 and path.exists())
    except (OSError, ValueError):
        return False


def _unpack(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path) -> None:
    """Write one file, and no more of it than its entry says."""
    left = entry.file_size
    with archive.open(entry) as packed, path.open("xb") as file:
        while block := packed.read(min(left + 1, 2**20)):
            left -= len(block)
            if left < 0:
                raise ValueError("a file is longer than it says")
            file.write(block)


def _mapped(data: Any, change: Callable[[str], str]) -> Any:
    """Change every text in plain JSON."""
    if isinstance(data, str):
        return change(data)
    if isinstance(data, dict):
        return {str(key): _mapped(value, change) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_mapped(value, change) for value in data]
    return data
