"""All that is known about gradio's generations: 3.41 (A1111), 4.40 (Forge), 5 and 6.

Nothing here compares version numbers, because forks patch gradio: what a signature shows decides.
"""

from __future__ import annotations

import inspect
from abc import ABCMeta
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import gradio as gr

__all__ = [
    "as_update",
    "blocks",
    "build",
    "launch_options",
    "listen",
    "needs_queue_for_generators",
    "selected_index",
    "set_queue",
    "state",
    "value_of",
]

_JS_KEYWORD = "js" if hasattr(gr, "on") else "_js"
# gr.on came with gradio 4, in the release that renamed `_js`; Forge hides the event's signature.


@cache
def _parameters(function: Callable[..., Any]) -> frozenset[str]:
    """Names of the arguments; a fork's wrapper that shows none gives an empty set."""
    return frozenset(
        name
        for name, item in inspect.signature(function).parameters.items()
        if item.kind not in (item.VAR_KEYWORD, item.VAR_POSITIONAL)
    )


def build(kind: str, **wanted: Any) -> Any:
    """Build a component called `kind` with those of the `wanted` arguments that this gradio knows.

    ``sources`` becomes ``source`` and ``buttons`` is dropped where they do not exist; choices with
    labels become the labels, see `value_of`.  Extensions
    of the WebUI must not have their widgets' values stored in ``ui-config.json``, which would
    override later defaults and choices.
    """
    cls = getattr(gr, kind)
    if kind in _HANDING_ON:
        cls = _derived(cls, _HANDING_ON[kind])
    known = _parameters(cls.__init__)
    if "sources" in wanted and "sources" not in known:
        wanted["source"] = wanted.pop("sources")[0]
    labels: dict[str, Any] = {}
    if not _takes_pairs(kind):
        labels = _labelled(wanted)
    component = cls(**{name: value for name, value in wanted.items() if name in known})
    component.do_not_save_to_config = True
    if labels:
        component.facepick_labels = labels
    return component


def _any_choice(_: Callable[..., Any]) -> Callable[..., Any]:
    """Hand on a choice that is not among the choices.

    While a page is opened again, a browser may send a choice of the flow before: gradio's own
    check would show a raw error before any handler is asked.  The handlers check what they take.
    """
    return lambda _, payload: payload


def _file_as_it_came(decoded: Callable[..., Any]) -> Callable[..., Any]:
    """Hand on the file of a sound or a picture.

    Gradio decodes pictures, and up to 4 sounds, and encodes them anew at each event that they are
    an input of.  What it cannot read, as all sounds but WAV where ffprobe is missing, would end the
    event before any handler is asked.  The handlers read files themselves, within limits, and say
    what is wrong with them.

    Args:
        decoded: gradio's own way, which in gradio 3 also cuts out what was chosen of a sound.
    """

    def preprocess(self: Any, payload: Any) -> Any:
        if isinstance(payload, str):  # a picture in gradio 3, in base64
            return self.base64_to_temp_file_if_needed(payload)
        if isinstance(payload, Mapping):  # a sound in gradio 3
            whole = payload.get("crop_min", 0) == 0 and payload.get("crop_max", 100) == 100
            if not whole:
                return decoded(self, payload)
            if payload.get("is_file"):
                return self.make_temp_copy_if_needed(payload["name"])
            return self.base64_to_temp_file_if_needed(payload["data"], payload["name"])
        return None if payload is None else payload.path

    return preprocess


_HANDING_ON = {"Radio": _any_choice, "Audio": _file_as_it_came, "Image": _file_as_it_came}


@cache
def _derived(cls: Any, handing_on: Callable[..., Any]) -> Any:
    """Derive a component that hands values on in another way."""
    members = {"preprocess": handing_on(cls.preprocess), "__module__": cls.__module__}
    # Not by a `class` statement: for that gradio 4 writes a .pyi file beside this one.
    plain = ABCMeta if isinstance(cls, ABCMeta) else type
    return plain.__new__(type(cls), cls.__name__, (cls,), members)


@cache
def _takes_pairs(kind: str) -> bool:
    """Tell whether choices may have labels: those of a dropdown may not in gradio 3.41."""
    if kind != "Dropdown":
        return True
    choices = inspect.signature(getattr(gr, kind).__init__).parameters["choices"]
    return "tuple" in str(choices.annotation)


def _labelled(wanted: dict[str, Any]) -> dict[str, Any]:
    """Put labels in the place of choices and value; gives the value of each label."""
    labels = dict(wanted.get("choices") or ())
    if labels:
        wanted["choices"] = list(labels)
        names = {value: label for label, value in labels.items()}
        wanted["value"] = names.get(wanted.get("value"), wanted.get("value"))
    return labels


def value_of(component: Any, value: Any) -> Any:
    """Give what the handlers are told of a component's value: the choice, where it is a label."""
    labels = getattr(component, "facepick_labels", {})
    return labels.get(value, value) if isinstance(value, str) else value


def as_update(component: Any, changes: Mapping[str, Any]) -> Any:
    """``gr.update`` with those changes that this gradio can make to the component."""
    labels: dict[str, Any] | None = getattr(component, "facepick_labels", None)
    if labels is not None:
        changes = dict(changes)
        if "choices" in changes:
            pairs = changes["choices"]
            changes["choices"] = [label for label, _ in pairs]
            # The newest language first: one list of labels serves all users.
            newest = dict(pairs)
            older = {label: value for label, value in labels.items() if label not in newest}
            component.facepick_labels = labels = {**newest, **older}
        if "value" in changes:
            names = {value: label for label, value in reversed(labels.items())}
            changes["value"] = names.get(changes["value"], changes["value"])
    own = getattr(type(component), "update", None)
    if own is None or "kwargs" in inspect.signature(own).parameters:
        own = type(component).__init__
    known = _parameters(own) | {"value", "visible"}
    return gr.update(**{name: value for name, value in changes.items() if name in known})


def listen(
    event: Callable[..., Any],
    function: Callable[..., Any] | None,
    *,
    inputs: Sequence[Any] = (),
    outputs: Sequence[Any] = (),
    js: str | None = None,
    queue: bool = True,
    progress_on: Any = None,
) -> Any:
    """Attach `function` to `event` without gradio's own overlay, and without an API endpoint.

    Every caller is its own user with its own job, so there is no limit of one run at a time.

    Args:
        progress_on: an unseen component that is told how the event stands, in place of all
            outputs: with hundreds of them that costs a browser seconds at every event.
    """
    options: dict[str, Any] = {"show_progress": "hidden"}
    if js is not None:
        options[_JS_KEYWORD] = js
    if not queue:
        options["queue"] = False
    if hasattr(gr, "on"):
        options["concurrency_limit"] = None
        options["trigger_mode"] = "multiple"
    known = _parameters(event)
    if progress_on is not None and "show_progress_on" in known:
        options["show_progress_on"] = progress_on
    if not hasattr(gr, "on"):
        options["api_name"] = False
    elif "api_visibility" in known:
        options["api_visibility"] = "private"
    else:
        options["show_api"] = False
    return event(function, inputs=list(inputs), outputs=list(outputs), **options)


def state(when_gone: Callable[[Any], Any]) -> Any:
    """Build a `gr.State` without a value.

    Args:
        when_gone: called with its value some time after the page was closed, where this gradio
            notices that (since 4).
    """
    known = _parameters(gr.State.__init__)
    options: dict[str, Any] = {"delete_callback": when_gone} if "delete_callback" in known else {}
    return gr.State(None, **options)


def needs_queue_for_generators() -> bool:
    """Whether a streaming handler fails when the host switched the queue off (gradio 3)."""
    return not hasattr(gr, "on")


def blocks(*, title: str, **look: Any) -> Any:
    """Build a `gr.Blocks`; css, head and theme go to where this gradio wants them.

    Newer generations take them in `launch`; see `launch_options`.
    """
    known = _parameters(gr.Blocks.__init__)
    options = {name: value for name, value in look.items() if name in known}
    return gr.Blocks(title=title, analytics_enabled=False, **options)


def launch_options(**wanted: Any) -> dict[str, Any]:
    """Those arguments that this gradio's `launch` knows."""
    known = _parameters(gr.Blocks.launch)
    return {name: value for name, value in wanted.items() if name in known}


def set_queue(demo: Any) -> Any:
    """Switch the queue on, for many users at once."""
    known = _parameters(gr.Blocks.queue)
    options: dict[str, Any] = {}
    if "default_concurrency_limit" in known:
        options["default_concurrency_limit"] = None
    elif "concurrency_count" in known:
        options["concurrency_count"] = 64
    if "api_open" in known:
        options["api_open"] = False
    return demo.queue(**options)


def selected_index(event: Any) -> int:
    """Which entry of a gallery was clicked."""
    index = event.index
    return int(index[0] if isinstance(index, (list, tuple)) else index)
