"""Who speaks, over HTTP, and lip syncs in the words of sync.so."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

fastapi = pytest.importorskip("fastapi", reason="FastAPI comes with gradio, the extra `ui`")
pytest.importorskip("httpx", reason="the test client of FastAPI needs httpx")

from fastapi.testclient import TestClient  # noqa: E402
from tests.http.test_http_api import client, wait  # noqa: E402

from facepick.errors import UserInputError  # noqa: E402
from facepick.http_api import PREFIX  # noqa: E402
from facepick.http_examples import EXAMPLES  # noqa: E402
from facepick.http_speakers import Wish, asked_speakers  # noqa: E402

__all__ = ["client"]

DOCS = Path(__file__).parents[2] / "docs" / "http.md"


@pytest.mark.slow
def test_who_speaks_is_asked_corrected_and_drawn(client: TestClient, shared_media: Path) -> None:
    video = str(shared_media / "odd" / "base_640x360.mp4")
    job = client.post(f"{PREFIX}/speakers", json={"video": video}).json()["id"]
    assert wait(client, job)["state"] == "done"
    found = client.get(f"{PREFIX}/jobs/{job}/speakers").json()
    assert found["format"] == "facepick-speech/1"
    assert found["turns"]
    people = client.get(f"{PREFIX}/jobs/{job}/people").json()["people"]
    assert {"P1", "P2"} <= {p["id"] for p in people}
    asked = {"job": job, "set": ["L1=P2"]}
    turn = client.post(f"{PREFIX}/speakers/set", json=asked).json()["turns"][0]
    assert (turn["person"], turn["state"], turn["corrected"]) == ("P2", "sure", True)
    assert client.get(f"{PREFIX}/jobs/{job}/speakers").json()["turns"][0] == turn
    refused = client.post(f"{PREFIX}/speakers/set", json={"job": job, "set": ["L99=P2"]})
    assert refused.status_code == 400
    # The place of a face stands for its person; here is none.
    asked = {
        "video": video, "audio": video, "name": "out.mp4",
        "active_speaker_detection": {"frame_number": 0, "coordinates": [1, 1]},
    }  # fmt: skip
    nobody = client.post(f"{PREFIX}/renders", json=asked)
    assert nobody.status_code == 400
    assert "Nobody is at (1, 1)" in nobody.json()["error"]


@pytest.mark.slow
def test_a_scan_alone_has_not_listened(client: TestClient, shared_media: Path) -> None:
    video = str(shared_media / "odd" / "base_640x360.mp4")
    job = client.post(f"{PREFIX}/scans", json={"video": video}).json()["id"]
    assert wait(client, job)["state"] == "done"
    assert client.get(f"{PREFIX}/jobs/{job}/speakers").status_code == 409


def test_names_of_lines_are_checked_before_a_video_is_looked_through(tmp_path: Path) -> None:
    (tmp_path / "lines.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\none\n", encoding="utf-8")
    names = tmp_path / "speaker.json"
    names.write_text('["spk0"]', encoding="utf-8")
    asked = {"lines": "lines.srt", "names": "speaker.json"}
    found = asked_speakers(asked, lambda name: str(tmp_path / name))
    assert found["names"] == str(names)
    names.write_text('["spk0", "spk1"]', encoding="utf-8")
    with pytest.raises(UserInputError, match="2 names"):
        asked_speakers(asked, lambda name: str(tmp_path / name))
    with pytest.raises(UserInputError, match="names lines"):
        asked_speakers({"names": "speaker.json"}, str)


BOTH = [
    {"type": "video", "path": "a.mp4"},
    {"type": "audio", "path": "one.wav", "refId": "one"},
    {"type": "audio", "url": "two.wav", "refId": "two"},
]


def read(body: dict[str, Any]) -> Wish:
    return Wish.read(body, lambda name: f"/in/{name}")


def test_words_of_sync_so_are_understood() -> None:
    wish = read(
        {
            "input": BOTH,
            "options": {
                "sync_mode": "bounce",
                "active_speaker_detection": {"frame_number": 3, "coordinates": [10, 20.5]},
            },
            "segments": [
                {"startTime": 1, "endTime": 3, "audioInput": {"refId": "two"}},
                {
                    "startTime": 4, "endTime": 9,
                    "audioInput": {"refId": "one", "startTime": 2, "endTime": 5},
                },
            ],
        }
    )  # fmt: skip
    assert wish.video == "/in/a.mp4"
    assert wish.length == "bounce"
    assert wish.at == (3, (10.0, 20.5))
    assert [part.to_line() for part in wish.parts] == [
        {"start": 1.0, "file": "/in/two.wav", "offset": 0.0, "duration": 2.0},
        {"start": 4.0, "file": "/in/one.wav", "offset": 2.0, "duration": 3.0},
    ]
    whole = read({"video": "a.mp4", "audio": "b.wav"})
    assert [part.to_line() for part in whole.parts] == [
        {"start": 0.0, "file": "/in/b.wav", "offset": 0.0}
    ]
    assert (whole.length, whole.at, whole.segmented) == ("cut", None, False)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"video": "a.mp4"}, "no audio"),
        ({"audio": "b.wav"}, "One video is needed"),
        ({"input": [{"type": "text"}]}, '"type"|type'),
        ({"video": "a.mp4", "audio": "b.wav", "sync_mode": "fast"}, "cut_off, loop"),
        ({"input": BOTH, "segments": [{"startTime": 2, "endTime": 1}]}, "segment 1"),
        ({"input": BOTH, "segments": [{"startTime": 0, "endTime": 1}]}, "no audio"),
        (
            {
                "input": BOTH,
                "segments": [{"startTime": 0, "endTime": 1, "audioInput": {"refId": "x"}}],
            },
            "'x'",
        ),
        (
            {
                "video": "a.mp4", "audio": "b.wav",
                "active_speaker_detection": {"frame_number": 1},
            },
            "coordinates",
        ),
        (
            {"video": "a.mp4", "audio": "b.wav", "active_speaker_detection": {"auto_detect": "y"}},
            "auto_detect",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_request_is_named(body: dict[str, Any], words: str) -> None:
    with pytest.raises(UserInputError, match=words):
        read(body)


def test_every_route_has_an_example_and_stands_in_the_documentation(client: TestClient) -> None:
    server = client.app
    told = server.openapi()["paths"]  # type: ignore[attr-defined]
    routes = {
        f"{method.upper()} {path.removeprefix(PREFIX)}"
        for path, methods in told.items()
        for method in methods
        if path.startswith(PREFIX)
    }
    assert routes == set(EXAMPLES)
    text = DOCS.read_text(encoding="utf-8")
    assert set(re.findall(r"(?m)^### `([A-Z]+ \S+)`", text)) == routes
    for route, example in EXAMPLES.items():
        method, path = route.split(" ")
        operation = told[PREFIX + path][method.lower()]
        assert operation["summary"] == example.summary
        assert example.summary in text
        section = text.split(f"### `{route}`")[1].split("\n### ")[0]
        sent = re.findall(r"-d '(.+?)'\n", section, re.DOTALL)
        wanted = list(example.bodies.values())
        assert [json.loads(body) for body in sent] == wanted
        if method == "POST" and "_id}" not in path:
            content = operation["requestBody"]["content"]["application/json"]
            assert [e["value"] for e in content["examples"].values()] == wanted
        shown = path.replace("{job_id}", "JOB").replace("{batch_id}", "BATCH")
        assert f"{PREFIX}{shown}" in section


def test_examples_can_be_read() -> None:
    """Those of lip syncs by the reader itself."""
    for name in ("segments", "coordinates"):
        wish = read(dict(EXAMPLES["POST /renders"].bodies[name]))
        assert wish.video == "/in/clip.mp4"
