"""The audit: clean after whole stories, and whatever is broken on purpose is found under its name, and only there."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from devtools.testing.shop import shop_at_rest
from devtools.testing.shop.shop_at_rest import GROUPS, Shop, broken, execute, place
from devtools.testing.shop.storefront import a_book
from events import catalogue
from inventory import stock_adjustments
from inventory.models import Stock
from inventory.redis_counters import counter_sync
from kafka_bridge import testing
from kafka_bridge.models import OutboxRow
from orders.actions import cancellation, parcels, returns
from orders.models import Order
from payments.models import Charge
from shop import audit
from shop.audit import external_checks, runner
from shop.models import AuditRun

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.stock, pytest.mark.usefixtures("slow_carrier")]


# -- Clean ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("flow", catalogue.FLOWS)
@pytest.mark.parametrize("deliveries", [{}, {"duplicates": True, "seed": 3}], ids=["straight", "permuted"])
def test_after_whole_stories_everything_is_exact(flow: str, deliveries: dict[str, Any]) -> None:
    book, other = a_book(stock=30), a_book(stock=0)
    counter_sync.sync()
    broker = testing.MemoryBroker(**deliveries)
    for card in ("pm_success", "pm_declined", "pm_success"):
        place(book, flow=flow, payment_method=card)
    place(other, flow=flow)
    cancelled, reduced = place(book, flow=flow, quantity=2), place(book, flow=flow, quantity=3)
    returned = place(book, flow=flow, quantity=3)
    broker.drain()
    with transaction.atomic():
        cancellation.cancel(order_id=cancelled, reason="changed my mind", by="ada")
        cancellation.cancel_lines(order_id=reduced, units={book.isbn: 1}, reason="changed my mind", by="ada")
        parcels.ship(order_ids=[returned], by="ada")
        returns.accept_return(order_id=returned, units={book.isbn: 2}, reason="torn", by="ada")
    broker.drain()
    assert broken() == {}
    assert Stock.objects.get(pk=book.isbn).sold == 7, "what was returned is not on the shelf by itself"


def test_the_shop_of_the_tests_below_is_clean(shop: Shop) -> None:
    assert broken() == {}


def test_a_report_says_what_was_looked_into(shop: Shop) -> None:
    report = audit.run(grace_seconds=0, by="ada")
    names = [finding.name for finding in report.findings]
    assert len(names) == len(set(names)) == 30
    assert {f.name: f.sentence for f in report.findings} == {r.name: r.sentence for r in runner.RULES.values()}
    told = report.as_json()
    assert (told["clean"], sorted(told)) == (True, ["clean", "invariants", "seconds"])
    assert [entry["name"] for entry in told["invariants"]] == names
    kept = AuditRun.objects.get()
    assert (kept.is_clean, kept.by, kept.findings) == (True, "ada", told["invariants"])
    audit.run(grace_seconds=0, by="ada", record=False)
    assert AuditRun.objects.count() == 1


# -- Broken on purpose ------------------------------------------------------------------------------------
LEDGER, HOLDS, POOLS = "ledger adds up", "holds add up", "a sku's stock pools add up"
LIVE, LINES, SALES = "holds belong to live orders", "order lines and holds agree", "sales within their units and limits"
LEFTOVERS, EXPIRY = "what a sale leaves goes back", "no hold past its expiry"
DEADLINE, REASON = "no order past its deadline without an end", "every cancelled order has a reason"
TOTALS, PARTS, KEPT, RETURNED = (
    "order totals add up", "parts of orders add up", "captured - refunded = kept orders",
    "money of cancelled orders goes back",
)  # fmt: skip
ONCE, OUTBOX, OVERSOLD = "an order is charged once", "outbox age", "nothing oversold"
BOOKS, GAVE_BACK = "our money and the gateway's", "what a charge gave back are its refunds"
USED, COUNTED = "orders and coupons agree", "coupons count their uses"
SETTLED, PERSON = "no charge is left open", "money that needs a person"
NOTE = "INSERT INTO inventory_movement (bin, sku, kind, received, held, sold, by, reason) VALUES "
DAMAGE: list[tuple[str, dict[str, int]]] = [
    (NOTE + "(%(sku)s, %(sku)s, 'received', 1, 0, 0, 'thief', '')", {LEDGER: 1}),
    ("TRUNCATE inventory_movement", {LEDGER: 2}),
    (
        "UPDATE inventory_stock SET received = received + 1 WHERE bin = %(sku)s",
        {LEDGER: 1, external_checks.COUNTERS_SUM.name: 1},
    ),
    (
        "UPDATE inventory_stock SET held = held + 1 WHERE bin = %(sku)s",
        {LEDGER: 1, HOLDS: 1, external_checks.COUNTERS_SUM.name: 1},
    ),
    ("UPDATE inventory_hold SET given_back = 1 WHERE reservation_id = %(kept)s", {HOLDS: 1, LINES: 1}),
    ("UPDATE inventory_hold SET bin = %(sale_bin)s WHERE reservation_id = %(kept)s", {HOLDS: 2, LINES: 1}),
    ("DELETE FROM inventory_hold WHERE reservation_id = %(kept)s", {HOLDS: 1, LINES: 1}),
    (
        NOTE + "(%(sku)s, %(sku)s, 'set aside', 1, 0, 0, 'x', ''), (%(sku)s, %(sku)s, 'corrected', -1, 0, 0, 'x', '')",
        {POOLS: 1},
    ),
    ("UPDATE inventory_stock SET sku = 'another' WHERE bin = %(sku)s", {POOLS: 1}),
    ("UPDATE inventory_reservation SET state = 'sold' WHERE order_id = %(ended)s", {HOLDS: 1, LIVE: 1}),
    ("UPDATE inventory_reservation SET state = 'refused' WHERE order_id = %(kept)s", {HOLDS: 1, LIVE: 1}),
    ("UPDATE inventory_reservation SET state = 'held' WHERE order_id = %(kept)s", {HOLDS: 1, LIVE: 1}),
    ("UPDATE orders_orderline SET cancelled = 1 WHERE order_id = %(kept)s", {LINES: 1, TOTALS: 1}),
    ("UPDATE orders_orderline SET sale_id = NULL WHERE order_id = %(bought_in_sale)s", {LINES: 1}),
    ("UPDATE orders_order SET shipping_minor = 1 WHERE id = %(pending)s", {TOTALS: 1}),
    ("UPDATE orders_orderline SET tax_minor = 1 WHERE order_id = %(kept)s", {PARTS: 1}),
    ("UPDATE orders_orderline SET discount_minor = 1 WHERE order_id = %(kept)s", {PARTS: 2}),
    ("UPDATE orders_orderline SET amount_minor = 2499 WHERE order_id = %(kept)s", {TOTALS: 1, PARTS: 1}),
    ("UPDATE orders_order SET coupon_code = 'X' WHERE id = %(kept)s", {USED: 1}),
    (
        "INSERT INTO orders_coupon (code, kind, percent, minimum_minor, is_active, used, version, created_at) "
        "VALUES ('X', 'percent', 1, 0, true, 1, 1, now())",
        {COUNTED: 1},
    ),
    ("UPDATE shop_flashsalebook SET units = 1", {SALES: 1}),
    ("UPDATE inventory_stock SET customer_limit = 1 WHERE bin = %(sale_bin)s", {SALES: 1}),
    ("UPDATE inventory_stock SET closes_at = now() - interval '1 min' WHERE bin = %(sale_bin)s", {LEFTOVERS: 1}),
    ("UPDATE inventory_reservation SET expires_at = now() - interval '1 min' WHERE state = 'held'", {EXPIRY: 1}),
    ("UPDATE orders_order SET deadline_at = now() - interval '1 min'", {DEADLINE: 1}),
    ("UPDATE orders_order SET cancel_reason = ''", {REASON: 1}),
    ("UPDATE orders_order SET total_minor = total_minor + 1 WHERE id = %(kept)s", {TOTALS: 1, KEPT: 1}),
    ("UPDATE orders_order SET total_minor = total_minor + 1 WHERE id = %(pending)s", {TOTALS: 1}),
    ("UPDATE payments_charge SET amount_minor = amount_minor - 1 WHERE order_id = %(kept)s", {KEPT: 1, BOOKS: 1}),
    ("UPDATE payments_charge SET state = 'failed' WHERE order_id = %(kept)s", {KEPT: 1, BOOKS: 1}),
    ("UPDATE payments_charge SET order_id = %(pending)s WHERE order_id = %(kept)s", {KEPT: 2}),
    ("UPDATE payments_charge SET order_id = gen_random_uuid() WHERE order_id = %(kept)s", {KEPT: 2}),
    ("UPDATE payments_charge SET order_id = gen_random_uuid() WHERE order_id = %(ended)s", {}),
    ("UPDATE payments_refund SET amount_minor = amount_minor + 1", {KEPT: 1, GAVE_BACK: 1, BOOKS: 1}),
    ("UPDATE payments_refund SET amount_minor = amount_minor - 1", {RETURNED: 1, GAVE_BACK: 1, BOOKS: 1}),
    ("DELETE FROM payments_refund", {RETURNED: 1, GAVE_BACK: 1, BOOKS: 1}),
    ("UPDATE payments_charge SET transaction_id = 'the same'", {ONCE: 1, BOOKS: 3}),
    ("UPDATE payments_charge SET refunded_minor = 1 WHERE order_id = %(kept)s", {GAVE_BACK: 1}),
    ("UPDATE payments_charge SET state = 'cancelled' WHERE order_id = %(ended)s", {GAVE_BACK: 1}),
    ("UPDATE payments_charge SET currency = 'EUR' WHERE order_id = %(kept)s", {BOOKS: 1}),
    ("UPDATE orders_orderline SET returned = 1 WHERE order_id = %(kept)s", {KEPT: 1}),
    (
        "INSERT INTO payments_review (kind, subject, detail, closed_by, note) VALUES ('stranger', 'x', 'y', '', '')",
        {PERSON: 1},
    ),
    (
        "UPDATE kafka_bridge_outboxrow SET published_at = NULL, created_at = now() - interval '61 s' "
        "WHERE key = %(kept)s::text AND type = 'order.created'",
        {OUTBOX: 1},
    ),
]


@pytest.mark.parametrize(("sql", "expected"), DAMAGE)
def test_damage_is_found_under_its_name_and_only_there(shop: Shop, sql: str, expected: dict[str, int]) -> None:
    execute(sql, shop.names)
    assert broken() == expected


def test_an_order_that_was_deleted_leaves_units_and_money_behind(shop: Shop) -> None:
    Order.objects.filter(pk=shop.kept).delete()
    assert broken() == {LIVE: 1, KEPT: 1}


@pytest.mark.parametrize(
    ("table", "constraint", "sql", "expected"),
    [
        (
            "inventory_stock",
            "stock_never_oversold",
            "UPDATE inventory_stock SET received = 1 WHERE bin = %(sku)s",
            {OVERSOLD: 1, LEDGER: 1, external_checks.COUNTERS_SUM.name: 1},
        ),
        (
            "payments_charge",
            "payments_charge_order_id_key",
            "INSERT INTO payments_charge SELECT (jsonb_populate_record(c, jsonb_build_object('id', gen_random_uuid(), "
            "'transaction_id', 'another'))).* FROM payments_charge c WHERE order_id = %(kept)s",
            {ONCE: 1, BOOKS: 1},
        ),
    ],
    ids=["oversold", "charged twice"],
)
def test_what_a_constraint_forbids_is_looked_for_all_the_same(
    shop: Shop, table: str, constraint: str, sql: str, expected: dict[str, int]
) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = %s", [constraint])
        (definition,) = cursor.fetchone()
        cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {constraint}")
        try:
            cursor.execute(sql, shop.names)
            assert broken() == expected
        finally:
            cursor.execute(f"TRUNCATE {table} CASCADE")
            cursor.execute(f"ALTER TABLE {table} ADD CONSTRAINT {constraint} {definition}")


def test_all_are_counted_and_a_few_are_given(shop: Shop) -> None:
    for number in range(7):
        execute(NOTE + "(%(bin)s, %(bin)s, 'received', 1, 0, 0, 'thief', '')", {"bin": f"stray {number}"})
    (finding,) = audit.run(grace_seconds=0, by="test").broken
    assert finding.count == 7
    assert finding.examples == tuple(
        f"pool stray {number}: the ledger has 1 received, 0 held, 0 sold; the stock row 0, 0, 0" for number in range(5)
    )


# -- What is under way --------------------------------------------------------------------------------------
def test_events_under_way_are_no_violation(shop: Shop) -> None:
    """Payments and inventory have not heard yet what orders say."""
    with transaction.atomic():
        cancellation.cancel(order_id=shop.kept, reason="changed my mind", by="ada")
    more = place(shop.book, quantity=3)
    testing.MemoryBroker(groups=GROUPS - {"payments", "inventory"}).drain()
    assert broken(grace_seconds=60) == {}
    assert broken() == {LIVE: 1, RETURNED: 1}
    assert Order.objects.get(pk=more).status == "PENDING"


def test_a_reduction_under_way_is_no_violation(shop: Shop) -> None:
    with transaction.atomic():
        cancellation.cancel_lines(order_id=shop.kept, units={shop.book.isbn: 1}, reason="changed my mind", by="ada")
    assert broken(grace_seconds=60) == {}
    assert broken() == {LINES: 1, KEPT: 1}
    testing.MemoryBroker().drain()
    assert broken() == {}


@pytest.mark.money
def test_a_return_under_way_is_no_violation(shop: Shop) -> None:
    with transaction.atomic():
        parcels.ship(order_ids=[shop.kept], by="ada")
        returns.accept_return(order_id=shop.kept, units={shop.book.isbn: 1}, reason="torn", by="ada")
    assert broken(grace_seconds=60) == {}
    assert broken() == {KEPT: 1}
    testing.MemoryBroker().drain()
    assert broken() == {}


def a_charge(shop: Shop, **changes: Any) -> Charge:
    """A charge of the pending order that is under way."""
    given = {"flow": "reserve_first", "amount_minor": 1250, "currency": "USD", "attempts": 1, **changes}
    return Charge.objects.create(order_id=shop.pending, **given)


@pytest.mark.money
@pytest.mark.parametrize("state", Charge.OPEN)
def test_only_money_that_is_being_captured_may_outlast_the_hold(shop: Shop, state: Charge.State) -> None:
    """Until then the charge can be barred, so the hold can be given up."""
    execute("UPDATE inventory_reservation SET expires_at = now() - interval '1 min' WHERE state = 'held'", {})
    a_charge(shop, state=state)
    assert broken() == ({} if state == Charge.State.CAPTURING else {EXPIRY: 1})


@pytest.mark.money
@pytest.mark.parametrize("state", Charge.OPEN)
def test_a_charge_that_nobody_looks_after_is_found(shop: Shop, state: Charge.State) -> None:
    charge = a_charge(shop, state=state)
    assert broken() == {}
    Charge.objects.filter(pk=charge.pk).update(next_attempt_at=timezone.now() - timedelta(seconds=61))
    (finding,) = audit.run(grace_seconds=0, by="test").broken
    assert (finding.name, finding.count) == (SETTLED, 1)
    assert finding.examples[0].startswith(f"charge {charge.pk} of order {shop.pending} is {state.replace('_', ' ')}; ")
    assert broken(grace_seconds=120) == {}


@pytest.mark.money
@pytest.mark.parametrize(
    ("state", "changes", "found"),
    [
        # A buyer has time until then, and the gateway is asked again and again meanwhile.
        ("action_required", {"created_at": -2000, "act_by": 100}, False),
        ("action_required", {"created_at": -2000, "act_by": -61}, True),
        # The gateway is being asked again, and for a while that is no violation.
        ("capturing", {"created_at": -2000, "unknown_since": -800, "next_attempt_at": -700}, True),
        ("capturing", {"created_at": -700, "unknown_since": -700, "next_attempt_at": 30}, False),
        ("capturing", {"created_at": -2000, "unknown_since": -901}, True),
        # Whatever it is said to wait for: nothing has happened to it.
        ("voiding", {"created_at": -901, "next_attempt_at": 3000}, True),
        ("authorized", {"created_at": -800, "next_attempt_at": 3000}, False),
    ],
)
def test_a_charge_stays_open_only_as_long_as_something_may_come_of_it(
    shop: Shop, state: str, changes: dict[str, int], found: bool
) -> None:
    now = timezone.now()
    a_charge(shop, state=state, **{name: now + timedelta(seconds=seconds) for name, seconds in changes.items()})
    assert broken() == ({SETTLED: 1} if found else {})


def test_what_a_moment_of_time_makes_wrong_waits_for_the_timekeeper(shop: Shop) -> None:
    """Also in a shop at rest: a sale that ended a second ago has its copies back within the next few."""
    execute("UPDATE inventory_stock SET closes_at = now() - interval '2 s' WHERE bin = %(sale_bin)s", shop.names)
    execute("UPDATE inventory_reservation SET expires_at = now() - interval '2 s' WHERE state = 'held'", {})
    execute("UPDATE orders_order SET deadline_at = now() - interval '2 s'", {})
    assert broken() == {}


def test_the_outbox_may_lag_for_a_minute_or_the_grace(shop: Shop) -> None:
    OutboxRow.objects.filter(key=str(shop.kept)).update(
        published_at=None, created_at=timezone.now() - timedelta(seconds=100)
    )
    rows = OutboxRow.objects.filter(published_at=None).count()
    assert (broken(grace_seconds=0), broken(grace_seconds=120)) == ({OUTBOX: rows}, {})


def test_writers_at_work_cause_no_false_alarm(shop: Shop) -> None:
    """However many holds, sales and releases are committed meanwhile, in both stock pools of the book."""
    with shop_at_rest.busy(shop.book.isbn, shop.names["sale_bin"], writers=3) as rounds:
        testing.wait_until(lambda: rounds, what="the writers")
        before = len(rounds)
        for _ in range(20):
            # These orders exist for inventory alone, so what it owes to orders is under way for the grace.
            assert broken(grace_seconds=60) == {}
        assert len(rounds) - before > 20, "the writers were at work"


def test_a_snapshot_is_one_moment_and_changes_nothing(shop: Shop) -> None:
    def receive() -> None:
        try:
            with transaction.atomic():
                stock_adjustments.receive(quantities={shop.book.isbn: 1}, reason="a lorry")
        finally:
            connection.close()

    with runner.snapshot():
        before = Stock.objects.get(pk=shop.book.isbn).received
        lorry = threading.Thread(target=receive)
        lorry.start()
        lorry.join()
        assert Stock.objects.get(pk=shop.book.isbn).received == before, "nobody was held up, and nothing is seen of it"
    assert Stock.objects.get(pk=shop.book.isbn).received == before + 1
    with pytest.raises(DatabaseError, match="read-only"), runner.snapshot():
        Stock.objects.update(held=0)


def test_an_audit_that_takes_too_long_is_given_up(shop: Shop) -> None:
    with shop_at_rest.locked("orders_order"), pytest.raises(audit.TooSlow, match="within its time"):
        audit.run(grace_seconds=0, by="test", limit_seconds=0.3)
    assert AuditRun.objects.count() == 0
    assert broken() == {}
