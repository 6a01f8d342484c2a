"""The extension in Forge, see `any_host`."""

import pytest
from tests.host.any_host import *  # noqa: F403

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1800)]
KIND = "forge"
