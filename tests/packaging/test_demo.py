"""The demo, from the bundled clip to its sheets, measured against the clip's ground truth."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from facepick.app import App
from facepick.demo import contact_sheet, demo_clip, demo_speech, run_demo
from facepick.errors import RenderError
from facepick.media.audio import read_mono
from facepick.media.probe import probe
from facepick.media.reader import VideoReader

pytestmark = pytest.mark.slow

TRUTH = json.loads(
    (Path(__file__).parents[1] / "media" / "two_people.json").read_text(encoding="utf-8")
)


@pytest.fixture(scope="module")
def made(
    tmp_path_factory: pytest.TempPathFactory, shared_models: Path
) -> Iterator[dict[str, Path]]:
    """What one run of the demo made, in an empty home."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACEPICK_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("FACEPICK_MODELS", str(shared_models))
        yield run_demo(App(), tmp_path_factory.mktemp("demo"))


def test_the_clip_is_small_and_as_its_ground_truth_says() -> None:
    info = probe(demo_clip())
    assert demo_clip().stat().st_size < 3_000_000
    assert (info.width, info.height) == (TRUTH["width"], TRUTH["height"])
    with VideoReader(demo_clip()) as reader:
        indices = [frame.index for frame in reader.frames()]
    assert indices == [frame["i"] for frame in TRUTH["frames"]] == list(range(TRUTH["n_frames"]))


def test_the_speech_is_speech() -> None:
    samples = read_mono(demo_speech())
    assert 7.5 < len(samples) / 16000 < 8
    assert np.abs(samples).max() > 0.1


def test_everything_is_made(made: dict[str, Path]) -> None:
    assert list(made) == ["people", "result", "report", "before and after"]
    assert all(path.stat().st_size > 10_000 for path in made.values())


def test_one_is_hidden_and_the_other_only_speaks(made: dict[str, Path]) -> None:
    """B is in 255 frames and A in 175; all of B's faces change, and of A's only the lower half.

    "Changed" is a mean difference of more than 10 of 255 in the box, "unchanged" at most 3: the
    second encoding alone makes 1 to 2.
    """
    hidden = visible = 0
    spoken: list[float] = []
    with VideoReader(demo_clip()) as before, VideoReader(made["result"]) as after:
        pairs = zip(before.frames(), after.frames(), TRUTH["frames"], strict=True)
        for source, result, truth in pairs:
            for face in truth["faces"]:
                if face["visible"] < 0.5:
                    continue
                x0, y0, x1, y1 = (max(0, round(v)) for v in face["box"])
                x1, y1 = min(x1, TRUTH["width"]), min(y1, TRUTH["height"])
                one = source.picture.crop(x0, y0, x1, y1).astype(np.int16)
                two = result.picture.crop(x0, y0, x1, y1).astype(np.int16)
                difference = np.abs(one - two)
                if face["id"] == "B":
                    visible += 1
                    hidden += float(difference.mean()) > 10
                else:
                    half = len(difference) // 2
                    assert float(difference[:half].mean()) <= 3, truth["i"]
                    spoken.append(float(difference[half:].mean()))
    assert hidden == visible
    assert sum(value > 3 for value in spoken) > 0.4 * len(spoken)


def test_the_new_speech_is_heard(made: dict[str, Path]) -> None:
    heard, speech = read_mono(made["result"]), read_mono(demo_speech())
    n = min(len(heard), len(speech), 16000 * 7)
    # Compressed and matched in loudness, but the same waveform, sample by sample.
    assert float(np.corrcoef(heard[:n], speech[:n])[0, 1]) > 0.9


def test_a_contact_sheet_wants_frames_that_exist() -> None:
    with pytest.raises(RenderError, match="no frame 355"):
        contact_sheet(demo_clip(), demo_clip(), [0, 355])
