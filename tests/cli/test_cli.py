"""The command line as its users and the child process meet it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from facepick.cli import main
from facepick.programs import python_module

PERSON_FIELDS = {"id", "name", "frames", "seconds", "confidence", "thumbnails", "tracks"}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared_models: Path) -> Path:
    """A home of its own, with the default models in reach."""
    monkeypatch.setenv("FACEPICK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FACEPICK_MODELS", str(shared_models))
    return tmp_path


@pytest.fixture
def known(home: Path, people_known: Callable[[Path], None]) -> Path:
    """The home of somebody who has looked for the people of the clip before."""
    people_known(home / "home")
    return home


@pytest.fixture(scope="module")
def clip(shared_media: Path) -> Path:
    """Frames 0..149 of dev_gt2 at half size: a split screen of two people, then one of them."""
    return shared_media / "odd" / "base_640x360.mp4"


def run(*arguments: object) -> int:
    return main([str(a) for a in arguments])


def test_version_and_help_need_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out.startswith("facepick ")
    assert run("render", "--help") == 0
    text = capsys.readouterr().out
    assert "--i-have-the-right" in text
    # What is needed first comes first, and every use of a shared option is explained.
    start = text.split("start here:")[1].split("\n\n")[0]
    first = [line.split()[0].rstrip(",") for line in start.splitlines() if line[2:3].strip()]
    assert first == [
        "VIDEO",
        "-o",
        "--person",
        "--flow",
        "--audio",
        "--source",
        "--i-have-the-right",
    ]
    strength = " ".join(text.split("  --strength X")[1].split("\n  --")[0].split())
    assert strength.startswith("blur: How much is blurred away")
    assert "rewrite: How far the mouth moves" in strength
    assert run() == 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("people", "nothing.mp4"), 2, "nothing.mp4"),
        (
            ("render", "nothing.mp4", "-o", "x.mp4", "--person", "P1", "--flow", "hide"),
            2,
            "nothing",
        ),
        (("jobs", "show", "20260101-000000-0000"), 2, "no job"),
        (("models", "fetch", "no_such_model"), 2, "no_such_model"),
        (("inspect", "nothing.mp4"), 2, "report"),
        (("nonsense",), 2, "invalid choice"),
        (("peple",), 2, "did you mean people?"),
        (("render", "a.mp4", "-o", "b.mp4", "--flow", "hid"), 2, "--flow: invalid choice: 'hid'"),
        (("people", "a" * 300 + ".mp4"), 2, "too long"),
        (("jobs", "prune", "--days", "-1"), 2, "--days"),
        (("jobs", "prune", "--days", "nan"), 2, "--days"),
        (("ui", "--port", "99999"), 2, "65535"),
        (("ui", "--host", "999.1.1.1"), 2, "address"),
        (("ui", "--allow", "nowhere"), 2, "nowhere"),
    ],
)
def test_a_wrong_request_gets_one_sentence_and_exit_2(
    home: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    code: int,
    words: str,
) -> None:
    assert run(*arguments) == code
    text = capsys.readouterr().err
    assert words in text
    assert "Traceback" not in text


def test_an_engines_setting_is_not_taken_for_one_of_the_scan() -> None:
    import argparse

    from facepick.cli.options import given, given_scan
    from facepick.cli.render import build_render
    from facepick.engines.swap.settings import MeshSettings

    parser = argparse.ArgumentParser(prog="facepick render", description="")
    build_render(parser)
    words = ["a.mp4", "-o", "b.mp4", "--min-face", "60", "--accuracy", "fast"]
    options = parser.parse_args(words)
    assert given_scan(options) == {"accuracy": "fast"}
    assert given(options, MeshSettings) == {"min_face": "60"}


def test_people_writes_the_contract(home: Path, clip: Path) -> None:
    file, folder = home / "people.json", home / "gallery"
    assert run("people", clip, "--json", file, "--gallery", folder) == 0
    data = json.loads(file.read_text())
    assert data["format"] == "facepick-people/1"
    assert data["video"]["frames"] == 150
    assert [p["id"] for p in data["people"] if not p.get("unsure")] == ["P1", "P2"]
    for person in data["people"]:
        assert person.keys() >= PERSON_FIELDS
        for name in person["thumbnails"]:
            assert (folder / name).is_file()
    for track in data["tracks"]:
        frames = [row[0] for row in track["boxes"]]
        assert frames == sorted(set(frames))


def test_people_is_read_by_a_person(
    known: Path, clip: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("people", clip) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "base_640x360.mp4: 2 people in 6.0 s (150 frames, 2 shots)"
    assert lines[2].split() == ["ID", "NAME", "ON", "SCREEN", "SURE", "SEEN", "AT"]
    assert lines[3].split()[:4] == ["P1", "-", "6.0", "s"]
    assert not any("Next" in line or "\x1b" in line for line in lines)
    assert run("people", clip, "--verbose") == 0
    assert "150 frames, tracks T" in capsys.readouterr().out
    # On a terminal: no line is wider, and what to do next can be copied.
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("NO_COLOR", "1")
    assert run("people", clip) == 0
    shown = capsys.readouterr().out
    told, _, after = shown.partition("\nNext:\n")
    assert max(map(len, told.splitlines())) <= 60
    assert f"facepick render {clip} -o out.mp4 --person P1 --flow hide" in after


def test_people_says_who_is_kept_apart_and_why(
    known: Path, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from facepick.app import App
    from facepick.cli.people import _tell_people

    scan = App().find_people(clip)
    one, two = scan.people
    doubtful = replace(two, unsure=True, doubt="unclear", may_be=(("P1", 0.31),))
    crowd = (replace(doubtful, id=name, may_be=(), group="bystanders") for name in ("P3", "P4"))
    scan = replace(scan, people=(replace(one, name="Anna"), doubtful, *crowd))
    _tell_people(scan, verbose=False)
    told = capsys.readouterr().out
    assert told.startswith("base_640x360.mp4: 1 person in")
    assert re.search(r"\nP2 +- +4.0 s at 0:00-0:04 +Anna \(31%\) +too small, blurred", told)
    assert "P3, P4: 2 bystanders" in told
    assert "--include-unsure" in told
    _tell_people(scan, verbose=True)
    assert re.search(r"\nP4 .*counted among the bystanders; tracks T", capsys.readouterr().out)


@pytest.mark.slow
def test_hide_leaves_a_result_a_report_and_the_times(
    known: Path, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from facepick.media.reader import VideoReader

    out = known / "out.mp4"
    job = ("render", clip, "-o", out, "--person", "P1", "--flow", "hide", "--style", "pixelate")
    assert run(*job) == 0
    report = json.loads((known / "out.mp4.facepick.json").read_text())
    assert report["format"] == "facepick-report/1"
    assert len(report["frames"]) == 150
    with VideoReader(clip) as a, VideoReader(out) as b:
        times = [
            (x.time.seconds, y.time.seconds) for x, y in zip(a.frames(), b.frames(), strict=True)
        ]
    assert all(x == y for x, y in times)
    assert run(*job) == 2, "an existing result is not overwritten unasked"
    assert run(*job, "--force") == 0
    capsys.readouterr()
    assert run("inspect", out) == 0
    read = capsys.readouterr().out
    assert read.startswith("out.mp4: unchanged since it was rendered.\n")
    assert re.search(r"\nP1 +Face hidden \(pixelate\) +150 of 150 +-\n", read)
    assert 'The file says: "Edited with facepick' in read
    assert run("inspect", out, "--verbose") == 0
    assert "P1\thide pixelate\t150 frames changed" in capsys.readouterr().out
    assert run("jobs", "list") == 0
    header, row, _ = capsys.readouterr().out.splitlines()
    assert header.split() == ["JOB", "WHAT", "STATE", "MADE", "NOTICES", "OF"]
    assert row.endswith(str(out))
    assert run("jobs", "show", row.split()[0]) == 0
    assert "\nP1 hide: 150 of 150 frames changed\n" in capsys.readouterr().out


def test_settings_of_another_engine_are_refused(
    known: Path, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = ("render", clip, "-o", known / "x.mp4", "--person", "P1", "--flow", "hide")
    assert run(*base, "--style", "pixelate", "--picture", "a.png") == 2
    assert "--picture" in capsys.readouterr().err
    assert run(*base, "--style", "no_such_style") == 2
    assert "pixelate" in capsys.readouterr().err
    assert not (known / "x.mp4").exists()


def test_an_unknown_person_is_named_with_those_there_are(
    known: Path, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("render", clip, "-o", known / "x.mp4", "--person", "P9", "--flow", "hide") == 2
    text = capsys.readouterr().err
    assert "P9" in text
    assert "P1" in text


@pytest.mark.slow
def test_a_plan_with_two_flows_in_one_encode(known: Path, clip: Path) -> None:
    plan = {
        "format": "facepick-plan/1",
        "video": str(clip),
        "assignments": [
            {"people": ["P1"], "flow": "hide", "engine": "pixelate"},
            {"people": ["P2"], "flow": "hide", "engine": "cover", "settings": {}},
        ],
    }
    file = known / "plan.json"
    file.write_text(json.dumps(plan))
    out = known / "both.mp4"
    assert run("render", "--plan", file, "-o", out) == 0
    report = json.loads((known / "both.mp4.facepick.json").read_text())
    assert [(p["id"], p["engine"]) for p in report["people"]] == [
        ("P1", "pixelate"),
        ("P2", "cover"),
    ]
    assert all(p["frames_changed"] > 50 for p in report["people"])


@pytest.mark.slow
def test_what_was_asked_for_is_kept_as_a_plan(
    known: Path, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = known / "saved.json"
    job = ("render", clip, "--person", "P1", "--flow", "hide", "--style", "pixelate")
    assert run(*job, "-o", known / "one.mp4", "--save-plan", saved, "--original", "duck") == 0
    plan = json.loads(saved.read_text())
    assert (plan["format"], plan["output"]["original"]) == ("facepick-plan/2", "duck")
    assert run("render", "--plan", saved, "-o", known / "two.mp4") == 0
    first, second = (
        json.loads((known / f"{n}.mp4.facepick.json").read_text())["frames"] for n in ("one", "two")
    )
    assert first == second
    # Neither another plan nor what the result is made of is overwritten.
    before = saved.read_text()
    capsys.readouterr()
    assert run(*job, "-o", known / "three.mp4", "--save-plan", saved) == 2
    assert "there already" in capsys.readouterr().err
    assert run(*job, "-o", known / "three.mp4", "--save-plan", clip, "--force") == 2
    assert "overwrite" in capsys.readouterr().err
    assert saved.read_text() == before
    assert not (known / "three.mp4").exists()


def test_corrections_are_kept(known: Path, clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("people", clip, "--rename", "P1=Anna") == 0
    assert "Anna" in capsys.readouterr().out
    assert run("people", clip) == 0
    assert "Anna" in capsys.readouterr().out
    assert run("people", clip, "--undo") == 0
    assert "Anna" not in capsys.readouterr().out


def test_preview_shows_both_halves(known: Path, clip: Path) -> None:
    from facepick.media.probe import probe

    out = known / "preview.mp4"
    assert (
        run("preview", clip, "-o", out, "--person", "P1", "--flow", "hide", "--at", 1,
            "--seconds", 1) == 0
    )  # fmt: skip
    info = probe(out)
    assert info.width >= 2 * 640
    assert info.height == 360
    assert info.declared_frames == 25
    assert info.audio


@pytest.mark.slow
def test_progress_as_json_lines_ends_with_done(home: Path, clip: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "facepick", "render", str(clip), "-o", str(home / "o.mp4"),
         "--person", "P1", "--flow", "hide", "--progress", "jsonl"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[0]["event"] == "started"
    assert events[-1]["event"] == "done"
    stages = {e["stage"] for e in events if e["event"] == "progress"}
    assert {"scan", "render", "publish"} <= stages


@pytest.mark.slow
def test_a_cancelled_job_leaves_nothing_at_the_target_and_resumes(known: Path, clip: Path) -> None:
    from facepick.app import App
    from facepick.errors import Cancelled
    from facepick.people.selection import Selection
    from facepick.progress import CancelToken, Progress
    from facepick.render.plan import Assignment

    app = App()
    token = CancelToken()
    out = known / "o.mp4"
    plan = app.make_plan(
        clip, [Assignment(selection=Selection(("P1",)), flow="hide", engine="blur")]
    )
    job = app.new_render_job(plan, out)

    def stop(report: Progress) -> None:
        if report.stage == "render" and report.done > 10:
            token.cancel()

    with pytest.raises(Cancelled):
        app.run(job, progress=stop, cancel=token)
    assert app.job(job.id).state == "stopped"
    assert not list(known.glob("o.mp4*"))
    assert not list(known.glob(".o.mp4*"))
    assert run("jobs", "resume", job.id) == 0
    assert out.is_file()
    assert run("jobs", "resume", job.id) == 2


@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("out.xyz", "does not write"),
        ("nowhere/out.mp4", "no folder"),
        (".", "does not write"),
        ("b" * 300 + ".mp4", "shorter"),
        # 255 bytes are allowed, and the report's name is 14 longer than the result's.
        ("b" * 245 + ".mp4", "shorter"),
        ("folder.mp4", "is a folder"),
        ("speech.mp4", "overwrite speech.mp4"),
        ("clip.mp4", "overwrite clip.mp4"),
        ("there.mp4", "--force"),
    ],
)
@pytest.mark.parametrize("command", ["render", "preview"])
def test_a_result_that_cannot_be_is_refused_before_the_scan(
    home: Path,
    clip: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    out: str,
    words: str,
) -> None:
    monkeypatch.chdir(home)
    (home / "folder.mp4").mkdir()
    shutil.copy(clip, "clip.mp4")
    for name in ("speech.mp4", "there.mp4"):
        Path(name).write_bytes(b"precious")
    force = [] if out == "there.mp4" else ["--force"]
    assert run(command, "clip.mp4", "-o", out, "--person", "P1", "--flow", "lipsync",
               "--audio", "speech.mp4", *force) == 2  # fmt: skip
    assert words in capsys.readouterr().err
    assert not (home / "home" / "jobs").exists()
    assert Path("speech.mp4").read_bytes() == Path("there.mp4").read_bytes() == b"precious"


@pytest.mark.parametrize("option", [("--json", "no/x.json"), ("--gallery", "plan.json/x")])
def test_places_for_people_are_looked_at_before_the_scan(
    home: Path,
    clip: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    option: tuple[str, str],
) -> None:
    monkeypatch.chdir(home)
    Path("plan.json").write_text("{}")
    assert run("people", clip, *option) == 2
    assert option[1] in capsys.readouterr().err
    assert not (home / "home" / "cache").exists()


@pytest.mark.slow
def test_a_home_that_cannot_be_gets_a_sentence(
    home: Path, clip: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "file").write_text("")
    monkeypatch.setenv("FACEPICK_HOME", str(home / "file"))
    assert run("people", clip) == 2
    assert "file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 200_000, "too deeply"),
        ('{"format": "facepick-plan/1", "video": "v", "assignments": 1}', "list"),
        ("\x00", "not JSON"),
    ],
)
def test_a_hostile_plan_gets_a_sentence(
    home: Path, capsys: pytest.CaptureFixture[str], text: str, words: str
) -> None:
    (home / "plan.json").write_text(text)
    assert run("render", "--plan", home / "plan.json", "-o", home / "out.mp4") == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        '{"format": "facepick-report/1"}',
        '{"format": "facepick-report/1", "result": 3}',
    ],
)
def test_a_hostile_report_gets_a_sentence(
    home: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    (home / "out.mp4.facepick.json").write_text(text)
    assert run("inspect", home / "out.mp4") == 2
    assert "out.mp4.facepick.json" in capsys.readouterr().err


@pytest.mark.slow
def test_names_that_are_no_text_do_not_end_a_command(
    home: Path, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On Linux a file name is bytes; Python keeps what is no UTF-8 as lone surrogates."""
    strange = os.fsdecode("\u4eba äé ".encode() + b"\xff.mp4")
    try:
        shutil.copy(clip, home / strange)
    except OSError:
        pytest.skip("this file system takes only Unicode names")
    people = home / "people.json"
    assert run("people", home / strange, "--json", people) == 0
    assert json.loads(people.read_text(encoding="utf-8"))["video"]["path"] == str(home / strange)
    out = home / ("out " + strange)
    arguments = ("render", home / strange, "-o", out, "--person", "P1", "--flow", "hide")
    assert run(*arguments, "--preset", "ultrafast", "--progress", "jsonl") == 0
    assert out.is_file()
    assert run("inspect", out) == 0
    assert not list(home.glob(".facepick*"))


def test_of_several_corrections_of_several_videos_all_are_kept_or_none(
    known: Path, clip: Path, odd: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("people", clip, "--rename", "P1=Anna", "--rename", "P9=Ben") == 2
    assert "P9" in capsys.readouterr().err
    assert not list((known / "home" / "cache").glob("*.edits.json"))
    # The second of the two videos shows nobody who is called P2.
    assert run("people", clip, odd("no_audio.mp4"), "--split", "P2:T99") == 2
    assert not list((known / "home" / "cache").glob("*.edits.json"))


@pytest.mark.slow
def test_files_beside_the_video_are_not_imported(known: Path, clip: Path) -> None:
    """A folder of downloads may hold anything; the processes that commands start work in it."""
    folder = known / "downloads"
    folder.mkdir()
    for name in ("facepick", "json", "av", "numpy", "runpy", "cv2"):
        (folder / f"{name}.py").write_text("open('was_run', 'w'); raise SystemExit(9)")
    shutil.copy(clip, folder / "clip.mp4")
    words = ["render", "clip.mp4", "-o", "out.mp4", "--person", "P1", "--flow", "hide"]
    argv = python_module("facepick", *words, "--workers", "2")
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, (folder / "was_run").exists()) == (0, False), done.stderr
