"""`facepick ui` on a machine without any model file."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.browser.support import TabPage, browser, serving_the_app, small_film
from tests.host.support import no_network, wheelhouse

from facepick.models.catalog import SFACE
from facepick.models.store import sha256_of

pytestmark = pytest.mark.browser


def test_the_button_fetches_what_is_missing_and_the_scan_goes_on(
    tmp_path: Path, shared_models: Path, shared_media: Path
) -> None:
    environment = {
        **no_network(tmp_path / "nobody"),
        **wheelhouse(tmp_path / "wheels", shared_models / SFACE.file),
    }
    with serving_the_app(tmp_path / "home", environment) as address, browser() as chrome:
        context = chrome.new_context(
            viewport={"width": 390, "height": 844}, color_scheme="dark", locale="en-US"
        )
        tab = TabPage(context, f"{address}/?__theme=dark", "models")
        tab.page.wait_for_selector("#facepick_get_models")
        tab.press("models_later")
        tab.page.wait_for_selector("#facepick_get_models", state="hidden")
        tab.begin(small_film(shared_media))
        tab.get_models()
        assert len(tab.captions()) == 2
        assert tab.overflow_px() <= 0
        assert tab.faults == []
        context.close()
    assert sha256_of(tmp_path / "home" / "models" / SFACE.file) == SFACE.sha256
