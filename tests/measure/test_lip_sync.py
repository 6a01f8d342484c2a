"""The sync of a finished result, measured on its own frames."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.measure.syncnet_standin import write_weights

from facepick.measure.lip_sync import measure_sync
from facepick.media.writer import EncodeSettings
from facepick.models.store import ModelStore, default_store
from facepick.people.finder import find_people
from facepick.people.person import Scan
from facepick.people.selection import Selection
from facepick.render.plan import Assignment, RenderPlan
from facepick.speech.line import SpeechLine

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def scan(
    odd: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory, shared_models: Path
) -> Scan:
    return find_people(
        odd("base_640x360.mp4"),
        models=default_store([shared_models]),
        cache=tmp_path_factory.mktemp("scan"),
    )


def report_of(
    scan: Scan, flow: str, speech: tuple[SpeechLine, ...], frames: int
) -> dict[str, object]:
    """A sidecar that says: every fifth frame was left alone, the others were made."""
    plan = RenderPlan(
        video=str(scan.video.path),
        assignments=(
            Assignment(
                selection=Selection(("P1",)),
                flow=flow,
                engine="rewrite" if flow == "lipsync" else "pixelate",
                speech=speech,
            ),
        ),
        encode=EncodeSettings(),
        stop=frames,
    )
    changes = [
        {"person": "P1", "flow": flow, "done": i % 5 != 0, "reason": "silence"}
        for i in range(frames)
    ]
    rows = [{"frame": i, "changes": [change]} for i, change in enumerate(changes)]
    return {"plan": plan.to_json(), "frames": rows}


def test_an_unchanged_result_is_as_sharp_and_has_no_seam(
    scan: Scan, shared_media: Path, tmp_path: Path
) -> None:
    line = SpeechLine(path=str(shared_media / "speech" / "en_ljspeech_f_22k.wav"))
    report = report_of(scan, "lipsync", (line,), 50)
    (entry,) = measure_sync(
        scan.video.path, report, scan, models=default_store(), plots=tmp_path / "plots"
    )
    assert entry["person"] == "P1"
    assert entry["frames"] == {"made": 40, "silence": 10}
    assert entry["sharpness_ratio"] == 1.0
    assert entry["seam_contrast"] == 0.0
    assert entry["openness"] is None
    assert entry["formant"] is not None
    assert (tmp_path / "plots" / "P1.sync.png").stat().st_size > 1000


def test_without_lip_sync_there_is_nothing_to_measure(scan: Scan) -> None:
    report = report_of(scan, "hide", (), 10)
    assert measure_sync(scan.video.path, report, scan, models=default_store()) == []


def test_syncnet_scores_stand_beside_where_the_user_has_its_weights(
    scan: Scan, shared_media: Path, tmp_path: Path
) -> None:
    line = SpeechLine(path=str(shared_media / "speech" / "en_ljspeech_f_22k.wav"))
    report = report_of(scan, "lipsync", (line,), 32)
    models = ModelStore([tmp_path], tmp_path)
    (without,) = measure_sync(scan.video.path, report, scan, models=models)
    assert "syncnet" not in without
    weights = tmp_path / "syncnet_v2.model"
    weights.write_bytes(b"no checkpoint")
    (broken,) = measure_sync(scan.video.path, report, scan, models=models)
    assert broken == without
    write_weights(weights)
    (entry,) = measure_sync(scan.video.path, report, scan, models=models)
    scores = entry.pop("syncnet")
    assert entry == without
    assert 25 <= scores["clips"] <= 28
    assert scores["lse_d"] > 0
    assert scores["lse_c"] >= 0
