"""What an audit mends, and what it leaves alone."""

import getpass
import json
from typing import Any

import pytest
from django_redis import get_redis_connection

from devtools.local.redis import Redis
from devtools.testing.shop import shop_at_rest
from devtools.testing.shop.shop_at_rest import Shop, audit_command, broken, execute
from inventory.models import Hold, Movement, Reservation, Stock
from inventory.redis_counters import admission
from kafka_bridge import testing
from orders.models import Order
from payments.models import Charge, Refund
from shop.audit import external_checks, runner

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.stock, pytest.mark.usefixtures("slow_carrier")]


def repair(*options: str) -> tuple[int, dict[str, Any]]:
    """Repair: the exit code and the object printed."""
    code, out = audit_command("--repair", "--json", *options)
    return code, json.loads(out)


def everything() -> dict[str, list[Any]]:
    """All rows that a repair might touch."""
    models = (Stock, Movement, Reservation, Hold, Order, Charge, Refund)
    return {model.__name__: list(model._default_manager.order_by("pk").values()) for model in models}


def test_there_is_nothing_to_mend_in_a_clean_shop(shop: Shop) -> None:
    before = everything()
    code, told = repair()
    assert (code, told["repaired"], told["for_people"]) == (0, [], [])
    assert everything() == before


def test_the_counters_are_rebuilt(shop: Shop) -> None:
    get_redis_connection("stock").hset(admission.FREE, shop.book.isbn, 99)
    before = everything()
    code, told = repair()
    assert (code, len(told["repaired"])) == (0, 1)
    assert admission.read_available([shop.book.isbn]) == {shop.book.isbn: 37}
    assert everything() == before


def test_what_a_cancelled_order_holds_is_released(shop: Shop) -> None:
    """As if inventory had never heard of the end; the order that goes on keeps its units."""
    execute("UPDATE orders_order SET status = 'CANCELLED', cancelled_at = now(), cancel_reason = 'lost' "
            "WHERE id = %(pending)s", shop.names)  # fmt: skip
    code, told = repair()
    assert code == 0
    assert told["repaired"] == [f"1 cancelled order released: {shop.pending}"]
    assert Reservation.objects.get(pk=shop.pending).state == "released"
    stock = Stock.objects.get(pk=shop.book.isbn)
    assert (stock.received, stock.held, stock.sold) == (40, 0, 2)
    last = Movement.objects.first()
    assert last is not None
    assert (last.order_id, last.kind, last.held) == (shop.pending, "released", -1)
    assert last.reason == f"order cancelled; found by the audit of {getpass.getuser()}"


def test_an_overdue_order_is_cancelled_and_its_units_follow(shop: Shop) -> None:
    execute("UPDATE orders_order SET deadline_at = now() - interval '1 min'", {})
    code, told = repair()
    assert told["repaired"] == ["1 order past the deadline cancelled; their stock and money follow by events"]
    assert (code, broken(grace_seconds=60)) == (1, {}), "with a grace of 0, what is under way counts"
    assert Order.objects.get(pk=shop.pending).cancel_reason == "not completed in time"
    assert Order.objects.get(pk=shop.kept).status == "PAID"
    testing.MemoryBroker().drain()
    assert broken() == {}


def test_an_expired_hold_is_given_up(shop: Shop) -> None:
    execute(
        "UPDATE inventory_reservation SET expires_at = now() - interval '1 min' WHERE order_id = %(pending)s",
        shop.names,
    )
    _, told = repair()
    assert told["repaired"] == ["1 hold released; those whose payment is under way stay"]
    testing.MemoryBroker().drain()
    assert broken() == {}
    assert Order.objects.get(pk=shop.pending).cancel_reason == "not paid in time"


def test_what_a_sale_has_left_is_returned(shop: Shop) -> None:
    execute("UPDATE inventory_stock SET closes_at = now() - interval '1 min' WHERE bin = %(sale_bin)s", shop.names)
    code, told = repair()
    assert (code, told["repaired"]) == (0, ["8 unsold units of ended sales returned to normal sale"])
    assert dict(Stock.objects.values_list("bin", "received")) == {shop.book.isbn: 48, shop.names["sale_bin"]: 2}


@pytest.mark.parametrize(
    ("sql", "noted"),
    [
        ("UPDATE inventory_stock SET held = held + 3 WHERE bin = %(sku)s", (0, 0)),
        ("UPDATE inventory_stock SET sold = 0 WHERE bin = %(sku)s", (0, 0)),
        (
            "INSERT INTO inventory_movement (bin, sku, kind, received, held, sold, by, reason) "
            "VALUES (%(sku)s, %(sku)s, 'held', 0, 5, 0, 'thief', '')",
            (-5, 0),
        ),
        (
            "INSERT INTO inventory_movement (bin, sku, kind, received, held, sold, by, reason) "
            "VALUES (%(sku)s, %(sku)s, 'held', 0, 5, 0, 'thief', ''); "
            "UPDATE inventory_stock SET held = held + 5, version = version + 1 WHERE bin = %(sku)s",
            (-5, 0),
        ),
    ],
    ids=["row held", "row sold", "ledger", "both"],
)
def test_held_and_sold_follow_the_orders(shop: Shop, sql: str, noted: tuple[int, int]) -> None:
    """Never the other way round; and the ledger says who brought it right, and why."""
    before = everything()
    execute(sql, shop.names)
    lines = Movement.objects.count()
    code, told = repair()
    assert code == 0, told
    stock = Stock.objects.get(pk=shop.book.isbn)
    assert (stock.received, stock.held, stock.sold) == (40, 1, 2)
    last = Movement.objects.first()
    assert last is not None
    assert (last.kind, last.held, last.sold, last.by) == ("corrected", *noted, getpass.getuser())
    assert last.reason.startswith("audit: orders have 1 held and 2 sold")
    assert Movement.objects.count() == lines + 1
    after = everything()
    assert {name: rows for name, rows in after.items() if rows != before[name]}.keys() == {"Stock", "Movement"}
    assert broken() == {}


def test_bins_are_corrected_while_they_are_sold_from(shop: Shop) -> None:
    """The truth is read under the lock that every writer takes: no sale of the moment is undone or counted twice."""
    sku = shop.book.isbn
    with shop_at_rest.busy(sku, writers=2) as rounds:
        for _ in range(5):
            before = len(rounds)
            execute("UPDATE inventory_stock SET held = held + 3, version = version + 1 WHERE bin = %(sku)s", shop.names)
            code, told = repair("--grace", "60")
            assert (code, len(told["repaired"])) == (0, 1), told
            testing.wait_until(lambda before=before: len(rounds) > before, what="another round of sales")
    assert broken(grace_seconds=60) == {}
    stock = Stock.objects.get(pk=sku)
    assert (stock.received, stock.held, stock.sold) == (40, 1, 2)


def test_orders_that_have_more_than_was_received_are_for_a_person(shop: Shop) -> None:
    execute("UPDATE inventory_hold SET quantity = 20 WHERE bin = %(sale_bin)s", shop.names)
    code, told = repair()
    assert (code, told["clean"]) == (1, False)
    assert told["repaired"] == [
        f"pool {shop.names['sale_bin']} left alone: its orders have more units than it received; count them on the "
        "shelf"
    ]
    assert any(line.startswith("holds add up: ") for line in told["for_people"])


@pytest.mark.parametrize(
    ("sql", "name"),
    [
        ("UPDATE inventory_stock SET received = received + 1, version = version + 1", "ledger adds up"),
        ("DELETE FROM payments_refund", "money of cancelled orders goes back"),
        ("UPDATE payments_charge SET state = 'failed' WHERE order_id = %(kept)s", "captured - refunded = kept orders"),
        ("UPDATE orders_orderline SET cancelled = 1 WHERE order_id = %(kept)s", "order totals add up"),
        ("UPDATE shop_flashsalebook SET units = 1", "sales within their units and limits"),
    ],
)
def test_what_needs_a_person_is_left_alone_and_said(shop: Shop, sql: str, name: str) -> None:
    execute(sql, shop.names)
    before = everything()
    code, told = repair()
    assert code == 1
    assert name in {line.partition(":")[0] for line in told["for_people"]}
    assert everything() == before


def test_a_dry_run_says_what_it_would_do_and_changes_nothing(shop: Shop) -> None:
    execute("UPDATE orders_order SET deadline_at = now() - interval '1 min', cancel_reason = ''", {})
    execute("UPDATE inventory_stock SET closes_at = now() - interval '1 min' WHERE bin = %(sale_bin)s", shop.names)
    execute("UPDATE inventory_stock SET held = 9 WHERE bin = %(sku)s", shop.names)
    before, mirror = everything(), admission.read_mirror()
    code, told = repair("--dry-run")
    assert code == 1
    assert told["planned"] == [
        "cancel the orders that are past their deadline",
        f"set pool {shop.book.isbn} to what its orders have: 1 held and 2 sold, instead of 9 held and 2 sold",
        "return the unsold units of ended sales",
        "rebuild the stock counters from PostgreSQL",
    ]
    assert [line.partition(":")[0] for line in told["for_people"]] == [
        "ledger adds up",
        "every cancelled order has a reason",
    ]
    assert (everything(), admission.read_mirror()) == (before, mirror)


def test_a_repair_is_told_in_words(shop: Shop) -> None:
    execute("UPDATE inventory_stock SET closes_at = now() - interval '1 min' WHERE bin = %(sale_bin)s", shop.names)
    execute("UPDATE orders_order SET cancel_reason = ''", {})
    code, out = audit_command("--repair")
    assert code == 1
    assert (
        out.index(f"2 of {len(runner.RULES)}")
        < out.index("\nRepaired:\n  - 8 unsold units")
        < out.index(f"1 of {len(runner.RULES)}")
    )
    assert "\nLeft for a person:\n  - every cancelled order has a reason: See the order's timeline" in out
    _, out = audit_command("--repair", "--dry-run")
    assert "\nRepair would:\n  - nothing\n" in out


def test_without_redis_everything_else_is_mended(shop: Shop, redis_server: Redis) -> None:
    redis_server.kill()
    execute("UPDATE inventory_stock SET closes_at = now() - interval '1 min' WHERE bin = %(sale_bin)s", shop.names)
    code, told = repair()
    assert (code, told["repaired"]) == (1, ["8 unsold units of ended sales returned to normal sale"])
    assert [line.partition(":")[0] for line in told["for_people"]] == [external_checks.COUNTERS_READABLE.name]
