"""What the tests of the admin share."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from playwright.sync_api import Browser, Page, expect

from devtools.testing.shop.storefront import a_book
from shop.models import Book


@pytest.fixture(autouse=True)
def nothing_by_itself(slow_carrier: None) -> None:
    """Staff see orders stand where they are."""


@pytest.fixture
def book() -> Book:
    """A book of which there is enough."""
    return a_book(stock=50, title="The Glasshouse Alibi")


@pytest.fixture
def viewer() -> Client:
    """A member of staff who may look at everything and change nothing."""
    user = User.objects.create_user("viewer", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture(params=[("light", 1280), ("dark", 390)], ids=lambda p: f"{p[0]}-{p[1]}")
def desk(request: pytest.FixtureRequest, browser: Browser, live_server: Any) -> Iterator[Page]:
    """A page of staff who have just signed in; scripts must run without errors, and break no policy (XA11)."""
    User.objects.create_superuser("boss", password="secret")
    scheme, width = request.param
    context = browser.new_context(
        base_url=live_server.url, color_scheme=scheme, viewport={"width": width, "height": 900}
    )
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.extend(found for found in [message.text] if "Content Security" in found))
    page.goto("/admin/login/")
    page.locator("[name=username]").fill("boss")
    page.locator("[name=password]").fill("secret")
    page.get_by_role("button", name="Log in").click()
    expect(page).to_have_url(f"{live_server.url}/admin/")
    yield page
    context.close()
    assert errors == []
