"""The extension in a real checkout of the WebUI; for machines that have one.

``WEBUI_DIR=/path/to/stable-diffusion-webui pytest -m host``.  The checkout is left as it is: the
extension is linked into a data folder of the test.  ``WEBUI_PYTHON`` names its Python; by default
that of the checkout's ``venv``, else the one that runs the test.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.browser.support import ROOT, TabPage, browser, click_through, free_port, serving

pytestmark = [pytest.mark.host, pytest.mark.browser, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def webui() -> Path:
    named = os.environ.get("WEBUI_DIR")
    if not named:
        pytest.skip("WEBUI_DIR names no checkout of the WebUI")
    folder = Path(named).absolute()
    assert (folder / "launch.py").is_file(), folder
    return folder


def python_of(webui: Path) -> str:
    inside = webui / "venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    return os.environ.get("WEBUI_PYTHON") or str(inside if inside.is_file() else sys.executable)


@pytest.fixture(scope="module")
def address(
    webui: Path, shared_models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    data = tmp_path_factory.mktemp("webui")
    (data / "extensions").mkdir()
    (data / "extensions" / "facepick").symlink_to(ROOT, target_is_directory=True)
    models = data / "models" / "facepick"
    models.mkdir(parents=True)
    for file in shared_models.glob("*.onnx"):
        (models / file.name).symlink_to(file)
    port = free_port()
    argv = [
        python_of(webui), "launch.py", "--data-dir", str(data), "--port", str(port),
        "--skip-torch-cuda-test", "--skip-python-version-check", "--no-half",
        "--no-download-sd-model", "--ui-debug-mode",
    ]  # fmt: skip
    environment = {"FACEPICK_HOME": "", "PYTHONPATH": "", "COMMANDLINE_ARGS": ""}
    with serving(argv, port, data / "server.log", environment, webui) as found:
        yield found


def test_the_tab_does_its_work_in_a_real_webui(address: str) -> None:
    with browser() as chrome:
        context: Any = chrome.new_context(viewport={"width": 1280, "height": 900}, locale="en-US")
        page = context.new_page()
        page.goto(address)
        page.wait_for_selector("#tab_facepick", state="attached")
        page.close()
        tab = TabPage(context, address, "webui")
        tab.page.click("#tabs > .tab-nav button:has-text('facepick'), "
                       "#tabs button[role=tab]:has-text('facepick')")  # fmt: skip
        click_through(tab)
        context.close()
