"""Stock cannot be oversold: whole flash sales over real Kafka, undisturbed and with a fault in the middle of each.

One seed of each sale decides; `make prove` has more buyers, and more seeds of the quick sales. Any number of seeds:

    make test ARGS="shop/tests/running_shop/test_flash_sale_proof.py --seeds 20"
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest

from devtools.local.roles import PROJECT
from devtools.testing.processes import Shop
from devtools.testing.shop import sales
from devtools.testing.shop.sales import Result, Sale
from events import catalogue

pytestmark = [pytest.mark.stock, pytest.mark.kafka, pytest.mark.slow]


class Size(NamedTuple):
    """A sale that lasts for six seconds, so that a fault comes in its middle."""

    buyers: int
    units: int
    rate: int

    def arguments(self) -> tuple[object, ...]:
        """For `simulate_flash_sale`."""
        return ("--buyers", self.buyers, "--units", self.units, "--rate", self.rate)


FEW, MANY = Size(buyers=240, units=120, rate=40), Size(buyers=400, units=200, rate=60)
CHANGED_THEIR_MIND = "changed their mind"
CANCEL = """
from django.db import transaction
from orders import models
from orders.actions import cancellation
mine = models.Order.objects.filter(lines__sale_id__gt={last_sale_id})
cancelled, all_came = 0, False
while cancelled < 40 and not (all_came and not mine.filter(status="PENDING").exists()):
    all_came = mine.count() == {buyers}
    for order_id in mine.filter(status="PENDING").order_by("-placed_at").values_list("pk", flat=True)[:2]:
        try:
            with transaction.atomic():
                cancellation.cancel(order_id=order_id, reason="{reason}", by="test")
                cancelled += 1
        except cancellation.CannotCancel:
            pass
print(cancelled)
"""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """As many seeds as `--seeds` says."""
    seeds: list[object]
    if "seed" in metafunc.fixturenames:
        most = metafunc.config.getoption("--seeds")
        if most is not None:
            seeds = [*range(1, 1 + most)]
        elif metafunc.function in QUICK:
            seeds = [1, *(pytest.param(seed, marks=pytest.mark.prove) for seed in range(2, 6))]
        else:
            seeds = [1, pytest.param(2, marks=pytest.mark.prove(long=True))]
        metafunc.parametrize("seed", seeds)


@pytest.fixture
def size(seed: int) -> Size:
    """The first seed decides; the others are long forms."""
    return FEW if seed == 1 else MANY


# -- undisturbed ----------------------------------------------------------------------------------
@pytest.mark.parametrize("flow", catalogue.FLOWS)
def test_2_buyers_and_1_unit(flow: str, seed: int, running_shop: Shop) -> None:
    result = sales.play(running_shop, "--buyers", 2, "--units", 1, "--flow", flow, "--seed", seed, "--compare")
    assert_exact(result, buyers=2, units=1)
    assert result["naive"]["oversold"] == 1


@pytest.mark.parametrize("flow", catalogue.FLOWS)
def test_200_buyers_each_wanting_3_of_5_books_in_any_sequence(flow: str, seed: int, running_shop: Shop) -> None:
    """Baskets with the same books in opposite sequence; nobody who could be served is refused."""
    result = sales.play(
        running_shop,
        *("--buyers", 200, "--units", 20, "--books", 5, "--basket", 3, "--flow", flow, "--seed", seed, "--compare"),
    )
    assert (result["verdict"], result["exit_code"], result["audit"]["clean"]) == ("exact", 0, True)
    assert result["units_sold"] == 3 * result["confirmed"] == 100 - result["units_left"]
    # Baskets that nothing is left for are out of at least three of the five books.
    assert result["units_sold"] >= 60
    assert result["cancelled"] == {"out of stock": 200 - result["confirmed"]}
    assert result["naive"]["oversold"] > 0


@pytest.mark.parametrize("buyers", [1000, pytest.param(5000, marks=pytest.mark.prove)])
def test_many_buyers_and_100_units(buyers: int, seed: int, running_shop: Shop) -> None:
    result = sales.play(running_shop, "--buyers", buyers, "--units", 100, "--seed", seed, "--compare")
    assert_exact(result, buyers=buyers, units=100)
    assert result["naive"]["oversold"] > 0


def test_over_http_buyers_are_turned_away_once_it_is_sold_out(running_shop: Shop) -> None:
    result = sales.play(running_shop, "--buyers", 300, "--units", 20, "--limit", 1, "--seed", 1, "--http")
    assert (result["verdict"], result["exit_code"]) == ("exact", 0)
    assert (result["confirmed"], result["units_sold"]) == (20, 20)
    assert result["accepted"] + result["turned_away"] == 300
    assert result["turned_away"] > 0


def test_copies_of_buyers_whose_card_is_declined_are_sold_to_others(size: Size, seed: int, running_shop: Shop) -> None:
    result = sales.play(running_shop, *size.arguments(), "--declined", 30, "--seed", seed)
    assert (result["verdict"], result["exit_code"]) == ("exact", 0)
    assert result["cancelled"]["payment failed"] > 0
    assert result["units_sold"] == size.units - result["units_left"]


QUICK = (test_2_buyers_and_1_unit, test_200_buyers_each_wanting_3_of_5_books_in_any_sequence)


# -- a fault in the middle ------------------------------------------------------------------------
def redis_flushed_again_and_again(sale: Sale, size: Size) -> None:
    with sales.counters_of(sale.shop) as counters:
        for _ in range(8):
            counters.flushall()
            sale.wait_for_more(20)


def redis_killed(sale: Sale, size: Size) -> None:
    """Without Redis PostgreSQL decides alone."""
    sale.shop.redis.kill()
    sale.wait_for_more(60)
    sale.shop.redis.start()
    sale.wait_for_more(30)


def redis_stopped(sale: Sale, size: Size) -> None:
    """It accepts connections and answers nobody, for as long as buyers of three seconds take."""
    sale.shop.redis.pause()
    try:
        sale.wait_for_more(3 * size.rate)
    finally:
        sale.shop.redis.resume()
    sale.wait_for_more(30)


def redis_from_an_old_snapshot(sale: Sale, size: Size) -> None:
    """The snapshot says that next to everything is free, when half of it is sold."""
    with sales.counters_of(sale.shop) as counters:
        counters.set("told by", "the snapshot")
        free_by_snapshot = int(counters.hget("{stock}:free", sale.pools()[0]))
        snapshot = sale.shop.redis.snapshot()
    sale.wait_for_more(size.units // 2)
    sale.shop.redis.start_from(snapshot)
    assert free_by_snapshot >= sale.free() + size.units // 2
    with sales.counters_of(sale.shop) as counters:
        assert counters.get("told by") == b"the snapshot"
    sale.wait_for_more(30)


def redis_full(sale: Sale, size: Size) -> None:
    """It refuses to write."""
    with sales.counters_of(sale.shop) as counters:
        before = counters.config_get("maxmemory")["maxmemory"]
        counters.config_set("maxmemory", "1")
        try:
            sale.wait_for_more(120)
        finally:
            counters.config_set("maxmemory", before)
        sale.wait_for_more(30)


def inventory_killed_between_redis_and_the_commit(sale: Sale, size: Size) -> None:
    """It waits for a row that we have locked, its orders admitted and not written down."""
    killed = False
    while not killed:
        assert sale.is_running
        with sales.counters_of(sale.shop) as counters, psycopg.connect(sale.shop.environment["DATABASE_URL"]) as ours:
            ours.execute("SELECT 1 FROM inventory_stock WHERE bin = ANY(%s) FOR UPDATE", [sale.pools()])
            sale.shop.wait_until(partial(inventory_waits_for_a_lock, sale.shop), what="inventory waiting for our lock")
            # It may as well have been about to sell what is held; then let it, and lock the row again.
            if counters.hlen("{stock}:admitted"):
                sale.shop.kill("inventory")
                killed = True
    sale.shop.start("inventory")


def inventory_waits_for_a_lock(shop: Shop) -> bool:
    """Whether it waits for a lock of another transaction."""
    stuck = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'inventory' AND wait_event_type = 'Lock'"
    return bool(shop.query(stuck))


def every_message_twice(sale: Sale, size: Size) -> None:
    """Whatever was sent so far is sent again, three times during the sale."""
    for _ in range(3):
        assert send_again(sale) > 0
        sale.wait_for_more(50)


def cancelled_while_being_reserved(sale: Sale, size: Size) -> None:
    """Orders that were placed a moment ago are cancelled, be they held by then or not."""
    code = CANCEL.format(last_sale_id=sale.last_sale_id, buyers=size.buyers, reason=CHANGED_THEIR_MIND)
    assert int(sale.shop.manage("shell", "--no-imports", "-c", code)) > 0


@pytest.mark.parametrize(
    "fault",
    [
        redis_flushed_again_and_again,
        redis_killed,
        redis_stopped,
        redis_from_an_old_snapshot,
        redis_full,
        inventory_killed_between_redis_and_the_commit,
        every_message_twice,
    ],
)
def test_a_sale_is_exact_with(fault: Callable[[Sale, Size], None], size: Size, seed: int, running_shop: Shop) -> None:
    with sales.started(running_shop, *size.arguments(), "--seed", seed) as sale:
        sale.wait_until_decided(20)
        fault(sale, size)
        assert_exact(sale.finish(), buyers=size.buyers, units=size.units)


@pytest.mark.parametrize("buyers", [300, pytest.param(2000, marks=pytest.mark.prove)])
def test_a_sale_is_exact_with_two_inventory_consumers(
    buyers: int, seed: int, running_shop: Shop, tmp_path: Path
) -> None:
    """They share the hot sku: orders are spread over the partitions by their ids."""
    with another_inventory(running_shop, ready=tmp_path / "ready") as process:
        result = sales.play(running_shop, "--buyers", buyers, "--units", 100, "--seed", seed)
        assert_exact(result, buyers=buyers, units=100)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=30)
    handled = int(said.rpartition("inventory: stopped; ")[2].partition(" handled")[0])
    assert 0 < handled < 2 * buyers, said


def test_the_sums_are_right_with_orders_cancelled_while_they_are_being_reserved(
    size: Size, seed: int, running_shop: Shop
) -> None:
    with sales.started(running_shop, *size.arguments(), "--seed", seed) as sale:
        cancelled_while_being_reserved(sale, size)
        result = sale.finish()
    assert (result["verdict"], result["exit_code"], result["audit"]["clean"]) == ("exact", 0, True)
    assert result["cancelled"][CHANGED_THEIR_MIND] > 0
    assert result["confirmed"] + sum(result["cancelled"].values()) == size.buyers
    assert result["units_sold"] == result["confirmed"] == size.units - result["units_left"]


@pytest.mark.parametrize("buyers", [80, pytest.param(200, marks=pytest.mark.prove(long=True))])
def test_a_sale_that_is_over_stays_as_it_is_when_all_its_messages_come_again(buyers: int, running_shop: Shop) -> None:
    units = buyers // 4
    with sales.started(running_shop, "--buyers", buyers, "--units", units, "--seed", 1) as sale:
        assert_exact(sale.finish(), buyers=buyers, units=units)
        before = sums(sale)
        # Three for each order at least, and three more for each that was confirmed.
        assert send_again(sale) >= 3 * buyers
        # What comes through after them has come through behind them: same topics, every partition.
        assert_exact(sales.play(running_shop, "--buyers", 60, "--units", 10, "--seed", 2), buyers=60, units=10)
        assert sums(sale) == before


# -- the command itself ---------------------------------------------------------------------------
def test_it_says_which_role_is_missing(running_shop: Shop) -> None:
    running_shop.stop("inventory")
    with sales.started(running_shop, "--buyers", 5, "--units", 5, "--patience", 2) as sale:
        output, complaint = sale.process.communicate(timeout=60)
    running_shop.start("inventory")
    assert (sale.process.returncode, output) == (3, "")
    assert "5 events wait for inventory: no consumer `inventory` seems to run." in complaint


def test_stopped_it_clears_away_what_it_made(running_shop: Shop) -> None:
    with sales.started(running_shop, *FEW.arguments()) as sale:
        sale.wait_until_decided(5)
        sale.process.terminate()
        sale.process.communicate(timeout=60)
    assert sale.process.returncode == 130
    listed = "SELECT count(*) FROM shop_book WHERE is_listed AND title LIKE 'Simulated%%'"
    assert running_shop.query(listed) == [(0,)]
    assert running_shop.query("SELECT ends_at <= now() FROM shop_flashsale WHERE id = %s", sale.id) == [(True,)]


# -- what they share ------------------------------------------------------------------------------
def assert_exact(result: Result, *, buyers: int, units: int) -> None:
    """Every unit has one winner, every loser was told "out of stock", and the audit finds nothing."""
    assert {
        name: result[name]
        for name in (
            "verdict",
            "exit_code",
            "accepted",
            "confirmed",
            "units_sold",
            "units_left",
            "oversold",
            "cancelled",
        )
    } == {
        "verdict": "exact",
        "exit_code": 0,
        "accepted": buyers,
        "confirmed": units,
        "units_sold": units,
        "units_left": 0,
        "oversold": 0,
        "cancelled": {"out of stock": buyers - units},
    }
    assert result["audit"]["clean"], result["audit"]


def sums(sale: Sale) -> list[tuple[object, ...]]:
    """What a sale came to: its units with their movements, and its orders by their end."""
    shop, number = sale.shop, sale.id
    return [
        *shop.query(
            "SELECT sku, sum(received), sum(held), sum(sold), count(*) FROM inventory_movement "
            "WHERE sku IN (SELECT sku FROM inventory_stock WHERE sale_id = %s) GROUP BY sku ORDER BY sku",
            number,
        ),
        *shop.query(
            "SELECT confirmed_at IS NOT NULL, cancel_reason, count(*), sum(total_minor) FROM orders_order WHERE id IN "
            "(SELECT order_id FROM orders_orderline WHERE sale_id = %s) GROUP BY 1, 2 ORDER BY 1, 2",
            number,
        ),
    ]


def send_again(sale: Sale) -> int:
    """Let the relay send all events of the sale's orders once more. Returns how many."""
    rows = sale.shop.query(
        "UPDATE kafka_bridge_outboxrow SET published_at = NULL WHERE published_at IS NOT NULL AND key IN "
        "(SELECT order_id::text FROM orders_orderline WHERE sale_id = %s) RETURNING id",
        sale.id,
    )
    return len(rows)


@contextmanager
def another_inventory(shop: Shop, *, ready: Path) -> Iterator["subprocess.Popen[str]"]:
    """A second member of the inventory group, with partitions assigned."""
    process = subprocess.Popen(
        [sys.executable, "manage.py", "run_consumer", "inventory"],
        env={**os.environ, **shop.environment, "BOOKRUSH_READY_FILE": str(ready)},
        cwd=PROJECT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        shop.wait_until(ready.exists, what="the second consumer")
        yield process
    finally:
        process.kill()
        process.wait()
