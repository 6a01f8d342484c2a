"""Resolution of what a user may name as the source of a swap into photos."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from facepick.engines.swap.saved import SavedSources
from facepick.engines.swap.source import best_photos, load_sources
from facepick.errors import FacepickError, UserInputError
from facepick.models.store import ModelStore
from facepick.people.person import Scan
from facepick.people.selection import Selection
from facepick.progress import CancelToken, never

__all__ = ["SourceResolver", "split_person"]

# More photos than that hardly add to the texture, and each takes time to unroll.
_MOST = 5
_CAST = "cast:"


def split_person(text: str) -> tuple[Path, str] | None:
    """Split ``VIDEO:P2`` into video and person; None when it is of another form.

    The part before the last colon must be a file, so that a drive letter is no video and a file
    name with a colon in it stays a file name.
    """
    video, colon, person = text.rpartition(":")
    if not colon or not person.strip() or not Path(video).is_file() or Path(text).is_file():
        return None
    return Path(video).absolute(), person.strip()


class SourceResolver:
    """Resolver of photos, ``VIDEO:P2``, ``cast:NAME`` and names of saved sources into photo files.

    Args:
        models: where detector, mesh and recogniser are.
        saved: the user's saved sources.
        cast: the file of the user's cast; it need not be there.
        folder: where photos cut from videos are kept.
        scan_of: gives the people of a video.
    """

    def __init__(
        self,
        models: ModelStore,
        *,
        saved: SavedSources,
        cast: Path,
        folder: Path,
        scan_of: Callable[[Path], Scan],
        cancel: CancelToken = never,
    ) -> None:
        self._models = models
        self._saved = saved
        self._cast = cast
        self._folder = folder
        self._scan_of = scan_of
        self._cancel = cancel

    def photos(self, texts: Sequence[str]) -> list[tuple[Path, str]]:
        """List photo file and origin of everything that is named, in the order given.

        Raises:
            UserInputError: there is no such photo, video, person, member or saved source, or no
                picture of the person can be used.
        """
        found: list[tuple[Path, str]] = []
        for text in texts:
            found.extend(self._of(text))
        return found

    def _of(self, text: str) -> list[tuple[Path, str]]:
        path = Path(text)
        if path.is_file():
            return [(path.absolute(), str(path.absolute()))]
        if text.casefold().startswith(_CAST):
            return self._of_cast(text[len(_CAST) :].strip())
        person = split_person(text)
        if person is not None:
            return [(photo, text) for photo in self._of_video(*person)]
        if self._saved.has(text):
            source = self._saved.get(text)
            return [(photo, text) for photo in source.photos]
        names = ", ".join(self._saved.names()) or "none yet"
        raise UserInputError(
            f"There is no file and no saved source {text}.",
            hint="Give a photo, VIDEO:P2, cast:NAME, or the name of a saved source "
            f"(saved: {names}).",
        )

    def _of_video(self, video: Path, who: str) -> list[Path]:
        scan = self._scan_of(video)
        (person,) = Selection((who,), include_unsure=True).resolve(scan)
        # The person's faces, not the id, name the folder: after a merge, a split or a scan with
        # other settings P2 may be somebody else.
        key = hashlib.sha256(scan.content_hash.encode())
        for track in scan.tracks_of(person.id):
            key.update(track.frames.tobytes() + track.boxes.tobytes())
        folder = self._folder / key.hexdigest()[:24]
        if not folder.is_dir():
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".new-", dir=self._folder) as temporary:
                made = Path(temporary) / "photos"
                best_photos(scan, person.id, self._models, made, cancel=self._cancel)
                try:
                    os.replace(made, folder)
                except OSError:
                    # Another process was faster; its photos are the same.
                    if not folder.is_dir():
                        raise
        with suppress(OSError):
            # What was not used for longest is the first to go when the cache is full.
            os.utime(folder)
        return sorted(folder.glob("*.png"), key=lambda p: _place(p.name))

    def _of_cast(self, name: str) -> list[tuple[Path, str]]:
        from facepick.recognition.cast import Cast

        members = {m.name.casefold(): m for m in Cast(self._cast).members()}
        member = members.get(name.casefold())
        if member is None:
            known = ", ".join(sorted(m.name for m in members.values())[:20]) or "nobody yet"
            raise UserInputError(f"{name} is not in the cast.", hint=f"In it: {known}.")
        usable: list[tuple[Path, str]] = []
        reason: FacepickError | None = None
        for origin in member.sources:
            self._cancel.raise_if_cancelled()
            # An imported cast must not make this machine open a share on a network.
            if origin.startswith(("//", "\\\\")):
                continue
            person = split_person(origin)
            try:
                if person is not None:
                    usable += [(photo, origin) for photo in self._of_video(*person)]
                elif Path(origin).is_file():
                    path = Path(origin).absolute()
                    load_sources([str(path)], self._models, cancel=self._cancel)
                    usable.append((path, origin))
            except UserInputError as error:
                # A face that can be recognised by may still be no texture; others may do.
                reason = error
            if len(usable) >= _MOST:
                break
        if usable:
            return usable[:_MOST]
        if reason is not None:
            raise UserInputError(
                f"No picture of {member.name} of the cast can be put on a face. {reason}",
                hint="Use a photo from the front instead.",
            ) from reason
        raise UserInputError(
            f"The cast keeps embeddings and small crops of {member.name}, which are no source for "
            "a swap, and the photos and videos they were made from are not there any more.",
            hint="Give a photo with --source, or save one: facepick sources add NAME PHOTO",
        )


def _place(name: str) -> tuple[int, str]:
    """Read the rank of a photo of `best_photos` from its name ``ID_RANK_frameN.png``."""
    found = re.search(r"_(\d+)_frame\d+\.png$", name)
    return int(found.group(1)) if found else 0, name
