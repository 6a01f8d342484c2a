"""The report on faces whose lips are known to follow the sound, or not to."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from tests.contracts.face_footage import face_requests
from tests.sounds import LJSPEECH_WORDS

from facepick.compositing.patch import FaceRequest
from facepick.faces.mesh import mouth_opening
from facepick.measure.sync_report import SyncMeter, write_report
from facepick.media.audio import read_mono
from facepick.speech.line import Speech, SpeechLine

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def speech(shared_media: Path) -> Speech:
    path = shared_media / "speech" / "en_ljspeech_f_22k.wav"
    line = SpeechLine(path=str(path), text=LJSPEECH_WORDS)
    return Speech(samples=read_mono(path), lines=(line,))


@pytest.fixture(scope="module")
def face(odd: Callable[[str], Path]) -> FaceRequest:
    return face_requests(odd("base_640x360.mp4"), (0,), margin=0.5, mesh=True)[0]


def opened(face: FaceRequest, opening: float, frame: int) -> FaceRequest:
    """The face with its lips so far apart, in distances of the outer eye corners."""
    assert face.mesh is not None
    mesh = face.mesh.copy()
    eyes = float(np.linalg.norm(mesh[33] - mesh[263]))
    for upper, lower in ((13, 14), (82, 87), (312, 317)):
        mesh[lower] = mesh[upper] + np.float32([0, opening * eyes, 0])
    return replace(face, mesh=mesh, frame=frame, time=Fraction(frame, 25))


def wanted_opening(speech: Speech) -> np.ndarray:
    from facepick.speech.visemes import curves_of

    curves = curves_of(speech, language="en-us")
    return np.asarray(curves.opening * (1 - curves.closure), np.float64)


def measured(
    speech: Speech, face: FaceRequest, curve: np.ndarray, late: float, frames: int = 190
) -> SyncMeter:
    meter = SyncMeter(speech)
    for frame in range(frames):
        value = float(np.interp(frame / 25 - late, np.arange(len(curve)) * 0.01, curve))
        meter.add(opened(face, 0.3 * value, frame))
    return meter


def test_opening_in_eye_distances(face: FaceRequest) -> None:
    assert mouth_opening(opened(face, 0.17, 0).mesh) == pytest.approx(0.17, rel=1e-3)  # type: ignore[arg-type]


@pytest.mark.parametrize("late", [0.0, 0.08])
def test_lips_that_follow_the_phones(
    speech: Speech, face: FaceRequest, late: float, tmp_path: Path
) -> None:
    meter = measured(speech, face, wanted_opening(speech), late)
    report = meter.report()
    assert report["openness"]["best_r"] > 0.85
    assert report["openness"]["best_lag_ms"] == pytest.approx(1000 * late, abs=20)
    assert report["openness"]["wrong_sound_r"] < 0.4
    if not late:
        assert report["closures"]["met"] > 0.9
        assert report["closures"]["met"] > report["closures"]["by_chance"] + 0.4
    assert report["share_made"] == 1.0
    (line,) = report["lines"]
    assert (line["start"], line["stop"]) == (0.0, pytest.approx(7.658, abs=0.002))
    write_report(report, tmp_path / "report.json")
    assert json.loads((tmp_path / "report.json").read_text()) == report
    meter.plot(tmp_path / "plot.png", title="P1")
    assert (tmp_path / "plot.png").read_bytes()[:4] == b"\x89PNG"


def test_a_guess_is_no_mark_for_lips_that_were_made_by_it(
    speech: Speech, face: FaceRequest, tmp_path: Path
) -> None:
    """Without words the phones are guessed, as the engine guesses them."""
    unknown = replace(speech, lines=(replace(speech.lines[0], text=None),))
    meter = measured(unknown, face, wanted_opening(unknown), 0.0)
    report = meter.report()
    assert report["phones_from"] == "sound"
    assert report["openness"] is None
    assert report["closures"] is None
    # What no engine listens to: the level of the first formant.
    right = report["formant"]
    wrong = measured(unknown, face, wanted_opening(unknown)[::-1], 0.0).report()["formant"]
    assert right["r"] > max(right["wrong_sound_r"], wrong["r"]) + 0.3
    meter.plot(tmp_path / "plot.png", title="P1")
    assert (tmp_path / "plot.png").stat().st_size > 1000


def test_lips_that_follow_other_sound(speech: Speech, face: FaceRequest) -> None:
    report = measured(speech, face, wanted_opening(speech)[::-1], 0.0).report()
    assert report["openness"]["r"] < 0.35
    # Some lag is the best even here, and says nothing.
    assert report["openness"]["best_lag_ms"] is None
    assert report["loudness"]["best_lag_ms"] is None


def test_a_line_ends_with_its_sound(speech: Speech, face: FaceRequest, shared_media: Path) -> None:
    path = str(shared_media / "speech" / "en_katie_f_18s_16k.wav")
    lines = (
        SpeechLine(path=path, start_seconds=0.5, duration_seconds=2.0),
        SpeechLine(path=path, start_seconds=2.25, offset_seconds=17.3434375),
    )
    report = measured(replace(speech, lines=lines), face, wanted_opening(speech), 0.0).report()
    spans = [(line["start"], line["stop"]) for line in report["lines"]]
    # The first is talked over by the second, which is one second long.
    assert spans == [(0.5, 2.25), (2.25, pytest.approx(3.25, abs=0.002))]


def test_the_plot_has_a_row_for_ten_seconds(speech: Speech, tmp_path: Path) -> None:
    import cv2

    heights = []
    for seconds in (8, 25):
        samples = np.resize(speech.samples, 16_000 * seconds)
        meter = SyncMeter(replace(speech, samples=samples))
        meter.plot(tmp_path / "plot.png", title="P1")
        picture = cv2.imread(str(tmp_path / "plot.png"))
        assert picture is not None
        heights.append(picture.shape[0])
        # The green line of what is wanted runs through every row.
        blue, middle, red = (picture[:, :, i].astype(int) for i in range(3))
        green = (middle > red + 30) & (middle > blue + 30)
        rows = np.array_split(green[-(130 * -(-seconds // 10)) :], -(-seconds // 10))
        assert all(row.sum() > 100 for row in rows)
    assert heights[1] - heights[0] == 2 * 130


def test_lips_that_shut_in_pauses_only_are_not_lucky(speech: Speech, face: FaceRequest) -> None:
    """Nor are an "f" and a "v" closures: nobody could meet them."""
    samples = np.concatenate([speech.samples, np.zeros(4 * 16_000, np.float32)])
    paused = Speech(samples=samples, lines=speech.lines)
    talking = np.where(np.arange(1200) < 765, 1.0, 0.0)
    report = measured(paused, face, talking, 0.0, frames=290).report()
    assert report["closures"]["met"] == 0.0
    assert report["closures"]["by_chance"] == pytest.approx(0.0, abs=0.1)


def test_reasons_are_counted_and_too_little_is_said(speech: Speech, face: FaceRequest) -> None:
    meter = SyncMeter(speech)
    for frame in range(6):
        meter.add(opened(face, 0.1, frame), reason="silence" if frame % 2 else None)
    meter.add(replace(face, mesh=None, mesh_score=0.0), reason="occluded")
    report = meter.report()
    assert report["frames"] == {"made": 3, "occluded": 1, "silence": 3}
    assert report["share_made"] == pytest.approx(3 / 7, abs=1e-3)
    assert report["openness"] is None
    assert report["sharpness_ratio"] is None


def test_a_blurred_mouth_and_a_hard_edge_show(speech: Speech, face: FaceRequest) -> None:
    import cv2

    assert face.mesh is not None
    lips = face.local(face.mesh[[61, 291, 0, 17]])
    (x0, y0), (x1, y1) = lips.min(0).astype(int) - 6, lips.max(0).astype(int) + 6
    soft = face.crop.copy()
    soft[y0:y1, x0:x1] = cv2.GaussianBlur(soft[y0:y1, x0:x1], (0, 0), 2)
    block = face.crop.copy()
    jaw = face.local(face.mesh[[152, 234, 454]])
    bottom, left, right = int(jaw[0, 1]) - 4, int(jaw[1, 0]), int(jaw[2, 0])
    block[y0:bottom, left:right] = np.clip(block[y0:bottom, left:right].astype(int) + 40, 0, 255)

    def numbers(crop: np.ndarray) -> tuple[float, float]:
        meter = SyncMeter(speech)
        meter.add(replace(face, crop=crop), original=face)
        report = meter.report()
        return report["sharpness_ratio"], report["seam_contrast"]

    same = numbers(face.crop.copy())
    assert same == (1.0, 0.0)
    assert numbers(soft)[0] < 0.5
    assert numbers(block)[1] > 5 * max(numbers(soft)[1], 0.01)


def test_who_is_given_no_line_says_nothing() -> None:
    meter = SyncMeter(Speech(samples=np.zeros(16_000, np.float32), lines=()))
    assert not meter.spoken_at(0.5)
