"""Two people, each with lines of their own, in one encode of a video that has to get longer."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from facepick.cli import main
from facepick.media.reader import VideoReader
from facepick.render.report import read_report

# A scan, two voices and an encode: over a minute where other work shares the cores.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_lines_of_two_people_in_a_video_that_bounces(
    tmp_path: Path, shared_media: Path, shared_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clip has 150 frames (6 s); the last line ends at 7.2 s, so 30 frames run backwards."""
    monkeypatch.setenv("FACEPICK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FACEPICK_MODELS", str(shared_models))
    clip = shared_media / "odd" / "base_640x360.mp4"
    speech = shared_media / "speech"
    lines = tmp_path / "lines.json"
    lines.write_text(
        json.dumps(
            [
                {
                    "start": 0.2,
                    "person": "P1",
                    "file": str(speech / "en_ljspeech_f_22k.wav"),
                    "duration": 3,
                },
                {
                    "start": 2.2,
                    "person": "P2",
                    "file": str(speech / "en_jfk.mp3"),
                    "duration": 5,
                },
            ]
        )
    )
    out = tmp_path / "out.mp4"
    job = ["render", str(clip), "-o", str(out), "--flow", "lipsync", "--lines", str(lines)]
    assert main([*job, "--length", "bounce", "--original", "duck", "--review", "off"]) == 0
    people = {p["id"]: p for p in read_report(out)["people"]}
    assert set(people) == {"P1", "P2"}
    assert all(p["frames_changed"] > 20 for p in people.values())
    with VideoReader(clip) as before, VideoReader(out) as after:
        source = [f.picture.small(160)[0].astype(np.int16) for f in before.frames()]
        result = [f.picture.small(160)[0].astype(np.int16) for f in after.frames()]
    assert len(result) == 180
    for frame in (150, 160, 179):
        nearest = min(
            range(150), key=lambda i, f=frame: float(np.abs(result[f] - source[i]).mean())
        )
        # The mouth differs, so a neighbouring frame may be as near.
        assert abs(nearest - (298 - frame)) <= 1
