"""Settings of a face swap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from facepick.engines.occlusion.settings import occlusion_setting
from facepick.engines.restore.restorer import RESTORERS
from facepick.settings import setting

__all__ = [
    "InswapperSettings",
    "MeshSettings",
    "Neural256Settings",
    "NeuralSettings",
    "SwapSettings",
]


@dataclass(frozen=True, kw_only=True)
class SwapSettings:
    """Settings that all ways to swap a face share."""

    face: int = setting(
        0,
        label="Face in the photo",
        help="Which face to take when a photo shows several: 0 the largest, 1 the leftmost, "
        "2 the next to its right.",
        min=0,
        max=50,
        step=1,
    )
    on_doubt: Literal["keep", "hide"] = setting(
        "keep",
        label="In doubt",
        help="What happens in frames that cannot be swapped well: keep the original face, or "
        "hide it for people who must not be recognised.",
        choices=("keep", "hide"),
    )
    occlusion: str = occlusion_setting()
    max_turn: float = setting(
        40.0,
        label="Largest turn",
        help="Faces turned further to the side than this are not swapped.",
        min=10.0,
        max=75.0,
        step=1.0,
        unit="degrees",
    )
    min_face: int = setting(
        40,
        label="Smallest face",
        help="Faces lower than this are not swapped.",
        min=16,
        max=400,
        step=1,
        unit="px",
        advanced=True,
    )
    min_confidence: float = setting(
        0.5,
        label="Least confidence",
        help="Faces that are less surely the picked person are not swapped.",
        min=0.0,
        max=1.0,
        step=0.05,
        advanced=True,
    )
    margin: float = setting(
        0.11,
        label="Mask margin",
        help="How far the new face reaches past the outline of the face, as a share of its size.",
        min=0.0,
        max=0.2,
        step=0.01,
        advanced=True,
    )
    forehead: float = setting(
        0.3,
        label="Forehead",
        help="How far the new face reaches up towards the hair, as a share of the face's size.",
        min=0.0,
        max=0.45,
        step=0.01,
        advanced=True,
    )
    blur: float = setting(
        0.03,
        label="Mask blur",
        help="Width of the soft edge inside the mask, as a share of the face's height.",
        min=0.0,
        max=0.2,
        step=0.005,
        advanced=True,
    )
    grain: float = setting(
        0.0,
        label="Grain",
        help="How much of the footage's noise is put onto the new face, if that has less.",
        min=0.0,
        max=1.0,
        step=0.05,
        advanced=True,
    )


@dataclass(frozen=True, kw_only=True)
class MeshSettings(SwapSettings):
    """Settings of `MeshSwapEngine`."""

    color: Literal["light", "lab", "off"] = setting(
        "light",
        label="Colour match",
        help="light: relight the new face like the old one; lab: match the mean and spread of "
        "its colours; off: keep the photo's colours.",
        choices=("light", "lab", "off"),
    )


@dataclass(frozen=True, kw_only=True)
class NeuralSettings(SwapSettings):
    """Settings that the engines with a network share."""

    color: Literal["off", "lab", "light"] = setting(
        "off",
        label="Colour match",
        help="off: as the network gives it; lab: match the mean and spread of the old face's "
        "colours; light: match its colours at every place, coarsely.",
        choices=("off", "lab", "light"),
    )
    keep_eyes: bool = setting(
        False, label="Keep eyes", help="Keep the eyes as filmed.", advanced=True
    )
    keep_mouth: bool = setting(
        False,
        label="Keep teeth",
        help="Keep the inside of the mouth as filmed.",
        advanced=True,
    )
    restorer: str = setting(
        "none",
        label="Face restoration",
        help="Improves the new face's detail; all but sharpen need a model file.",
        choices=RESTORERS,
    )
    fidelity: float = setting(
        0.75,
        label="CodeFormer fidelity",
        help="1 stays close to the swapped face, 0 trusts the restorer.",
        min=0.0,
        max=1.0,
        step=0.05,
        only_when=("restorer", ("CodeFormer",)),
    )


@dataclass(frozen=True, kw_only=True)
class InswapperSettings(NeuralSettings):
    """Settings of `InswapperEngine`."""

    pixel_boost: Literal["128", "256", "512", "1024"] = setting(
        "256",
        label="Pixel boost",
        help="Resolution of the new face; each doubling takes four times as long.",
        choices=("128", "256", "512", "1024"),
    )


@dataclass(frozen=True, kw_only=True)
class Neural256Settings(NeuralSettings):
    """Settings of the engines whose network sees 256 pixels."""

    pixel_boost: Literal["256", "512", "1024"] = setting(
        "256",
        label="Pixel boost",
        help="Resolution of the new face; each doubling takes four times as long.",
        choices=("256", "512", "1024"),
    )
