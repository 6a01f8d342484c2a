"""Filling of a library: many videos one after the other, what is known skipped."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facepick.errors import FacepickError, UserInputError
from facepick.jobs.batch import VIDEO_SUFFIXES, is_result
from facepick.programs import python_module
from facepick.progress import CancelToken, never

if TYPE_CHECKING:
    from facepick.people.finder import ScanSettings
    from facepick.people.person import Scan
    from facepick.recognition.library import Library

__all__ = ["Filled", "fill_library", "find_videos", "scan_in_child"]

POLL_SECONDS = 0.1


@dataclass(frozen=True, kw_only=True)
class Filled:
    """Outcome of one video.

    Attributes:
        status: ``added``, ``known`` or ``failed``.
        people: how many are in it, when it was added.
        error: one sentence, when it failed.
        seconds: how long it took.
    """

    video: Path
    status: str
    people: int = 0
    error: str | None = None
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Convert to plain JSON."""
        return {
            "video": str(self.video),
            "status": self.status,
            "people": self.people,
            "error": self.error,
            "seconds": round(self.seconds, 2),
        }


def find_videos(places: Sequence[str | Path]) -> list[Path]:
    """List the videos that are named, and those in and below folders that are named.

    Results of facepick and hidden folders are passed over.

    Raises:
        UserInputError: there is none, or one is missing.
    """
    videos: list[Path] = []
    for place in places:
        path = Path(place).absolute()
        if path.is_dir():
            videos.extend(_below(path))
        elif path.exists():
            videos.append(path)
        else:
            raise UserInputError(f"There is no file {place}.", hint="Check the path.")
    if not videos:
        raise UserInputError(
            "No video was found.", hint="Name videos, or a folder in which there are some."
        )
    return list(dict.fromkeys(videos))


def _below(folder: Path) -> Iterable[Path]:
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(root) / name
            if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file() and not is_result(path):
                yield path


def fill_library(
    library: Library,
    videos: Sequence[Path],
    scan: Callable[[Path], Scan],
    *,
    again: bool = False,
    at_once: int = 1,
    told: Callable[[Filled], None] = lambda _: None,
    cancel: CancelToken = never,
) -> list[Filled]:
    """Add videos to a library; one that cannot be read stops no other.

    Each is kept as soon as it is scanned, so that a run that was stopped or killed goes on where it
    was.

    Args:
        scan: finds everyone in a video.
        again: also take those that are known, with names and corrections as they are now.
        at_once: how many videos are worked on at the same time.
        told: hears of every video that has ended.

    Returns:
        An entry a video, in their order.

    Raises:
        Cancelled.
    """

    def one(video: Path) -> Filled:
        began = time.monotonic()
        cancel.raise_if_cancelled()
        try:
            if not again and library.knows(video, cancel=cancel):
                outcome = Filled(video=video, status="known")
            else:
                people = library.add(scan(video))
                outcome = Filled(
                    video=video, status="added", people=people, seconds=time.monotonic() - began
                )
        except FacepickError as error:
            outcome = Filled(video=video, status="failed", error=error.sentence())
        except OSError as error:
            outcome = Filled(video=video, status="failed", error=f"{error.strerror or error}.")
        told(outcome)
        return outcome

    if at_once == 1:
        return [one(video) for video in videos]
    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(one, videos))


def scan_in_child(
    video: Path,
    settings: ScanSettings | None,
    environment: Mapping[str, str],
    cancel: CancelToken = never,
) -> None:
    """Fill the cache of scans by a child process; what fails is met again by who reads it.

    Args:
        environment: what the child needs besides this process' own.

    Raises:
        Cancelled.
    """
    from facepick.people.finder import ScanSettings
    from facepick.settings import option_words, to_mapping

    wanted = option_words(ScanSettings, to_mapping(settings or ScanSettings()))
    child = subprocess.Popen(
        python_module("facepick", "people", "--progress=none", *wanted, "--", os.fspath(video)),
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while child.poll() is None:
            cancel.raise_if_cancelled()
            time.sleep(POLL_SECONDS)
    finally:
        child.terminate()
        child.wait()
