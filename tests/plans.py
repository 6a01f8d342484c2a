"""Plans that tests write."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def hiding(video: Path) -> dict[str, Any]:
    """A plan that blurs P1 of a video, with a quick encoder."""
    return {
        "format": "facepick-plan/2",
        "video": str(video),
        "assignments": [{"people": ["P1"], "flow": "hide", "engine": "blur"}],
        "encode": {"preset": "ultrafast"},
    }
