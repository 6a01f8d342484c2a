"""Comparison of two photos in a process of its own, so that no network is loaded into a host."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facepick.child import json_command

__all__ = ["explain_in_child"]

LIMIT_SECONDS = 120.0
"""Two photos take 2 to 5 s, most of it imports; a cold disk or a busy machine some more."""


def explain_in_child(
    a: Path,
    b: Path,
    sheet: Path,
    environment: Mapping[str, str],
    *,
    limit_seconds: float = LIMIT_SECONDS,
) -> dict[str, Any]:
    """Run ``facepick explain A B -o SHEET --json``.

    Args:
        sheet: PNG or JPEG; an existing picture is replaced.
        environment: what the child needs besides this process' own.
        limit_seconds: after which it is killed.

    Returns:
        What the command printed.

    Raises:
        UserInputError: a photo cannot be read, or shows nobody.
        ToolError: a model is missing, the command failed, or the time ran out.
    """
    one, other, out = (str(path.absolute()) for path in (a, b, sheet))
    words = ["explain", one, other, "-o", out, "--force", "--json"]
    answer = json_command(words, environment, limit_seconds=limit_seconds, what="The comparison")
    return dict(answer)
