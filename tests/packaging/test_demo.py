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


def test_only_the_person_who_is_seen_longest_is_hidden(made: dict[str, Path]) -> None:
    """B is in 255 frames and A in 175; frames with B's face visible change there, A's never.

    "Changed" is a mean difference of more than 10 of 255 in the box, "unchanged" at most 3: the
    second encoding alone makes 1 to 2.
    """
    changed = {"A": 0, "B": 0}
    visible = {"A": 0, "B": 0}
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
                difference = float(np.abs(one - two).mean())
                visible[face["id"]] += 1
                changed[face["id"]] += difference > 10
                if face["id"] == "A":
                    assert difference <= 3, truth["i"]
    assert changed == {"A": 0, "B": visible["B"]}


def test_a_contact_sheet_wants_frames_that_exist() -> None:
    with pytest.raises(RenderError, match="no frame 355"):
        contact_sheet(demo_clip(), demo_clip(), [0, 355])
