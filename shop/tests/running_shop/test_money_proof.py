"""Money is never taken twice, and never without an order: on real Kafka, with the gateway's own books as the judge.

The gateway is a process of its own with a ledger of its own, so that a crash of ours is none of its. In the end of each
test the gateway keeps exactly what the orders come to that were kept.
"""

import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from devtools.testing.payments import gateway_books
from devtools.testing.processes import Shop
from devtools.testing.shop.buyers import Buyers
from events import catalogue

pytestmark = [pytest.mark.money, pytest.mark.kafka, pytest.mark.slow]

MANY_ORDERS, ORDERS = 1000, 100
TIMES_OUT = "pm_charges_then_times_out"
PLENTY = 1500
RECEIVE = """
from django.db import transaction
from inventory import stock_adjustments
with transaction.atomic():
    stock_adjustments.receive(quantities={{"{sku}": {units}}}, reason="test")
"""
TAKE_BUT_TEN = """
from django.db import transaction
from inventory import stock_adjustments
with transaction.atomic():
    stock_adjustments.correct(sku="{sku}", change={change}, reason="ten are left", by="test")
"""
# Buyers cancel every other order, at any moment.
CANCEL = """
import random, time
from django.db import transaction
from django.utils.dateparse import parse_datetime
from orders import models
from orders.actions import cancellation
tried, cancelled, late = set(), 0, 0
def is_wanted():
    return len(tried) < 30 or (len(tried) < 300 and not late and {until_late})
while is_wanted():
    recent = models.Order.objects.filter(placed_at__gt=parse_datetime("{since}"), status__in={statuses})
    for order_id in recent.values_list("pk", flat=True):
        if order_id.int % 2 and order_id not in tried and is_wanted():
            tried.add(order_id)
            time.sleep(random.uniform(0, 0.3 if {until_late} else 0.05))
            try:
                with transaction.atomic():
                    cancellation.cancel(order_id=order_id, reason="changed their mind", by="test")
                cancelled += 1
            except cancellation.CannotCancel:
                late += 1
print(cancelled, late)
"""


@pytest.fixture
def buyers(running_shop: Shop) -> Iterator[Buyers]:
    """Buyers of one book of which there is plenty."""
    [(sku,)] = running_shop.query("SELECT isbn FROM shop_book WHERE is_listed ORDER BY isbn LIMIT 1")
    [(free,)] = running_shop.query("SELECT received - held - sold FROM inventory_stock WHERE bin = %s", sku)
    if free < PLENTY:
        running_shop.manage("shell", "--no-imports", "-c", RECEIVE.format(sku=sku, units=2 * PLENTY))
        running_shop.restart("web")  # whose snapshot of the shelves may be a second old
    yield Buyers(running_shop, str(sku))


@contextmanager
def changed(shop: Shop, *roles: str, **environment: str) -> Iterator[None]:
    """These roles with other settings for a while."""
    if environment.items() <= shop.environment.items():
        yield
        return
    before = dict(shop.environment)
    shop.environment.update(environment)
    shop.restart(*roles)
    try:
        yield
    finally:
        shop.environment.clear()
        shop.environment.update(before)
        shop.restart(*roles)


def click(buyers: Buyers, *, count: int, of_these: int, card: str) -> threading.Thread:
    """Buyers who click beside the test, some of them with another card."""

    def clicking() -> None:
        for start in range(0, count, 50):
            buyers.order(50 * of_these // count, card=card)
            buyers.order(50 - 50 * of_these // count)
            assert len(buyers.placed) == start + 50

    thread = threading.Thread(target=clicking)
    thread.start()
    return thread


def buy_and_cancel(buyers: Buyers, *, card: str, statuses: list[str], until_late: bool = False) -> tuple[int, int]:
    """Buy until buyers have tried to cancel thirty of these orders (and came too late at least once): how often that
    worked, and how often not.
    """
    shop = buyers.shop
    [(since,)] = shop.query("SELECT now()")
    code = CANCEL.format(since=since.isoformat(), statuses=statuses, until_late=until_late)
    with ThreadPoolExecutor(1) as pool:
        cancelling = pool.submit(shop.manage, "shell", "--no-imports", "-c", code)
        while not cancelling.done():
            buyers.order(4, card=card)
            time.sleep(0.05)  # a shop with some breath left
    cancelled, late = map(int, cancelling.result().split())
    return cancelled, late


# -- crashes ----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("orders", "flow"),
    [
        (ORDERS, catalogue.RESERVE_FIRST),
        pytest.param(ORDERS, catalogue.PAYMENT_FIRST, marks=pytest.mark.prove),
        pytest.param(MANY_ORDERS, catalogue.RESERVE_FIRST, marks=pytest.mark.prove(long=True)),
        pytest.param(MANY_ORDERS, catalogue.PAYMENT_FIRST, marks=pytest.mark.prove(long=True)),
    ],
)
def test_30_percent_are_charged_then_timed_out_with_payments_killed_again_and_again(
    flow: str, orders: int, buyers: Buyers
) -> None:
    """Unknown outcomes, and a consumer that forgets them, are asked about with the same key."""
    shop = buyers.shop
    with changed(shop, "web", ORDER_FLOW=flow):
        clicking = click(buyers, count=orders, of_these=orders * 3 // 10, card=TIMES_OUT)
        kills = 0
        while kills < 2 or clicking.is_alive() or gateway_books.captured(shop, buyers.placed) < orders:
            if kills == 1:  # a lost answer takes two seconds to be given up, and kills in between would hide them all
                shop.wait_until(
                    lambda: gateway_books.unknown_for_a_while(shop, buyers.placed) > 0,
                    what="an outcome that nobody knows",
                )
            # Few orders are under way for a moment only.
            pause = (1, 4) if orders == MANY_ORDERS else (0.2, 0.6)
            time.sleep(random.uniform(*pause))  # noqa: S311 - any moment will do
            shop.kill("payments")
            shop.start("payments")
            kills += 1
            assert kills < 60, gateway_books.ends(shop, buyers.placed)
        clicking.join()
        assert len(buyers.placed) == orders
        gateway_books.wait_for_the_end(shop, buyers.placed)
    assert gateway_books.ends(shop, buyers.placed) == {"DELIVERED": orders}
    gateway_books.assert_sums(shop, buyers.placed)


def test_the_gateway_killed_and_out_of_order(buyers: Buyers) -> None:
    """While it is away orders wait, none is refused, and its ledger is what it was."""
    shop = buyers.shop
    clicking = click(buyers, count=100, of_these=10, card="pm_times_out_before")
    for _ in range(3):
        before = gateway_books.captured(shop, buyers.placed)
        shop.kill("gateway")
        shop.start("gateway")
        shop.wait_until(lambda: gateway_books.captured(shop, buyers.placed) > before, what="the next payment")  # noqa: B023
    clicking.join()
    gateway_books.wait_for_the_end(shop, buyers.placed)
    assert gateway_books.ends(shop, buyers.placed) == {"DELIVERED": 100}
    gateway_books.assert_sums(shop, buyers.placed)


# -- who wins ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("card", "flow"),
    [
        (TIMES_OUT, catalogue.RESERVE_FIRST),
        pytest.param("pm_success", catalogue.PAYMENT_FIRST, marks=pytest.mark.prove),
        pytest.param("pm_slow", catalogue.RESERVE_FIRST, marks=pytest.mark.prove),
        pytest.param(TIMES_OUT, catalogue.PAYMENT_FIRST, marks=pytest.mark.prove(long=True)),
        pytest.param("pm_success", catalogue.RESERVE_FIRST, marks=pytest.mark.prove(long=True)),
        pytest.param("pm_slow", catalogue.PAYMENT_FIRST, marks=pytest.mark.prove(long=True)),
    ],
)
def test_cancellation_against_capture(card: str, flow: str, buyers: Buyers) -> None:
    """A cancelled order keeps no charge, whenever the cancellation comes."""
    shop = buyers.shop
    with changed(shop, "web", ORDER_FLOW=flow):
        cancelled, _ = buy_and_cancel(buyers, card=card, statuses=["PENDING", "PAID"])
        gateway_books.wait_for_the_end(shop, buyers.placed)
    assert cancelled > 0
    kept = len(buyers.placed) - cancelled
    assert gateway_books.ends(shop, buyers.placed) == {"DELIVERED": kept, "changed their mind": cancelled}
    gateway_books.assert_sums(shop, buyers.placed)


def test_expiry_against_payment(buyers: Buyers) -> None:
    """Holds run out while cards are charged; an order is paid and kept, or over and not charged."""
    shop = buyers.shop
    with changed(shop, "inventory", "timekeeper", HOLD_SECONDS="3"):
        for card, count in {"pm_success": 40, "pm_slow": 40, TIMES_OUT: 20, "pm_3ds": 20}.items():
            buyers.order(count, card=card)
        gateway_books.wait_for_the_end(shop, buyers.placed)
    ends = gateway_books.ends(shop, buyers.placed)
    assert ends.keys() <= {"DELIVERED", "not paid in time", "payment failed: not confirmed in time"}
    assert ends["DELIVERED"] > 0
    assert ends["DELIVERED"] <= 100, "nobody has confirmed those who wait for the buyer"
    gateway_books.assert_sums(shop, buyers.placed)


def test_refund_against_shipping(buyers: Buyers) -> None:
    """A parcel leaves, or its money goes back; never both."""
    shop = buyers.shop
    with changed(shop, "shipping", CARRIER_SHIP_DELAY_SECONDS="0.2"):
        cancelled, late = buy_and_cancel(buyers, card="pm_success", statuses=["PAID"], until_late=True)
        gateway_books.wait_for_the_end(shop, buyers.placed)
    assert late > 0, "no parcel was ever quicker, so nothing was shown"
    kept = len(buyers.placed) - cancelled
    ends = gateway_books.ends(shop, buyers.placed)
    assert (ends["DELIVERED"], ends.get("changed their mind", 0)) == (kept, cancelled)
    gateway_books.assert_sums(shop, buyers.placed)


@pytest.mark.parametrize(
    "flow", [catalogue.PAYMENT_FIRST, pytest.param(catalogue.RESERVE_FIRST, marks=pytest.mark.prove)]
)
def test_payment_when_the_books_have_run_out(flow: str, buyers: Buyers) -> None:
    """In payment_first more are charged than there are books; each of the others gets one refund."""
    shop = buyers.shop
    [(free,)] = shop.query("SELECT received - held - sold FROM inventory_stock WHERE bin = %s", buyers.sku)
    shop.manage("shell", "--no-imports", "-c", TAKE_BUT_TEN.format(sku=buyers.sku, change=10 - free))
    with changed(shop, "web", ORDER_FLOW=flow):
        shop.stop("inventory")
        buyers.order(10)
        buyers.order(15, card=TIMES_OUT)
        shop.start("inventory")
        gateway_books.wait_for_the_end(shop, buyers.placed)
    assert gateway_books.ends(shop, buyers.placed) == {"DELIVERED": 10, "out of stock": 15}
    gateway_books.assert_sums(shop, buyers.placed)
    refunds = sorted(gateway_books.refunds_of_each(shop, buyers.placed))
    assert refunds == ([0] * 10 + [1] * 15 if flow == catalogue.PAYMENT_FIRST else [0] * 25)
