"""What the tests in a browser share."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page

from devtools.testing.processes import Shop


@pytest.fixture
def browser_context_args(browser_context_args: dict[str, Any], running_shop: Shop) -> dict[str, Any]:
    """Tests name pages by their path."""
    return {**browser_context_args, "base_url": running_shop.url}


@pytest.fixture
def page(page: Page) -> Iterator[Page]:
    """A page that must run without errors and within the content security policy."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if "Security Policy" in message.text else None)
    yield page
    assert errors == []
