"""The project file, what it promises, and what is in a built package."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from facepick import doctor
from facepick.models.catalog import all_specs

ROOT = Path(__file__).resolve().parents[2]

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def _name(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement.strip())[0].lower()


def _lines(path: Path) -> list[str]:
    lines = [line.split("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line]


def test_the_core_needs_neither_torch_nor_gradio_nor_deepface() -> None:
    core = {_name(r) for r in PROJECT["project"]["dependencies"]}
    assert core.isdisjoint({"torch", "gradio", "deepface"})


def test_requirements_hold_the_core_and_every_optional_package_in_the_same_ranges() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    wanted = [
        *PROJECT["project"]["dependencies"],
        *extras["ui"],
        *extras["torch"],
        *extras["deepface"],
    ]
    listed = _lines(ROOT / "requirements.txt")
    assert set(wanted) <= set(listed)
    # Beyond those only the second OpenCV, which deepface brings and whose version must be seen.
    assert {_name(r) for r in set(listed) - set(wanted)} == {"opencv-contrib-python-headless"}


def test_the_doctor_knows_the_same_lower_ends() -> None:
    told = {package.names[0]: package.lowest for package in doctor._PACKAGES}
    for requirement in PROJECT["project"]["dependencies"]:
        name, lowest = requirement.split(",")[0].split(">=")
        assert told[name] == lowest


def test_the_oldest_constraints_are_the_lower_ends() -> None:
    pins = dict(line.split("==") for line in _lines(ROOT / "tests/constraints/oldest.txt"))
    for requirement in PROJECT["project"]["dependencies"]:
        name, lowest = requirement.split(",")[0].split(">=")
        assert pins[name].startswith(lowest), requirement


def test_every_model_is_documented_with_its_licence_for_commerce() -> None:
    table = (ROOT / "docs/models.md").read_text(encoding="utf-8")
    for spec in all_specs():
        row = next((r for r in table.splitlines() if r.startswith(f"| `{spec.id}`")), "")
        assert all(name in row for name in (spec.file, *spec.aliases)), spec.id
        if spec.homepage in row:
            assert ("**no**" in row) != spec.commercial_use, spec.id


def test_torch_is_pinned_for_the_tests() -> None:
    assert "torch==2.13.0" in PROJECT["project"]["optional-dependencies"]["test"]


HEAVY = ("av", "cv2", "deepface", "gradio", "numpy", "onnxruntime", "scenedetect", "torch")


@pytest.mark.parametrize(
    ("module", "allowed"),
    [
        ("facepick", ()),
        ("facepick.cli", ("numpy",)),
        ("facepick.app", ("numpy",)),
        ("facepick.models.store", ()),
        ("facepick.models.device", ()),
        ("facepick.doctor", ()),
        ("facepick.demo", ()),
        ("facepick.engines.registry", ("numpy",)),
        ("facepick.http_api", ("numpy",)),
    ],
)
def test_importing_is_light(module: str, allowed: tuple[str, ...]) -> None:
    code = f"import sys, {module}; print(*sorted(set(sys.modules) & {set(HEAVY)!r}))"
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "lib", capture_output=True, text=True, check=True
    ).stdout.split()
    assert set(said) <= set(allowed)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Names of the files in the wheel, built from a copy without anything that git ignores."""
    pytest.importorskip("setuptools", minversion="69", reason="the build needs setuptools 69")
    source = tmp_path_factory.mktemp("source")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True
    ).stdout.decode("utf-8")
    for name in listed.split("\0"):
        if name.startswith(("lib/", "ui/")) or name in ("pyproject.toml", "README.md", "LICENSE"):
            target = source / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    out = tmp_path_factory.mktemp("out")
    subprocess.run(
        [
            sys.executable,
            "-c",
            f"from setuptools.build_meta import build_wheel; build_wheel({str(out)!r})",
        ],
        cwd=source,
        capture_output=True,
        check=True,
    )
    with zipfile.ZipFile(next(out.glob("*.whl"))) as archive:
        return archive.namelist()


@pytest.mark.slow
def test_the_wheel_holds_the_models_the_clip_and_their_licences(wheel: list[str]) -> None:
    data = "facepick/models/data"
    for name in (
        f"{data}/face_detection_yunet_2023mar.onnx",
        f"{data}/face_landmark.tflite",
        f"{data}/palm_detection_lite.tflite",
        f"{data}/hand_landmark_lite.tflite",
        f"{data}/silero_vad_16k_op15.onnx",
        f"{data}/LICENSE.yunet.txt",
        f"{data}/LICENSE.face_landmark.txt",
        f"{data}/LICENSE.silero_vad.txt",
        "facepick/data/demo/two_people.mp4",
        "facepick/data/demo/speech.wav",
        "facepick/data/demo/NOTICE.txt",
        "facepick/data/demo/LICENSE.txt",
    ):
        assert name in wheel


def test_the_wheel_holds_two_packages_and_every_data_file(wheel: list[str]) -> None:
    tops = {name.split("/")[0] for name in wheel}
    assert {t for t in tops if not t.endswith(".dist-info")} == {"facepick", "facepick_ui"}
    listed = subprocess.run(
        ["git", "ls-files", "lib/facepick", "ui/facepick_ui"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    missing = {name.split("/", 1)[1] for name in listed} - set(wheel)
    assert missing == set()
