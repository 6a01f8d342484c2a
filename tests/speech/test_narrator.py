"""A narrator over a talking head, on twelve seconds of one who talks."""

from __future__ import annotations

import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from facepick.media.audio import read_mono
from facepick.models.store import ModelStore
from facepick.people.finder import ScanSettings, find_people
from facepick.people.person import Scan
from facepick.speech.face_watch import sound_of, watch_faces
from facepick.speech.speakers import Speakers, who_speaks

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def models(shared_models: Path, tmp_path_factory: pytest.TempPathFactory) -> ModelStore:
    return ModelStore([shared_models], tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def head(shared_media: Path, models: ModelStore, tmp_path_factory: pytest.TempPathFactory) -> Scan:
    folder = tmp_path_factory.mktemp("head")
    clip = folder / "head.mp4"
    source = shared_media / "video" / "latentsync_demo3.mp4"
    program = imageio_ffmpeg.get_ffmpeg_exe()
    words = ["-t", "12", "-vf", "scale=360:640", "-r", "25", "-preset", "veryfast", "-c:a", "aac"]
    subprocess.run(
        [program, "-v", "error", "-i", str(source), *words, str(clip)],
        check=True,
        stdin=subprocess.DEVNULL,
    )
    scan = find_people(clip, ScanSettings(), models=models, cache=folder)
    if scan.frames < 12 * 25:
        pytest.skip("the cut in the repository is too short to know a voice by; "
                    "set FACEPICK_SHARED_MEDIA")  # fmt: skip
    return scan


def heard_over(scan: Scan, samples: np.ndarray, models: ModelStore) -> Speakers:
    watched = watch_faces(scan, samples, models=models)
    return who_speaks(scan, watched, np.zeros(watched.moments, np.int64))


def test_the_voice_of_a_talking_head_is_its_own(head: Scan, models: ModelStore) -> None:
    found = heard_over(head, sound_of(head), models)
    assert {(t.person, t.state) for t in found.turns if t.end - t.start > 1} == {("P1", "sure")}


@pytest.mark.parametrize("voice", ["en_katie_f_18s_16k.wav", "en_jfk_m_11s_44k.flac"])
def test_a_narrator_is_not_the_head_that_is_shown(
    head: Scan, models: ModelStore, shared_media: Path, voice: str
) -> None:
    samples = read_mono(shared_media / "speech" / voice)
    found = heard_over(head, samples[: 12 * 16_000], models)
    assert len(found.turns) > 1
    assert {t.state for t in found.turns} <= {"unsure", "off_screen"}
    assert {v.person for v in found.voices} == {None}
