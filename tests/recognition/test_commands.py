"""The commands, through the front door."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from facepick.cli import main
from facepick.errors import ToolError, UserInputError

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    shared_models: Path,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """Run a command in a home of its own; gives exit code, stdout and stderr."""
    monkeypatch.setenv("FACEPICK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FACEPICK_MODELS", str(shared_models))

    def call(*words: object) -> tuple[int, str, str]:
        code = main([str(word) for word in words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def test_verify_and_explain(run: Run, photos: Callable[[str], Path], tmp_path: Path) -> None:
    a, b = photos("anna/1.jpg"), photos("anna/2.jpg")
    code, out, _ = run("verify-faces", a, b)
    assert (code, out.split("\t")[0]) == (0, "same")
    code, out, _ = run("verify-faces", a, photos("ben/1.jpg"), "--json")
    answer = json.loads(out)
    assert (code, answer["same"], answer["calibrated"]) == (0, False, True)
    assert answer["distance"] > answer["threshold"]
    sheet = tmp_path / "sheet.png"
    assert run("explain", a, b, "-o", sheet)[0] == 0
    assert sheet.read_bytes()[:4] == b"\x89PNG"
    code, _, err = run("explain", a, b, "-o", sheet)
    assert (code, "--force" in err) == (2, True)


@pytest.mark.slow
def test_photos_are_compared_in_a_child_process(
    run: Run, photos: Callable[[str], Path], tmp_path: Path
) -> None:
    from facepick.app import App

    sheet = tmp_path / "sheet.jpg"
    a, b = photos("anna/1.jpg"), photos("ben/1.jpg")
    answer = App().explain_faces(a, b, sheet)
    code, out, _ = run("verify-faces", a, b, "--json")
    assert (code, {**json.loads(out), "sheet": str(sheet)}) == (0, answer)
    assert sheet.read_bytes()[:2] == b"\xff\xd8"


@pytest.mark.slow
def test_the_child_says_what_is_wrong_and_ends_in_time(
    run: Run, photos: Callable[[str], Path], tmp_path: Path
) -> None:
    from facepick.app import App
    from facepick.recognition.child import explain_in_child

    photo, wrong = photos("anna/1.jpg"), tmp_path / "--json.jpg"
    wrong.write_text("this is no picture")
    with pytest.raises(UserInputError, match=r"--json\.jpg is no PNG, JPEG or WebP"):
        App().explain_faces(photo, wrong, tmp_path / "sheet.jpg")
    # No interpreter starts within a millisecond.
    with pytest.raises(ToolError, match="longer than"):
        explain_in_child(photo, photo, tmp_path / "sheet.jpg", {}, limit_seconds=0.001)


def test_what_is_missing_is_said_with_exit_code_3(run: Run, photos: Callable[[str], Path]) -> None:
    photo = photos("anna/1.jpg")
    code, _, err = run("verify-faces", photo, photo, "--model", "w600k_r50")
    assert code == 3
    assert "w600k_r50.onnx" in err
    code, _, err = run("verify-faces", photo, photo, "--model", "eigenfaces")
    assert code == 2
    assert "Known: sface" in err
    assert run("verify-faces", photo, "nowhere.jpg")[0] == 2


def test_evaluate_prints_the_figures_and_keeps_thresholds(
    run: Run, photos: Callable[[str], Path], tmp_path: Path
) -> None:
    faces = tmp_path / "people"
    for name in ("anna", "ben"):
        shutil.copytree(photos(name), faces / name)
    code, out, err = run(
        "evaluate", faces, "--pictures", tmp_path / "p", "--save-thresholds", "--json", "-"
    )
    figures = json.loads(out)
    assert code == 0
    assert figures["pairs_same"] == 6
    assert {m["metric"] for m in figures["metrics"]} >= {"cosine", "angular"}
    # Nine pairs of two people cannot show one in a hundred.
    assert figures["metrics"][0]["tpr_at_fpr"]["0.01"] is None
    assert "thresholds.json" in err
    assert len(list((tmp_path / "p").glob("*_roc.png"))) == 4
    code, out, _ = run("verify-faces", faces / "anna/1.jpg", faces / "anna/2.jpg", "--json")
    assert json.loads(out)["measured_on"] == "people (2 people, 6 photos)"
    code, out, _ = run("evaluate", "--list")
    assert (code, out.splitlines()[0].split("\t")[0]) == (0, "yunet")
    assert run("evaluate")[0] == 2
    assert run("evaluate", tmp_path / "nothing")[0] == 2


@pytest.mark.slow
def test_a_cast_carries_over_from_one_video_to_the_next(
    run: Run, odd: Callable[[str], Path], clip: Callable[[str], Path], tmp_path: Path
) -> None:
    first = odd("base_640x360.mp4")
    assert run("cast", "list")[0] == 0
    code, out, _ = run("cast", "add", "Mei", "--from", f"{first}:P1", "--progress", "none")
    assert code == 0
    assert "faces added" in out
    code, out, _ = run("cast", "match", first, "--progress", "none")
    rows = [line.split("\t") for line in out.splitlines()]
    assert code == 0
    assert {row[0]: row[2] for row in rows} == {"P1": "Mei", "P2": "-"}
    again, strangers = odd("vfr_irregular.mp4"), clip("cisco_2people_320x192")
    code, out, _ = run("cast", "match", again, strangers, "--json", "--progress", "none")
    table = json.loads(out)
    assert code == 0
    known = [p for p in table["people"] if p["known"]]
    assert [p["name"] for p in known] == ["Mei"]
    assert known[0]["seconds"][0] > 2
    assert known[0]["seconds"][1] == 0
    out_file = tmp_path / "cast.zip"
    assert run("cast", "export", out_file)[0] == 0
    assert run("cast", "remove", "mei")[0] == 0
    assert run("cast", "list", "--json")[1].strip().endswith('"people": []}')
    assert run("cast", "import", out_file)[0] == 0
    assert run("cast", "rename", "Mei", "梅")[0] == 0
    assert "梅\t" in run("cast", "list")[1]
    assert run("cast", "remove", "nobody")[0] == 2
    assert run("cast", "add", "X")[0] == 2
    assert run("cast", "add", "X", "--from", first)[0] == 2
