"""What the handlers do, on the bundled clip and a core without models."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.sounds import silent_wav
from tests.ui.support import ask, note, opened, pick, plan_values, run, scan_values, upload

from facepick.errors import UserInputError
from facepick.people.edits import Merge
from facepick.people.selection import Selection


def test_upload_shows_the_facts_and_offers_the_scan(
    tab: Any, new_user: Callable[[str], str], tmp_path: Path
) -> None:
    changes = upload(tab, new_user("anna"), tmp_path)
    assert "1280 x 720" in changes["facts"]["value"]
    assert "two_people.mp4" in changes["facts"]["value"]
    assert changes["scan"]["interactive"] is True


def test_an_upload_that_is_no_video_says_what_to_do(
    tab: Any, new_user: Callable[[str], str], tmp_path: Path
) -> None:
    wrong = tmp_path / "note.mp4"
    wrong.write_text("this is no video")
    changes = ask(tab, "upload", new_user("anna"), str(wrong))
    assert set(changes) == {"facts"}
    assert "facepick-problem" in changes["facts"]["value"]
    assert "This is not a video that can be read" in changes["facts"]["value"]


def test_scan_fills_gallery_timeline_and_picture(tab: Any, scanned: str) -> None:
    changes = tab.handlers.restore(scanned)
    captions = [caption for _, caption in changes["people"]["value"]]
    scan = tab.handlers.session(scanned).scan
    assert captions == [f"{p.id} - {float(p.screen_time):.1f} s" for p in scan.people]
    assert [c.split(" - ")[0] for c in captions] == ["P1", "P2"]
    assert changes["timeline"]["value"].count("<rect") >= 5
    assert "data:image/jpeg;base64," in changes["frame"]["value"]
    assert changes["time"]["maximum"] == pytest.approx(354 / 25, abs=0.01)


def test_clicking_a_thumbnail_picks_and_lets_go(tab: Any, scanned: str) -> None:
    first = pick(tab, scanned, 0)
    assert tab.handlers.session(scanned).picked == ["P1"]
    assert first["render"]["interactive"] is True
    assert "P1" in first["picked"]["value"]
    pick(tab, scanned, 1)
    assert tab.handlers.session(scanned).picked == ["P1", "P2"]
    last = pick(tab, scanned, 0)
    assert tab.handlers.session(scanned).picked == ["P2"]
    assert last["render"]["interactive"] is True
    none = pick(tab, scanned, 1)
    assert none["render"]["interactive"] is False
    assert none["what"]["visible"] is False


def test_picking_somebody_off_screen_moves_the_picture_to_them(tab: Any, scanned: str) -> None:
    session = tab.handlers.session(scanned)
    session.at_seconds = 5.0  # shot 2, frames 100 to 174: only the first person
    person = next(
        p for p in session.scan.people
        if all(t.position(125) is None for t in session.scan.tracks_of(p.id))
    )  # fmt: skip
    index = [p.id for p in session.scan.people].index(person.id)
    changes = pick(tab, scanned, index)
    frame = round(changes["time"]["value"] * 25)
    assert any(t.position(frame) is not None for t in session.scan.tracks_of(person.id))


def test_the_click_on_the_timeline_moves_the_slider(tab: Any, scanned: str) -> None:
    changes = ask(tab, "act", scanned, "seek:7.25")
    assert changes["time"]["value"] == 7.25
    assert "frame 181" in changes["frame"]["value"]


@pytest.mark.parametrize(
    "action", ["", "nonsense", "seek:x", "seek:nan", "drop:9", "drop:-1", "pick:P99", "pick:"]
)
def test_actions_nobody_offered_do_nothing(tab: Any, scanned: str, action: str) -> None:
    before = tab.handlers.session(scanned).to_json()
    ask(tab, "act", scanned, action)
    assert tab.handlers.session(scanned).to_json() == before


def test_render_goes_to_its_end_and_shows_result_and_report(tab: Any, scanned: str) -> None:
    pick(tab, scanned, 0)
    page = run(tab, scanned, ask(tab, "render", scanned, *plan_values(tab)))
    assert "Done" in page["progress"]["value"]
    assert Path(page["result"]["value"]).is_file()
    result = page["download"]["value"][0]
    assert page["download"]["value"] == [result, result + ".facepick.json"]
    video = tab.handlers.session(scanned).video
    for name, file in (("result", result), ("original", video)):
        given = Path(page[name]["value"])
        assert given.read_bytes() == Path(file).read_bytes()
        assert not given.samefile(file)
    assert "not on screen" in page["report"]["value"]
    assert result in page["saved"]["value"]
    assert 'data-facepick-rate="25.0' in page["compare"]["value"]
    assert page["stop"]["interactive"] is False
    assert page["render"]["interactive"] is True


def test_compare_is_drawn_anew_for_every_result_and_no_other_time(tab: Any, scanned: str) -> None:
    pick(tab, scanned, 0)
    drawn = []
    for _ in range(2):
        page = run(tab, scanned, ask(tab, "render", scanned, *plan_values(tab)))
        drawn.append(page["compare"]["value"])
    newer, older = tab.page.app.jobs()[:2]
    assert f'data-facepick-job="{older.id}"' in drawn[0]
    assert f'data-facepick-job="{newer.id}"' in drawn[1]
    assert ask(tab, "act", scanned, f"show:{older.id}")["compare"]["value"] == drawn[0]
    page = run(tab, scanned, ask(tab, "preview_here", scanned, *plan_values(tab)))
    assert page["compare"]["value"] == drawn[1]
    # The preview above is of another job.
    assert f"Earlier result: {Path(newer.out).name}" in page["result_note"]["value"]
    none = pick(tab, scanned, 0)
    assert "Pick somebody first" in none["render_note"]["value"]
    assert none["progress"]["visible"] is False


def test_the_plan_is_what_the_page_shows(tab: Any, scanned: str) -> None:
    pick(tab, scanned, 1)
    values = (
        plan_values(tab, style="blur", encode_quality=24)
        if ("encode_quality" in tab.page.components)
        else plan_values(tab, style="blur")
    )
    ask(tab, "render", scanned, *values)
    plan = tab.page.app.jobs()[0].request["plan"]
    assert [a["people"] for a in plan["assignments"]] == [["P2"]]
    assert plan["assignments"][0]["flow"] == "hide"
    assert plan["assignments"][0]["engine"] == "blur"


def test_two_people_get_two_treatments_in_one_render(tab: Any, scanned: str) -> None:
    pick(tab, scanned, 0)
    kept = ask(tab, "keep", scanned, *plan_values(tab))
    assert "drop:0" in kept["assignments"]["value"]
    assert tab.handlers.session(scanned).picked == []
    pick(tab, scanned, 1)
    ask(tab, "render", scanned, *plan_values(tab, style="blur"))
    plan = tab.page.app.jobs()[0].request["plan"]
    assert [(a["people"], a["engine"]) for a in plan["assignments"]] == [
        (["P1"], "pixelate"),
        (["P2"], "blur"),
    ]


def test_an_assignment_can_be_removed(tab: Any, scanned: str) -> None:
    pick(tab, scanned, 0)
    ask(tab, "keep", scanned, *plan_values(tab))
    changes = ask(tab, "act", scanned, "drop:0")
    assert changes["assignments"]["value"] == ""
    assert changes["render"]["interactive"] is False


def test_what_an_edited_entry_displaces_is_not_shown_any_more(
    tab: Any, scanned: str, tmp_path: Path
) -> None:
    pick(tab, scanned, 0)
    ask(tab, "keep", scanned, *plan_values(tab, style="blur"))
    pick(tab, scanned, 1)
    ask(tab, "choose_flow", scanned, "lipsync")
    note(tab, scanned, "speech", str(silent_wav(tmp_path / "hello.wav", 0.5)))
    note(tab, scanned, "speech_text", "Hello")
    back = ask(tab, "act", scanned, "edit:0")
    assert not tab.handlers.session(scanned).form.get("speech")
    assert [back[name]["value"] for name in ("speech", "lines", "speech_text")] == [None, None, ""]


def test_an_entry_of_the_list_can_be_edited(tab: Any, scanned: str, tmp_path: Path) -> None:
    pick(tab, scanned, 0)
    sound = str(silent_wav(tmp_path / "hello.wav", 0.5))
    style = tab.page.specs("lipsync")[0].id
    values = plan_values(
        tab, flow="lipsync", style=style, speech=sound, speech_text="Hello", speech_start=1.5
    )
    kept = ask(tab, "keep", scanned, *values)
    assert "edit:0" in kept["assignments"]["value"]
    pick(tab, scanned, 1)
    ask(tab, "keep", scanned, *plan_values(tab, style="blur"))
    session = tab.handlers.session(scanned)
    # The form is stored with the session.
    restored = type(session)(key=session.key)
    restored.restore(json.loads(json.dumps(session.to_json())))
    assert restored.kept_forms == session.kept_forms
    back = ask(tab, "act", scanned, "edit:0")
    assert session.picked == ["P1"]
    assert [item.engine for item in session.kept] == ["blur"]
    assert back["flow"]["value"] == "lipsync"
    assert back["style"]["value"] == style
    assert (back["speech_text"]["value"], back["speech_start"]["value"]) == ("Hello", 1.5)
    assert Path(back["speech"]["value"]).name == "hello.wav"
    assert str(tmp_path / "home") in back["speech"]["value"]
    assert back["speech_inputs"]["visible"] is True


def test_a_job_that_has_ended_can_be_taken_off_the_list(
    tab: Any, scanned: str, new_user: Callable[[str], str]
) -> None:
    pick(tab, scanned, 0)
    page = run(tab, scanned, ask(tab, "render", scanned, *plan_values(tab)))
    job = tab.page.app.jobs()[0]
    assert "Hide: P1" in page["jobs"]["value"]
    result = Path(job.out)
    refused = ask(tab, "act", new_user("berta"), f"remove:{job.id}")
    assert "That job is gone" in refused["jobs_note"]["value"]
    gone = ask(tab, "act", scanned, f"remove:{job.id}")
    assert job.id not in gone["jobs"]["value"]
    assert result.is_file()


def test_a_scan_is_in_sight_at_the_windows_edge_while_it_runs(
    tab: Any, new_user: Callable[[str], str], tmp_path: Path
) -> None:
    key = new_user("anna")
    upload(tab, key, tmp_path)
    begun = ask(tab, "scan", key, *scan_values(tab))
    assert "facepick-progress" in begun["scan_running"]["value"]
    assert run(tab, key, begun)["scan_running"] == {"value": "", "visible": False}


def test_the_folder_is_opened_where_the_user_sits_at_the_machine(
    tab: Any, scanned: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[Path] = []
    monkeypatch.setattr(tab.page.app, "show_folder", shown.append, raising=False)
    pick(tab, scanned, 0)
    page = run(tab, scanned, ask(tab, "render", scanned, *plan_values(tab)))
    job = tab.page.app.jobs()[0]
    assert "folder:" not in page["saved"]["value"]
    ask(tab, "act", scanned, f"folder:{job.id}")
    assert shown == []
    monkeypatch.setattr(tab.page, "local", True)
    assert f"folder:{job.id}" in tab.handlers.restore(scanned)["saved"]["value"]
    ask(tab, "act", scanned, f"folder:{job.id}")
    assert shown == [Path(job.out)]


def test_a_double_click_starts_one_job(tab: Any, scanned: str) -> None:
    pick(tab, scanned, 0)
    barrier = threading.Barrier(6)

    def click() -> None:
        barrier.wait()
        ask(tab, "render", scanned, *plan_values(tab))

    threads = [threading.Thread(target=click) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tab.page.app.starts["render"] == 1


def test_stop_and_resume(tab: Any, scanned: str) -> None:
    tab.page.app.seconds_per_job = 60.0
    pick(tab, scanned, 0)
    ask(tab, "render", scanned, *plan_values(tab))
    ask(tab, "stop", scanned)
    tab.page.app.seconds_per_job = 0.1
    page = run(tab, scanned, {})
    assert "Stopped" in page["progress"]["value"]
    job = tab.page.app.jobs()[0]
    assert f"resume:{job.id}" in page["jobs"]["value"]
    assert f"resume:{job.id}" in page["progress"]["value"]
    page = run(tab, scanned, ask(tab, "act", scanned, f"resume:{job.id}"))
    assert Path(page["result"]["value"]).is_file()
    assert tab.page.app.starts["render"] == 1


def test_two_users_see_nothing_of_each_other(
    tab: Any, scanned: str, new_user: Callable[[str], str]
) -> None:
    pick(tab, scanned, 0)
    run(tab, scanned, ask(tab, "render", scanned, *plan_values(tab)))
    job = tab.page.app.jobs()[0]
    other = new_user("berta")
    assert other != scanned
    page = tab.handlers.restore(other)
    assert "No video yet" in page["facts"]["value"]
    assert job.id not in page["jobs"]["value"]
    for verb in ("show", "resume", "stop"):
        (answer,) = ask(tab, "act", other, f"{verb}:{job.id}").values()
        assert "That job is gone" in answer["value"]
    session = tab.handlers.session(scanned)
    assert other[:16] not in str(job.out)
    assert session.key[:16] in str(job.out)


def test_the_page_comes_back_after_a_reload_and_a_restart(
    tab: Any, scanned: str, fake_app: Any
) -> None:
    from facepick_ui.tab import build_tab

    pick(tab, scanned, 0)
    run(tab, scanned, ask(tab, "render", scanned, *plan_values(tab)))
    again = build_tab(fake_app)
    key, page = opened(again.handlers, f"{'anna':x<24}|en-US")
    assert key == scanned
    assert again.handlers.session(key).picked == ["P1"]
    assert len(page["people"]["value"]) == 2
    assert Path(page["result"]["value"]).is_file()
    assert Path(page["video"]["value"]).is_file()


def test_a_running_job_is_taken_up_by_a_page_that_opens_later(tab: Any, scanned: str) -> None:
    pick(tab, scanned, 0)
    ask(tab, "render", scanned, *plan_values(tab))
    _, left = opened(tab.handlers, f"{'anna':x<24}|en-US")
    # On a busy machine the job may be done before the page is drawn.
    page = run(tab, scanned, left)
    assert "Done" in page["progress"]["value"]


def test_what_a_stopped_job_keeps_is_said_as_it_is(fake_app: Any, tmp_path: Path) -> None:
    from facepick.jobs.job import JobRecord
    from facepick.progress import Progress
    from facepick_ui.handlers.standing import end_note

    def said(stage: str | None) -> str:
        record = JobRecord(
            id="j", kind="render", state="stopped", video="a.mp4", out="b.mp4", request={},
            created=0.0, folder=tmp_path, progress=stage and Progress(stage=stage, done=3, total=9),
        )  # fmt: skip
        return end_note(fake_app, record, "en")

    assert "Nothing was drawn yet" in said(None)
    assert "Nothing was drawn yet" in said("load")
    assert "Resume repeats this step" in said("prepare")
    assert "no frame is kept" in said("render")
    assert "All frames are drawn" in said("publish")
    segments = tmp_path / "segments"
    segments.mkdir()
    made_of = {"version": "1", "plan": "", "encode": {}, "inputs": {}, "stops": [250, 500, 600]}
    (tmp_path / "made_of.json").write_text(json.dumps(made_of))
    (segments / "00000.nut").write_bytes(b"x")
    (segments / "00000.json").write_text(json.dumps({"frames": [], "counts": []}))
    (segments / "00001.nut").write_bytes(b"x")  # its notes were not written
    assert "250 of 600 frames are drawn and kept" in said("render")


def test_a_page_that_lost_its_stream_asks_and_gets_everything(tab: Any, scanned: str) -> None:
    tab.page.app.seconds_per_job = 120.0
    pick(tab, scanned, 0)
    ask(tab, "render", scanned, *plan_values(tab))
    page = tab.handlers.restore(scanned)
    assert "data-facepick-busy" in page["progress"]["value"]
    ask(tab, "stop", scanned)
    while tab.page.app.jobs()[0].is_active:
        time.sleep(0.05)
    page = tab.handlers.restore(scanned)
    assert "Stopped" in page["progress"]["value"]


def test_a_scan_that_failed_says_so_after_a_reload(
    tab: Any, new_user: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    key = new_user("anna")
    upload(tab, key, tmp_path)
    ask(tab, "scan", key, *scan_values(tab))
    job = tab.page.app.jobs()[0]
    failed = replace(job, state="failed", error="The model file x is missing. Fetch it.")
    monkeypatch.setattr(tab.page.app, "job", lambda _: failed)
    page = tab.handlers.restore(key)
    assert "Fetch it." in page["scan_progress"]["value"]


def test_only_one_watcher_stays(tab: Any, scanned: str) -> None:
    tab.page.app.seconds_per_job = 120.0
    pick(tab, scanned, 0)
    ask(tab, "render", scanned, *plan_values(tab))
    first = tab.handlers.watch(scanned)
    next(first)
    second = tab.handlers.watch(scanned)
    next(second)
    assert list(first) == []
    ask(tab, "stop", scanned)


def test_how_far_a_job_is_is_told_seldom_and_its_end_at_once(
    tab: Any, scanned: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from facepick_ui.handlers import watcher

    monkeypatch.setattr(watcher, "BAR_SECONDS", 60.0)
    tab.page.app.seconds_per_job = 2.0
    pick(tab, scanned, 0)
    ask(tab, "render", scanned, *plan_values(tab))
    told = list(tab.handlers.watch(scanned))
    bars = [changes for changes in told if "data-facepick-busy" in str(changes.get("progress"))]
    assert len(bars) == 1
    assert told[-1]["result"]["value"]


def test_a_preview_is_asked_for_at_the_moment_shown_or_at_the_hardest(
    tab: Any, scanned: str
) -> None:
    pick(tab, scanned, 0)
    ask(tab, "look_at", scanned, 4.5)
    page = run(tab, scanned, ask(tab, "preview_here", scanned, *plan_values(tab)))
    assert tab.page.app.jobs()[0].request["at"] == 4.5
    assert page["preview_video"]["visible"] is True
    run(tab, scanned, ask(tab, "preview_hardest", scanned, *plan_values(tab)))
    assert tab.page.app.jobs()[0].request["at"] is None


def test_the_list_of_jobs_says_that_a_scan_has_ended(
    tab: Any, new_user: Callable[[str], str], tmp_path: Path
) -> None:
    key = new_user("anna")
    upload(tab, key, tmp_path)
    page = run(tab, key, ask(tab, "scan", key, *scan_values(tab)))
    assert "facepick-state-done" in page["jobs"]["value"]
    assert "facepick-state-running" not in page["jobs"]["value"]


def test_a_further_click_on_the_same_face_is_told_by_the_page(tab: Any, scanned: str) -> None:
    """Gradio 3 and 4 tell of a click only when another face was clicked in between."""
    pick(tab, scanned, 0)
    ask(tab, "act", scanned, "people:0")
    assert tab.handlers.session(scanned).picked == []
    assert ask(tab, "act", scanned, "people:0")["what"]["visible"] is True
    assert ask(tab, "act", scanned, "people:-1") == {}


def test_a_preview_is_shown_and_told_of_beside_its_own_flow_only(tab: Any, scanned: str) -> None:
    pick(tab, scanned, 0)
    run(tab, scanned, ask(tab, "preview_here", scanned, *plan_values(tab)))
    for page in (
        ask(tab, "choose_flow", scanned, "lipsync"),
        tab.handlers.restore(scanned),
    ):
        assert page["preview_video"]["visible"] is False
        assert page["progress"]["value"] == ""
    for page in (ask(tab, "choose_flow", scanned, "hide"), tab.handlers.restore(scanned)):
        assert page["preview_video"]["visible"] is True
        assert "The preview is ready" in page["progress"]["value"]


def test_one_frame_is_shown_before_and_after_and_leaves_nothing_behind(
    tab: Any, scanned: str
) -> None:
    pick(tab, scanned, 0)
    ask(tab, "look_at", scanned, 4.5)
    page = run(tab, scanned, ask(tab, "preview_frame", scanned, *plan_values(tab)))
    assert "data:image/jpeg;base64," in page["frame_sheet"]["value"]
    assert {job.kind for job in tab.page.app.jobs()} == {"scan"}
    assert list((tab.handlers.sessions.folder / scanned / "frames").iterdir()) == []
    # Somebody else is picked: the picture is of no choice any more.
    assert pick(tab, scanned, 1)["frame_sheet"] == {"value": "", "visible": False}


def test_nothing_starts_without_a_video_a_scan_or_a_person(
    tab: Any, new_user: Callable[[str], str], scanned: str
) -> None:
    key = new_user("berta")
    answer = ask(tab, "scan", key, *scan_values(tab))
    assert "Open a video first" in answer["scan_progress"]["value"]
    answer = ask(tab, "render", key, *plan_values(tab))
    assert "Open a video first" in answer["progress"]["value"]
    answer = ask(tab, "render", scanned, *plan_values(tab))
    assert "Pick the person to change first" in answer["progress"]["value"]
    assert {kind for kind, n in tab.page.app.starts.items() if n} == {"scan"}


def test_a_setting_out_of_range_is_refused_before_a_job_is_made(tab: Any, scanned: str) -> None:
    pick(tab, scanned, 0)
    spec = tab.page.specs("hide")[0]
    name = next(
        w.name for p in tab.page.panels if p.spec is spec for w in p.widgets
        if w.field.ui.max is not None
    )  # fmt: skip
    answer = ask(tab, "render", scanned, *plan_values(tab, **{name: 1e9}))
    assert "A setting is out of range" in answer["progress"]["value"]
    assert tab.page.app.starts["render"] == 0


def test_choosing_a_flow_shows_its_panels_only(tab: Any, scanned: str) -> None:
    for flow in tab.page.flows():
        changes = ask(tab, "choose_flow", scanned, flow)
        visible = [p.spec for p in tab.page.panels if changes[p.name]["visible"]]
        assert visible == [tab.page.specs(flow)[0]]
        assert changes["swap_inputs"]["visible"] is (flow == "swap")
        assert changes["speech_inputs"]["visible"] is (flow == "lipsync")
        assert [value for _, value in changes["style"]["choices"]] == [
            s.id for s in tab.page.specs(flow) if not tab.page.missing(s)
        ]


def test_paths_outside_the_allowed_folders_are_refused(
    tab: Any, new_user: Callable[[str], str], clip_path: Path, tmp_path: Path
) -> None:
    key = new_user("anna")
    allowed = tmp_path / "allowed"
    inside = allowed / "clip.mp4"
    inside.write_bytes(clip_path.read_bytes())
    door = allowed / "door.mp4"
    door.symlink_to(clip_path)
    for name in (str(clip_path), "../home/x", str(door), "/etc/passwd", "", "\0", "missing.mp4"):
        answer = ask(tab, "open_path", key, name)
        assert "no file that may be opened here" in answer["facts"]["value"], name
        assert tab.handlers.session(key).video is None
    answer = ask(tab, "open_path", key, "clip.mp4")
    assert "1280 x 720" in answer["facts"]["value"]
    assert tab.page.app.proxies.holds(answer["video"]["value"])


def test_names_are_shown_as_text(tab: Any, scanned: str) -> None:
    pick(tab, scanned, 0)
    name = "<img src=x onerror=alert(1)>"
    changes = ask(tab, "rename", scanned, name)
    for place in ("picked", "timeline", "frame", "for_people"):
        assert "<img src=x" not in changes[place]["value"]
    assert "&lt;img src=x" in changes["picked"]["value"]


def test_corrections_need_the_right_number_of_people(tab: Any, scanned: str) -> None:
    for name in ("merge", "ignore", "show_tracks"):
        assert "first" in ask(tab, name, scanned)["edit_note"]["value"]
    assert "first" in ask(tab, "rename", scanned, "Anna")["edit_note"]["value"]
    assert "first" in ask(tab, "split", scanned)["edit_note"]["value"]


def test_ignored_people_leave_the_gallery(tab: Any, scanned: str) -> None:
    pick(tab, scanned, 0)
    changes = ask(tab, "ignore", scanned)
    assert len(changes["people"]["value"]) == 1
    assert tab.handlers.session(scanned).picked == []


def test_hidden_people_can_be_shown_again(tab: Any, scanned: str) -> None:
    pick(tab, scanned, 0)
    assert ask(tab, "ignore", scanned)["unignore"]["visible"] is True
    changes = ask(tab, "unignore", scanned)
    assert len(changes["people"]["value"]) == 2
    assert changes["unignore"]["visible"] is False


def test_an_appearance_can_be_split_off_and_taken_back(tab: Any, scanned: str) -> None:
    pick(tab, scanned, 0)
    ask(tab, "show_tracks", scanned)
    ask(tab, "mark_track", scanned, 0)
    changes = ask(tab, "split", scanned)
    assert [caption[:2] for _, caption in changes["people"]["value"]] == ["P1", "P2", "P3"]
    changes = ask(tab, "undo", scanned)
    assert len(changes["people"]["value"]) == 2


def test_two_on_screen_together_cannot_be_one_person(tab: Any, scanned: str) -> None:
    pick(tab, scanned, 0)
    pick(tab, scanned, 1)
    answer = ask(tab, "merge", scanned)
    assert "both on screen" in answer["edit_note"]["value"]


def test_every_appearance_can_be_shown_and_marked(tab: Any, scanned: str) -> None:
    pick(tab, scanned, 0)
    changes = ask(tab, "show_tracks", scanned)
    scan = tab.handlers.session(scanned).scan
    assert len(changes["tracks"]["value"]) == len(scan.tracks_of("P1"))
    ask(tab, "mark_track", scanned, 1)
    assert tab.handlers.session(scanned).marked == [scan.tracks_of("P1")[1].id]


def test_a_new_video_starts_anew(tab: Any, scanned: str) -> None:
    pick(tab, scanned, 0)
    changes = ask(tab, "upload", scanned, None)
    session = tab.handlers.session(scanned)
    assert (session.video, session.scan, session.picked) == (None, None, [])
    assert "Nobody to show yet" in changes["people_note"]["value"]


def test_a_page_without_a_key_gets_a_session_of_its_own(tab: Any) -> None:
    for key in (None, "", "../../etc", 5):
        assert tab.handlers.session(key).key not in (None, "", key)


def test_the_secret_of_a_browser_is_stored_nowhere(tab: Any, tmp_path: Path) -> None:
    secret = "0123456789abcdef-top-secret"
    key, _ = tab.handlers.hello(f"{secret}|en")
    tab.handlers.sessions.save(tab.handlers.session(key))
    for path in (tmp_path / "home").rglob("*"):
        assert secret not in str(path)
        if path.is_file():
            assert secret not in path.read_text(errors="replace")


@pytest.mark.slow
def test_a_broken_session_file_gives_an_empty_page(tab: Any, fake_app: Any) -> None:
    from facepick_ui.tab import build_tab

    key, _ = tab.handlers.hello(f"{'carl':x<24}|en")
    folder = fake_app.host.home() / "ui" / key
    folder.mkdir(parents=True)
    for text in ("{", "[]", json.dumps({"kept": [{"flow": 3}], "video": "/x"})):
        (folder / "session.json").write_text(text)
        again = build_tab(fake_app).handlers
        _, page = opened(again, f"{'carl':x<24}|en")
        assert "No video yet" in page["facts"]["value"]


@pytest.mark.logs_errors
def test_a_fault_of_ours_is_told_in_words(
    tab: Any, scanned: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("boom")

    monkeypatch.setattr(type(tab.page.app), "start_render", broken)
    pick(tab, scanned, 0)
    answer = ask(tab, "render", scanned, *plan_values(tab))
    assert "Details are in the log" in answer["progress"]["value"]
    assert "boom" not in answer["progress"]["value"]


def test_a_person_is_remembered_by_the_name_that_is_written(tab: Any, scanned: str) -> None:
    pick(tab, scanned, 1)
    said = ask(tab, "remember", scanned, "  Anna   Lee ")
    assert "Anna Lee is remembered" in said["edit_note"]["value"]
    assert [m.name for m in tab.page.app.cast().members()] == ["Anna Lee"]
    assert said["known"] == {"visible": True}
    assert "forget:Anna Lee" in said["known_list"]["value"]
    assert "data:image/jpeg;base64," in said["known_list"]["value"]
    captions = [caption.split(" - ")[0] for _, caption in said["people"]["value"]]
    assert captions == ["P1", "Anna Lee"]
    # The name the person has by now is taken when none is written.
    assert "Anna Lee is remembered" in ask(tab, "remember", scanned, "")["edit_note"]["value"]
    assert [m.faces for m in tab.page.app.cast().members()] == [1]


def test_who_was_remembered_is_named_in_a_later_scan(tab: Any, scanned: str) -> None:
    from dataclasses import replace

    from facepick.recognition.naming import name_people

    pick(tab, scanned, 0)
    ask(tab, "remember", scanned, "Ben")
    scan = tab.handlers.session(scanned).scan
    fresh = replace(scan, people=tuple(replace(p, name=None) for p in scan.people))
    named = name_people(fresh, tab.page.app.cast())
    assert [p.name for p in named.people] == ["Ben", None]


@pytest.mark.parametrize(
    ("picked", "name", "words"),
    [
        ((), "Anna", "Pick exactly one person first."),
        ((0, 1), "Anna", "Pick exactly one person first."),
        ((0,), "   ", "Write the name of this person first."),
        ((0,), "x" * 101, "is no name for a person"),
    ],
)
def test_remembering_says_what_is_missing(
    tab: Any, scanned: str, picked: tuple[int, ...], name: str, words: str
) -> None:
    for index in picked:
        pick(tab, scanned, index)
    said = ask(tab, "remember", scanned, name)
    assert list(said) == ["edit_note"]
    assert words in said["edit_note"]["value"]
    assert tab.page.app.cast().members() == []


def test_forgetting_takes_the_person_out_of_the_list(
    tab: Any, scanned: str, new_user: Callable[[str], str]
) -> None:
    pick(tab, scanned, 0)
    # A name is drawn as text and not as HTML, and a colon is no end of it.
    name = 'A:<b>"'
    ask(tab, "remember", scanned, name)
    drawn = tab.handlers.restore(new_user("carl"))["known_list"]["value"]
    assert "forget:A:&lt;b&gt;&#34;" in drawn
    assert "<b>" not in drawn.replace("<b>A:", "")
    gone = ask(tab, "act", scanned, f"forget:{name}")
    assert gone["known"] == {"visible": False}
    assert tab.page.app.cast().members() == []
    again = ask(tab, "act", scanned, f"forget:{name}")
    assert "is not in the cast" in again["known_note"]["value"]


def test_a_broken_cast_does_not_break_the_page(tab: Any, new_user: Callable[[str], str]) -> None:
    tab.page.app.cast_file.parent.mkdir(parents=True, exist_ok=True)
    tab.page.app.cast_file.write_text("this is no database" * 100)
    page = tab.handlers.restore(new_user("anna"))
    assert "is no cast that can be read" in page["known_note"]["value"]
    assert "No video yet" in page["facts"]["value"]


@pytest.mark.parametrize(
    ("other", "headline", "figures"),
    [("a.png", "The same person", "0.000"), ("b.png", "Different people", "0.900")],
)
def test_two_photos_are_compared(
    tab: Any,
    new_user: Callable[[str], str],
    tmp_path: Path,
    other: str,
    headline: str,
    figures: str,
) -> None:
    key = new_user("anna")
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_text(name)
    begun = ask(tab, "begin", key)
    assert "Comparing" in begun["explain_note"]["value"]
    # Every gradio wraps an upload in its own way.
    done = ask(tab, "compare", key, str(tmp_path / "a.png"), {"path": str(tmp_path / other)})
    assert headline in done["explain_note"]["value"]
    assert f"Distance {figures}." in done["explain_note"]["value"]
    assert "threshold of 0.678" in done["explain_note"]["value"]
    assert "data:image/jpeg;base64," in done["explain_sheet"]["value"]


def test_what_a_comparison_lacks_is_said_where_it_was_asked(
    tab: Any, new_user: Callable[[str], str], tmp_path: Path
) -> None:
    key, photo = new_user("anna"), tmp_path / "a.png"
    photo.write_text("a")
    lacking = ask(tab, "compare", key, str(photo), None)
    assert list(lacking) == ["explain_note"]
    assert "Add two photos first." in lacking["explain_note"]["value"]

    def refuse(a: Path, b: Path, sheet: Path) -> dict[str, Any]:
        raise UserInputError("a.png shows nobody.", hint="Take another photo.")

    tab.page.app.explain_faces = refuse
    for _ in range(2):  # the first failure gives the turn back
        failed = ask(tab, "compare", key, str(photo), str(photo))
        assert "a.png shows nobody. Take another photo." in failed["explain_note"]["value"]


def test_hiding_everyone_but_the_picked_is_in_the_plan_and_in_the_list(
    tab: Any, scanned: str
) -> None:
    pick(tab, scanned, 0)
    picked = tab.handlers.session(scanned).picked[0]
    kept = ask(tab, "keep", scanned, *plan_values(tab, everyone_but=True))
    assert "everyone but" in kept["assignments"]["value"]
    (item,) = tab.handlers.session(scanned).kept
    assert item.selection == Selection((), everyone_but=(picked,))
    # Another flow has no such box.
    assert ask(tab, "choose_flow", scanned, "lipsync")["everyone_but"]["visible"] is False


def test_the_crowd_is_folded_and_captions_say_who_it_may_be(tab: Any, scanned: str) -> None:
    session = tab.handlers.session(scanned)
    first, second = session.scan.people[:2]
    crowd = replace(second, id="P8", unsure=True, group="bystanders", may_be=((first.id, 0.4),))
    doubtful = replace(second, unsure=True, may_be=((first.id, 0.4),))
    session.scan = replace(session.scan, people=(first, doubtful, crowd))
    page = tab.handlers.restore(scanned)
    assert page["crowd"]["visible"]
    assert next(c for _, c in page["bystanders"]["value"]).startswith("P8")
    assert next(c for _, c in page["unsure_people"]["value"]).endswith(f"may be {first.label}")
    ask(tab, "pick_bystander", scanned, 0)
    assert session.picked == ["P8"]


def test_who_is_in_a_photo_is_picked(tab: Any, scanned: str, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    photo.write_bytes(b"a photo")
    session = tab.handlers.session(scanned)
    wanted = session.scan.people[-1].id
    for _ in range(2):
        # Once more changes nothing: it is no switch.
        ask(tab, "pick_by_photo", scanned, str(photo))
        assert session.picked == [wanted]
    assert ask(tab, "pick_by_photo", scanned, None) == {}


def test_one_click_joins_a_face_with_whom_it_may_be(tab: Any, scanned: str) -> None:
    session = tab.handlers.session(scanned)
    first, second = session.scan.people[:2]
    said = ask(tab, "join_likely", scanned)
    assert "may be" in said["edit_note"]["value"]
    doubtful = replace(second, unsure=True, may_be=((first.id, 0.4),))
    session.scan = replace(session.scan, people=(first, doubtful))
    session.picked = [second.id]
    asked = []
    tab.page.app.edit_people = lambda scan, edit: asked.append(edit) or scan
    ask(tab, "join_likely", scanned)
    assert asked == [Merge(people=(first.id, second.id))]
