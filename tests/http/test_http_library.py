"""Library and estimates over HTTP: asked in a process of its own, and only of what may be seen."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

fastapi = pytest.importorskip("fastapi", reason="FastAPI comes with gradio, the extra `ui`")
pytest.importorskip("httpx", reason="the test client of FastAPI needs httpx")

from fastapi.testclient import TestClient  # noqa: E402

from facepick.app import App  # noqa: E402
from facepick.host.standalone import StandaloneHost  # noqa: E402
from facepick.http_api import PREFIX, add_routes  # noqa: E402
from facepick.jobs.library_filling import find_videos  # noqa: E402


@pytest.fixture
def client(
    tmp_path: Path,
    odd: Callable[[str], Path],
    photos: Callable[[str], Path],
    people_known: Callable[[Path], None],
    shared_models: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> TestClient:
    people_known(tmp_path / "home")
    monkeypatch.setenv("FACEPICK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FACEPICK_MODELS", str(shared_models))
    roots = tmp_path / "media"
    roots.mkdir()
    shutil.copyfile(odd("base_640x360.mp4"), roots / "clip.mp4")
    shutil.copyfile(photos("anna/1.jpg"), roots / "anna.jpg")
    app = App(StandaloneHost(roots=(roots,)))
    app.fill_library(app.library(), find_videos([roots]))
    server = fastapi.FastAPI()
    add_routes(server, app)
    return TestClient(server, base_url="http://127.0.0.1")


def post(client: TestClient, route: str, body: Any) -> Any:
    return client.post(f"{PREFIX}{route}", json=body)


def test_a_person_is_found_only_where_the_caller_may_look(
    client: TestClient, tmp_path: Path
) -> None:
    clip = tmp_path / "media" / "clip.mp4"
    body = {"who": [str(clip.with_name("anna.jpg"))]}
    answer = post(client, "/library/find", body)
    assert answer.status_code == 200, answer.text
    (entry,) = answer.json()["found"]
    assert entry["video"] == str(clip)
    assert entry["appearances"]
    # Moved out of the allowed folders, it is in the library still, and not in the answer.
    elsewhere = tmp_path / "elsewhere.mp4"
    clip.rename(elsewhere)
    App().library().knows(elsewhere)
    assert post(client, "/library/find", body).json()["found"] == []


@pytest.mark.parametrize(
    "body", [{}, {"who": []}, {"who": [3]}, {"who": ["/etc/passwd"]}, {"who": ["a"], "sure": 2}]
)
def test_a_wrong_question_is_one_sentence(client: TestClient, body: Any) -> None:
    answer = post(client, "/library/find", body)
    assert 400 <= answer.status_code < 500
    assert answer.json()["error"]


def test_a_plan_is_estimated(client: TestClient, tmp_path: Path) -> None:
    plan = {
        "format": "facepick-plan/2",
        "video": str(tmp_path / "media" / "clip.mp4"),
        "assignments": [{"people": ["P1"], "flow": "hide", "engine": "blur"}],
    }
    told = post(client, "/estimates", {"plan": plan}).json()
    assert told["format"] == "facepick-estimate/1"
    assert told["scanned"]
    assert told["seconds"] > 0
