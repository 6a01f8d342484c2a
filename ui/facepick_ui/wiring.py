"""Wiring: the handlers' events, attached to the widgets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import gradio as gr

from facepick_ui import compat
from facepick_ui.changes import Changes
from facepick_ui.handlers import Handlers
from facepick_ui.handlers.event import Event
from facepick_ui.handlers.players import PLAYERS
from facepick_ui.page import Page

__all__ = ["Wiring"]


class Wiring:
    """Connects widgets to handlers.

    Args:
        page: whose components are connected.
        handlers: whose events they answer.
        state: holds the key of the session.
        queue: whether handlers may stream, so that jobs can be watched.
    """

    def __init__(self, page: Page, handlers: Handlers, state: Any, *, queue: bool) -> None:
        self._page = page
        self._handlers = handlers
        self._state = state
        self._queue = queue

    def connect(self) -> None:
        """Attach everything."""
        # In two steps: the first, which takes no time, tells the page's script that it was heard.
        greeted = self._listen(
            self._page.components["hello"].click,
            self._hello,
            inputs=[self._state, self._page.components["message"]],
            outputs=[self._state, *self._named(self._handlers.greeted)],
            js=_script("facepickGreeting"),
        )
        opened = self._listen(
            greeted.then,
            self._open,
            inputs=[self._state],
            outputs=[self._state, *self._named(self._handlers.opened)],
        )
        self._watch_after(opened)
        for event in self._handlers.events:
            component = self._page.components[event.component]
            self._attach(getattr(component, event.trigger), event)

    def _listen(self, event: Callable[..., Any], function: Callable[..., Any], **more: Any) -> Any:
        quiet = self._page.components["message"]
        return compat.listen(event, function, progress_on=quiet, **more)

    def updates(self, changes: Changes) -> dict[Any, Any]:
        """Put changes into gradio's words.

        Raises:
            ValueError: a player is given a user's own file, which gradio would re-encode.
        """
        components = self._page.components
        for name in ("original", *PLAYERS.values()):
            value = changes.get(name, {}).get("value")
            if value is not None and not self._page.app.proxies.holds(value):
                raise ValueError(f"{name} may not be given {value}")
        return {
            components[name]: compat.as_update(components[name], what)
            for name, what in changes.items()
        }

    def _attach(self, listener: Callable[..., Any], event: Event) -> None:
        inputs = () if event.trigger == "select" else event.inputs
        done = self._listen(
            listener,
            self._selecting(event) if event.trigger == "select" else self._calling(event),
            inputs=[self._state, *self._named(inputs)],
            outputs=[self._state, *self._named((*event.may_change, *self._handlers.offered))],
            js=_script(event.script) if event.script else None,
            queue=event.queued,
        )
        if event.watch:
            self._watch_after(done)
        if event.then is not None:
            self._attach(done.then, event.then)

    def _calling(self, event: Event) -> Callable[..., dict[Any, Any]]:
        inputs = self._named(event.inputs)

        def call(key: Any, *values: Any) -> dict[Any, Any]:
            plain = [compat.value_of(c, v) for c, v in zip(inputs, values, strict=True)]
            return self._answer(event, key, plain)

        return call

    def _selecting(self, event: Event) -> Callable[..., dict[Any, Any]]:
        def call(key: Any, event_data: gr.SelectData) -> dict[Any, Any]:
            return self._answer(event, key, (compat.selected_index(event_data),))

        # Gradio finds the event by its annotation, which must be the class and not its name.
        call.__annotations__ = {"event_data": gr.SelectData}
        return call

    def _answer(self, event: Event, key: Any, values: Sequence[Any]) -> dict[Any, Any]:
        key = self._handlers.session(key).key
        return {self._state: key, **self.updates(self._handlers.answer(event, key, values))}

    def _hello(self, _: Any, greeting: Any) -> dict[Any, Any]:
        key, changes = self._handlers.hello(greeting)
        return {self._state: key, **self.updates(changes)}

    def _open(self, key: Any) -> dict[Any, Any]:
        return {self._state: key, **self.updates(self._beyond_built(self._handlers.open(key)))}

    def _beyond_built(self, changes: Changes) -> Changes:
        """Leave out what a page that has just been built shows anyhow.

        A browser takes milliseconds for each of hundreds of changes.
        """
        left: Changes = {}
        for name, what in changes.items():
            component = self._page.components[name]
            fresh = {k: v for k, v in what.items() if not _is_built(component, k, v)}
            if fresh:
                left[name] = fresh
        return left

    def _watch_after(self, done: Any) -> None:
        if self._queue:
            self._listen(
                done.then,
                self._watch,
                inputs=[self._state],
                outputs=[self._state, *self._named(self._handlers.watched)],
            )

    def _watch(self, key: Any) -> Iterator[dict[Any, Any]]:
        # A generator that ends without an answer would clear every output in gradio 5 and 6.
        yield {self._state: key}
        for changes in self._handlers.watch(key):
            yield {self._state: key, **self.updates(changes)}

    def _named(self, names: Sequence[str]) -> list[Any]:
        return [self._page.components[name] for name in dict.fromkeys(names)]


def _is_built(component: Any, what: str, value: Any) -> bool:
    built = getattr(component, what, ...)
    return type(built) is type(value) and bool(built == value)


def _script(function: str) -> str:
    """Call the page's own function, which gives the message, whatever the widget holds."""
    return f"(s, m) => [s, window.{function}()]"
