"""Settings of the neural lip-sync engines, under the names of sd-wav2lip-uhq."""

from __future__ import annotations

from dataclasses import dataclass

from facepick.engines.occlusion.settings import occlusion_setting
from facepick.engines.restore.restorer import RESTORERS
from facepick.settings import setting

__all__ = ["EdTalkSettings", "MouthBlendSettings", "MouthSettings", "Wav2LipSettings"]

_SCALED = "in pixels of a face 256 high; it grows and shrinks with the face."


@dataclass(frozen=True, kw_only=True)
class MouthBlendSettings:
    """Settings of how a drawn mouth is laid into the picture; lengths are pixels of a face 256
    high."""

    restorer: str = setting(
        "none",
        label="Face restoration model",
        help="What gives the re-made mouth its detail back; slow, but only for this person.",
        choices=RESTORERS,
    )
    code_former_fidelity: float = setting(
        0.75,
        label="Code Former fidelity",
        help="1 stays close to what the network drew, 0 lets CodeFormer invent.",
        min=0.0,
        max=1.0,
        step=0.01,
        only_when=("restorer", ("CodeFormer",)),
    )
    when_silent: str = setting(
        "close",
        label="When the speech is silent",
        help="close: shut the mouth where the original talked and is no longer heard; keep: leave "
        "the frame as it is.",
        choices=("close", "keep"),
    )
    only_mouth: bool = setting(
        False,
        label="Only mouth",
        help="Change the lips and what is just around them; leave chin and cheeks alone.",
        advanced=True,
    )
    mouth_mask_dilate: int = setting(
        15,
        label="Mouth mask dilate",
        help=f"How far the change reaches around the lips, {_SCALED}",
        min=0,
        max=128,
        step=1,
        unit="px",
        advanced=True,
    )
    face_mask_erode: int = setting(
        15,
        label="Face mask erode",
        help=f"How far the change stays inside the jaw line, {_SCALED}",
        min=0,
        max=128,
        step=1,
        unit="px",
        advanced=True,
    )
    mask_blur: int = setting(
        15,
        label="Mask blur",
        help=f"Width of the soft edge, at best not above twice the mouth mask dilate, {_SCALED}",
        min=0,
        max=128,
        step=1,
        unit="px",
        advanced=True,
    )
    occlusion: str = occlusion_setting()
    match_colour: bool = setting(
        True,
        label="Match colour",
        help="Bring the light of the new mouth to that of the skin around it.",
        advanced=True,
    )
    keep_grain: bool = setting(
        True,
        label="Keep grain",
        help="Give the new mouth as much grain as the old one had.",
        advanced=True,
    )
    debug: bool = setting(
        False,
        label="Active debug",
        help="Keep a contact sheet of the steps, one frame a second, in the job's folder.",
        advanced=True,
    )


@dataclass(frozen=True, kw_only=True)
class MouthSettings(MouthBlendSettings):
    """Settings that all neural engines share."""

    checkpoint: str | None = setting(
        None,
        label="Checkpoint file",
        help="A checkpoint of this engine; leave empty to take the one in the model folders.",
        kind="file",
        advanced=True,
    )


@dataclass(frozen=True, kw_only=True)
class Wav2LipSettings(MouthSettings):
    """Settings of ``wav2lip`` and ``wav2lip_gan``."""

    pad_top: int = setting(
        0,
        label="Pad top",
        help=f"More room above the face for the network, {_SCALED}",
        min=0,
        max=50,
        step=1,
        unit="px",
        advanced=True,
    )
    pad_bottom: int = setting(
        0,
        label="Pad bottom",
        help=f"More room below the chin for the network, {_SCALED}",
        min=0,
        max=50,
        step=1,
        unit="px",
        advanced=True,
    )
    pad_left: int = setting(
        0,
        label="Pad left",
        help=f"More room left of the face for the network, {_SCALED}",
        min=0,
        max=50,
        step=1,
        unit="px",
        advanced=True,
    )
    pad_right: int = setting(
        0,
        label="Pad right",
        help=f"More room right of the face for the network, {_SCALED}",
        min=0,
        max=50,
        step=1,
        unit="px",
        advanced=True,
    )
    no_smooth: bool = setting(
        False,
        label="No smooth",
        help="Cut the face out where this very frame's mesh lies, not at the box smoothed in time.",
        advanced=True,
    )


@dataclass(frozen=True, kw_only=True)
class EdTalkSettings(MouthSettings):
    """Settings of ``edtalk_256``."""

    lip_weight: float = setting(
        0.5,
        label="Lip weight",
        help="How far the lips follow the sound: the network's own weight.",
        min=0.0,
        max=1.0,
        step=0.05,
    )
