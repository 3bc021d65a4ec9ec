"""R3: a waiting room of a whole running shop: over HTTP and sockets, in a browser with and without scripts."""

import json
import re
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, expect

from devtools.testing.processes import Shop

pytestmark = [pytest.mark.rush, pytest.mark.kafka, pytest.mark.slow, pytest.mark.together]
PATIENCE_MS = 60_000
SALE = """
import json
from datetime import timedelta
from django.db import transaction
from django.utils import timezone
from shop.flashsales import flash_sales
from shop.models import Book, FlashSale
from shop.waiting_room import rooms
book = Book.objects.filter(is_listed=True, flash_sales=None).order_by("-isbn").first()
with transaction.atomic():
    sale = FlashSale.objects.create(
        name="Turn by Turn", starts_at=timezone.now() - timedelta(seconds=1),
        ends_at=timezone.now() + timedelta(hours=1), waiting_room="on",
        waiting_pass_seconds=3600,
    )
    sale.books.create(book=book, price_minor=100, units=1)
    flash_sales.set_aside(sale, by="test")
    rooms.open_room(sale)
print(json.dumps({"sale": sale.pk, "title": book.title}))
"""


def test_a_sale_of_few_copies_and_many_who_wait_keeps_its_promises(running_shop: Shop) -> None:
    """Those who wait learn it over sockets, and some cards are declined; everything is judged.

    How fast is not: the machine may be slow.
    """
    options = ["--buyers", "60", "--units", "12", "--declined", "20", "--idle", "0", "--pass", "60", "--sockets", "20"]
    out = running_shop.manage(
        "simulate_flash_sale", "--queue", *options, "--threads", "8", "--seed", "5", "--slack", "100", "--json"
    )
    found: dict[str, Any] = json.loads(out)
    assert (found["verdict"], found["problems"]) == ("kept", [])
    assert found["confirmed"] == 12
    assert found["told_most_s"] is not None


@pytest.mark.browser
def test_a_page_shows_its_turn_by_itself_with_and_without_scripts(running_shop: Shop, browser: Browser) -> None:
    sale = json.loads(running_shop.manage("shell", "--no-imports", "-c", SALE))
    path = f"/sales/{sale['sale']}/queue/"
    with httpx.Client(base_url=running_shop.url, trust_env=False, timeout=60) as first:
        running_shop.wait_until(lambda: first.get(path).status_code == 200, what="the room is known")
        place = first.post(f"/api{path.replace('queue', 'place')}").json()
        running_shop.wait_until(
            lambda: first.get(f"/api{path.replace('queue', 'place')}").json()["state"] == "admitted",
            what="the first one is admitted",
        )
        assert place["token"]
    errors: list[str] = []
    scripted = browser.new_context(base_url=running_shop.url)
    plain = browser.new_context(base_url=running_shop.url, java_script_enabled=False)
    page, bare = scripted.new_page(), plain.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if "Security Policy" in message.text else None)
    for each in (page, bare):
        each.goto(path)
        each.get_by_role("button", name="Ask for a place").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("You are next", timeout=PATIENCE_MS)
    expect(bare.get_by_role("heading", level=1)).to_have_text("One person is before you", timeout=PATIENCE_MS)
    expect(page.get_by_text("Live", exact=True)).to_be_visible(timeout=PATIENCE_MS)

    # The first one has no more time.
    shell = (
        "from django_redis import get_redis_connection\nfrom shop.waiting_room import scripts\n"
        "client = get_redis_connection('default')\n"
        f"key = scripts.keys_of({sale['sale']})[2]\n"
        "[client.zadd(key, {place: 1}) for place in client.zrange(key, 0, -1)]"
    )
    running_shop.manage("shell", "--no-imports", "-c", shell)
    expect(page.get_by_role("heading", level=1)).to_have_text("It is your turn", timeout=PATIENCE_MS)
    expect(page.get_by_role("button", name=re.compile("Order now"))).to_be_visible()
    expect(page.locator("#room-news")).to_have_text("It is your turn")
    # Without scripts the page loads itself again.
    expect(bare.get_by_role("heading", level=1)).to_have_text("You are next", timeout=PATIENCE_MS)
    page.get_by_role("button", name=re.compile("Order now")).click()
    expect(page.get_by_role("heading", name="Checkout")).to_be_visible(timeout=PATIENCE_MS)
    assert errors == []
    for context in (scripted, plain):
        context.close()
    end = (
        "from django.db import transaction\nfrom shop.flashsales import flash_sales\n"
        "from shop.models import FlashSale\n"
        f"with transaction.atomic(): flash_sales.end_now(FlashSale.objects.get(pk={sale['sale']}), by='test')"
    )
    running_shop.manage("shell", "--no-imports", "-c", end)
