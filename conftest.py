"""How pytest-playwright starts its browser; everything else is in `devtools/testing/plugin.py`."""

from typing import Any

import pytest

from devtools.testing import browser, plugin


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any], pytestconfig: pytest.Config) -> dict[str, Any]:
    """The Chromium that was found, kept from calling home."""
    path = pytestconfig.stash[plugin.BROWSER]
    return {**browser_type_launch_args, "executable_path": path, "args": browser.ARGUMENTS}
