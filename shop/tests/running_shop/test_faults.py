"""The running shop with parts of it stopped or killed: clicks are accepted, nothing is lost, nothing happens twice."""

import contextlib
import json
import threading
import uuid
from collections.abc import Iterator
from itertools import cycle

import pytest

from devtools.local.kafka.apache_kafka import ApacheKafka
from devtools.local.postgres import Postgres
from devtools.testing.processes import Shop
from devtools.testing.shop.buyers import Buyers
from orders.mailing.mail_sending import LEASE_SECONDS

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
RECEIVE = """
from django.db import transaction
from inventory import stock_adjustments
with transaction.atomic():
    stock_adjustments.receive(quantities={{"{sku}": 3000}}, reason="test")
"""
PLENTY = 1000
MANY, ENOUGH = 500, 100
MANY_ORDERS = pytest.param(MANY, marks=pytest.mark.prove(long=True))
# Those that an order waits for; the others are stopped in the long form.
WAITED_FOR = ("relay", "orders", "inventory", "payments")
OTHERS = ("shipping", "notifications", "analytics", "dead_letters", "timekeeper", "gateway")


@pytest.fixture
def buyers(running_shop: Shop) -> Buyers:
    """Buyers of one book of which there is plenty."""
    [(sku,)] = running_shop.query("SELECT isbn FROM shop_book WHERE is_listed ORDER BY isbn LIMIT 1")
    [(free,)] = running_shop.query("SELECT received - held - sold FROM inventory_stock WHERE bin = %s", sku)
    if free < PLENTY:
        running_shop.manage("shell", "--no-imports", "-c", RECEIVE.format(sku=sku))
        # The catalogue's snapshot in the web process is at most a second old.
        running_shop.restart("web")
    return Buyers(running_shop, str(sku))


@pytest.fixture
def untouched(buyers: Buyers) -> Iterator[None]:
    """After the test: every one of its orders had each of its effects exactly once."""
    shop, sku = buyers.shop, buyers.sku
    with contextlib.suppress(TimeoutError):  # what others have left may never come to rest; mostly it does at once
        shop.wait_until(lambda: _is_decided(shop, sku), what="the end of what others have ordered", timeout_seconds=60)
    before = _figures_at_rest(shop, sku)
    yield
    count = len(buyers.placed)
    # Those that a killed process had claimed are anybody's again when its claim has run out.
    shop.wait_until(lambda: _mails(buyers) == 3 * count, what=f"{3 * count} mails", timeout_seconds=60 + LEASE_SECONDS)
    after = _figures_at_rest(shop, sku)
    assert {name: after[name] - before[name] for name in after} == {
        "sold": count,
        "held": 0,
        "confirmed too often": 0,
        "delivered too often": 0,
        "dead": 0,
    }
    assert buyers.statuses() == {"DELIVERED": count}
    charged = shop.query(
        "SELECT count(*), count(DISTINCT transaction_id) FROM payments_charge "
        "WHERE order_id = ANY(%s::uuid[]) AND state = 'succeeded'",
        buyers.placed,
    )
    assert charged == [(count, count)]
    assert shop.query("SELECT count(*) FROM kafka_bridge_outboxrow WHERE published_at IS NULL") == [(0,)]


def _is_decided(shop: Shop, sku: str) -> bool:
    """Whether no order waits for a copy of this book."""
    return shop.query("SELECT held FROM inventory_stock WHERE sku = %s", sku) == [(0,)]


def _figures_at_rest(shop: Shop, sku: str) -> dict[str, int]:
    """The figures once the analytics group has heard all that they count."""
    found: dict[str, int] = {}

    def are_the_same() -> bool:
        found.update(_figures(shop, sku))
        return _has_counted_all(shop) and found == _figures(shop, sku)

    shop.wait_until(are_the_same, what="the figures at rest", timeout_seconds=120)
    return found


def _has_counted_all(shop: Shop) -> bool:
    """Whether the analytics group has heard whatever has happened."""
    if shop.query("SELECT count(*) FROM kafka_bridge_outboxrow WHERE published_at IS NULL") != [(0,)]:
        return False
    rows = json.loads(shop.manage("show_lag", "analytics", "--json"))["partitions"]
    return bool(rows) and not any(row["messages"] for row in rows)


def _figures(shop: Shop, sku: str) -> dict[str, int]:
    """What analytics counted is compared with the orders: those of others go on meanwhile."""
    [(sold, held)] = shop.query("SELECT sold, held FROM inventory_stock WHERE sku = %s", sku)
    [(confirmed, delivered)] = shop.query(
        "SELECT coalesce(sum(confirmed), 0) - (SELECT count(confirmed_at) FROM orders_order), "
        "coalesce(sum(delivered), 0) - (SELECT count(delivered_at) FROM orders_order) FROM shop_dailysales"
    )
    parked = dict(
        shop.query("SELECT type, count(*) FROM kafka_bridge_parkedmessage WHERE \"group\" = 'analytics' GROUP BY type")
    )
    [(dead,)] = shop.query("SELECT count(*) FROM payments_charge WHERE attempts > 50")
    return {
        "sold": sold,
        "held": held,
        # What waits for its next attempt, since a test before this one, is counted some day.
        "confirmed too often": int(confirmed) + parked.get("order.confirmed", 0),
        "delivered too often": int(delivered) + parked.get("order.delivered", 0),
        "dead": dead,
    }


def _mails(buyers: Buyers) -> int:
    [(sent,)] = buyers.shop.query(
        "SELECT count(*) FROM orders_ordermail WHERE order_id = ANY(%s::uuid[]) AND sent_at IS NOT NULL", buyers.placed
    )
    return int(sent)


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("role", [*WAITED_FOR, *(pytest.param(role, marks=pytest.mark.prove) for role in OTHERS)])
def test_clicks_are_accepted_while_a_role_is_stopped_and_orders_end_after_it_is_back(role: str, buyers: Buyers) -> None:
    buyers.shop.stop(role)
    buyers.order(15)
    buyers.shop.start(role)
    buyers.order(5)
    buyers.wait_for("DELIVERED")


@pytest.mark.usefixtures("untouched")
def test_clicks_are_accepted_while_the_broker_is_stopped(buyers: Buyers, real_kafka: ApacheKafka) -> None:
    """Everything waits in the outbox and drains in order."""
    buyers.order(10)
    real_kafka.stop()
    try:
        buyers.order(30)
        assert buyers.statuses().get("PENDING", 0) >= 30
    finally:
        real_kafka.start()
    buyers.wait_for("DELIVERED", timeout_seconds=120)


@pytest.mark.usefixtures("untouched")
def test_clicks_are_accepted_while_redis_is_dead(buyers: Buyers) -> None:
    """Pushes are lost, orders are not."""
    buyers.shop.redis.kill()
    try:
        buyers.order(20)
        buyers.wait_for("DELIVERED")
    finally:
        buyers.shop.redis.start()


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    "role", ["inventory", *(pytest.param(role, marks=pytest.mark.prove) for role in ("payments", "orders"))]
)
@pytest.mark.parametrize("orders", [ENOUGH, MANY_ORDERS])
def test_a_consumer_killed_in_the_middle_of_many_orders_loses_and_doubles_nothing(
    role: str, orders: int, buyers: Buyers
) -> None:
    kill_in_turn(buyers, role, orders=orders, kills=3 if orders == MANY else 2)
    buyers.wait_for("DELIVERED", timeout_seconds=120)


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("orders", [ENOUGH, MANY_ORDERS])
def test_any_process_killed_in_the_middle_of_many_orders(orders: int, buyers: Buyers) -> None:
    roles = ("relay", "shipping", "notifications", "analytics", "payments", "gateway", "orders")
    kill_in_turn(buyers, *roles, orders=orders, kills=7)
    buyers.wait_for("DELIVERED", timeout_seconds=120)


@pytest.mark.usefixtures("untouched")
def test_postgresql_killed_under_the_clicks(buyers: Buyers, postgres_server: Postgres) -> None:
    """A click whose commit nobody can vouch for is repeated with its key, and is one order."""
    keys = [uuid.uuid4() for _ in range(200)]
    clicking = threading.Thread(target=buyers.click, args=[keys], kwargs={"patience_seconds": 80})
    clicking.start()
    buyers.shop.wait_until(lambda: _orders_under(buyers.shop, keys) > 20, what="some orders")
    postgres_server.kill()
    postgres_server.start()
    clicking.join(90)
    assert not clicking.is_alive()
    assert len(set(buyers.placed)) == len(buyers.placed) == len(keys)
    assert _orders_under(buyers.shop, keys) == len(keys)
    buyers.wait_for("DELIVERED", timeout_seconds=120)


def _orders_under(shop: Shop, keys: list[uuid.UUID]) -> int:
    [(orders,)] = shop.query(
        "SELECT count(*) FROM orders_order WHERE idempotency_key = ANY(%s::uuid[])", [str(key) for key in keys]
    )
    return int(orders)


def kill_in_turn(buyers: Buyers, *roles: str, orders: int, kills: int) -> None:
    """Kill -9 these roles in turn, each started again at once, while so many buyers click.

    The clicks come from a thread; the kernel ties the life of a child to the thread that started it.
    """
    clicking = threading.Thread(target=buyers.order, args=[orders])
    clicking.start()
    for number, role in enumerate(cycle(roles)):
        if number >= kills and not clicking.is_alive():
            break
        buyers.shop.kill(role)
        buyers.shop.start(role)
    clicking.join()
    assert len(buyers.placed) == orders
