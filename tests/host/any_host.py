"""The extension under a host's gradio and pins, in a stand-in of its loader.

Each host has a module of its own that takes these tests, so that hosts are tried at once.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.browser.players import keeps_the_users_files, spies
from tests.browser.support import ROOT, TabPage, browser, click_through, small_film
from tests.host.support import (
    CLASH,
    changing,
    freeze,
    host_python,
    no_network,
    run_install,
    stand_in,
    wheelhouse,
)

from facepick.models.catalog import SFACE
from facepick.models.store import sha256_of


@pytest.fixture(scope="module")
def chrome() -> Iterator[Any]:
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def kind(request: pytest.FixtureRequest) -> str:
    """The module's host, whose Python has facepick's needs, added by install.py."""
    python = host_python(request.module.KIND)
    before = freeze(python)
    with changing(python):
        done = run_install(python)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "could not" not in done.stdout, done.stdout
    after = freeze(python)
    moved = {name: (v, after.get(name)) for name, v in before.items() if after.get(name) != v}
    assert moved == {}
    assert [n for n in after if n.startswith("opencv")] == ["opencv-python"]
    assert "torch" not in after
    return str(request.module.KIND)


def test_a_second_install_has_nothing_to_do(kind: str) -> None:
    # No index to ask, and no answer on stdout: it has only looked.
    python = host_python(kind)
    done = run_install(python, {"PIP_NO_INDEX": "1", "PIP_INDEX_URL": "http://127.0.0.1:9/"})
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_from_install_to_a_hidden_person_with_no_model_on_the_machine(
    kind: str, chrome: Any, tmp_path: Path, shared_models: Path, shared_media: Path
) -> None:
    """In Forge install.py is offline and the page's button fetches; elsewhere install.py does."""
    data = tmp_path / "data"
    alone = no_network(tmp_path / "home")
    online = {**alone, **wheelhouse(tmp_path / "wheels", shared_models / SFACE.file)}
    button = kind == "forge"
    done = run_install(host_python(kind), alone if button else online, data=data)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"facepick: fetching {SFACE.file} (38.7 MB, Apache-2.0): ")
    assert [("could not be fetched" in line, "Get the models" in line) for line in lines[1:]] == (
        [(True, True)] if button else []
    )
    there = data / "models" / "facepick" / SFACE.file
    assert there.is_file() is not button
    with stand_in(kind, data, options=["--api"], environment=online) as (address, log):
        said = log.read_text()
        assert "CLASH IMPORTED ITS OWN" in said
        assert "could not start" not in said
        [names] = re.findall(r"OPTIONS (\[.*\])", said)
        assert names == (
            "['facepick_cache_gb', 'facepick_device', 'facepick_input_folders', "
            "'facepick_jobs', 'facepick_language', 'facepick_model_folders']"
        )
        context = chrome.new_context(viewport={"width": 1280, "height": 900}, locale="en-US")
        tab = TabPage(context, address, kind)
        assert tab.page.query_selector("#tab_facepick #facepick_root")
        click_through(tab, small_film(shared_media), preview=False, get_models=button)
        assert sha256_of(there) == SFACE.sha256
        # Nor has the page asked for a microphone, which this machine has not.
        assert [f for f in tab.faults if "fetch" not in f] == []
        engines = tab.page.request.get(f"{address}/facepick/v1/engines").json()
        assert {"hide", "lipsync", "swap"} <= {engine["flow"] for engine in engines}
        context.close()
    [result] = (data / "outputs" / "facepick").glob("*/base_640x360_facepick_001.mp4")
    assert result.is_file()
    # Jobs and cache lie in the WebUI's data folder, and nothing was written into the extension.
    assert (data / "facepick" / "jobs").is_dir()


HAND_OVER = """
import base64, sys
from facepick_ui.compat import build
import gradio
for path in sys.argv[1:]:
    kind = "Image" if path.endswith(".png") else "Audio"
    with gradio.Blocks():
        widget = build(kind, sources=["upload"], type="filepath")
    if hasattr(gradio, "on"):
        from gradio.data_classes import FileData
        given = FileData(path=path)
    else:
        with open(path, "rb") as file:
            given = "data:image/png;base64," + base64.b64encode(file.read()).decode()
        if kind == "Audio":
            given = {"name": path.rpartition("/")[2], "data": given}
    print(widget.get_block_name(), widget.preprocess(given), sep="\\n")
"""


def test_files_are_handed_over_as_they_came(kind: str, tmp_path: Path) -> None:
    # Gradio's own decoder reads none of them; for the second one it would need ffprobe.
    given = [tmp_path / name for name in ("empty.wav", "speech.mp3", "diary.png")]
    for path in given:
        path.write_bytes(b"" if path.name == "empty.wav" else b"Dear diary")
    both = f"{ROOT / 'lib'}{os.pathsep}{ROOT / 'ui'}"
    done = subprocess.run(
        [str(host_python(kind)), "-c", HAND_OVER, *map(str, given)],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": both},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = done.stdout.splitlines()
    assert told[::2] == ["audio", "audio", "image"]
    for before, after in zip(given, map(Path, told[1::2]), strict=True):
        assert after.read_bytes() == before.read_bytes()
        assert after.suffix == before.suffix


@pytest.fixture
def renamed(tmp_path: Path) -> Path:
    """The extension under the name that a downloaded archive has, without the repository."""
    place = tmp_path / "extensions" / "facepick-main (1)"
    for name in ("scripts", "lib", "ui", "javascript"):
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("install.py", "preload.py", "style.css", "metadata.ini"):
        shutil.copyfile(ROOT / name, place / name)
    return place


def test_any_folder_name_no_queue_and_reload(
    kind: str, chrome: Any, tmp_path: Path, renamed: Path
) -> None:
    if kind != "a1111":
        pytest.skip("only A1111's gradio can be without its queue")
    data = tmp_path / "data"
    options = ["--no-gradio-queue", "--reload"]
    # Models that whoever runs the tests has elsewhere must not be found.
    bare = no_network(tmp_path / "home")
    with stand_in(kind, data, extensions=(renamed, CLASH), options=options, environment=bare) as (
        address,
        log,
    ):
        assert log.read_text().count("LOADED facepick_tab.py") == 2
        assert "could not start" not in log.read_text()
        context = chrome.new_context(locale="zh-CN")
        tab = TabPage(context, address, f"{kind}_no_queue")
        tab.wait_text("scan", "查找人物")
        tab.press("demo")
        tab.wait_text("facts", "1280 x 720")
        # Without models the scan fails at once: what counts is that the end is shown unasked.
        tab.press("scan")
        tab.wait_text("scan_progress", "缺少模型文件")
        tab.wait_text("models_note", "将自动继续")
        context.close()


def test_what_is_missing_is_told_in_the_tab(
    kind: str, chrome: Any, tmp_path: Path, renamed: Path
) -> None:
    if kind == "neo":
        pytest.skip("Forge Neo has Forge's gradio")
    (renamed / "lib" / "facepick" / "app.py").write_text("import a_package_nobody_has\n")
    with stand_in(kind, tmp_path / "data", extensions=(renamed,)) as (address, _):
        context = chrome.new_context()
        page = context.new_page()
        page.goto(address)
        text = page.wait_for_selector("#facepick_failed").inner_text()
        assert "a_package_nobody_has" in text
        assert "install.py" in text
        context.close()


def test_the_users_videos_stay_as_they_are(kind: str, chrome: Any, tmp_path: Path) -> None:
    if kind == "neo":
        pytest.skip("Forge Neo has Forge's gradio")
    data = tmp_path / "data"
    (data / "inputs").mkdir(parents=True)
    environment, calls = spies(tmp_path)
    with stand_in(kind, data, extensions=(ROOT,), environment=environment) as (address, _):
        context = chrome.new_context(viewport={"width": 1280, "height": 900}, locale="en-US")
        keeps_the_users_files(context, address, kind, data / "inputs", data / "facepick", calls)
        context.close()
