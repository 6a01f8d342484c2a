from facepick.app import App as App
from facepick.people.finder import ScanSettings as ScanSettings
from facepick.people.finder import find_people as find_people
from facepick.people.selection import Selection as Selection
from facepick.render.plan import Assignment as Assignment
from facepick.render.plan import RenderPlan as RenderPlan

__all__ = [
    "App",
    "Assignment",
    "RenderPlan",
    "ScanSettings",
    "Selection",
    "__version__",
    "find_people",
]

__version__: str
