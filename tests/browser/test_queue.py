"""Three jobs in two tabs, one at a time: each tab sees its own, moves and cancels them."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.browser.support import TabPage, browser, halted, serving_the_app, small_film

pytestmark = pytest.mark.browser


def rows(tab: TabPage) -> list[str]:
    found = tab.page.eval_on_selector_all(
        "#facepick_queue li", "rows => rows.map(row => row.innerText)"
    )
    return [" ".join(text.split()) for text in found]


def wait_rows(tab: TabPage, *parts: str) -> None:
    """Wait until the queue has as many rows as parts, each with its part."""
    tab.page.wait_for_function(
        "parts => { const rows = [...document.querySelectorAll('#facepick_queue li')];"
        "return rows.length === parts.length && rows.every((row, i) =>"
        " row.innerText.replace(/\\s+/g, ' ').includes(parts[i])); }",
        arg=list(parts),
    )


def button(tab: TabPage, row: int, words: str) -> None:
    tab.page.click(f"#facepick_queue li:nth-child({row}) button:has-text('{words}')")


def test_three_jobs_in_two_tabs(tmp_path: Path, shared_models: Path, shared_media: Path) -> None:
    environment = {"FACEPICK_MODELS": str(shared_models), "FACEPICK_JOBS": "1"}
    with serving_the_app(tmp_path, environment) as address, browser() as b:
        user = b.new_context(viewport={"width": 1280, "height": 1000}, locale="en-US")
        first, second = (TabPage(user, address, f"queue{n}") for n in (1, 2))
        for tab in (first, second):
            tab.begin(small_film(shared_media))
            tab.scan()
        first.pick(0)
        second.pick(1)
        first.wait_text("estimate", "Takes perhaps")
        first.shot("estimate")
        jobs = set((tmp_path / "jobs").iterdir())
        first.press("render")
        first.page.wait_for_selector("#facepick_progress .facepick-progress")
        [job] = set((tmp_path / "jobs").iterdir()) - jobs
        # It holds the line for as long as all that follows takes.
        with halted(job):
            wait_and_move(first, second)
            first.press("stop")
        second.is_playing_file("result")
        second.shot("done")
        assert first.faults == second.faults == []


def wait_and_move(first: TabPage, second: TabPage) -> None:
    """Put two jobs into the queue of the second tab, change their order, and take one away."""
    second.press("render")
    second.page.wait_for_selector("#facepick_enqueue:visible")
    wait_rows(second, "waiting")
    second.choose("style", "Blur")
    second.pick(0)
    second.press("enqueue")
    wait_rows(second, "Hide: P2", "Hide: P2, P1")
    assert "number 1 of" in rows(second)[0]
    second.shot("two_wait")
    button(second, 2, "Sooner")
    wait_rows(second, "Hide: P2, P1", "Hide: P2 ·")
    second.shot("moved")
    # The other tab knows nothing of them.
    assert first.page.query_selector_all("#facepick_queue li") == []
    button(second, 1, "Cancel")
    wait_rows(second, "Hide: P2 ·")
    second.shot("cancelled")
    first.shot("running")
