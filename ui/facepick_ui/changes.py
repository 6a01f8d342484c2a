"""Changes of the page: what handlers give back, in no gradio's words."""

from __future__ import annotations

from typing import Any

__all__ = ["Changes", "merged", "shown"]

Changes = dict[str, dict[str, Any]]
"""Component name -> properties to change."""


def merged(*parts: Changes) -> Changes:
    """Put changes together; of two values for one property the later one counts."""
    whole: Changes = {}
    for part in parts:
        for name, what in part.items():
            whole.setdefault(name, {}).update(what)
    return whole


def shown(value: str) -> dict[str, Any]:
    """Properties of a place for HTML, which is there only while it holds something."""
    return {"value": value, "visible": bool(value)}
