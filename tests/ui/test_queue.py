"""The queue: what waits, in its order, and what of it can be changed; the estimate before."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.ui.support import ask, pick, plan_values, run


def queued(changes: Any) -> list[tuple[str, str]]:
    """State and acts of each row."""
    rows = re.findall(r"<li.*?</li>", changes["queue"]["value"])
    found = []
    for row in rows:
        state = re.search(r"facepick-state-(\w+)", row)
        assert state is not None
        found.append((state[1], " ".join(re.findall(r"queue_(\w+):", row))))
    return found


@pytest.fixture
def three(tab: Any, scanned: str, fake_app: Any) -> list[str]:
    """Three renders of one tab, one at a time; gives their ids in order."""
    fake_app.at_once, fake_app.seconds_per_job = 1, 3.0
    pick(tab, scanned, 0)
    ask(tab, "render", scanned, *plan_values(tab))
    for _ in range(2):
        time.sleep(0.1)
        ask(tab, "enqueue", scanned, *plan_values(tab))
    time.sleep(0.1)
    return [r.id for r in fake_app.jobs()[::-1] if r.kind == "render"]


def test_what_waits_can_be_moved_and_cancelled(
    tab: Any, scanned: str, three: list[str], fake_app: Any
) -> None:
    handlers, session = tab.handlers, tab.handlers.session(scanned)
    shown = handlers.restore(scanned)
    assert queued(shown) == [("running", "stop"), ("queued", "down stop"), ("queued", "up stop")]
    assert "number 2 of those that wait" in shown["queue"]["value"]
    assert shown["enqueue"]["visible"]
    first, second, third = three
    handlers.act(session, f"queue_up:{third}")
    assert fake_app.job(third).place == 1
    assert fake_app.job(second).place == 2
    handlers.act(session, f"queue_down:{third}")
    assert fake_app.job(second).place == 1
    handlers.act(session, f"queue_stop:{second}")
    time.sleep(0.2)
    assert fake_app.job(second).state == "stopped"
    assert queued(handlers.restore(scanned)) == [("running", "stop"), ("queued", "stop")]
    for job in (first, third):
        fake_app.cancel_job(job)


def test_the_next_render_is_watched_when_one_has_ended(
    tab: Any, scanned: str, three: list[str], fake_app: Any
) -> None:
    session = tab.handlers.session(scanned)
    fake_app.cancel_job(three[1])
    fake_app.seconds_per_job = 0.1
    run(tab, scanned, {})
    assert {fake_app.job(three[0]).state, fake_app.job(three[2]).state} == {"done"}
    assert session.watched["render"] == three[2]
    assert tab.handlers.restore(scanned)["queue"]["value"] == ""


def test_a_tab_moves_and_stops_nothing_of_another_one(
    tab: Any, scanned: str, three: list[str], fake_app: Any, new_user: Callable[[str], str]
) -> None:
    other = tab.handlers.session(new_user("bob"))
    assert tab.handlers.restore(other.key)["queue"]["value"] == ""
    for verb in ("queue_stop", "queue_up", "queue_down"):
        answer = tab.handlers.act(other, f"{verb}:{three[2]}")
        assert "There is no job" in answer["queue_note"]["value"]
    assert fake_app.job(three[2]).place == 2
    # Batches are the machine's: a page that others reach neither shows nor touches them.
    assert "no such batch" in tab.handlers.act(other, "batch_stop:b1")["queue_note"]["value"]
    for job in three:
        fake_app.cancel_job(job)


def test_how_long_it_takes_is_said_before_the_click(tab: Any, scanned: str, fake_app: Any) -> None:
    assert tab.handlers.restore(scanned).get("estimate", {"value": ""})["value"] == ""
    told = pick(tab, scanned, 0)["estimate"]["value"]
    assert re.search(r"Takes (about|perhaps) \d", told)
    assert "MB" in told
    # Lips take longer than blocks over a face.
    lips = ask(tab, "choose_flow", scanned, "lipsync")["estimate"]["value"]
    assert seconds(lips) > seconds(told)
    assert pick(tab, scanned, 0)["estimate"]["value"] == ""


def seconds(words: str) -> float:
    found = re.search(r"Takes \w+ [\d.]+–([\d.]+) (s|min)", words)
    assert found is not None
    return float(found[1]) * (60 if found[2] == "min" else 1)


# --- a whole folder -----------------------------------------------------------------------------


def test_a_folder_becomes_a_batch_for_whoever_sits_at_the_machine(
    tab: Any, scanned: str, fake_app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    added: list[tuple[Any, ...]] = []
    monkeypatch.setattr(
        "facepick.jobs.batch_queue.BatchQueue.add", lambda _, *words: added.append(words)
    )
    (root,) = fake_app.roots
    season = root / "season"
    season.mkdir()
    for name in ("ep01.mp4", "ep02.mp4"):
        (season / name).write_bytes(b"video")
    pick(tab, scanned, 0)
    wanted = [str(season), *plan_values(tab, style="blur")]
    told = ask(tab, "season", scanned, *wanted)
    assert "on the machine itself" in told["season_note"]["value"]
    assert added == []
    monkeypatch.setattr(tab.page, "at_machine", True)
    told = ask(tab, "season", scanned, *wanted)
    assert "2 videos are in the queue" in told["season_note"]["value"]
    ((videos, out, template),) = added
    assert [Path(video).name for video in videos] == ["ep01.mp4", "ep02.mp4"]
    assert season not in out.parents
    (item,) = template["assignments"]
    # Ids differ from video to video: the person is found by a picture that stays.
    (who,) = item["people"]
    assert who.startswith("photo:")
    assert Path(who.removeprefix("photo:")).is_file()
    assert (item["flow"], item["engine"]) == ("hide", "blur")
    told = ask(tab, "season", scanned, "/etc", *wanted[1:])
    assert "may be opened here" in told["season_note"]["value"]
