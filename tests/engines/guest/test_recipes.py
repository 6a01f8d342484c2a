"""Recipes of docs/guests.md: every file is read, and works with a program of the same options."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from facepick.engines.guest.description import GuestDescription, parse_description
from facepick.engines.guest.trial import try_guest
from facepick.media.ffmpeg import ffmpeg_binary
from facepick.models.store import default_store

if sys.version_info < (3, 11):
    pytest.importorskip("tomli")

PAGE = Path(__file__).parents[3] / "docs" / "guests.md"
STANDIN = Path(__file__).with_name("guest_standin.py")
FILES = re.findall(r"^```toml\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
SCRIPTS = re.findall(r"^```python\n# (\w+\.py).*?\n(.*?)^```", PAGE.read_text("utf-8"), re.M | re.S)


def recipe(label: str) -> GuestDescription:
    (text,) = (text for text in FILES if label in text)
    return parse_description(text, name="recipe")


def test_every_file_is_read() -> None:
    labels = [parse_description(text, name="recipe").label for text in FILES]
    assert len(labels) == len(set(labels)) == 5


@pytest.fixture
def tried(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    odd: Callable[[str], Path],
    shared_media: Path,
) -> Callable[[GuestDescription], int]:
    """Runs a recipe as `facepick engines test` does; its program is our stand-in."""
    monkeypatch.setenv("FACEPICK_HOME", str(tmp_path / "home"))
    program = tmp_path / "program"
    (program / "scripts").mkdir(parents=True)
    shutil.copy(STANDIN, program / "inference.py")
    shutil.copy(STANDIN, program / "scripts" / "inference.py")
    for name, text in SCRIPTS:
        (tmp_path / name).write_text(text, encoding="utf-8")

    def run(guest: GuestDescription) -> int:
        words = [sys.executable, *guest.command[1:]]
        words = [w.replace("/opt/", f"{tmp_path}/") for w in words]
        fields = {k: v for k, v in asdict(guest).items() if k != "name"}
        fields |= {"command": words, "folder": str(program), "timeout": 60.0}
        fields |= {"passed": list(guest.passed)}
        engines = tmp_path / "home" / "engines"
        engines.mkdir(parents=True, exist_ok=True)
        (engines / "recipe.toml").write_text(json.dumps(fields), encoding="utf-8")
        folder = tmp_path / "trial"
        folder.mkdir()
        trial = try_guest(
            "recipe", folder, video=odd("base_640x360.mp4"),
            speech=shared_media / "speech" / "en_katie_f_18s_16k.wav", models=default_store(),
        )  # fmt: skip
        assert trial.side == guest.size
        return trial.frames

    return run


@pytest.mark.slow
@pytest.mark.parametrize("label", ["LatentSync", "Wav2Lip", "VideoReTalking", "MuseTalk"])
def test_a_program_of_these_options_works(
    tried: Callable[[GuestDescription], int], label: str
) -> None:
    assert tried(recipe(label)) == 50


class _Service(BaseHTTPRequestHandler):
    """Takes a form with a video, is busy once, and gives the video back as it came."""

    video = b""
    asked = 0

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert self.headers["x-api-key"] == "secret"
        assert b"lipsync-2" in body
        part = next(p for p in body.split(b"--" + body[2:34]) if b'name="video"' in p)
        _Service.video = part.split(b"\r\n\r\n", 1)[1].removesuffix(b"\r\n")
        self._say({"id": "7", "status": "PENDING"})

    def do_GET(self) -> None:
        if self.path.endswith("/film"):
            self._send(_Service.video)
            return
        _Service.asked += 1
        address = f"http://127.0.0.1:{self.server.server_address[1]}/film"
        done = {"id": "7", "status": "COMPLETED", "outputUrl": address}
        self._say(done if _Service.asked > 1 else {"id": "7", "status": "PROCESSING"})

    def _say(self, words: dict[str, str]) -> None:
        self._send(json.dumps(words).encode())

    def _send(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.slow
def test_a_service_of_these_words_works(
    tried: Callable[[GuestDescription], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("requests")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "ffmpeg").symlink_to(ffmpeg_binary())
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    server = HTTPServer(("127.0.0.1", 0), _Service)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    script = tmp_path / "sync_guest.py"
    text = script.read_text("utf-8").replace(
        "https://api.sync.so", f"http://127.0.0.1:{server.server_address[1]}"
    )
    script.write_text(text.replace("time.sleep(10)", "time.sleep(0.1)"), encoding="utf-8")
    monkeypatch.setenv("SYNC_API_KEY", "secret")
    assert tried(recipe("sync.so")) == 50
    server.shutdown()
    server.server_close()
