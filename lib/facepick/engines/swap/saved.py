"""Source faces that the user keeps under a name.

``HOME/sources/NAME/`` holds copies of the photos and ``source.json``, which says where they came
from, their hashes, and how a recogniser describes the face (with the recogniser's file version,
since descriptions of two files do not mix).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from facepick.compositing.patch import BgrImage
from facepick.compositing.pictures import MAX_BYTES
from facepick.engines.swap.source import FaceFinder, SourceFace
from facepick.errors import MissingModelError, ModelMismatchError, UserInputError
from facepick.faces.alignment import align
from facepick.files import read_json, read_plain
from facepick.models.store import ModelStore, sha256_of
from facepick.progress import CancelToken, never

__all__ = ["SavedSource", "SavedSources"]

_FORMAT = "facepick-source/1"
_FILE = "source.json"
# A source.json of 5 photos takes 4 KiB; whatever is much larger is not ours.
_MAX_JSON_BYTES = 256 * 1024
_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
# Letters of any script, digits, and what stands between them; the name becomes a folder.
_NAME = re.compile(r"\w(?:[\w .+-]{0,58}[\w+-])?")
_PHOTO = re.compile(r"photo\d{1,3}(?:\.(?:png|jpg|jpeg|webp))?")
# Windows opens devices by these names, with any suffix.
_DEVICES = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class SavedSource:
    """One saved source.

    Attributes:
        name: as the user gave it.
        photos: the copies, best first.
        origins: what each was made from, in the same order.
        model: id of the recogniser that described the face, "" when there was none.
        version: first 12 hex digits of the sha256 of the recogniser's file, or "".
        created: ISO 8601, UTC.
    """

    name: str
    photos: tuple[Path, ...]
    origins: tuple[str, ...]
    model: str
    version: str
    created: str

    def to_json(self) -> dict[str, Any]:
        """Convert to plain JSON, with paths of this machine."""
        return {
            "name": self.name,
            "photos": [str(p) for p in self.photos],
            "from": list(self.origins),
            "embedding": {"model": self.model, "version": self.version},
            "created": self.created,
        }


class SavedSources:
    """The sources in a folder.

    Args:
        folder: it is made when the first source is added.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __repr__(self) -> str:
        return f"SavedSources({str(self.folder)!r})"

    def names(self) -> list[str]:
        """List the names in the order of the alphabet."""
        if not self.folder.is_dir():
            return []
        found = (p.name for p in self.folder.iterdir() if (p / _FILE).is_file())
        return sorted((n for n in found if _NAME.fullmatch(n)), key=str.casefold)

    def has(self, name: str) -> bool:
        """Tell whether a source of this name is kept."""
        return self._known(name) is not None

    def all(self) -> list[SavedSource]:
        """Load all sources.

        Raises:
            UserInputError when the file of one is damaged.
        """
        return [self._read(name) for name in self.names()]

    def get(self, name: str) -> SavedSource:
        """Load one source.

        Raises:
            UserInputError: no such source, or its files are damaged.
        """
        source = self._read(self._require(name))
        for path, digest in self._hashes(source.name):
            if not path.is_file() or sha256_of(path) != digest:
                raise UserInputError(
                    f"The photo {path.name} of the source {source.name} is gone or damaged.",
                    hint=f"Remove it (facepick sources remove {source.name}) and add it again.",
                )
        return source

    def add(
        self,
        name: str,
        photos: Sequence[Path | str],
        models: ModelStore,
        *,
        face: int = 0,
        origins: Sequence[str] | None = None,
        cancel: CancelToken = never,
    ) -> SavedSource:
        """Keep photos of one person.

        Args:
            name: letters, digits, spaces and ``. _ + -``; 60 at most.
            photos: PNG, JPEG or WebP files.
            models: where detector, mesh and recogniser are.
            face: which face of each photo: 0 for the largest, n for the n-th from the left, of
                which only this face is kept.
            origins: what each photo was made from; None for the photos themselves.

        Raises:
            UserInputError: the name is no name or taken, or a photo cannot be used.
            NoFacesFound: a photo shows no face.
            MissingModelError: the detector or the mesh is not there.
        """
        name = _clean(name)
        if self.has(name):
            raise UserInputError(
                f"There is a source {name} already.",
                hint=f"Take another name, or first: facepick sources remove {name}",
            )
        paths = [Path(p) for p in photos]
        came_from = list(origins) if origins is not None else [str(p.absolute()) for p in paths]
        finder = FaceFinder(models)
        ranked: list[tuple[SourceFace, bytes, str, str]] = []
        for path, origin in zip(paths, came_from, strict=True):
            cancel.raise_if_cancelled()
            found = finder.face(path, face)
            if face:
                content, suffix = _png(finder.faces(path)[face - 1].image), ".png"
            else:
                suffix = path.suffix.lower() if path.suffix.lower() in _SUFFIXES else ""
                content = read_plain(path, max_bytes=MAX_BYTES)
            ranked.append((found, content, suffix, origin))
        ranked.sort(key=lambda entry: -entry[0].merit)
        if not ranked:
            raise UserInputError("No photo is given.", hint="Give one or several photos.")
        self.folder.mkdir(parents=True, exist_ok=True)
        # Built beside its place and moved there at once: nobody sees half a source.
        with tempfile.TemporaryDirectory(prefix=".new-", dir=self.folder) as temporary:
            made = Path(temporary) / "source"
            made.mkdir()
            entries = []
            for number, (_, content, suffix, origin) in enumerate(ranked, start=1):
                copy = made / f"photo{number}{suffix}"
                copy.write_bytes(content)
                entries.append({"file": copy.name, "sha256": sha256_of(copy), "from": origin})
            data = {
                "format": _FORMAT,
                "name": name,
                "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
                "photos": entries,
                "embedding": _described([entry[0] for entry in ranked], models),
            }
            text = json.dumps(data, ensure_ascii=False, indent=1)
            (made / _FILE).write_text(text + "\n", encoding="utf-8")
            os.replace(made, self.folder / name)
        return self._read(name)

    def remove(self, name: str) -> None:
        """Delete a source with its photos.

        Raises:
            UserInputError: no such source.
        """
        shutil.rmtree(self.folder / self._require(name))

    # --- inside ----------------------------------------------------------------------------

    def _known(self, name: str) -> str | None:
        wanted = unicodedata.normalize("NFC", name).casefold()
        return next((n for n in self.names() if n.casefold() == wanted), None)

    def _require(self, name: str) -> str:
        known = self._known(name)
        if known is None:
            there = ", ".join(self.names()) or "none yet"
            raise UserInputError(f"There is no source {name}.", hint=f"Saved: {there}.")
        return known

    def _data(self, name: str) -> dict[str, Any]:
        path = self.folder / name / _FILE
        damaged = UserInputError(
            f"The source {name} is damaged ({path.name}).",
            hint="Delete its folder and add it again.",
        )
        try:
            data = read_json(path, max_bytes=_MAX_JSON_BYTES)
        except (OSError, ValueError) as error:
            raise damaged from error
        if not isinstance(data, dict) or data.get("format") != _FORMAT:
            raise damaged
        photos = data.get("photos")
        if not isinstance(photos, list) or not photos:
            raise damaged
        for entry in photos:
            texts = isinstance(entry, dict) and all(
                isinstance(entry.get(key), str) for key in ("file", "sha256", "from")
            )
            # A file name of a foreign source.json must not lead out of the folder.
            if not texts or not _PHOTO.fullmatch(entry["file"]):
                raise damaged
        return data

    def _read(self, name: str) -> SavedSource:
        data = self._data(name)
        embedding = data.get("embedding")
        made_with = embedding if isinstance(embedding, dict) else {}
        return SavedSource(
            name=name,
            photos=tuple(self.folder / name / e["file"] for e in data["photos"]),
            origins=tuple(e["from"] for e in data["photos"]),
            model=str(made_with.get("model", "")),
            version=str(made_with.get("version", "")),
            created=str(data.get("created", "")),
        )

    def _hashes(self, name: str) -> list[tuple[Path, str]]:
        return [(self.folder / name / e["file"], e["sha256"]) for e in self._data(name)["photos"]]


def _png(image: BgrImage) -> bytes:
    import cv2

    return cv2.imencode(".png", image)[1].tobytes()


def _clean(name: str) -> str:
    text = unicodedata.normalize("NFC", " ".join(name.split()))
    if not _NAME.fullmatch(text) or _DEVICES.fullmatch(text):
        raise UserInputError(
            f"{name[:60]!r} is no name for a source.",
            hint="Use up to 60 letters, digits, spaces and . _ + -",
        )
    return text


def _described(faces: Sequence[SourceFace], models: ModelStore) -> dict[str, Any] | None:
    """Compute the mean SFace embedding of length 1, or None when SFace is not on this machine."""
    from facepick.faces.analyzers.sface import SFaceEmbedder
    from facepick.models.catalog import SFACE

    try:
        embedder = SFaceEmbedder(models.require(SFACE))
    except (MissingModelError, ModelMismatchError):
        return None
    chips = np.stack([align(f.image, f.landmarks5) for f in faces])
    mean = embedder.embed(chips).mean(axis=0)
    mean = mean / max(float(np.linalg.norm(mean)), 1e-9)
    return {
        "model": embedder.id,
        "version": SFACE.sha256[:12],
        "alignment": "five",
        "vector": [round(float(v), 6) for v in mean],
    }
