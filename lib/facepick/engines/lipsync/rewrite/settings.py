"""Settings of `rewrite`."""

from __future__ import annotations

from dataclasses import dataclass

from facepick.engines.occlusion.settings import occlusion_setting
from facepick.settings import setting
from facepick.speech.languages import AUTO

__all__ = ["RewriteSettings"]


@dataclass(frozen=True, kw_only=True)
class RewriteSettings:
    """Settings of the built-in lip sync."""

    strength: float = setting(
        1.0,
        label="Strength",
        help="How far the mouth moves: 1 as the person does in the clip, less mumbles, more is "
        "exaggerated.",
        min=0.3,
        max=1.5,
        step=0.05,
    )
    when_silent: str = setting(
        "close",
        label="When silent",
        help="While the new speech is silent: close the mouth where the original talked and is no "
        "longer heard, or keep the frame as it was filmed.",
        choices=("close", "keep"),
    )
    language: str = setting(
        AUTO,
        label="Language of the text",
        help="The language of the words given with the speech, as espeak-ng names it: en-us, de, "
        "fr, zh. auto goes by their letters: Latin ones are English. Without words it changes "
        "nothing.",
    )
    occlusion: str = occlusion_setting()
    offset_ms: int = setting(
        0,
        label="Mouth offset",
        help="Moves the mouth later (positive) or earlier against the speech.",
        min=-300,
        max=300,
        step=10,
        unit="ms",
        advanced=True,
    )
    max_yaw: float = setting(
        40.0,
        label="Largest turn of the head",
        help="A face turned further to the side is left as it was filmed.",
        min=10,
        max=60,
        step=1,
        unit="degrees",
        advanced=True,
    )
    min_eyes_px: int = setting(
        22,
        label="Smallest face",
        help="A face whose outer eye corners are closer together is left as it was filmed.",
        min=10,
        max=200,
        step=1,
        unit="px",
        advanced=True,
    )
