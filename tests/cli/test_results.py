"""What a command says of a job that is done."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from facepick.cli.jobs import tell_result
from facepick.jobs.job import JobRecord


def record(result: Mapping[str, Any]) -> JobRecord:
    return JobRecord(
        id="20261123-000000-0000",
        kind="render",
        state="done",
        video="clip.mp4",
        out="out.mp4",
        request={},
        created=0.0,
        folder=Path("job"),
        result={"out": "out.mp4", "frames": 100, **result},
    )


NO_VOICE = "no voice is heard in the speech"


@pytest.mark.parametrize(
    ("result", "heard"),
    [
        ({"changed": {"P1 lipsync": 40}, "closed": {"P1 lipsync": 40}}, False),
        ({"changed": {"P1 lipsync": 0}, "left": {"P1 lipsync": {"silence": 100}}}, False),
        ({"changed": {"P1 lipsync": 40}, "closed": {"P1 lipsync": 30}}, True),
        ({"changed": {"P1 lipsync": 0}, "left": {"P1 lipsync": {"profile": 100}}}, True),
        ({"changed": {"P1 hide": 0}, "left": {"P1 hide": {"absent": 100}}}, True),
    ],
)
def test_speech_without_a_voice_is_told(
    result: Mapping[str, Any], heard: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    tell_result(record(result), "plain")
    assert (NO_VOICE in capsys.readouterr().err) is not heard


def test_frames_left_alone_are_counted_with_their_reasons(
    capsys: pytest.CaptureFixture[str],
) -> None:
    left = {"P1 hide": {"absent": 50, "occluded": 2}}
    tell_result(record({"changed": {"P1 hide": 48}, "left": left}), "plain")
    told = capsys.readouterr().out
    assert "P1 hide: 48 of 100 frames changed (left alone: absent 50, occluded 2)" in told
