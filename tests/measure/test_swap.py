"""The faces of a finished swap, measured on its own frames."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from tests.contracts.face_footage import frames_of
from tests.engines.swap.standins import store_in

from facepick.app import App
from facepick.cli import main
from facepick.engines.registry import default_registry
from facepick.measure.swap import measure_swap
from facepick.models.catalog import SFACE
from facepick.models.store import default_store
from facepick.people.person import Scan
from facepick.people.selection import Selection
from facepick.render.plan import Assignment
from facepick.render.report import read_report

pytestmark = pytest.mark.slow

FRAMES = 12


@pytest.fixture(scope="module")
def app(
    tmp_path_factory: pytest.TempPathFactory,
    shared_models: Path,
    people_known: Callable[[Path], None],
) -> Any:
    home = tmp_path_factory.mktemp("home")
    people_known(home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACEPICK_HOME", str(home))
        patch.setenv("FACEPICK_MODELS", str(shared_models))
        yield App()


@pytest.fixture(scope="module")
def scan(app: App, odd: Callable[[str], Path]) -> Scan:
    return app.find_people(odd("base_640x360.mp4"))


@pytest.fixture(scope="module")
def result(
    app: App, scan: Scan, shared_media: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Twelve frames in which P1 has another man's face."""
    folder = tmp_path_factory.mktemp("swap")
    (image,) = frames_of(shared_media / "video" / "latentsync_demo3.mp4", (8,))
    photo = folder / "photo.png"
    cv2.imwrite(str(photo), cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    item = Assignment(
        selection=Selection(("P1",)),
        flow="swap",
        engine="mesh",
        source=(str(photo),),
        consent="Both are contracted models.",
    )
    plan = app.make_plan(scan.video.path, [item]).part(0, FRAMES)
    app.render(plan, folder / "out.mp4")
    return folder / "out.mp4"


def test_a_swap_shows_the_source_and_an_untouched_clip_does_not(
    app: App, scan: Scan, result: Path, tmp_path: Path
) -> None:
    (entry,) = app.measure_swap(result, plots=tmp_path)
    assert entry["person"] == "P1"
    assert entry["frames"] == {"swapped": FRAMES}
    swapped = entry["identity"]["sface"]
    assert swapped["to_source_mean"] > 0.4
    assert 0.05 < entry["landmark_error_percent_of_face_height"]["mean"] < 2
    # The same report beside the source itself: nothing was changed there.
    (plain,) = measure_swap(
        scan.video.path,
        read_report(result),
        scan,
        models=app.models,
        registry=default_registry(),
    )
    kept = plain["identity"]["sface"]
    assert kept["to_target_mean"] == pytest.approx(1.0, abs=1e-4)
    assert kept["to_source_mean"] < swapped["to_source_mean"] - 0.2
    assert plain["landmark_error_percent_of_face_height"]["worst"] == pytest.approx(0, abs=1e-3)
    picture = cv2.imread(str(tmp_path / "P1.swap.png"))
    panels = len(entry["identity"]) + 1
    assert picture.shape == (200 * panels, 960, 3)
    green = np.all(np.abs(picture.astype(int) - (80, 160, 60)) < 40, axis=2)
    assert green[:, 70:900].any()


def test_frames_that_were_hidden_or_kept_are_not_measured(
    app: App, scan: Scan, result: Path
) -> None:
    report = read_report(result)
    for number in (3, 4):
        report["frames"][number]["changes"][0]["note"] = "hidden"
    report["frames"][5]["changes"][0].update(done=False, reason="profile")
    report["frames"][6]["changes"][0]["note"] = "fading"
    (entry,) = measure_swap(result, report, scan, models=app.models, registry=app.registry)
    assert entry["frames"] == {"fading": 1, "hidden": 2, "profile": 1, "swapped": FRAMES - 4}


def test_the_second_recogniser_is_none_that_the_engine_swaps_by(
    scan: Scan, app: App, result: Path, tmp_path: Path, shared_models: Path
) -> None:
    """The store has SFace and a stand-in for ArcFace, which inswapper uses and mesh does not."""
    models, report = store_in(tmp_path), read_report(result)
    shutil.copy(shared_models / SFACE.file, tmp_path)
    report["plan"]["stop"] = 2
    (built_in,) = measure_swap(result, report, scan, models=models, registry=app.registry)
    assert list(built_in["identity"]) == ["sface", "w600k_r50"]
    assert "second_recogniser" not in built_in
    report["plan"]["assignments"][0]["engine"] = "inswapper_128"
    (network,) = measure_swap(result, report, scan, models=models, registry=app.registry)
    assert list(network["identity"]) == ["sface"]
    assert network["second_recogniser"].startswith("none")


def test_without_a_swap_there_is_nothing_to_measure(app: App, scan: Scan, result: Path) -> None:
    report = read_report(result)
    report["plan"]["assignments"][0].update(flow="hide", engine="pixelate", source=[])
    models = default_store()
    assert measure_swap(result, report, scan, models=models, registry=app.registry) == []


def test_inspect_draws_what_the_result_holds(
    app: App, result: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch, shared_models: Path,
) -> None:  # fmt: skip
    monkeypatch.setenv("FACEPICK_HOME", str(app.host.home()))
    monkeypatch.setenv("FACEPICK_MODELS", str(shared_models))
    assert main(["inspect", str(result), "--plots", str(tmp_path / "plots"), "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["swap"][0]["frames"] == {"swapped": FRAMES}
    assert "sync" not in data
    assert (tmp_path / "plots" / "P1.swap.png").is_file()
