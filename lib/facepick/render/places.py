"""Places of the files that a plan names, which lie elsewhere on another machine."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath

from facepick.engines.registry import EngineRegistry
from facepick.errors import UserInputError
from facepick.render.plan import Assignment, RenderPlan
from facepick.settings import fields_of

__all__ = ["PlaceMap", "check_places", "with_inputs", "with_settings_files"]

Place = Callable[[str, str], str]
"""Says for a role, such as ``0.source.1``, and the path of its file where the file lies now."""


def with_inputs(plan: RenderPlan, registry: EngineRegistry, place: Place) -> RenderPlan:
    """Move every file that a plan names: its video, speech, sounds, sources and those of settings.

    Args:
        place: is asked once for each, in a fixed order.
    """

    def kept(role: str, name: str | None) -> str | None:
        return place(role, name) if name else name

    moved = _with_settings_files(plan, registry, place)
    return replace(
        moved,
        video=place("video", plan.video),
        assignments=tuple(
            _placed(item, f"{number}", place) for number, item in enumerate(moved.assignments)
        ),
        output=replace(
            plan.output,
            soundtrack=kept("soundtrack", plan.output.soundtrack),
            background=kept("background", plan.output.background),
        ),
    )


def _placed(item: Assignment, role: str, place: Place) -> Assignment:
    return replace(
        item,
        speech=tuple(
            replace(line, path=place(f"{role}.speech.{at}", line.path))
            for at, line in enumerate(item.speech)
        ),
        source=tuple(place(f"{role}.source.{at}", name) for at, name in enumerate(item.source)),
    )


def _with_settings_files(plan: RenderPlan, registry: EngineRegistry, place: Place) -> RenderPlan:
    def placed(number: int, item: Assignment) -> Assignment:
        cls = registry.get(item.flow, item.engine).spec.settings
        files = [f.name for f in fields_of(cls) if f.kind == "file" and item.settings.get(f.name)]
        moved = {name: place(f"{number}.{name}", str(item.settings[name])) for name in files}
        return replace(item, settings={**item.settings, **moved})

    assignments = tuple(placed(number, item) for number, item in enumerate(plan.assignments))
    return replace(plan, assignments=assignments)


def with_settings_files(
    plan: RenderPlan, registry: EngineRegistry, place: Callable[[str], str]
) -> RenderPlan:
    """Move the files that a plan's settings name, and no others.

    Args:
        place: says for a path where the file lies.
    """
    return _with_settings_files(plan, registry, lambda _, name: place(name))


class PlaceMap:
    """Map from folders of one machine to those of another one; the longest that fits counts.

    Args:
        texts: ``OLD=NEW`` each.

    Raises:
        UserInputError: one of them is something else.

    >>> PlaceMap(["/mnt/a=/data"])("/mnt/a/ep01.mp4")
    '/data/ep01.mp4'
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self._pairs: list[tuple[str, str]] = []
        for text in texts:
            old, _, new = (part.strip() for part in text.partition("="))
            if not old or not new:
                raise UserInputError(
                    f"{text[:60]!r} says not what lies where.",
                    hint="Give the folder of the plan and the one of this machine: --map OLD=NEW",
                )
            self._pairs.append((old, new))
        self._pairs.sort(key=lambda pair: -len(pair[0]))

    def __call__(self, name: str) -> str:
        """Say where a file lies on this machine."""
        for old, new in self._pairs:
            # A plan of Windows is read as such anywhere.
            kind: type[PurePath] = PureWindowsPath if _WINDOWS.match(old) else PurePosixPath
            path, folder = kind(name), kind(old)
            if path == folder or folder in path.parents:
                return str(Path(new, *path.relative_to(folder).parts))
        return name


_WINDOWS = re.compile(r"[A-Za-z]:|\\\\")


def check_places(plan: RenderPlan) -> None:
    """Check that the files of a plan are seen from this machine.

    Raises:
        UserInputError: one of them is not.
    """
    for name in (plan.video, *plan.files()):
        if not Path(name).is_file():
            raise UserInputError(
                f"{name} is not seen from this machine.",
                hint=f"Say where it lies: --map {Path(name).parent}=FOLDER",
            )
