"""facepick: find everyone in a video, pick a person, change only that person.

Importing this package is cheap: neither torch, cv2, gradio nor deepface is loaded before a
function needs it.  The names below are loaded when they are first asked for; most callers want
`App`.

>>> import facepick
>>> facepick.Selection(("P2",)).people
('P2',)
"""

from importlib import import_module
from typing import Any

__all__ = [
    "App",
    "Assignment",
    "RenderPlan",
    "ScanSettings",
    "Selection",
    "__version__",
    "find_people",
]

__version__ = "0.1.0"

# Type checkers read `__init__.pyi`.
_HOMES = {
    "App": "facepick.app",
    "Assignment": "facepick.render.plan",
    "RenderPlan": "facepick.render.plan",
    "ScanSettings": "facepick.people.finder",
    "Selection": "facepick.people.selection",
    "find_people": "facepick.people.finder",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
