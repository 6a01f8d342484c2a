"""A page on the fake core and the bundled clip."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.ui.fake_app import FakeApp
from tests.ui.support import CLIP, TRUTH, ask, run, scan_values, upload


@pytest.fixture(scope="session")
def clip_path() -> Path:
    """14 s of two people in five shots; ground truth beside it in tests/media."""
    return CLIP


def _fake_app(folder: Path) -> FakeApp:
    roots = folder / "allowed"
    roots.mkdir()
    return FakeApp(
        folder / "home",
        {CLIP.stat().st_size: TRUTH},
        seconds_per_job=0.2,
        roots=(roots,),
    )


@pytest.fixture
def fake_app(tmp_path: Path) -> Any:
    """The core without models and processes; a job takes a fifth of a second."""
    return _fake_app(tmp_path)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A tab: most of a second of gradio's work, and the same whoever uses it."""
    from facepick_ui.tab import build_tab

    return build_tab(_fake_app(tmp_path_factory.mktemp("built")), standalone=True)


@pytest.fixture
def tab(built: Any, fake_app: Any) -> Any:
    """The tab with an empty home behind it: widgets that all tests share, handlers of its own."""
    from facepick_ui.handlers import Handlers

    page = replace(built.page, app=fake_app)
    return replace(built, page=page, handlers=Handlers(fake_app, page))


@pytest.fixture
def new_user(tab: Any) -> Callable[[str], str]:
    """Opens the page as somebody; gives the key of the session."""

    def open_page(name: str) -> str:
        key, _ = tab.handlers.hello(f"{name:x<24}|en-US")
        return str(key)

    return open_page


@pytest.fixture
def scanned(tab: Any, new_user: Callable[[str], str], tmp_path: Path) -> str:
    """The key of a user who has uploaded the clip and found its people."""
    key = new_user("anna")
    upload(tab, key, tmp_path)
    run(tab, key, ask(tab, "scan", key, *scan_values(tab)))
    return key
