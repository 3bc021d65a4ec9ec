"""How pytest-playwright starts its browser; everything else is in `devtools/testing/plugin.py`."""

from typing import Any

import pytest
from playwright.sync_api import expect

from devtools.testing import browser, plugin


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any], pytestconfig: pytest.Config) -> dict[str, Any]:
    """The Chromium that was found, kept from calling home."""
    # What a page does is waited for; how soon it does so on a busy machine is no question of these tests.
    expect.set_options(timeout=60_000)
    path = pytestconfig.stash[plugin.BROWSER]
    return {**browser_type_launch_args, "executable_path": path, "args": browser.ARGUMENTS}
