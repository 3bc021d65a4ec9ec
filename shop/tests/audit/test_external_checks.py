"""The audit of the stock counters, with and without Redis; and of the dead letters."""

import uuid

import pytest
from django_redis import get_redis_connection

from devtools.local.redis import Redis
from devtools.testing.bridge.dead_letters import a_letter
from devtools.testing.shop.shop_at_rest import Shop, audit_command, broken, execute
from inventory.redis_counters import admission
from kafka_bridge.models import DeadLetter
from shop import audit
from shop.audit import external_checks, orders

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.stock, pytest.mark.usefixtures("slow_carrier")]


# -- The stock counters ---------------------------------------------------------------------------------------------
def test_a_wrong_counter_is_found(shop: Shop) -> None:
    get_redis_connection("stock").hset(admission.FREE, shop.book.isbn, 99)
    (finding,) = audit.run(grace_seconds=0, by="test").broken
    assert (finding.name, finding.count) == (external_checks.COUNTERS_SUM.name, 1)
    assert finding.examples == (f"pool {shop.book.isbn}: 37 free, but Redis has 99",)


def test_deleted_counters_are_found(shop: Shop) -> None:
    get_redis_connection("stock").flushdb()
    assert broken() == {external_checks.COUNTERS_SUM.name: 2}


def test_units_reserved_for_no_order_are_found(shop: Shop) -> None:
    lost = uuid.uuid4()
    get_redis_connection("stock").hset(admission.ADMITTED, str(lost), f'1.0 [["{shop.book.isbn}",1]]')
    get_redis_connection("stock").hset(admission.TAKEN, shop.book.isbn, 1)
    (finding,) = audit.run(grace_seconds=60, by="test").broken
    assert (finding.name, finding.examples) == (
        external_checks.COUNTERS_SETTLED.name, (f"order {lost}: admitted, and not decided since",),
    )  # fmt: skip


def test_units_that_are_kept_back_for_no_order_at_all_are_found_and_mended(shop: Shop) -> None:
    get_redis_connection("stock").hset(admission.TAKEN, shop.book.isbn, 3)
    assert admission.read_available([shop.book.isbn]) == {shop.book.isbn: 34}
    (finding,) = audit.run(grace_seconds=60, by="test").broken
    assert (finding.name, finding.examples) == (
        external_checks.COUNTERS_SETTLED.name, (f"pool {shop.book.isbn}: 3 units are reserved for no order",),
    )  # fmt: skip
    assert audit_command("--repair")[0] == 0
    assert admission.read_available([shop.book.isbn]) == {shop.book.isbn: 37}


def test_without_redis_the_audit_goes_on(shop: Shop, redis_server: Redis) -> None:
    redis_server.kill()
    execute("UPDATE orders_order SET cancel_reason = ''", {})
    report = audit.run(grace_seconds=0, by="test")
    assert {finding.name: finding.count for finding in report.broken} == {
        external_checks.COUNTERS_READABLE.name: 1,
        orders.REASON.name: 1,
    }
    notes = {finding.name for finding in report.findings if finding.note}
    assert {external_checks.COUNTERS_SUM.name, external_checks.COUNTERS_SETTLED.name} <= notes


# -- The dead letters -----------------------------------------------------------------------------------------
def test_dead_letters_that_wait_are_counted_by_kind() -> None:
    assert external_checks.dead_letter_finding().count == 0
    for number in range(3):
        a_letter(error=f"ValueError: {number}")
    done = a_letter(error="KeyError: 'x'")
    DeadLetter.objects.filter(pk=done.pk).update(state=DeadLetter.State.RESOLVED)
    (finding,) = audit.run(grace_seconds=0, by="test").broken
    assert (finding.name, finding.count) == (external_checks.DEAD_LETTERS.name, 3)
    assert finding.examples == ("3 of notifications: ValueError: 2",)
