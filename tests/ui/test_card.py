"""A card that is shared with the host: told before a job, room made on a click only."""

from __future__ import annotations

from typing import Any

import pytest
from tests.ui.support import ask, pick, plan_values, run

from facepick.models.memory import CardMemory

GB = 10**9


@pytest.fixture
def crowded(tab: Any, scanned: str, fake_app: Any) -> Any:
    """The host holds a model, and 1 of 8 GB is free where the job needs 2."""
    pick(tab, scanned, 0)
    fake_app.card_memory = CardMemory(1 * GB, 8 * GB)
    fake_app.need = 2 * GB
    fake_app.host.held.append("a checkpoint")
    return fake_app


@pytest.mark.slow
def test_enough_room_is_told_and_the_job_starts(tab: Any, scanned: str, fake_app: Any) -> None:
    pick(tab, scanned, 0)
    fake_app.card_memory, fake_app.need = CardMemory(3 * GB, 8 * GB), 2 * GB
    page = run(tab, scanned, ask(tab, "render", scanned, *plan_values(tab)))
    assert "about 2.0 GB" in page["card_note"]["value"]
    assert "3.0 of 8.0 GB are free" in page["card_note"]["value"]
    assert "Done" in page["progress"]["value"]


def test_no_card_no_word(tab: Any, scanned: str) -> None:
    pick(tab, scanned, 0)
    page = run(tab, scanned, ask(tab, "render", scanned, *plan_values(tab)))
    assert page["card_note"] == {"value": "", "visible": False}


@pytest.mark.parametrize("kind", ["render", "preview"])
def test_room_is_made_when_the_user_says_so(
    tab: Any, scanned: str, crowded: Any, kind: str
) -> None:
    values = plan_values(tab)
    if kind == "render":
        asked = ask(tab, "render", scanned, *values)
    else:
        asked = ask(tab, "preview_here", scanned, *values)
    assert "There is little room" in asked["progress"]["value"]
    assert crowded.starts[kind] == 0
    assert crowded.host.held == ["a checkpoint"]  # nothing is taken without a click
    page = run(tab, scanned, ask(tab, "act", scanned, "card:unload"))
    assert crowded.starts[kind] == 1
    assert crowded.host.held == []
    assert "Put it back" in page["card_note"]["value"]
    # The way back stays, also on a page that is opened later.
    assert "card:back" in tab.handlers.restore(scanned)["card_note"]["value"]
    back = ask(tab, "act", scanned, "card:back")
    assert crowded.host.held == ["a checkpoint"]
    assert "card:back" not in back["card_note"]["value"]


def test_it_can_start_as_it_is(tab: Any, scanned: str, crowded: Any) -> None:
    ask(tab, "render", scanned, *plan_values(tab))
    page = run(tab, scanned, ask(tab, "act", scanned, "card:go"))
    assert "smaller steps" in page["card_note"]["value"]
    assert "Done" in page["progress"]["value"]
    assert crowded.host.held == ["a checkpoint"]


def test_a_host_that_works_is_left_alone(tab: Any, scanned: str, crowded: Any) -> None:
    crowded.host.busy.append("a picture")
    ask(tab, "render", scanned, *plan_values(tab))
    answer = ask(tab, "act", scanned, "card:unload")
    assert "making pictures" in answer["progress"]["value"]
    assert crowded.starts["render"] == 0
    crowded.host.busy.clear()
    run(tab, scanned, ask(tab, "act", scanned, "card:unload"))
    assert crowded.starts["render"] == 1


def test_a_host_that_cannot_unload_is_not_asked(tab: Any, scanned: str, crowded: Any) -> None:
    crowded.host.held.clear()
    page = run(tab, scanned, ask(tab, "render", scanned, *plan_values(tab)))
    assert "smaller steps" in page["card_note"]["value"]
    assert "Done" in page["progress"]["value"]
