"""Library and estimates over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facepick.child import json_command
from facepick.errors import UserInputError

if TYPE_CHECKING:
    from facepick.app import App
    from facepick.render.plan import RenderPlan

__all__ = ["estimated", "found_in_library"]

MAX_WHO = 50
LIMIT_SECONDS = 900.0
"""A person of a video may be asked for whose people were not found yet: a film takes minutes."""


def found_in_library(
    app: App, payload: Mapping[str, Any], allowed: Callable[[str], str]
) -> dict[str, Any]:
    """Find where a person appears, in a child process; only in videos that the caller may see.

    Args:
        payload: of the request: ``who``, a list of photos, ``VIDEO:P2`` and ``cast:NAME``, and
            ``sure``, from 0 to 1.
        allowed: gives the path of a file that the caller may name.

    Raises:
        UserInputError: the request is wrong, or a file is not allowed.
    """
    who, sure = payload.get("who"), payload.get("sure", 0.5)
    if not isinstance(who, list) or not 0 < len(who) <= MAX_WHO:
        raise UserInputError('"who" must be a list of photos, VIDEO:P2 or cast:NAME.')
    if isinstance(sure, bool) or not isinstance(sure, int | float) or not 0 <= sure <= 1:
        raise UserInputError('"sure" must be a number from 0 to 1.')
    names = [_named(name, allowed) for name in who]
    found = json_command(
        ["library", "find", "--json", "-", "--progress=none", f"--sure={sure}", "--", *names],
        app.host.child_environment(),
        limit_seconds=LIMIT_SECONDS,
        what="The search in the library",
    )

    def seen(entry: Mapping[str, Any]) -> bool:
        try:
            return bool(allowed(str(entry["video"])))
        except UserInputError:
            return False

    return {**found, "who": who, "found": [entry for entry in found["found"] if seen(entry)]}


def _named(name: Any, allowed: Callable[[str], str]) -> str:
    if not isinstance(name, str) or not name:
        raise UserInputError('"who" must be a list of photos, VIDEO:P2 or cast:NAME.')
    if name.startswith("cast:"):
        return name
    video, colon, person = name.rpartition(":")
    # A person of a video, unless the name as a whole is a file: C:\anna.jpg.
    if colon and person and not Path(name).suffix:
        return f"{allowed(video)}:{person}"
    return allowed(name)


def estimated(app: App, plan: RenderPlan) -> dict[str, Any]:
    """Tell what a plan takes, by its people where they were found before."""
    return app.estimate(plan, app.stored_people(plan.video, plan.scan_settings)).to_json()
