"""Settings of hiding a face."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from facepick.settings import setting

__all__ = ["BlurSettings", "CoverSettings", "HideSettings", "PixelateSettings"]


@dataclass(frozen=True, kw_only=True)
class HideSettings:
    """Settings that all ways to hide a face share.

    Lengths are shares of the face box's width, so that they fit a small and a large face alike.
    """

    shape: Literal["ellipse", "head", "rectangle", "outline"] = setting(
        "ellipse",
        label="Shape",
        help="What is hidden: an ellipse around the head's front, the whole head with ears and "
        "hair, the face's rectangle, or the outline of the face (an ellipse where no outline is "
        "found).",
        choices=("ellipse", "head", "rectangle", "outline"),
    )
    # An ellipse through the corners of a box is sqrt(2) times as wide: (sqrt(2) - 1) / 2 = 0.21.
    margin: float = setting(
        0.25,
        label="Margin",
        help="How far the shape reaches past the face on each side, as a share of its size.",
        min=0.0,
        max=0.6,
        step=0.05,
    )
    feather: float = setting(
        0.04,
        label="Soft edge",
        help="Width of the soft edge outside the shape, as a share of the face's width.",
        min=0.0,
        max=0.3,
        step=0.01,
        advanced=True,
    )


@dataclass(frozen=True, kw_only=True)
class PixelateSettings(HideSettings):
    """Settings of `PixelateEngine`."""

    # Measured on 42 faces of 13 people, aligned by their true landmarks: SFace's nearest known
    # face is the hidden person's for 10 % of them at 6 blocks, 14 % at 8 and 48 % at 12; under a
    # black cover, by chance, for 7 %.
    blocks: int = setting(
        6,
        label="Blocks",
        help="Number of blocks across the face; fewer hide more.",
        min=3,
        max=8,
        step=1,
    )


@dataclass(frozen=True, kw_only=True)
class BlurSettings(HideSettings):
    """Settings of `BlurEngine`."""

    # Smooth samples tell more than blocks do: on the same faces SFace is right for 69 % at 10
    # samples across, about 20 % at 6 to 3, and 7 % (chance) at 2.5; its similarity stays below
    # 0.32 for every face from 6 samples on, where 0.363 would mean the same person.
    strength: float = setting(
        0.8,
        label="Strength",
        help="How much is blurred away: 0 leaves 6 samples across the face, 1 leaves 2.5.",
        min=0.0,
        max=1.0,
        step=0.05,
    )


@dataclass(frozen=True, kw_only=True)
class CoverSettings(HideSettings):
    """Settings of `CoverEngine`."""

    color: str = setting(
        "#000000",
        label="Colour",
        help="The colour that covers the face.",
        kind="color",
    )
    picture: str | None = setting(
        None,
        label="Picture",
        help="A PNG, JPEG or WebP file laid over the face; it turns and grows with the face.",
        kind="file",
    )
    picture_size: float = setting(
        1.0,
        label="Picture size",
        help="Size of the picture; at 1 it is as large as the shape.",
        min=0.3,
        max=3.0,
        step=0.05,
    )
    under: Literal["pixelate", "color", "nothing"] = setting(
        "pixelate",
        label="Under the picture",
        help="What hides the face where the picture is transparent.",
        choices=("pixelate", "color", "nothing"),
    )
