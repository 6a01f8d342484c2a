"""Stored scans: one folder each, an ``.npz`` of arrays, a ``.json`` and the thumbnails.

Nothing is pickled.  A folder is written beside its place and moved there in one step; what
cannot be read back, or was written by another version, counts as not there.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, SupportsBytes

import numpy as np

from facepick.media.video import VideoInfo
from facepick.people.person import DOUBTS, Person, Scan
from facepick.people.track import FaceTrack
from facepick.shots.shot import Shot

__all__ = ["VERSION", "load_scan", "save_scan", "scan_folder", "stored_hash"]

log = logging.getLogger("facepick.people.store")

VERSION = 7
"""Of the stored format and of what the scan computes; raised with every change of either."""

_JSON, _ARRAYS = "scan.json", "scan.npz"
_TRACK_ARRAYS = ("frames", "boxes", "landmarks5", "score", "origin")


def scan_folder(cache: Path, content_hash: str, settings: Mapping[str, Any]) -> Path:
    """Name the folder for the scan of this content with these settings."""
    text = json.dumps({"version": VERSION, **settings}, sort_keys=True)
    short = hashlib.sha256(text.encode()).hexdigest()[:8]
    return Path(cache) / f"{content_hash[:16]}-{short}"


def save_scan(folder: Path, scan: Scan, jpegs: Mapping[str, SupportsBytes]) -> None:
    """Write a scan and its thumbnails, replacing an older one.

    Raises:
        OSError: the disk refuses; an older scan is left as it was.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    lengths = [len(t) for t in scan.tracks]
    arrays: dict[str, Any] = {
        "pts": scan.pts,
        "track_lengths": np.array(lengths, np.int64),
    }
    empty = {
        "frames": np.zeros(0, np.int32),
        "boxes": np.zeros((0, 4), np.float32),
        "landmarks5": np.zeros((0, 5, 2), np.float32),
        "score": np.zeros(0, np.float32),
        "origin": np.zeros(0, np.uint8),
    }
    for name in _TRACK_ARRAYS:
        parts = [getattr(t, name) for t in scan.tracks]
        arrays[name] = np.concatenate(parts) if parts else empty[name]
    for person in scan.people:
        arrays[f"exemplars_{person.id}"] = person.exemplars
    plain = {
        "version": VERSION,
        "content_hash": scan.content_hash,
        "duration_pts": scan.duration_pts,
        "decode_failures": scan.decode_failures,
        "settings": scan.settings,
        "shots": [[s.start, s.stop] for s in scan.shots],
        "tracks": [{"id": t.id, "shot": t.shot, "confidence": t.confidence} for t in scan.tracks],
        "people": [
            {
                "id": p.id,
                "name": p.name,
                "tracks": list(p.track_ids),
                "model": p.exemplar_model,
                "frames": p.frames,
                "seconds": str(p.screen_time),
                "confidence": p.confidence,
                "unsure": p.unsure,
                "thumbnails": list(p.thumbnails),
                "may_be": [list(item) for item in p.may_be],
                "group": p.group,
                "doubt": p.doubt,
            }
            for p in scan.people
        ],
    }
    work = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        np.savez_compressed(work / _ARRAYS, **arrays)
        for name, data in jpegs.items():
            (work / name).write_bytes(bytes(data))
        (work / _JSON).write_text(json.dumps(plain, indent=1), encoding="utf-8")
        work.chmod(0o755)
        if folder.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{folder.name}-old-", dir=folder.parent))
            os.replace(folder, old / "scan")
            os.replace(work, folder)
            shutil.rmtree(old, ignore_errors=True)
        else:
            os.replace(work, folder)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise


def load_scan(folder: Path, *, info: VideoInfo, content_hash: str) -> Scan | None:
    """Load the stored scan, or None when none can be used."""
    if not (folder / _JSON).is_file():
        return None
    try:
        found = _read(folder, info, content_hash)
        with suppress(OSError):
            # What was not used for longest is the first to go when there is too much.
            os.utime(folder)
        return found
    except (
        OSError,
        ValueError,
        TypeError,
        KeyError,
        EOFError,
        AttributeError,
        IndexError,
        zipfile.BadZipFile,
    ) as error:
        log.warning("The stored scan %s cannot be read (%s); scanning again.", folder, error)
        return None


def stored_hash(folder: Path) -> str | None:
    """Read the sha256 of the video whose scan is stored there; None without a scan."""
    try:
        digest = json.loads((folder / _JSON).read_text(encoding="utf-8"))["content_hash"]
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return digest if isinstance(digest, str) else None


def _read(folder: Path, info: VideoInfo, content_hash: str) -> Scan:
    plain = json.loads((folder / _JSON).read_text(encoding="utf-8"))
    if plain["version"] != VERSION or plain["content_hash"] != content_hash:
        raise ValueError("it is of another video or version")
    # Opened here: of a damaged file, numpy forgets to close what it opened itself.
    with (folder / _ARRAYS).open("rb") as raw, np.load(raw, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    ends = np.cumsum(arrays["track_lengths"])
    tracks = []
    for k, entry in enumerate(plain["tracks"]):
        part = slice(int(ends[k] - arrays["track_lengths"][k]), int(ends[k]))
        tracks.append(
            FaceTrack(
                id=str(entry["id"]),
                shot=int(entry["shot"]),
                confidence=float(entry["confidence"]),
                **{name: arrays[name][part] for name in _TRACK_ARRAYS},
            )
        )
    people = []
    for entry in plain["people"]:
        names = [str(name) for name in entry["thumbnails"]]
        if any(Path(name).name != name or not (folder / name).is_file() for name in names):
            raise ValueError("a thumbnail is missing")
        people.append(
            Person(
                id=str(entry["id"]),
                name=entry["name"],
                track_ids=tuple(map(str, entry["tracks"])),
                exemplars=arrays[f"exemplars_{entry['id']}"],
                exemplar_model=str(entry["model"]),
                frames=int(entry["frames"]),
                screen_time=Fraction(entry["seconds"]),
                confidence=float(entry["confidence"]),
                unsure=bool(entry["unsure"]),
                thumbnails=tuple(names),
                may_be=tuple((str(key), float(score)) for key, score in entry["may_be"]),
                group="bystanders" if entry["group"] == "bystanders" else None,
                # Scans of before 0.2 do not tell.
                doubt=entry.get("doubt") if entry.get("doubt") in DOUBTS else None,
            )
        )
    scan = Scan(
        video=info,
        content_hash=content_hash,
        pts=arrays["pts"],
        duration_pts=int(plain["duration_pts"]),
        shots=tuple(Shot(i, int(a), int(b)) for i, (a, b) in enumerate(plain["shots"])),
        tracks=tuple(tracks),
        people=tuple(people),
        decode_failures=int(plain["decode_failures"]),
        settings=plain["settings"],
        folder=str(folder),
    )
    if scan.shots and scan.shots[-1].stop != scan.frames:
        raise ValueError("its shots do not cover its frames")
    return scan
