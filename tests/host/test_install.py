"""install.py where something goes wrong: one line, and the host starts."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
import venv
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from tests.host.support import load_install

from facepick.models import catalog
from facepick.models.spec import ModelSpec, UrlSource

ROOT = Path(__file__).resolve().parent.parent.parent
INSTALL = ROOT / "install.py"


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with pip and nothing else."""
    folder = tmp_path_factory.mktemp("bare") / "venv"
    venv.create(folder, with_pip=True, symlinks=os.name != "nt")
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def run(python: Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if k not in ("COMMANDLINE_ARGS", "PYTHONPATH")}
    return subprocess.run(
        [str(python), str(INSTALL)],
        capture_output=True, text=True, check=False, cwd=cwd, env={**env, **environment},
    )  # fmt: skip


@pytest.mark.slow
def test_without_network_one_line_a_package_and_exit_0(bare: Path, tmp_path: Path) -> None:
    done = run(bare, tmp_path, PIP_NO_INDEX="1", PIP_FIND_LINKS="")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert all(line.startswith("facepick: ") for line in lines)
    assert sum("could not install av>=12.3" in line for line in lines) == 1


@pytest.mark.slow
def test_what_failed_is_not_tried_again_at_every_start(bare: Path, tmp_path: Path) -> None:
    run(bare, tmp_path, PIP_NO_INDEX="1")
    again = run(bare, tmp_path, PIP_NO_INDEX="1")
    assert (again.returncode, again.stdout) == (0, "")


def test_skip_install_is_obeyed(bare: Path, tmp_path: Path) -> None:
    done = run(bare, tmp_path, COMMANDLINE_ARGS="--listen --skip-install")
    assert (done.returncode, done.stdout) == (0, "")


def test_skip_install_of_the_hosts_launch_is_obeyed(bare: Path, tmp_path: Path) -> None:
    (tmp_path / "launch.py").write_text(
        "import argparse\nargs = argparse.Namespace(skip_install=True)\n"
    )
    done = run(bare, tmp_path, PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stdout) == (0, "")


def test_a_fault_of_its_own_does_not_stop_the_host(tmp_path: Path) -> None:
    code = (
        f"import runpy, importlib.util as u; u.find_spec = lambda name: 1 / 0; "
        f"runpy.run_path({str(INSTALL)!r}, run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0
    assert done.stdout == "facepick: install.py stopped: ZeroDivisionError: division by zero\n"


def test_packages_come_at_once_or_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    program = load_install()
    asked: list[tuple[str, ...]] = []

    def pip(*words: str) -> str | None:
        asked.append(words)
        return "there is none" if "bad>=1" in words else None

    monkeypatch.setattr(program, "pip_install", pip)
    monkeypatch.setattr(program, "missing_requirements", lambda _: ["click", "tqdm"])
    assert program.add_all(["av>=12", "scenedetect>=0.6", "rich>=13"]) == {}
    assert asked == [
        ("av>=12", "rich>=13"),
        ("scenedetect>=0.6", "--no-deps"),
        ("click", "tqdm"),
    ]
    asked.clear()
    assert program.add_all(["av>=12", "bad>=1", "rich>=13"]) == {"bad>=1": "there is none"}
    assert asked == [("av>=12", "bad>=1", "rich>=13"), ("av>=12",), ("bad>=1",), ("rich>=13",)]


@pytest.mark.parametrize(
    ("name", "brings"),
    [
        ("opencv-contrib-python-headless", False),
        ("opencv-python", False),
        ("tensorflow-cpu", False),
        ("tf-keras", False),
        ("pandas", True),
        ("gdown", True),
    ],
)
def test_nothing_brings_a_second_opencv_or_a_framework(name: str, brings: bool) -> None:
    assert (load_install().NEVER.fullmatch(name) is None) is brings


def test_the_list_agrees_with_the_package() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for _, requirement in load_install().NEEDED:
        assert f'"{requirement}"' in text, requirement


# ------------------------------------------------------------------------------------- models


class _Home(BaseHTTPRequestHandler):
    """The home of the model file."""

    content = bytes(range(251)) * 400
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        self.wfile.write(self.content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def asked() -> list[str]:
    """Paths of all requests that the model's home got."""
    _Home.asked.clear()
    return _Home.asked


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: list[str]) -> Iterator[Any]:
    """install.py of an extension in a WebUI's data folder, with one small model to be fetched."""
    monkeypatch.setenv("FACEPICK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for name in ("FACEPICK_MODELS", "COMMANDLINE_ARGS", "FACEPICK_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))
    module = load_install()
    module.ROOT = tmp_path / "data" / "extensions" / "facepick"
    with ThreadingHTTPServer(("127.0.0.1", 0), _Home) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        spec = ModelSpec(
            id="thing", file="thing.onnx", sha256=hashlib.sha256(_Home.content).hexdigest(),
            size=len(_Home.content), licence="MIT", purpose="Tells things apart.",
            sources=(UrlSource(f"http://127.0.0.1:{server.server_port}/thing.onnx"),),
        )  # fmt: skip
        monkeypatch.setattr(catalog, "default_specs", lambda: (spec,))
        yield module
        server.shutdown()
        thread.join()


def test_the_default_models_come_from_their_home_once(
    program: Any, tmp_path: Path, asked: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    program.get_models()
    assert capsys.readouterr().out == (
        "facepick: fetching thing.onnx (0.1 MB, MIT): Tells things apart.\n"
    )
    there = tmp_path / "data" / "models" / "facepick" / "thing.onnx"
    assert there.read_bytes() == _Home.content
    program.get_models()
    assert capsys.readouterr().out == ""
    assert asked == ["/thing.onnx"]


@pytest.mark.parametrize(
    "place",
    ["home/models", "named", "data/models/facepick", "data/models/GFPGAN", "data/facepick/models",
     "settings", "models-dir/facepick"],
)  # fmt: skip
def test_what_lies_where_the_tab_looks_is_not_fetched_again(
    program: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: list[str], place: str
) -> None:
    monkeypatch.setenv("FACEPICK_MODELS", str(tmp_path / "named"))
    if place.startswith("models-dir"):
        monkeypatch.setenv("COMMANDLINE_ARGS", f'--listen --models-dir "{tmp_path / "models-dir"}"')
    folder = tmp_path / place
    folder.mkdir(parents=True)
    (folder / "thing.onnx").write_bytes(_Home.content)
    (tmp_path / "data").mkdir(exist_ok=True)
    (tmp_path / "data" / "config.json").write_text(
        json.dumps({"facepick_model_folders": str(tmp_path / "settings")})
    )
    program.get_models()
    assert asked == []


def test_a_folder_for_models_named_in_the_arguments_is_used(
    program: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMMANDLINE_ARGS", f"--models-dir={tmp_path / 'big'} --listen")
    program.get_models()
    assert (tmp_path / "big" / "facepick" / "thing.onnx").is_file()


def test_models_that_cannot_be_had_are_one_line_and_tried_again_a_day_later(
    program: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    asked: list[str],
) -> None:
    monkeypatch.setattr(_Home, "content", b"another file")
    program.get_models()
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 2
    assert "could not be fetched. 127.0.0.1" in said[1]
    assert "Get the models" in said[1]
    program.get_models()
    assert capsys.readouterr().out == ""
    assert len(asked) == 1
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 25 * 3600)
    program.get_models()
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [("FACEPICK_OFFLINE", "1"), ("COMMANDLINE_ARGS", "--skip-install")],
)
def test_models_are_left_to_the_page_when_asked_for(
    program: Any, monkeypatch: pytest.MonkeyPatch, asked: list[str], name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    program.get_models()
    assert asked == []


def test_outside_of_a_webui_nothing_is_fetched(
    program: Any, tmp_path: Path, asked: list[str]
) -> None:
    program.ROOT = tmp_path / "somewhere" / "facepick"
    program.get_models()
    assert asked == []


@pytest.mark.skipif(os.name == "nt", reason="a terminal of its own needs a pty")
def test_the_terminal_is_told_at_once_what_the_host_shows_at_the_end(tmp_path: Path) -> None:
    import pty

    output = tmp_path / "collected"
    code = (
        "import importlib.util as u, sys, time; sys.path[:0] = [];"
        f"s = u.spec_from_file_location('i', {str(INSTALL)!r});"
        "m = u.module_from_spec(s); s.loader.exec_module(m); m.say('fetching it')"
    )
    pid, terminal = pty.fork()
    if pid == 0:
        collected = os.open(output, os.O_WRONLY | os.O_CREAT)
        os.dup2(collected, 1)
        os.execv(sys.executable, [sys.executable, "-c", code])
    shown = b""
    with contextlib.suppress(OSError):  # how Linux tells that the other side has gone
        while block := os.read(terminal, 1000):
            shown += block
    os.waitpid(pid, 0)
    assert shown == b"facepick: fetching it\r\n"
    assert output.read_text() == "facepick: fetching it\n"
