"""XC7: the timekeeper's audit finds what the full one finds, in a time that does not grow with the shop."""

import json
import time
import uuid
from typing import Any

import pytest
from django.db import connection

from devtools.testing.shop.shop_at_rest import Shop, execute
from orders.models import Order
from shop.audit import incremental, runner
from shop.models import AuditProgress
from shop.tests.audit.test_audit import DAMAGE

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.stock,
    pytest.mark.security,
    pytest.mark.usefixtures("slow_carrier"),
]


def broken() -> dict[str, int]:
    """What the timekeeper's audit finds in PostgreSQL, by name."""
    with runner.snapshot():
        audited = incremental.check(runner.SNAPSHOT, grace_seconds=0, limit_seconds=None)
    audited.progress.save()
    return {finding.name: finding.count for finding in audited.findings if finding.count}


def stated_long_ago() -> None:
    """Let everything have been audited before: only the round can find it now."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT max(id) FROM kafka_bridge_outboxrow")
        AuditProgress.objects.update_or_create(pk=1, defaults={"marks": [[0, cursor.fetchone()[0]]]})


@pytest.mark.parametrize(
    "is_old", [pytest.param(False, marks=pytest.mark.prove(long=True)), True], ids=["moved", "old"]
)
@pytest.mark.parametrize(("sql", "expected"), DAMAGE)
def test_damage_is_found_as_by_the_full_audit(
    shop: Shop, sql: str, expected: dict[str, int], is_old: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_old:
        stated_long_ago()
        monkeypatch.setattr(incremental, "CHUNK", 2)
    else:
        monkeypatch.setattr(incremental, "ROUND_SECONDS", 0.5)
    execute(sql, shop.names)
    names = {rule.name for rule in runner.SNAPSHOT} & set(expected)
    assert set(broken()) == names
    assert set(broken()) == names, "it is looked at until it is right"


def test_what_was_wrong_stays_found_while_the_round_is_elsewhere(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    Order.objects.filter(pk=shop.kept).update(total_minor=1)
    wrong = broken()
    assert wrong
    monkeypatch.setattr(incremental, "ROUND_SECONDS", 0.0)
    stated_long_ago()
    AuditProgress.objects.update(order_cursor=uuid.UUID(int=2**128 - 1))
    assert broken() == wrong
    Order.objects.filter(pk=shop.kept).update(total_minor=2500)
    assert broken() == {}
    assert AuditProgress.objects.get().suspect_orders == []


def test_the_round_goes_on_where_it_was_and_begins_again(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incremental, "CHUNK", 1)
    seen: list[uuid.UUID] = []
    real = incremental._next_orders

    def one_each(after: uuid.UUID) -> list[uuid.UUID]:
        found = real(after)
        seen.extend(found)
        monkeypatch.setattr(incremental, "ROUND_SECONDS", 0.0)
        return found

    monkeypatch.setattr(incremental, "_next_orders", one_each)
    for _ in range(6):
        monkeypatch.setattr(incremental, "ROUND_SECONDS", 60.0)
        with monkeypatch.context() as patch:
            patch.setattr("shop.audit.incremental.time.monotonic", _Clock())
            broken()
    ids = sorted(Order.objects.values_list("pk", flat=True))
    assert seen[: len(ids)] == ids
    assert AuditProgress.objects.get().round_finished_at is not None


class _Clock:
    """Each look is half a minute later, so that a round gets one piece."""

    def __init__(self) -> None:
        self._now = 0.0

    def __call__(self) -> float:
        self._now += 30.0
        return self._now


@pytest.fixture
def grown(request: pytest.FixtureRequest) -> int:
    """So many orders, each with its line, charge, reservation, hold, movements and event; analyzed."""
    orders = int(request.param)
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = off")
        for statement in _GROWN:
            cursor.execute(statement, {"orders": orders})
    return orders


_GROWN = [
    "CREATE TEMP TABLE ids AS SELECT n, ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid AS id, "
    "(9790000000000 + n %% 200)::text AS sku FROM generate_series(1, %(orders)s) AS n",
    """INSERT INTO orders_order (id, reference, flow, status, version, name, email, address_line1, address_line2, city,
        postcode, country, currency, total_minor, payment_method, payment_reference, cancel_reason, placed_at,
        deadline_at, paid_at, held_at, confirmed_at, idempotency_key, request_digest)
    SELECT id, 'T' || n, 'reserve_first', 'PAID', 1, 'Ada', n || '@example.com', 'x', '', 'y', 'z', 'VN', 'USD', 1250,
        'pm', 't' || n, '', now() - interval '9 d', now(), now() - interval '9 d', now() - interval '9 d',
        now() - interval '9 d', gen_random_uuid(), '' FROM ids""",
    """INSERT INTO orders_orderline (order_id, sku, title, unit_price_minor, quantity, cancelled)
    SELECT id, sku, 'A title', 1250, 1, 0 FROM ids""",
    """INSERT INTO orders_trailentry (order_id, version, what, answer, status, detail, at)
    SELECT id, 1, 'order.confirmed', 'move', 'PAID', '', now() - interval '9 d' FROM ids""",
    """INSERT INTO payments_charge (id, order_id, flow, amount_minor, currency, payment_method, lines, customer, state,
        transaction_id, failure_reason, action_url, attempts, cancel_requested, last_error, settled_at)
    SELECT gen_random_uuid(), id, 'reserve_first', 1250, 'USD', 'pm', '[]', '', 'succeeded', 't' || n, '', '', 1, false,
        '', now() - interval '9 d' FROM ids""",
    """INSERT INTO payments_refund (id, charge_id, amount_minor, reason, state, transaction_id, attempts, last_error)
    SELECT gen_random_uuid(), id, 0, 'nothing', 'succeeded', '', 1, '' FROM payments_charge""",
    """INSERT INTO inventory_reservation (order_id, flow, state, updated_at)
    SELECT id, 'reserve_first', 'sold', now() - interval '9 d' FROM ids""",
    """INSERT INTO inventory_hold (reservation_id, sku, bin, quantity, given_back, customer)
    SELECT id, sku, sku, 1, 0, '' FROM ids""",
    """INSERT INTO inventory_movement (bin, sku, kind, received, held, sold, order_id, by, reason)
    SELECT sku, sku, 'sold', 0, 0, 1, id, 't', '' FROM ids""",
    """INSERT INTO inventory_movement (bin, sku, kind, received, held, sold, by, reason)
    SELECT sku, sku, 'received', count(*), 0, 0, 't', '' FROM ids GROUP BY sku""",
    """INSERT INTO inventory_stock (bin, sku, received, held, sold, version)
    SELECT sku, sku, count(*), 0, count(*), 0 FROM ids GROUP BY sku""",
    """INSERT INTO kafka_bridge_outboxrow (event_id, topic, key, type, version, correlation_id, traceparent, body,
        created_at, published_at)
    SELECT gen_random_uuid(), 'orders.events', id, 'order.confirmed', 1, gen_random_uuid(), '', '',
        now(), now() FROM ids""",
    "DROP TABLE ids",
    "ANALYZE",
]
_BIG = (
    "orders_order", "orders_orderline", "orders_trailentry", "payments_charge", "payments_refund", "inventory_hold",
    "inventory_reservation", "inventory_movement", "kafka_bridge_outboxrow",
)  # fmt: skip


def scanned(plan: Any) -> set[str]:
    """The tables that a plan reads from their beginning to their end."""
    found = {plan["Relation Name"]} if plan["Node Type"] == "Seq Scan" else set()
    return found.union(*(scanned(below) for below in plan.get("Plans", [])))


@pytest.mark.parametrize("grown", [20_000, pytest.param(1_000_000, marks=pytest.mark.prove(long=True))], indirect=True)
def test_no_growing_table_is_read_from_end_to_end(grown: int, monkeypatch: pytest.MonkeyPatch) -> None:
    stated_long_ago()
    read: dict[str, set[str]] = {}

    def explained(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.lstrip().startswith(("WITH", "SELECT")) and any(table in sql for table in _BIG):
            execute(f"EXPLAIN (FORMAT JSON) {sql}", params, many, context)
            [[found]] = context["cursor"].fetchall()
            plan = found if isinstance(found, list) else json.loads(found)
            read[sql[-400:]] = scanned(plan[0]["Plan"])
        return execute(sql, params, many, context)

    monkeypatch.setattr(incremental, "CHUNK", 200)
    monkeypatch.setattr(incremental, "ROUND_SECONDS", 0.5)
    begun = time.monotonic()
    with runner.snapshot(), connection.execute_wrapper(explained):
        if grown < 1_000_000:
            # So few rows are read fastest from end to end; where there is no index, they still would be.
            connection.cursor().execute("SET LOCAL enable_seqscan = off")
        audited = incremental.check(runner.SNAPSHOT, grace_seconds=0, limit_seconds=None)
    seconds = time.monotonic() - begun
    assert len(read) > 15
    for sql, tables in read.items():
        assert not (tables & set(_BIG)), sql
    names = {rule.name for rule in (*incremental.BY_ORDER, *incremental.BY_BOOK)}
    assert [finding for finding in audited.findings if finding.name in names and finding.count] == []
    assert seconds < 10, f"{grown} orders: {seconds:.1f} s"
