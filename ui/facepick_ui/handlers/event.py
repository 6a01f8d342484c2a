"""Events of the page: which widget, what answers it, what it is given and what it may change."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from facepick_ui.changes import Changes

__all__ = ["Act", "Event", "names"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Event:
    """One thing that a user does, and what answers it.

    Attributes:
        component: name of the widget.
        trigger: gradio's name of what happens to it: ``click``, ``change``, ``select``, ...
        handler: is given the session and the inputs; with ``select`` the index that was clicked.
        inputs: widgets whose values it is given.
        outputs: widgets that it may change; `place` is one of them without being named.
        place: where the page says what went wrong.
        watch: whether jobs are watched afterwards.
        queued: False for what must not wait behind a watcher.
        script: name of the page's own function that gives the only input, or "".
        then: what follows when it is done.
        name: of what it does; the handler's own when it is empty.
    """

    component: str
    trigger: str
    handler: Callable[..., Changes]
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    place: str = "progress"
    watch: bool = False
    queued: bool = True
    script: str = ""
    then: Event | None = None
    name: str = ""

    @property
    def called(self) -> str:
        """What it does, in one word."""
        return self.name or self.handler.__name__

    @property
    def may_change(self) -> tuple[str, ...]:
        """Everything that an answer may hold, but for the offer of missing model files."""
        return names(self.outputs, (self.place,))


@dataclass(frozen=True, kw_only=True, eq=False)
class Act:
    """A click on something drawn as HTML, ``VERB:ARGUMENT``.

    Attributes:
        verb: before the colon.
        handler: is given the session and what stands behind the colon.
        outputs: widgets that it may change.
        place: where the page says what went wrong.
    """

    verb: str
    handler: Callable[..., Changes]
    outputs: tuple[str, ...]
    place: str = "progress"


def names(*groups: Iterable[str]) -> tuple[str, ...]:
    """Join lists of names, each name once."""
    return tuple(dict.fromkeys(name for group in groups for name in group))
