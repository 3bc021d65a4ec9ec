"""The audit of what Redis and Kafka know; and without them."""

import time
import uuid
from pathlib import Path

import pytest
from django_redis import get_redis_connection

from inventory import gate
from kafka_bridge import clients, testing
from shop import audit
from shop.audit import elsewhere, orders
from shop.local.apache_kafka import ApacheKafka
from shop.local.redis import Redis
from shop.tests.resting import Shop, audit_command, broken, execute

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.stock, pytest.mark.usefixtures("slow_carrier")]


# -- The gate ---------------------------------------------------------------------------------------------
def test_a_gate_that_says_otherwise_is_found(shop: Shop) -> None:
    get_redis_connection("stock").hset(gate.FREE, shop.book.isbn, 99)
    (finding,) = audit.run(grace_seconds=0, by="test").broken
    assert (finding.name, finding.count) == (elsewhere.GATE_SUM.name, 1)
    assert finding.examples == (f"bin {shop.book.isbn}: 37 free, but the gate says 99",)


def test_a_gate_that_was_emptied_is_found(shop: Shop) -> None:
    get_redis_connection("stock").flushdb()
    assert broken() == {elsewhere.GATE_SUM.name: 2}


def test_a_gate_that_keeps_units_back_for_nobody_is_found(shop: Shop) -> None:
    lost = uuid.uuid4()
    get_redis_connection("stock").hset(gate.ADMITTED, str(lost), f'1.0 [["{shop.book.isbn}",1]]')
    get_redis_connection("stock").hset(gate.TAKEN, shop.book.isbn, 1)
    (finding,) = audit.run(grace_seconds=60, by="test").broken
    assert (finding.name, finding.examples) == (
        elsewhere.GATE_FREE.name, (f"order {lost}: admitted, and not decided since",),
    )  # fmt: skip


def test_units_that_are_kept_back_for_no_order_at_all_are_found_and_mended(shop: Shop) -> None:
    get_redis_connection("stock").hset(gate.TAKEN, shop.book.isbn, 3)
    assert gate.look([shop.book.isbn]) == {shop.book.isbn: 34}
    (finding,) = audit.run(grace_seconds=60, by="test").broken
    assert (finding.name, finding.examples) == (
        elsewhere.GATE_FREE.name, (f"bin {shop.book.isbn}: 3 units are kept back for no order",),
    )  # fmt: skip
    assert audit_command("--repair")[0] == 0
    assert gate.look([shop.book.isbn]) == {shop.book.isbn: 37}


def test_without_redis_the_audit_goes_on(shop: Shop, redis_server: Redis) -> None:
    redis_server.kill()
    execute("UPDATE orders_order SET cancel_reason = ''", {})
    report = audit.run(grace_seconds=0, by="test")
    assert {finding.name: finding.count for finding in report.broken} == {
        elsewhere.GATE_READ.name: 1,
        orders.REASON.name: 1,
    }
    notes = {finding.name for finding in report.findings if finding.note}
    assert {elsewhere.GATE_SUM.name, elsewhere.GATE_FREE.name} <= notes


# -- The dead letters -----------------------------------------------------------------------------------------
DEAD = "orders.events.notifications.dlq"


@pytest.mark.kafka
def test_dead_letters_are_counted(kafka: ApacheKafka) -> None:
    assert elsewhere.dead_letter_finding().count == 0
    producer = clients.producer()
    for number in range(3):
        producer.produce(clients.topic_name(DEAD), value=str(number).encode())
    assert producer.flush(10) == 0
    found = elsewhere.dead_letter_finding()
    assert (found.count, found.examples, found.note) == (3, (f"{clients.topic_name(DEAD)}: 3",), "")


@pytest.mark.kafka
def test_a_broker_that_does_not_answer_is_not_waited_for(kafka: ApacheKafka) -> None:
    kafka.pause()
    started = time.monotonic()
    found = elsewhere.dead_letter_finding()
    took = time.monotonic() - started
    assert (found.count, found.note.partition(":")[0]) == (0, "Kafka could not be asked")
    assert took < 5


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="the threads of C libraries are counted by Linux")
def test_asking_kafka_again_and_again_leaves_nothing_behind() -> None:
    """The timekeeper does it every minute; a client in a circle of references would stay, with its threads."""

    def threads() -> int:
        return len(list(Path("/proc/self/task").iterdir()))

    elsewhere.dead_letter_finding()
    before = threads()
    for _ in range(5):
        elsewhere.dead_letter_finding()
    testing.wait_until(lambda: threads() <= before, what="the end of the clients' threads")
