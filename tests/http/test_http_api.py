"""The HTTP API over a real FastAPI application."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

fastapi = pytest.importorskip("fastapi", reason="FastAPI comes with gradio, the extra `ui`")
pytest.importorskip("httpx", reason="the test client of FastAPI needs httpx")

from fastapi.testclient import TestClient  # noqa: E402
from starlette.websockets import WebSocketDisconnect  # noqa: E402
from tests.host.support import no_network, wheelhouse  # noqa: E402

from facepick import http_guard  # noqa: E402
from facepick.app import App  # noqa: E402
from facepick.host.standalone import StandaloneHost  # noqa: E402
from facepick.http_api import PREFIX, add_routes  # noqa: E402
from facepick.http_guard import Guard  # noqa: E402


@pytest.fixture
def client(tmp_path: Path, shared_media: Path, shared_models: Path, monkeypatch: Any) -> TestClient:
    monkeypatch.setenv("FACEPICK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FACEPICK_MODELS", str(shared_models))
    server = fastapi.FastAPI()
    add_routes(server, App(StandaloneHost(roots=(shared_media / "odd",))))
    return TestClient(server, base_url="http://127.0.0.1:7870")


def wait(client: TestClient, job: str) -> dict[str, Any]:
    until = time.monotonic() + 300
    while True:
        record: dict[str, Any] = client.get(f"{PREFIX}/jobs/{job}").json()
        if record["state"] not in ("queued", "running"):
            return record
        assert time.monotonic() < until, record
        time.sleep(0.1)


@pytest.mark.slow
def test_scan_then_hide_over_http(client: TestClient, shared_media: Path) -> None:
    video = str(shared_media / "odd" / "base_640x360.mp4")
    job = client.post(f"{PREFIX}/scans", json={"video": video}).json()["id"]
    assert wait(client, job)["state"] == "done"
    people = client.get(f"{PREFIX}/jobs/{job}/people").json()
    assert [p["id"] for p in people["people"]][:2] == ["P1", "P2"]
    plan = {
        "format": "facepick-plan/1",
        "video": video,
        "assignments": [{"people": ["P2"], "flow": "hide", "engine": "pixelate"}],
    }
    answer = client.post(f"{PREFIX}/renders", json={"plan": plan, "name": "out.mp4"})
    record = wait(client, answer.json()["id"])
    assert record["state"] == "done", record
    assert len(client.get(f"{PREFIX}/jobs/{record['id']}/result").content) > 10_000


@pytest.mark.slow
def test_a_plan_may_name_a_person_by_a_photo(
    client: TestClient, shared_media: Path, tmp_path: Path
) -> None:
    video = str(shared_media / "odd" / "base_640x360.mp4")

    def asked(name: str) -> Any:
        item = {"people": [name], "flow": "hide", "engine": "pixelate"}
        plan = {"format": "facepick-plan/2", "video": video, "assignments": [item]}
        return client.post(f"{PREFIX}/renders", json={"plan": plan, "name": "out.mp4"})

    outside = tmp_path / "outside.jpg"
    outside.write_bytes(b"no photo")
    assert asked(f"photo:{outside}").status_code == 400
    # The video itself is no photo that can be read.
    refused = asked(f"photo:{video}")
    assert refused.status_code == 400
    assert client.get(f"{PREFIX}/jobs").json() == []


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/scans", {}, 400),
        ("/scans", {"video": "/etc/passwd"}, 400),
        ("/scans", {"video": "../../../etc/passwd"}, 400),
        ("/renders", {"plan": None}, 400),
        ("/jobs/20260101-000000-0000/cancel", {}, 404),
    ],
)
def test_a_wrong_request_gets_a_sentence(
    client: TestClient, path: str, body: dict[str, Any], status: int
) -> None:
    answer = client.post(PREFIX + path, json=body)
    assert answer.status_code == status
    assert answer.json()["error"]


def test_a_page_elsewhere_cannot_post_plain_text(client: TestClient) -> None:
    answer = client.post(
        f"{PREFIX}/scans", content='{"video": "a"}', headers={"content-type": "text/plain"}
    )
    assert answer.status_code in (415, 422)


@pytest.mark.parametrize(
    ("engine", "speech", "status", "words"),
    [
        ("wav2lip_gan", "base_640x360.mp4", 409, '/models/fetch {"models": ["wav2lip_gan"]}'),
        ("rewrite", "no_audio.mp4", 400, "no sound"),
    ],
)
def test_what_is_lacking_is_answered_before_a_job_is_made(
    client: TestClient, shared_media: Path, engine: str, speech: str, status: int, words: str
) -> None:
    odd = shared_media / "odd"
    item = {"people": ["P1"], "flow": "lipsync", "engine": engine}
    plan = {
        "format": "facepick-plan/1",
        "video": str(odd / "base_640x360.mp4"),
        "assignments": [{**item, "speech": [{"file": str(odd / speech)}]}],
    }
    for path in ("/renders", "/previews"):
        answer = client.post(PREFIX + path, json={"plan": plan, "name": "out.mp4"})
        assert answer.status_code == status, answer.json()
        assert words in answer.json()["error"]
        missing = [m["id"] for m in answer.json().get("missing", ())]
        assert missing == ([engine] if status == 409 else [])
    assert client.get(f"{PREFIX}/jobs").json() == []


@pytest.mark.slow
def test_a_missing_model_is_told_fetched_and_the_scan_resumed(
    tmp_path: Path, shared_media: Path, shared_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = no_network(tmp_path / "nobody")
    found = wheelhouse(tmp_path / "wheels", shared_models / "face_recognition_sface_2021dec.onnx")
    mine = {"FACEPICK_HOME": str(tmp_path / "home")}
    for name, value in {**home, **found, **mine}.items():
        monkeypatch.setenv(name, value)
    server = fastapi.FastAPI()
    add_routes(server, App(StandaloneHost(roots=(shared_media / "odd",), page=True)))
    client = TestClient(server, base_url="http://127.0.0.1:7870")
    video = str(shared_media / "odd" / "base_640x360.mp4")
    scan = wait(client, client.post(f"{PREFIX}/scans", json={"video": video}).json()["id"])
    assert (scan["state"], scan["exit_code"], scan["missing"]) == ("failed", 3, ["sface"])
    # The words of a job are those of the page that its server has.
    assert "Get the models" in scan["error"]
    assert "facepick models fetch" not in scan["error"]
    [model] = [m for m in client.get(f"{PREFIX}/models").json() if m["id"] == "sface"]
    assert (model["here"], model["can_fetch"], model["size"]) == (False, True, 38_696_353)
    assert model["folder"] == str(tmp_path / "home" / "models")
    job = client.post(f"{PREFIX}/models/fetch", json={"models": ["sface"]}).json()
    fetched = wait(client, job["id"])
    assert fetched["state"] == "done", fetched
    assert Path(fetched["result"]["models"]["sface"]).parent == tmp_path / "home" / "models"
    client.post(f"{PREFIX}/jobs/{scan['id']}/resume", json={})
    assert wait(client, scan["id"])["state"] == "done"


@pytest.mark.parametrize(
    ("models", "status", "words"),
    [
        (["nosuch"], 400, "no model called"),
        ([], 400, "No model"),
        ("sface", 400, "list of ids"),
        (["inswapper_128"], 409, "Put inswapper_128.onnx into"),
    ],
)
def test_what_cannot_be_fetched_is_told(
    client: TestClient, models: Any, status: int, words: str
) -> None:
    answer = client.post(f"{PREFIX}/models/fetch", json={"models": models})
    assert answer.status_code == status
    assert words in answer.json()["error"]
    assert client.get(f"{PREFIX}/jobs").json() == []


def test_engines_come_with_their_schema(client: TestClient) -> None:
    engines = client.get(f"{PREFIX}/engines").json()
    assert {"hide", "lipsync", "swap"} <= {e["flow"] for e in engines}
    assert all(e["settings"]["type"] == "object" for e in engines)


@pytest.mark.slow
def test_a_source_is_uploaded_listed_named_in_a_plan_and_removed(
    client: TestClient, shared_media: Path
) -> None:
    video = str(shared_media / "odd" / "base_640x360.mp4")
    photo = _frame(Path(video))
    body = {"name": "Anna", "photos": [photo], "face": 2}
    answer = client.post(f"{PREFIX}/sources", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["name"] == "Anna"
    assert set(answer.json()) == {"name", "photos", "created"}
    assert [s["name"] for s in client.get(f"{PREFIX}/sources").json()] == ["Anna"]
    assert client.post(f"{PREFIX}/sources", json=body).status_code == 400

    def plan(source: str) -> dict[str, Any]:
        entry = {
            "people": ["P1"], "flow": "swap", "engine": "mesh", "source": [source],
            "consent": "I have the right.",
        }  # fmt: skip
        return {"plan": {"format": "facepick-plan/1", "video": video, "assignments": [entry]}}

    job = client.post(f"{PREFIX}/previews", json={**plan("Anna"), "at": 0, "seconds": 0.1}).json()
    client.post(f"{PREFIX}/jobs/{job['id']}/cancel", json={})
    for wrong in ("Ben", "/etc/passwd", "/etc/passwd:P1", "cast:Nobody"):
        refused = client.post(f"{PREFIX}/renders", json=plan(wrong))
        assert refused.status_code == 400, wrong
        assert refused.json()["error"]
    assert client.post(f"{PREFIX}/sources/remove", json={"name": "Anna"}).status_code == 200
    assert client.get(f"{PREFIX}/sources").json() == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": "A", "photos": []},
        {"name": "A", "photos": ["***"]},
        {"name": "A", "photos": [5]},
        {"name": "A", "photos": ["aGk="] * 21},
        {"name": "A", "photos": ["aGk="], "face": -1},
        {"name": "../A", "photos": ["aGk="]},
        {"name": "A", "photos": ["aGk="]},
    ],
)
def test_what_is_no_source_is_refused_in_a_sentence(
    client: TestClient, body: dict[str, Any]
) -> None:
    answer = client.post(f"{PREFIX}/sources", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert client.get(f"{PREFIX}/sources").json() == []


def _frame(video: Path) -> str:
    """A picture of a video as PNG in base64, twice as large."""
    import base64

    import cv2
    from tests.contracts.face_footage import frames_of

    (image,) = frames_of(video, (4,))
    data = cv2.imencode(".png", cv2.resize(image, None, fx=2, fy=2))[1].tobytes()
    return base64.b64encode(data).decode()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"host": "localhost:7870"}, 200),
        ({"host": "[::1]:7870"}, 200),
        ({"host": "127.0.0.1:7870", "origin": "http://127.0.0.1:7870"}, 200),
        ({"sec-fetch-site": "same-origin"}, 200),
        # A stranger's name that was made to stand for this machine.
        ({"host": "evil.example"}, 403),
        ({"host": "evil.example:7870", "origin": "http://evil.example:7870"}, 403),
        ({"host": "127.0.0.1.evil.example"}, 403),
        ({"host": ""}, 403),
        # A stranger's page.
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://127.0.0.1:9999"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
    ],
)
def test_pages_of_strangers_are_kept_out(
    client: TestClient, headers: dict[str, str], status: int
) -> None:
    answer = client.get(f"{PREFIX}/jobs", headers=headers)
    assert answer.status_code == status
    if status != 200:
        assert answer.json()["error"]
        # Without a body no content type stops a form.
        job = f"{PREFIX}/jobs/20260101-000000-0000"
        assert client.post(f"{job}/cancel", headers=headers).status_code == 403
        assert client.post(f"{job}/resume", headers=headers).status_code == 403


def test_large_bodies_are_refused_announced_or_not(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facepick.http_guard.MAX_BODY_BYTES", 1000)
    headers = {"content-type": "application/json"}

    def dripping() -> Iterator[bytes]:
        for _ in range(20):
            yield b" " * 100

    for content in (b" " * 2000, dripping()):
        answer = client.post(f"{PREFIX}/scans", content=content, headers=headers)
        assert answer.status_code == 413
        assert answer.json()["error"]


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[" * 100_000,
        b'{"video": "\xff"}',
        b'{"video": "cast:\\ud800"}',
        b"[]",
        b"1",
    ],
)
def test_what_is_no_json_object_is_refused(client: TestClient, content: bytes) -> None:
    headers = {"content-type": "application/json"}
    answer = client.post(f"{PREFIX}/scans", content=content, headers=headers)
    assert answer.status_code in (400, 422)


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("/scans", {"settings": [1]}),
        ("/scans", {"settings": {"nope": 1}}),
        ("/scans", {"video": "~nobody/x.mp4"}),
        ("/scans", {"video": "\ud800.mp4"}),
        ("/scans", {"video": "a" * 5000}),
        ("/scans", {"video": "."}),
        ("/renders", {"name": "../x.mp4"}),
        ("/renders", {"name": "a/b.mp4"}),
        ("/renders", {"name": "a\\b.mp4"}),
        ("/renders", {"name": "c:x.mp4"}),
        ("/renders", {"name": "NUL.mp4"}),
        ("/renders", {"name": "a\x00.mp4"}),
        ("/renders", {"name": "\ud800.mp4"}),
        ("/renders", {"name": "x" * 250 + ".mp4"}),
        ("/renders", {"name": "out.txt"}),
        ("/renders", {"name": 5}),
        ("/renders", {"scan_settings": {"nope": 1}}),
        ("/renders", {"settings": {"picture": "/etc/passwd"}}),
        ("/renders", {"engine": "nope"}),
        ("/renders", {"engine": "cover", "settings": {"margin": float("nan")}}),
        ("/renders", {"engine": "cover", "settings": {"margin": 1e300}}),
        ("/renders", {"flow": "lipsync", "engine": "rewrite"}),
        ("/renders", {"flow": "swap", "engine": "mesh"}),
        ("/renders", {"output": {"soundtrack": "/etc/passwd"}}),
        ("/renders", {"output": {"background": "/etc/passwd"}}),
        ("/renders", {"output": {"original": "loud"}}),
        ("/renders", {"output": {"separator": "touch {in}"}}),
        ("/previews", {"at": float("nan")}),
        ("/previews", {"seconds": float("inf")}),
        ("/previews", {"seconds": 10**400}),
        ("/previews", {"seconds": True}),
        ("/previews", {"at": -1}),
        ("/previews", {"seconds": 0}),
    ],
)
def test_hostile_requests_get_a_sentence_and_start_nothing(
    client: TestClient, shared_media: Path, path: str, more: dict[str, Any]
) -> None:
    video = str(shared_media / "odd" / "base_640x360.mp4")
    entry = {
        "people": ["P1"],
        "flow": more.get("flow", "hide"),
        "engine": more.get("engine", "cover"),
        "settings": more.get("settings", {}),
    }
    plan = {
        "format": "facepick-plan/1",
        "video": video,
        "assignments": [entry],
        "scan_settings": more.get("scan_settings", {}),
        "output": more.get("output", {}),
    }
    # The standard library's JSON says what httpx would refuse to send.
    content = json.dumps({"plan": plan, "video": video, **more})
    answer = client.post(
        PREFIX + path, content=content, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]
    assert client.get(f"{PREFIX}/jobs").json() == []


def test_phones_come_with_the_plan(client: TestClient, shared_media: Path, tmp_path: Path) -> None:
    """In the plan itself, or as a file that may be read; checked before anything is started."""
    video = str(shared_media / "odd" / "base_640x360.mp4")
    outside = tmp_path / "times.ctm"
    outside.write_text("u 1 0.5 0.1 B\n")

    def start(phones: Any) -> Any:
        line = {"file": video, "phones": phones}
        speak = {"people": ["P1"], "flow": "lipsync", "engine": "rewrite", "speech": [line]}
        plan = {"format": "facepick-plan/1", "video": video, "assignments": [speak]}
        return client.post(f"{PREFIX}/renders", json={"plan": plan})

    assert start(str(outside)).status_code == 400
    assert "may be opened" in start(str(shared_media / "odd" / "gone.ctm")).text
    wrong = start([{"start": 0.6, "end": 0.5, "phone": "B"}])
    assert wrong.status_code == 400
    assert "ends before it starts" in wrong.text
    assert client.get(f"{PREFIX}/jobs").json() == []
    job = start([{"start": 0.5, "end": 0.6, "phone": "B"}]).json()["id"]
    client.post(f"{PREFIX}/jobs/{job}/cancel")
    request = App(StandaloneHost()).job(job).request
    (line,) = request["plan"]["assignments"][0]["speech"]
    assert line["phones"]["phones"] == [[0.5, 0.6, "B"]]
    assert wait(client, job)["state"] in ("stopped", "failed", "done")


def test_two_requests_for_one_name_get_two_files(client: TestClient, shared_media: Path) -> None:
    """Neither result is there yet when the second is asked for."""
    entry = {"people": ["P1"], "flow": "hide", "engine": "pixelate"}
    video = str(shared_media / "odd" / "base_640x360.mp4")
    plan = {"format": "facepick-plan/1", "video": video, "assignments": [entry]}
    jobs = [
        client.post(f"{PREFIX}/renders", json={"plan": plan, "name": "x.mp4"}).json()
        for _ in range(2)
    ]
    for job in jobs:
        client.post(f"{PREFIX}/jobs/{job['id']}/cancel")
    assert len({job["out"] for job in jobs}) == 2


# --- one form of errors, bodies that do not end, and the guard before a whole server -------------


@pytest.mark.parametrize(
    ("method", "path", "content", "status"),
    [
        ("GET", "/nowhere", None, 404),
        ("DELETE", "/jobs", None, 405),
        ("PUT", "/scans", "{}", 405),
        ("BREW", "/engines", None, 405),
        ("BREW", "/nowhere", None, 404),
        ("POST", "/scans", "{bad", 400),
        ("POST", "/scans", "[]", 400),
        ("POST", "/scans", '{"a": ' + "[" * 100_000, 400),
        ("POST", "/scans", '{"a": "\udcff"}'.encode("utf-8", "surrogateescape"), 400),
        ("POST", "/scans", "[" + "[]," * 1_000_000 + "[]]", 400),
        ("GET", "/jobs/..%2f..%2fetc", None, 404),
    ],
)
def test_every_error_has_one_form(
    client: TestClient, method: str, path: str, content: Any, status: int
) -> None:
    answer = client.request(
        method, PREFIX + path, content=content, headers={"content-type": "application/json"}
    )
    assert answer.status_code == status
    assert list(answer.json()) == ["error"]


@pytest.mark.parametrize("consent", ["", "  ", "\u200b\u2060", "\u3164", "\u00ad\u202e", "!?"])
def test_an_invisible_consent_is_none(client: TestClient, shared_media: Path, consent: str) -> None:
    photo = str(shared_media / "odd" / "base_640x360.mp4")
    item = {"people": ["P1"], "flow": "swap", "engine": "mesh", "source": [photo]}
    plan = {
        "format": "facepick-plan/1",
        "video": photo,
        "assignments": [{**item, "consent": consent}],
    }
    answer = client.post(f"{PREFIX}/renders", json={"plan": plan})
    assert answer.status_code == 400
    assert "statement" in answer.json()["error"]


async def _page(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 1000})
        return
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise RuntimeError("a framework complains")
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"page"})


def _called(guard: Any, method: str = "GET", path: str = "/", **headers: str) -> Any:
    base = {"host": "127.0.0.1:7870", **{k.replace("_", "-"): v for k, v in headers.items()}}
    return TestClient(guard, follow_redirects=False).request(method, path, headers=base)


@pytest.mark.parametrize("path", ["/", "/config", "/upload", "/queue/join", "/file=x", "/any"])
def test_the_guard_stands_before_everything(path: str) -> None:
    guard = Guard(_page, names=["Box.lan"])
    assert _called(guard, path=path).status_code == 200
    assert _called(guard, path=path, host="box.lan:7870").status_code == 200
    for wrong in (
        {"host": "evil.example"},
        {"host": "box.lan.evil.example"},
        {"host": ""},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"sec_fetch_site": "cross-site"},
    ):
        answer = _called(guard, path=path, **wrong)
        assert answer.status_code == 403, wrong
        assert list(answer.json()) == ["error"]


def test_an_address_is_one_line() -> None:
    assert _called(Guard(_page), path="/upload%0d%0aGET%20/").status_code == 400


def test_a_link_to_the_page_may_be_followed_but_not_framed() -> None:
    link = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}
    assert _called(Guard(_page), sec_fetch_dest="document", **link).status_code == 200
    assert _called(Guard(_page), sec_fetch_dest="iframe", **link).status_code == 403
    assert _called(Guard(_page), "POST", sec_fetch_dest="document", **link).status_code == 403


def test_the_guard_knows_who_has_the_token() -> None:
    guard = Guard(_page, token="secret-token")
    assert _called(guard).status_code == 401
    assert "<form" in _called(guard, accept="text/html").text
    assert _called(guard, path="/?token=wrong").status_code == 401
    assert _called(guard, authorization="Bearer wrong").status_code == 401
    assert _called(guard, authorization="Bearer secret-token").status_code == 200
    answer = _called(guard, path="/?token=secret-token&lang=zh")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/?lang=zh"
    cookie = answer.headers["set-cookie"].partition(";")[0]
    assert _called(guard, cookie=cookie).status_code == 200
    assert _called(guard, cookie=cookie, host="evil.example").status_code == 403


def test_the_guard_stands_before_web_sockets() -> None:
    caller = TestClient(Guard(_page))
    for headers in ({"host": "evil.example"}, {"origin": "http://evil.example"}):
        with (
            pytest.raises(WebSocketDisconnect) as caught,
            caller.websocket_connect("/queue", headers={"host": "127.0.0.1", **headers}),
        ):
            pass
        assert caught.value.code == 1008
    with caller.websocket_connect("/queue", headers={"host": "127.0.0.1"}):
        pass


@pytest.mark.parametrize("ending", ["pause", "leave"])
def test_a_body_that_stops_coming_ends_in_one_line(
    ending: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(http_guard, "BODY_PAUSE_SECONDS", 0.05)
    said: list[Any] = []

    async def receive() -> dict[str, Any]:
        if len(parts) == 1:
            parts.clear()
            return {"type": "http.request", "body": b"{", "more_body": True}
        if ending == "pause":
            await asyncio.sleep(60)
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        said.append(message)

    parts = [1]
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/upload",
        "headers": [(b"host", b"127.0.0.1")],
        "query_string": b"",
    }
    with caplog.at_level("WARNING", logger="facepick.http"):
        asyncio.run(Guard(_page)(scope, receive, send))
    assert [r.getMessage() for r in caplog.records] == ["POST /upload was broken off."]
    assert [m.get("status") for m in said[:1]] == ([408] if ending == "pause" else [])


def test_notices_come_with_the_job(client: TestClient, shared_media: Path) -> None:
    """What is left out of the phones is told when the job is made, and by every later look."""
    video = str(shared_media / "odd" / "base_640x360.mp4")
    phones = [{"start": k / 10, "duration": 0.1, "phone": "AA1" if k else "XQ"} for k in range(20)]
    item = {
        "people": ["P1"], "flow": "lipsync", "engine": "rewrite",
        "speech": [{"file": video, "phones": phones}],
    }  # fmt: skip
    plan = {"format": "facepick-plan/1", "video": video, "assignments": [item]}
    job = client.post(f"{PREFIX}/renders", json={"plan": plan}).json()
    client.post(f"{PREFIX}/jobs/{job['id']}/cancel")
    for answer in (job, client.get(f"{PREFIX}/jobs/{job['id']}").json()):
        (notice,) = answer["notices"]
        assert (notice["code"], notice["facts"]["phones"]) == ("phones_unknown", 1)
        assert "'XQ'" in notice["text"]


@pytest.mark.slow
def test_people_of_a_job_are_those_of_its_video_and_nothing_is_scanned(
    client: TestClient, shared_media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = tmp_path / "inputs" / "clip.mp4"
    clip.parent.mkdir()
    shutil.copyfile(shared_media / "odd" / "base_640x360.mp4", clip)
    server = fastapi.FastAPI()
    add_routes(server, App(StandaloneHost(roots=(clip.parent,))))
    client = TestClient(server, base_url="http://127.0.0.1:7870")
    job = client.post(f"{PREFIX}/scans", json={"video": str(clip)}).json()["id"]
    assert client.get(f"{PREFIX}/jobs/{job}/people").status_code in (200, 409), "not done yet"
    assert wait(client, job)["state"] == "done"

    def never(*_: object, **__: object) -> None:
        raise AssertionError("the server must not look through videos")

    monkeypatch.setattr("facepick.people.finder._find_people", never)
    people = client.get(f"{PREFIX}/jobs/{job}/people").json()
    assert len(people["people"]) >= 2
    copy = clip.with_name("copy.mp4")
    shutil.copyfile(clip, copy)
    os.replace(copy, clip)
    assert client.get(f"{PREFIX}/jobs/{job}/people").json() == people, "a copy is the same video"
    shutil.copyfile(shared_media / "odd" / "no_audio.mp4", clip)
    answer = client.get(f"{PREFIX}/jobs/{job}/people")
    assert answer.status_code == 409
    assert "clip.mp4" in answer.json()["error"]
    clip.unlink()
    assert client.get(f"{PREFIX}/jobs/{job}/people").status_code == 409
    shutil.copyfile(shared_media / "odd" / "base_640x360.mp4", clip)
    assert client.get(f"{PREFIX}/jobs/{job}/people").json() == people
    shutil.rmtree(tmp_path / "home" / "cache")
    assert client.get(f"{PREFIX}/jobs/{job}/people").status_code == 409
