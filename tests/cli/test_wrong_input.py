"""Every command meets wrong files, places, people and numbers: exit 2 and one sentence each."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.sounds import RATE, written_wav

from facepick.cli import main

WRONG_FILES = ("missing", "folder", "picture.png", "text.mp4", "empty.mp4", "noise.mp4")
HIDE = ("--person", "P1", "--flow", "hide")
SPEAK = ("--person", "P1", "--flow", "lipsync", "--audio")
SWAP = ("--person", "P1", "--flow", "swap", "--i-have-the-right", "Yes.", "--source")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, shared_media: Path, shared_models: Path) -> Path:
    """A folder with a clip of one second, and with everything that is none."""
    folder = tmp_path_factory.mktemp("desk")
    (folder / "folder").mkdir()
    (folder / "text.mp4").write_text("Dear diary, this is no video.\n" * 9)
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "noise.mp4").write_bytes(np.random.default_rng(1).bytes(9999))
    (folder / "there.mp4").write_bytes(b"precious")
    cv2.imwrite(str(folder / "picture.png"), np.full((80, 80, 3), 90, np.uint8))
    hum = 9000 * np.sin(np.arange(RATE) * (2 * np.pi * 200 / RATE))
    written_wav(folder / "tone.wav", hum.astype(np.int16))
    shutil.copy(shared_media / "video" / "cisco_2people_320x192.mp4", folder / "clip.mp4")
    return folder


@pytest.fixture(autouse=True)
def here(desk: Path, shared_models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(desk)
    monkeypatch.setenv("FACEPICK_HOME", str(desk / "home"))
    monkeypatch.setenv("FACEPICK_MODELS", str(shared_models))


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The sentence on stderr; exit code 2 and nothing else printed is asserted."""
    code = main(list(arguments))
    printed = capsys.readouterr()
    assert code == 2, (arguments, printed)
    lines = printed.err.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("facepick: ")
    assert printed.out == ""
    for word in ("Traceback", "Unexpected", "Errno", "None", "invalid _"):
        assert word not in lines[0]
    return lines[0]


@pytest.mark.parametrize("file", WRONG_FILES)
@pytest.mark.parametrize(
    "command",
    [
        ("people", "{}"),
        ("render", "{}", "-o", "o.mp4", *HIDE),
        ("preview", "{}", "-o", "o.mp4", *HIDE),
        ("render", "--plan", "{}", "-o", "o.mp4"),
        ("render", "clip.mp4", "-o", "o.mp4", *SPEAK, "{}"),
        ("render", "clip.mp4", "-o", "o.mp4", "--flow", "lipsync", "--lines", "{}"),
        ("render", "clip.mp4", "-o", "o.mp4", *SWAP, "{}"),
        ("render", "clip.mp4", "-o", "o.mp4", *HIDE, "--style", "cover", "--picture", "{}"),
        ("inspect", "{}"),
        ("sources", "add", "Anna", "{}"),
        ("sources", "faces", "{}:P1"),
        ("cast", "add", "Anna", "{}"),
        ("verify-faces", "{}", "{}"),
        ("explain", "{}", "{}", "--out", "sheet.png"),
    ],
    ids=lambda c: "-".join(w for w in c if w[:1].isalpha())[:40],
)
def test_a_wrong_file(
    desk: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...], file: str
) -> None:
    if file == "picture.png" and "--picture" in command:
        pytest.skip("that is what it wants")
    refused(capsys, *(word.format(file) for word in command))
    assert not (desk / "o.mp4").exists()
    assert not (desk / "sheet.png").exists()


@pytest.mark.parametrize("number", ["nan", "inf", "-1", "1e300", "x", ""])
@pytest.mark.parametrize(
    "command",
    [
        ("preview", "clip.mp4", "-o", "o.mp4", *HIDE, "--at"),
        ("preview", "clip.mp4", "-o", "o.mp4", *HIDE, "--seconds"),
        ("render", "clip.mp4", "-o", "o.mp4", *SPEAK, "clip.mp4", "--audio-start"),
        ("render", "clip.mp4", "-o", "o.mp4", *SPEAK, "clip.mp4", "--audio-offset"),
        ("render", "clip.mp4", "-o", "o.mp4", *HIDE, "--margin"),
        ("render", "clip.mp4", "-o", "o.mp4", *HIDE, "--quality"),
        ("people", "clip.mp4", "--strictness"),
        ("ui", "--port"),
        ("sources", "add", "Anna", "picture.png", "--face"),
    ],
    ids=lambda c: f"{c[0]}{c[-1]}",
)
def test_a_wrong_number(
    desk: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...], number: str
) -> None:
    *before, option = command
    refused(capsys, *before, f"{option}={number}")
    assert not (desk / "o.mp4").exists()


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("render", "clip.mp4", "-o", "o.mp4", "--person", "P9", "--flow", "hide"), "P9"),
        (("preview", "clip.mp4", "-o", "o.mp4", "--person", "Nobody", "--flow", "hide"), "Nobody"),
        (("render", "clip.mp4", "-o", "o.mp4", "--flow", "hide"), "--person"),
        (("render", "clip.mp4", "-o", "o.mp4", "--person", "P1"), "--flow"),
        (("render", "clip.mp4", "-o", "o.mp4", *SWAP[:4], "--source", "there.mp4"), "right"),
        (
            ("render", "clip.mp4", "-o", "o.mp4", *SPEAK, "tone.wav", "--audio-start", "0.75"),
            "ends at 0.75 s",
        ),
        (("people", "clip.mp4", "--merge", "P1,P9"), "P9"),
        (("people", "clip.mp4", "--merge", "P1"), "Two"),
        (("people", "clip.mp4", "--split", "P1"), "T1"),
        (("people", "clip.mp4", "--rename", "P1"), "P1=Anna"),
        (("people", "clip.mp4", "--ignore", "P9"), "P9"),
        (("jobs", "resume", "../../etc"), "job"),
        (("jobs", "cancel", "x"), "job"),
        (("jobs",), "ACTION"),
        (("sources", "remove", "Nobody"), "Nobody"),
        (("sources", "add", "../x", "picture.png"), "name"),
        (("cast", "remove", "Nobody"), "Nobody"),
        (("models", "fetch"), "named"),
        (("models", "fetch", "x"), "x"),
        (("render", "clip.mp4", "-o", "o.mp4", *HIDE, "--no-such"), "--no-such"),
        (("people",), "VIDEO"),
        (("people", "clip.mp4", "--gallery", "there.mp4"), "there.mp4"),
        (("people", "clip.mp4", "--json", "folder"), "folder"),
        (("demo", "--out", "there.mp4"), "there.mp4"),
        (("explain", "clip.mp4", "clip.mp4", "--out", "nowhere/x.png"), "nowhere"),
    ],
    ids=lambda c: " ".join(c)[:50] if isinstance(c, tuple) else "",
)
def test_a_wrong_request(
    desk: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...], words: str
) -> None:
    assert words in refused(capsys, *command)
    assert (desk / "there.mp4").read_bytes() == b"precious"


@pytest.mark.parametrize("command", [(*SWAP[:4], "--source", "picture.png"), (*SPEAK, "missing")])
def test_what_is_lacking_is_said_before_the_scan(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: tuple[str, ...],
) -> None:
    monkeypatch.setenv("FACEPICK_HOME", str(tmp_path))
    refused(capsys, "render", "clip.mp4", "-o", "o.mp4", *command)
    assert not (tmp_path / "cache").exists()
    assert not (tmp_path / "jobs").exists()


COVERED = (*HIDE, "--engine", "cover", "--picture", "picture.png")


@pytest.mark.parametrize(
    ("arguments", "spared"),
    [
        (("people", "clip.mp4", "--json", "clip.mp4"), "clip.mp4"),
        (("cast", "match", "clip.mp4", "--json", "clip.mp4"), "clip.mp4"),
        (("render", "clip.mp4", "-o", "o.mp4", *COVERED, "--save-plan", "picture.png"), "picture"),
        (("render", "clip.mp4", "-o", "o.mp4", *HIDE, "--save-plan", "clip.mp4"), "clip.mp4"),
        (("render", "clip.mp4", "-o", "o.mp4", *HIDE, "--save-plan", "o.mp4"), "o.mp4"),
        (
            ("render", "clip.mp4", "-o", "o.mp4", *HIDE, "--save-plan", "o.mp4.facepick.json"),
            "o.mp4.facepick.json",
        ),
    ],
)
def test_force_never_reaches_what_the_output_is_made_of(
    arguments: tuple[str, ...], spared: str, desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path.name: path.read_bytes() for path in desk.iterdir() if path.is_file()}
    assert spared in refused(capsys, *arguments, "--force")
    assert {p.name: p.read_bytes() for p in desk.iterdir() if p.is_file()} == before


def test_a_link_to_the_video_is_the_video(
    desk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    link = tmp_path / "link.json"
    link.symlink_to(desk / "clip.mp4")
    before = (desk / "clip.mp4").read_bytes()
    assert "link.json" in refused(capsys, "people", "clip.mp4", "--json", str(link), "--force")
    assert (desk / "clip.mp4").read_bytes() == before


@pytest.mark.parametrize("folder", [".", "/"])
def test_a_folder_is_no_result(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "is a folder" in refused(capsys, "inspect", folder)


def test_too_long_a_name_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    words = (*HIDE, "--engine", "cover", "--picture", "x" * 300)
    assert "too long" in refused(capsys, "render", "clip.mp4", "-o", "o.mp4", *words)


def test_damaged_exports_of_a_cast_are_one_sentence(
    desk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    endless = tmp_path / "endless.json"
    endless.write_text(
        '{"format":"facepick-cast/1","model":"m","version":"v","alignment":"a","dimension":1e999,'
        '"people":[]}'
    )
    assert "no cast" in refused(capsys, "cast", "import", str(endless))
    for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA):
        packed = tmp_path / f"{method}.zip"
        with zipfile.ZipFile(packed, "w", method) as archive:
            archive.writestr("cast.json", '{"format": "facepick-cast/1"}' * 50)
        whole = bytearray(packed.read_bytes())
        start = whole.index(b"cast.json") + len("cast.json")
        whole[start + 12 : start + 24] = b"\xff" * 12
        packed.write_bytes(whole)
        assert "no cast" in refused(capsys, "cast", "import", str(packed))
