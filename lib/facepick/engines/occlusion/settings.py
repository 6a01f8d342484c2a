"""Settings of things in front of a face."""

from __future__ import annotations

from typing import Any

from facepick.settings import setting

__all__ = ["OCCLUSION", "occlusion_setting"]

OCCLUSION = ("auto", "off", "built-in", "xseg")
"""In menu order."""


def occlusion_setting() -> Any:
    """Declare the field ``occlusion`` in the settings of every engine that draws on a face."""
    return setting(
        "auto",
        label="Things in front of the face",
        help="What keeps hands, cups and microphones in front of the face as filmed: built-in "
        "learns the face from the clip; xseg is a network that you bring; auto takes xseg where "
        "it is, else built-in; off paints over them.",
        choices=OCCLUSION,
    )
