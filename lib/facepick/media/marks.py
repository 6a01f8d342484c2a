"""Marks that a file's metadata carries: AIGC fields, digital source type, comment."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from facepick.media.container import open_media

__all__ = ["AIGC", "AIGC_BEFORE", "AIGC_FIELDS", "Marks", "read_marks"]

AIGC = "AIGC"
"""Key of the metadata under which GB 45438-2025 (appendix E) wants its fields, as JSON."""

AIGC_BEFORE = "AIGC_before"
"""Key under which the AIGC fields of the source are kept when the result gets its own."""

AIGC_FIELDS = (
    "Label", "ContentProducer", "ProduceID", "ReservedCode1", "ContentPropagator", "PropagateID",
    "ReservedCode2",
)  # fmt: skip
"""The fields, in the order of the standard."""

SOURCE_TYPE = "digital_source_type"


@dataclass(frozen=True, kw_only=True)
class Marks:
    """Marks in the metadata of a container.

    Attributes:
        aigc: the fields of GB 45438-2025; empty when there are none.
        aigc_before: those of the video from which this one was made.
        digital_source_type: of IPTC's NewsCodes, or "".
        comment: free text.
    """

    aigc: Mapping[str, str] = field(default_factory=dict)
    aigc_before: Mapping[str, str] = field(default_factory=dict)
    digital_source_type: str = ""
    comment: str = ""

    def to_json(self) -> dict[str, Any]:
        """Write down as plain JSON; what is not there is left out."""
        found = {
            "aigc": dict(self.aigc),
            "aigc_before": dict(self.aigc_before),
            "digital_source_type": self.digital_source_type,
            "comment": self.comment,
        }
        return {name: value for name, value in found.items() if value}


def read_marks(path: Path | str) -> Marks:
    """Read the marks of a video.

    Raises:
        VideoOpenError: it cannot be opened.
    """
    with open_media(Path(path)) as container:
        # Matroska's names of tags are in capitals.
        tags = {key.lower(): value for key, value in container.metadata.items()}
    return Marks(
        aigc=_fields(tags.get(AIGC.lower(), "")),
        aigc_before=_fields(tags.get(AIGC_BEFORE.lower(), "")),
        digital_source_type=tags.get(SOURCE_TYPE, ""),
        comment=tags.get("comment", ""),
    )


def _fields(text: str) -> dict[str, str]:
    """Read the standard's fields from JSON; nothing where it is no such JSON."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    # Some writers put the fields into an object of their own, named as the key is.
    if isinstance(data, dict) and isinstance(data.get(AIGC), dict):
        data = data[AIGC]
    if not isinstance(data, dict):
        return {}
    return {name: str(data[name]) for name in AIGC_FIELDS if name in data}
