"""The operations page in a real browser: found in a hurry, pushed, honest about its age, usable without a mouse."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core import signing
from playwright.sync_api import Browser, Page, expect

from devtools.local import ports, roles
from kafka_bridge.runtime import waiting
from shop.operations.pages import passes, rendering

pytestmark = [pytest.mark.operations, pytest.mark.browser, pytest.mark.together]
PUSH_MS = 10_000
READ_IN_MS = 30_000


class Served:
    """A process that serves the page of a scene."""

    def __init__(self, folder: Path) -> None:
        self._scene = folder / "scene"
        self._log = folder / "log"
        self.port = ports.pick_neighbours()
        self.url = f"http://127.0.0.1:{self.port}"
        self.show("all_well")
        self.start()

    def show(self, scene: str) -> None:
        """From now on the shop is like this."""
        written = self._scene.with_suffix(".new")
        written.write_text(scene)
        written.replace(self._scene)

    def start(self) -> None:
        """Serve, and wait until it does."""
        command = [sys.executable, "-m", "devtools.testing.shop.operations_server", str(self.port), str(self._scene)]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603 - our own command line
                command, cwd=settings.BASE_DIR, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, "LIVE_PORT": "0"},
            )  # fmt: skip
        waiting.until(lambda: roles.answers(f"{self.url}/ops/", any_status=True), what="the page", timeout_seconds=60)

    def check_alive(self) -> None:
        """It must not have ended by itself."""
        assert self.process.poll() is None, f"it ended with {self.process.returncode}:\n{self._log.read_text()}"

    def stop(self) -> None:
        """End the process."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One for all tests of this file."""
    found = Served(tmp_path_factory.mktemp("operations"))
    yield found
    found.stop()


@pytest.fixture
def scene(served: Served) -> Served:
    """The same, with a shop in which all is well."""
    served.check_alive()
    served.show("all_well")
    return served


@pytest.fixture
def cookie(scene: Served) -> dict[str, Any]:
    """A pass, as the admin gives it."""
    content = [1, "olga", passes._mark(User(pk=1, username="olga", password="x"))]
    return {"name": passes.COOKIE, "value": signing.dumps(content, salt=passes._SALT), "url": f"{scene.url}/ops/"}


@pytest.fixture
def page(browser: Browser, scene: Served, cookie: dict[str, Any]) -> Iterator[Page]:
    """An operator's page, which must run without errors and within the content security policy."""
    context = browser.new_context(base_url=scene.url)
    context.add_cookies([cookie])  # type: ignore[list-item]  # a dict of these keys
    opened, errors = context.new_page(), list[str]()
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("console", lambda message: errors.append(message.text) if "Security Policy" in message.text else None)
    yield opened
    context.close()
    assert errors == []


def test_something_is_slow(page: Page, scene: Served) -> None:
    """E9: the stopped group, the orders that wait and what to do are on the first screen; one click from each."""
    scene.show("shipping_stopped")
    page.set_default_timeout(READ_IN_MS)
    page.goto("/ops/")
    expect(page.get_by_role("heading", level=1)).to_have_text("shipping is not running, and 17 orders wait")
    card = page.locator(".ops-finding").first
    expect(card).to_contain_text("17 paid orders wait for shipping, the oldest for 2 min 14 s.")
    expect(card).to_contain_text("python manage.py run_consumer shipping")
    box = card.bounding_box()
    assert box and box["y"] + box["height"] < 720, "seen without scrolling"
    expect(card.get_by_role("link", name="These orders")).to_have_attribute(
        "href", "/admin/orders/order/?waits=shipping"
    )
    card.get_by_role("link", name="Group shipping").click()
    expect(page.get_by_text("nobody, nothing moves for 2 min 14 s")).to_be_visible()


def test_it_is_pushed_and_what_is_unfolded_stays_so(page: Page, scene: Served) -> None:
    page.goto("/ops/")
    expect(page.get_by_role("heading", level=1)).to_have_text("All is well")
    expect(page.get_by_text("Live", exact=True)).to_be_visible(timeout=PUSH_MS)
    page.get_by_text("As a table").first.click()
    page.evaluate("window.isTheSamePage = true")
    scene.show("shipping_stopped")
    expect(page.get_by_role("heading", level=1)).to_contain_text("shipping is not running", timeout=PUSH_MS)
    expect(page.locator("details[open]")).to_have_count(1)
    scene.show("without_postgresql")
    expect(page.get_by_role("heading", level=1)).to_contain_text("PostgreSQL cannot be read", timeout=PUSH_MS)
    assert page.evaluate("window.isTheSamePage")


def test_it_says_how_old_it_is_when_nothing_comes_and_goes_on_when_something_does(page: Page, scene: Served) -> None:
    page.goto("/ops/")
    expect(page.get_by_text("Live", exact=True)).to_be_visible(timeout=PUSH_MS)
    # What the test before this one has shown may still be there for a moment.
    expect(page.get_by_role("heading", level=1)).to_have_text("All is well", timeout=PUSH_MS)
    scene.stop()
    try:
        expect(page.locator("[data-connection-words]")).to_have_text("Reconnecting, 2 s old", timeout=PUSH_MS)
        expect(page.get_by_role("heading", level=1)).to_have_text("All is well")
    finally:
        scene.start()
    expect(page.get_by_text("Live", exact=True)).to_be_visible(timeout=2 * PUSH_MS)


def test_a_time_can_be_drawn_and_reached_without_a_mouse(page: Page) -> None:
    page.goto("/ops/groups/?group=shipping")
    chart = page.locator("svg[data-since]").first
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + 50)
    page.mouse.up()
    page.wait_for_url("**/ops/groups/?group=shipping&from=*&until=*")
    since, until = (
        int(page.locator("svg[data-since]").first.get_attribute(f"data-{end}") or 0) for end in ("since", "until")
    )
    assert 200 < until - since < 400, "about a quarter of a quarter of an hour"
    page.get_by_role("link", name="Narrower").focus()
    page.keyboard.press("Enter")
    page.wait_for_function(f"document.querySelector('svg[data-since]').dataset.since > {since}")
    assert "group=shipping" in page.url
    page.get_by_role("link", name="Now").click()
    expect(page.get_by_role("heading", name="Groups: shipping")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_sticks_out_on_a_telephone(
    browser: Browser, scene: Served, cookie: dict[str, Any], scheme: Any
) -> None:
    scene.show("shipping_stopped")
    context = browser.new_context(
        base_url=scene.url, viewport={"width": 390, "height": 800}, color_scheme=scheme, java_script_enabled=True
    )
    context.add_cookies([cookie])  # type: ignore[list-item]
    page = context.new_page()
    for each in [*(one.url for one in rendering.PAGES), "/ops/groups/?group=shipping"]:
        page.goto(each)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, each
    context.close()


def test_without_javascript_it_shows_the_state_and_reloads(
    browser: Browser, scene: Served, cookie: dict[str, Any]
) -> None:
    context = browser.new_context(base_url=scene.url, java_script_enabled=False)
    context.add_cookies([cookie])  # type: ignore[list-item]
    page = context.new_page()
    page.goto("/ops/")
    expect(page.get_by_role("heading", level=1)).to_have_text("All is well")
    scene.show("shipping_stopped")
    expect(page.get_by_role("heading", level=1)).to_contain_text("shipping is not running", timeout=2 * PUSH_MS)
    context.close()


def test_who_has_no_pass_is_told_where_to_sign_in(browser: Browser, scene: Served) -> None:
    page = browser.new_page()
    page.goto(f"{scene.url}/ops/")
    expect(page.get_by_role("heading", name="Sign in to see this page")).to_be_visible()
    expect(page.get_by_role("link", name="Sign in and open it")).to_have_attribute("href", "/admin/operations/")
    page.close()
