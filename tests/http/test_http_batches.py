"""Batches over HTTP, progress as server-sent events, and whom a server calls in the end."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

fastapi = pytest.importorskip("fastapi", reason="FastAPI comes with gradio, the extra `ui`")
pytest.importorskip("httpx", reason="the test client of FastAPI needs httpx")

from fastapi.testclient import TestClient  # noqa: E402

from facepick import http_callbacks  # noqa: E402
from facepick.app import App  # noqa: E402
from facepick.errors import UserInputError  # noqa: E402
from facepick.host.standalone import StandaloneHost  # noqa: E402
from facepick.http_api import PREFIX, add_routes  # noqa: E402
from facepick.http_callbacks import CallbackAddress, Callbacks, allowed_origins, post  # noqa: E402
from facepick.jobs.batch_queue import BatchQueue  # noqa: E402


class Listener(HTTPServer):
    """Keeps what is posted to it, and answers with one status after the other."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.posted: list[tuple[str, Any]] = []
        self.statuses: list[int] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Listener

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.posted.append((self.path, json.loads(body)))
        status = self.server.statuses.pop(0) if self.server.statuses else 200
        self.send_response(status)
        if status == 302:
            self.send_header("location", "/elsewhere")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def listener() -> Iterator[Listener]:
    server = Listener()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def client(
    tmp_path: Path,
    odd: Callable[[str], Path],
    shared_models: Path,
    people_known: Callable[[Path], None],
    monkeypatch: pytest.MonkeyPatch,
    listener: Listener,
) -> TestClient:
    people_known(tmp_path / "home")
    monkeypatch.setenv("FACEPICK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FACEPICK_MODELS", str(shared_models))
    monkeypatch.setenv("FACEPICK_CALLBACKS", listener.origin)
    (tmp_path / "season").mkdir()
    shutil.copyfile(odd("base_640x360.mp4"), tmp_path / "season" / "ep01.mp4")
    (tmp_path / "season" / "ep02.mp4").write_bytes(b"no video")
    server = fastapi.FastAPI()
    add_routes(server, App(StandaloneHost(roots=(tmp_path / "season",))))
    return TestClient(server, base_url="http://127.0.0.1:7870")


def asked(client: TestClient, tmp_path: Path, **more: Any) -> Any:
    item = {"people": ["P1"], "flow": "hide", "engine": "blur"}
    plan = {
        "format": "facepick-plan/2",
        "assignments": [item],
        "encode": {"preset": "ultrafast"},
    }
    videos = [str(tmp_path / "season")]
    body = {"videos": videos, "name": "hidden", "plan": plan, **more}
    return client.post(f"{PREFIX}/batches", json=body)


@pytest.mark.slow
def test_a_batch_tells_how_far_it_is_and_calls_when_it_has_ended(
    client: TestClient, tmp_path: Path, listener: Listener
) -> None:
    listener.statuses = [503]
    batch = asked(client, tmp_path, callback_url=f"{listener.origin}/done?n=1").json()
    assert "id" in batch, batch
    events = []
    with client.stream("GET", f"{PREFIX}/batches/{batch['id']}/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        for line in answer.iter_lines():
            if line.startswith("data: "):
                events.append(json.loads(line.removeprefix("data: ")))
    last = events[-1]
    assert last["state"] == "failed"
    assert last["total"] == 2
    assert [e["status"] for e in last["episodes"]] == ["done", "failed"]
    assert [e["state"] for e in events[:-1]] == ["running"] * (len(events) - 1)
    assert Path(last["episodes"][0]["result"]).is_file()
    until = time.monotonic() + 60
    while len(listener.posted) < 2 and time.monotonic() < until:
        time.sleep(0.1)
    # The first answer was no success.
    assert [path for path, _ in listener.posted] == ["/done?n=1"] * 2
    assert listener.posted[1][1]["id"] == batch["id"]
    again = client.post(f"{PREFIX}/batches/{batch['id']}/resume").json()
    assert again["state"] in ("queued", "running")
    while (record := client.get(f"{PREFIX}/batches/{batch['id']}").json())["state"] == "running":
        time.sleep(0.2)
    assert [e["status"] for e in record["episodes"]] == ["skipped", "failed"]


def test_what_is_wrong_with_a_request_is_said(client: TestClient, tmp_path: Path) -> None:
    for more in (
        {"videos": []},
        {"videos": ["/etc"]},
        {"name": "../x"},
        {"jobs": 0},
        {"plan": None},
        {"callback_url": "http://127.0.0.1:1/x"},
        {"callback_url": 5},
    ):
        answer = asked(client, tmp_path, **more)
        assert answer.status_code == 400, more
        assert answer.json()["error"]
    assert client.get(f"{PREFIX}/batches").json() == []
    assert client.get(f"{PREFIX}/batches/b20261130-091501-4f2a").status_code == 404
    assert client.get(f"{PREFIX}/batches/b20261130-091501-4f2a/events").status_code == 404
    assert client.get(f"{PREFIX}/jobs/20261130-091501-4f2a/events").status_code == 404


def test_batches_wait_in_an_order_that_can_be_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = BatchQueue(tmp_path / "batches", {"FACEPICK_HOME": str(tmp_path / "home")})
    # Nothing begins while the one that works is there.
    monkeypatch.setattr(queue, "pump", lambda: None)
    item = {"people": ["photo:/in/anna.jpg"], "flow": "hide", "engine": "blur"}
    names = [queue.add(["x"], tmp_path / "out", {"assignments": [item]}).id for _ in range(3)]
    assert queue.get(names[0]).what == ("hide blur",)
    assert queue.get(names[0]).people == ("photo:anna.jpg",)
    assert [queue.get(name).place for name in names] == [1, 2, 3]
    queue.move(names[2], 1)
    assert [queue.get(name).place for name in names] == [2, 3, 1]
    assert queue.cancel(names[0]).state == "stopped"
    assert [queue.get(name).place for name in names] == [None, 2, 1]
    assert queue.resume(names[0]).place == 3
    queue.cancel(names[0])
    queue.remove(names[0])
    assert {record.id for record in queue.all()} == set(names[1:])


@pytest.mark.parametrize(
    "text",
    [
        "", "ftp://studio.example/", "https://", "https://a@studio.example/", "//studio.example",
        "https://studio.example:0x50/", "http://studio.example/\r\nX: 1", "https://ex\u00e4mple/",
        "http://studio.example\\@127.0.0.1/", "https://studio.example:99999/",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(UserInputError):
        CallbackAddress.read(text)


def test_only_origins_that_the_owner_allows_are_called(tmp_path: Path) -> None:
    def state(kind: str, name: str) -> Any:
        return {}, False

    calls = Callbacks(tmp_path, state, "https://Studio.example http://10.0.0.7:9000 nonsense")
    assert calls.checked("https://studio.example/done?id=1")
    assert calls.checked("https://studio.example:443/")
    assert calls.checked("http://10.0.0.7:9000/")
    for url in (
        "http://studio.example/",
        "https://studio.example:8443/",
        "https://evil.example/",
        "https://studio.example.evil.example/",
        "http://10.0.0.8:9000/",
        "http://169.254.169.254/",
    ):
        with pytest.raises(UserInputError):
            calls.checked(url)
    with pytest.raises(UserInputError):
        Callbacks(tmp_path, state, "").checked("https://studio.example/")


@pytest.mark.parametrize("inner", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "fc00::1"])
def test_a_name_that_leads_into_the_own_network_is_not_called(
    inner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    family = [(0, 0, 0, "", ("93.184.216.34", 443)), (0, 0, 0, "", (inner, 443))]
    monkeypatch.setattr(http_callbacks.socket, "getaddrinfo", lambda *_, **__: family)
    with pytest.raises(OSError, match="not public"):
        CallbackAddress.read("https://studio.example/").resolved()


def test_redirects_are_no_success_and_not_followed(tmp_path: Path, listener: Listener) -> None:
    listener.statuses = [302] * 9
    assert post(CallbackAddress.read(f"{listener.origin}/a"), {"x": 1}) == 302
    assert [path for path, _ in listener.posted] == ["/a"]
    assert allowed_origins(listener.origin) == {CallbackAddress.read(f"{listener.origin}/a").origin}


def test_what_cannot_be_told_is_tried_again_and_then_given_up(
    tmp_path: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_callbacks, "PAUSES", (0.0, 0.0, 0.0))
    states = iter([({"state": "running"}, True)])
    calls = Callbacks(
        tmp_path, lambda *_: next(states, ({"state": "done"}, False)), listener.origin
    )
    monkeypatch.setattr(calls, "start", lambda: None)
    listener.statuses = [500, 302, 404]
    calls.add("job", "j1", f"{listener.origin}/x")
    (note,) = tmp_path.glob("*.json")
    calls.look(note)
    assert listener.posted == []
    for count in (1, 2, 3):
        assert note.exists()
        calls.look(note)
        assert len(listener.posted) == count
    assert not note.exists()
    assert listener.posted[0] == ("/x", {"state": "done"})
