"""The doctor: every check has a name, and whoever is told of a problem is told what to do."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from facepick import doctor
from facepick.doctor import Check, run_checks
from facepick.models.store import ModelStore


def _by_name(checks: list[Check]) -> dict[str, Check]:
    names = [check.name for check in checks]
    assert len(set(names)) == len(names)
    return {check.name: check for check in checks}


def test_everything_required_is_there_and_problems_come_with_a_fix(
    tmp_path: Path, shared_models: Path
) -> None:
    checks = run_checks(ModelStore([shared_models], tmp_path), home=tmp_path / "home")
    found = _by_name(checks)
    assert [c for c in checks if c.required and not c.ok] == []
    assert all(check.fix for check in checks if not check.ok)
    assert all(not check.fix for check in checks if check.ok)
    assert all(check.detail for check in checks)
    assert found["model sface"].detail == str(shared_models / "face_recognition_sface_2021dec.onnx")
    assert found["ffmpeg"].ok
    assert found["encoder libx264"].ok
    assert (tmp_path / "home").is_dir()


def test_missing_models_and_an_unusable_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("FACEPICK_MODELS", str(tmp_path / "gone"))
    found = _by_name(run_checks(ModelStore([], tmp_path / "own"), home=tmp_path / "file"))
    assert not found["model sface"].ok
    assert found["model sface"].required
    assert "facepick models fetch sface" in found["model sface"].fix
    assert not found["model wav2lip"].ok
    assert not found["model wav2lip"].required
    assert not found["home"].ok
    assert "FACEPICK_HOME" in found["home"].fix
    assert "disk" not in found
    assert not found[f"folder {tmp_path / 'gone'}"].ok


def _install(folder: Path, name: str, version: str) -> None:
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


@pytest.mark.parametrize(("second", "ok"), [("4.10.0.84", True), ("4.9.0.80", False)])
def test_two_opencv_packages_must_be_of_one_version(tmp_path: Path, second: str, ok: bool) -> None:
    """In another process, whose packages are nothing but two OpenCVs."""
    _install(tmp_path, "opencv-python", "4.10.0.84")
    _install(tmp_path, "opencv-contrib-python-headless", second)
    code = (
        "from facepick import doctor\n"
        "check = next(c for c in doctor._opencv() if c.name == 'opencv packages')\n"
        "print(check.ok, check.fix)\n"
    )
    library = str(Path(doctor.__file__).parents[1])
    said = subprocess.run(
        # -S: none of this environment's own packages.
        [sys.executable, "-S", "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([library, str(tmp_path)])},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split(" ", 1)
    assert said[0] == str(ok)
    assert ("opencv-contrib-python-headless==4.10.0.84" in said[1]) != ok


@pytest.mark.parametrize(
    ("version", "numbers"),
    [("2.13.0+cpu", (2, 13, 0)), ("4.8.1.78", (4, 8, 1, 78)), ("5.0.0rc1", (5, 0, 0)), ("", ())],
)
def test_versions_are_compared_by_their_numbers(version: str, numbers: tuple[int, ...]) -> None:
    assert doctor._numbers(version) == numbers


def test_a_package_of_the_webui_that_somebody_has_moved_is_named(tmp_path: Path) -> None:
    numpy, pillow = version("numpy"), version("pillow")
    place = tmp_path / "extensions" / "facepick"
    pins = tmp_path / "requirements_versions.txt"
    pins.write_text(f"# pins\nGitPython==3.1\nnumpy==1.0  # old\nPillow=={pillow}\nprotobuf>=3\n")
    [check] = doctor.host_pins(place)
    assert (check.name, check.ok, check.required) == ("host's numpy", False, False)
    assert f"{numpy}, but the WebUI asks for 1.0" in check.detail
    assert "numpy==1.0" in check.fix
    pins.write_text(f"numpy=={numpy}\n")
    assert doctor.host_pins(place) == []
    pins.unlink()
    assert doctor.host_pins(place) == []
    assert doctor.host_pins(tmp_path / "elsewhere") == []


def test_espeak_is_looked_for_and_how_to_get_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    (found,) = doctor._espeak()
    assert (found.name, found.required) == ("espeak-ng", False)
    assert found.ok is not bool(found.fix)
    monkeypatch.setattr("facepick.speech.espeak.espeak_found", lambda: "")
    (gone,) = doctor._espeak()
    assert not gone.ok
    assert "not installed" in gone.detail
    for way in ("apt install", "brew install", "winget install", "pip install"):
        assert way in gone.fix


def test_what_is_ready_is_told_by_flow(tmp_path: Path, shared_models: Path) -> None:
    from facepick.engines.registry import default_registry

    engines = default_registry().all()
    store = ModelStore([], tmp_path / "own")
    (tmp_path / "own").mkdir()
    lone = run_checks(store, home=tmp_path / "home")
    assert not any(flow.ready for flow in doctor.readiness(lone, engines, store))
    (tmp_path / "own" / "face_recognition_sface_2021dec.onnx").symlink_to(
        shared_models / "face_recognition_sface_2021dec.onnx"
    )
    checks = run_checks(store, home=tmp_path / "home")
    flows = {flow.what: flow for flow in doctor.readiness(checks, engines, store)}
    assert flows["Find people"].ready
    assert flows["Lip sync"].detail.startswith("rewrite; not set up: wav2lip, ")
    assert flows["Swap a face"].detail.startswith("mesh; not set up: inswapper_128, ")
    assert flows["Hide a person"].detail == "pixelate, blur, cover"
    assert "facepick models fetch speakers" in flows["Who speaks"].detail


def test_the_command_says_little_unless_it_is_asked(
    tmp_path: Path,
    shared_models: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from facepick.cli import main

    monkeypatch.setenv("FACEPICK_HOME", str(tmp_path))
    monkeypatch.setenv("FACEPICK_MODELS", str(shared_models))
    assert main(["doctor"]) == 0
    brief = capsys.readouterr().out
    assert len(brief.splitlines()) <= 10
    assert re.search(r"\nLip sync +ready +rewrite", brief)
    assert main(["doctor", "--verbose"]) == 0
    whole = capsys.readouterr().out
    assert "ok   model sface: " in whole
    monkeypatch.setenv("FACEPICK_MODELS", "")
    assert main(["doctor"]) == 0
    lacking = capsys.readouterr().out
    assert "MISSING model sface" in lacking
    assert "facepick models fetch sface" in lacking
    assert "NOT READY" in lacking
