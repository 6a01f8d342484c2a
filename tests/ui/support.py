"""Helpers of the tests of the page."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
CLIP = ROOT / "lib" / "facepick" / "data" / "demo" / "two_people.mp4"
TRUTH = ROOT / "tests" / "media" / "two_people.json"


def upload(tab: Any, key: str, folder: Path) -> Any:
    """The clip as gradio hands an upload over: a copy in a temporary folder."""
    place = folder / "gradio" / "upload"
    place.mkdir(parents=True, exist_ok=True)
    copy = place / CLIP.name
    if not copy.exists():
        shutil.copyfile(CLIP, copy)
    return ask(tab, "upload", key, str(copy))


def scan_values(tab: Any) -> list[Any]:
    return [w.field.default for w in tab.page.scan_widgets]


def plan_values(tab: Any, **changed: Any) -> list[Any]:
    """What the widgets of the plan hold after the page has opened, with changes by name."""
    defaults = {w.name: w.field.default for w in tab.page.widgets()}
    flow = tab.page.flows()[0]
    defaults |= {
        "flow": flow,
        "style": tab.page.specs(flow)[0].id,
        "speech": None,
        "recording": None,
        "speech_text": "",
        "phones": None,
        "speech_start": 0,
        "speech_offset": 0,
        "speech_duration": 0,
        "lines": None,
        "everyone_but": False,
        "consent": False,
        "consent_note": "",
        "preview_seconds": 3,
    }
    unknown = set(changed) - set(defaults)
    assert not unknown
    defaults |= changed
    return [defaults[name] for name in tab.page.plan_names()]


def ask(tab: Any, name: str, key: str, *values: Any) -> Any:
    """What the page answers to what a user does, called by the name of its event."""
    for event in tab.handlers.events:
        while event is not None:
            if event.called == name:
                return tab.handlers.answer(event, key, values)
            event = event.then
    raise AssertionError(f"nothing on the page is called {name}")


def opened(handlers: Any, greeting: str) -> tuple[str, Any]:
    """The key of whoever opens a page, and the page as it was left."""
    key, heard = handlers.hello(greeting)
    assert set(heard) == {"config"}
    return str(key), handlers.open(key)


def speak(tab: Any, key: str, language: str) -> Any:
    """The page after another language was chosen."""
    assert ask(tab, "choose_language", key, language) == {}
    return ask(tab, "speak", key)


def note(tab: Any, key: str, name: str, value: Any) -> Any:
    """What the page answers when a widget has changed."""
    event = next(e for e in tab.handlers.events if e.called == "note" and e.component == name)
    return tab.handlers.answer(event, key, [value])


def pick(tab: Any, key: str, index: int) -> Any:
    return ask(tab, "pick_sure", key, index)


def run(tab: Any, key: str, first: Any) -> dict[str, dict[str, Any]]:
    """The state of the page after the handler and the watcher that follows it."""
    page: dict[str, dict[str, Any]] = {}
    for changes in (first, *tab.handlers.watch(key)):
        assert set(changes) <= set(tab.page.components), changes.keys()
        for name, what in changes.items():
            page.setdefault(name, {}).update(what)
    return page
