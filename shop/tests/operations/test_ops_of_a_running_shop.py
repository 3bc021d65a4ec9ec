"""The operations page of a whole running shop in a real browser: what an operator finds there, and that it stays up and
honest while something is away.
"""

import json
import threading
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from devtools.local.kafka.apache_kafka import ApacheKafka
from devtools.local.postgres import Postgres
from devtools.testing.processes import Shop
from devtools.testing.services import Services
from devtools.testing.shop.storefront import CONTACT

pytestmark = [pytest.mark.operations, pytest.mark.browser, pytest.mark.kafka, pytest.mark.together]
SEEN_MS = 60_000
ORDERS = 3


@pytest.fixture
def operator(browser: Browser, running_shop: Shop) -> Iterator[Page]:
    """Somebody who has signed in to the admin and opened the operations page from its side bar."""
    make_operator(running_shop)
    context = browser.new_context(base_url=running_shop.url)
    page, errors = context.new_page(), list[str]()
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if "Security Policy" in message.text else None)
    page.goto("/admin/login/?next=/admin/")
    page.get_by_label("Username").fill("olga")
    page.get_by_label("Password").fill("olga-looks-after-it")
    page.get_by_label("Password").press("Enter")
    page.get_by_role("link", name="Operations").first.click()
    expect(page.get_by_text("Live", exact=True)).to_be_visible(timeout=SEEN_MS)
    expect(page.get_by_text("Nothing has been read")).to_have_count(0, timeout=SEEN_MS)
    yield page
    context.close()
    assert errors == []


def make_operator(shop: Shop) -> None:
    """Who may look at operations and at orders."""
    shop.manage("shell", "--no-imports", "-c", _OPERATOR)


_OPERATOR = """
from django.contrib.auth.models import Permission, User
user, _ = User.objects.get_or_create(username="olga", defaults={"is_staff": True})
user.set_password("olga-looks-after-it")
user.save()
names = ["view_operations", "view_order", "view_outboxrow", "control_groups", "view_groupcontrol"]
user.user_permissions.set(Permission.objects.filter(codename__in=names))
"""


def place_order(shop: Shop) -> str:
    """An order over the JSON interface; returns its id."""
    ((sku,),) = shop.query("SELECT isbn FROM shop_book ORDER BY isbn LIMIT 1")
    body = {
        **CONTACT, "idempotency_key": str(uuid.uuid4()), "lines": [{"sku": sku, "quantity": 1}],
        "payment_method": "pm_success",
    }  # fmt: skip
    request = urllib.request.Request(  # noqa: S310 - our own shop
        f"{shop.url}/api/orders/", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=10) as answer:
        placed: dict[str, Any] = json.load(answer)
    return str(placed["order"])


def waiting_for_shipping(shop: Shop) -> int:
    """Paid orders that were confirmed and not shipped, as PostgreSQL has it."""
    return int(shop.query("SELECT count(*) FROM orders_order WHERE status = 'PAID' AND confirmed_at IS NOT NULL")[0][0])


@pytest.mark.security
def test_something_is_slow(operator: Page, running_shop: Shop) -> None:
    """E9, XC2: told only that, an operator finds the stopped group, the orders that wait and what to do within 30 s."""
    running_shop.stop("shipping")
    for _ in range(ORDERS):
        place_order(running_shop)
    running_shop.wait_until(
        lambda: waiting_for_shipping(running_shop) >= ORDERS, what="paid orders", timeout_seconds=60
    )
    expect(operator.get_by_role("heading", level=1)).to_contain_text("shipping", timeout=SEEN_MS)

    operator.goto("/admin/")
    began = time.monotonic()
    operator.get_by_role("link", name="Operations").first.click()
    expect(operator.get_by_role("heading", level=1)).to_contain_text("shipping")
    card = operator.locator(".ops-finding", has_text="shipping").first
    expect(card).to_contain_text("run_consumer shipping")
    waits = operator.locator(".ops-waiting li", has_text="wait for shipping")
    expect(waits).to_contain_text(f"{waiting_for_shipping(running_shop)} paid orders wait for shipping, the oldest for")
    waits.get_by_role("link", name="These orders").click()
    expect(operator.locator("#result_list tbody tr")).to_have_count(waiting_for_shipping(running_shop))
    assert time.monotonic() - began < 30

    operator.go_back()
    running_shop.start("shipping")
    expect(operator.locator(".ops-finding", has_text="shipping")).to_have_count(0, timeout=SEEN_MS)


def test_a_group_is_paused_and_resumed_from_the_page(operator: Page, running_shop: Shop) -> None:
    """E12: orders wait meanwhile, the page says who did it and why, and afterwards they go on."""
    operator.goto("/admin/operations/groups/?group=shipping")
    operator.get_by_role("link", name="Pause…").first.click()
    operator.get_by_label("Reason").fill("the carrier is on strike")
    operator.get_by_role("button", name="Pause it").click()
    expect(operator.get_by_text("shipping is paused; its members notice within 3 seconds.")).to_be_visible()
    threading.Event().wait(4.0)  # a second more than members take to notice
    before = waiting_for_shipping(running_shop)
    place_order(running_shop)
    running_shop.wait_until(
        lambda: waiting_for_shipping(running_shop) > before, what="a paid order", timeout_seconds=60
    )
    operator.goto("/admin/operations/groups/?group=shipping")
    held = operator.locator(".ops-waiting li", has_text="by olga")
    expect(held).to_contain_text("the carrier is on strike", timeout=SEEN_MS)
    expect(operator.get_by_text("paused by a person")).not_to_have_count(0, timeout=SEEN_MS)
    assert waiting_for_shipping(running_shop) > before

    held.get_by_role("link", name="Resume…").click()
    operator.get_by_label("Reason").fill("it is over")
    operator.get_by_role("button", name="Resume it").click()
    expect(operator.get_by_text("shipping goes on; its members notice within 3 seconds.")).to_be_visible()
    running_shop.wait_until(
        lambda: waiting_for_shipping(running_shop) == 0, what="the order shipped", timeout_seconds=60
    )
    operator.goto("/admin/operations/groups/?group=shipping")
    expect(held).to_have_count(0, timeout=SEEN_MS)


def test_figures_equal_the_brokers_and_the_databases_own(operator: Page, running_shop: Shop) -> None:
    running_shop.stop("shipping")
    place_order(running_shop)
    running_shop.wait_until(lambda: waiting_for_shipping(running_shop), what="a paid order", timeout_seconds=60)
    behind = dict[str, int]()

    def only_shipping_is_behind() -> bool:
        behind.update(lag_by_group(running_shop))
        return [group for group, messages in behind.items() if messages] == ["shipping"]

    running_shop.wait_until(only_shipping_is_behind, what="shipping alone behind", timeout_seconds=120)
    for group, messages in behind.items():
        row = operator.locator(f"tr[data-key='{group.removesuffix('.retry')}']")
        if group.endswith(".retry"):
            expect(row).to_contain_text("retries: none behind", timeout=SEEN_MS)
        else:
            expect(row.locator("[data-figure='messages']")).to_have_text(str(messages), timeout=SEEN_MS)
    expect(operator.locator("[data-key='shipping'] [data-figure='members']")).to_have_text("0", timeout=SEEN_MS)
    [[unsent]] = running_shop.query("SELECT count(*) FROM kafka_bridge_outboxrow WHERE published_at IS NULL")
    expect(operator.locator("[data-figure='outbox']")).to_have_text(str(unsent), timeout=SEEN_MS)


def lag_by_group(shop: Shop) -> dict[str, int]:
    """What each group still has to read, as `show_lag` counts it."""
    found: dict[str, int] = {}
    for row in json.loads(shop.manage("show_lag", "--json"))["partitions"]:
        found[row["group"]] = found.get(row["group"], 0) + row["messages"]
    return found


def away_and_back(page: Page, name: str, stop: Callable[[], None], start: Callable[[], None]) -> None:
    """The page says that it is away and goes on with the rest, opens anew meanwhile, and is well again afterwards."""
    stop()
    try:
        expect(page.locator(".ops-finding", has_text=f"{name} cannot be read")).to_be_visible(timeout=SEEN_MS)
        expect(page.locator(".ops-sources li", has_text=name)).to_have_attribute("data-level", "bad", timeout=SEEN_MS)
        page.reload(timeout=SEEN_MS)
        expect(page.locator(".ops-sources li", has_text=name)).to_have_attribute("data-level", "bad")
        expect(page.get_by_text("Live", exact=True)).to_be_visible(timeout=SEEN_MS)
    finally:
        start()
    expect(page.locator(".ops-sources li", has_text=name)).to_have_attribute("data-level", "good", timeout=SEEN_MS)


@pytest.mark.prove
def test_it_stays_up_without_redis(operator: Page, running_shop: Shop) -> None:
    away_and_back(operator, "Redis", running_shop.redis.kill, running_shop.redis.start)


def test_it_stays_up_with_a_frozen_broker(operator: Page, real_kafka: ApacheKafka) -> None:
    away_and_back(operator, "Kafka", real_kafka.pause, real_kafka.resume)


@pytest.mark.prove
def test_it_stays_up_without_kafka(operator: Page, real_kafka: ApacheKafka) -> None:
    away_and_back(operator, "Kafka", real_kafka.stop, real_kafka.start)


def test_it_stays_up_without_postgresql(operator: Page, services: Services, postgres_server: Postgres) -> None:
    away_and_back(operator, "PostgreSQL", postgres_server.kill, postgres_server.start)
