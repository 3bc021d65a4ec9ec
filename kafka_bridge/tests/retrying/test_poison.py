"""Many messages, a tenth of them poisonous: who dies, who waits, who passes, and how all come back."""

import dataclasses
import random
import threading
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import transaction

from devtools.testing.bridge.bridge_events import cancelled, created, delivered, payment_failed
from devtools.testing.bridge.group_members import working
from devtools.testing.bridge.relays import running_relay
from events import catalogue
from events.base import OrderEvent
from kafka_bridge import testing
from kafka_bridge.consuming import registry
from kafka_bridge.dead_letters import consumer, redriving
from kafka_bridge.models import DeadLetter, InboxRow, OutboxRow, ParkedMessage
from kafka_bridge.publishing import outbox

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.kafka, pytest.mark.faults, pytest.mark.slow]
IN_SEQUENCE = ["order.created", "order.cancelled", "order.delivered"]


@pytest.mark.usefixtures("kafka")
@pytest.mark.parametrize("poison_count", [100, pytest.param(1000, marks=pytest.mark.prove(long=True))])
def test_poisonous_messages_among_ten_times_as_many(
    make_group: Callable[[str], registry.Group], monkeypatch: pytest.MonkeyPatch, settings: Any, poison_count: int
) -> None:
    """FAILURES 22 and 24: exactly those are dead letters, only their own orders wait, and a redrive clears them all."""
    settings.KAFKA_BRIDGE = dataclasses.replace(
        settings.KAFKA_BRIDGE, backoff_seconds=0.01, retry_delays_seconds=(0.05,), dead_letters_in_row=0
    )
    monkeypatch.delitem(registry._groups, "notifications")
    group = make_group("notifications")
    poisoned, healthy = [uuid4() for _ in range(poison_count)], [uuid4() for _ in range(2 * poison_count)]
    poison, told, mended = set(poisoned), defaultdict[UUID, list[str]](list), threading.Event()

    def handle(event: OrderEvent) -> None:
        if event.order_id in poison and isinstance(event, catalogue.OrderCreated) and not mended.is_set():
            raise ValueError("a bug that a deployment will mend")
        transaction.on_commit(lambda: told[event.order_id].append(event.TYPE))

    for heard in (catalogue.OrderCreated, catalogue.OrderCancelled, catalogue.OrderDelivered, catalogue.PaymentFailed):
        group.on(heard)(handle)

    everyone = [*poisoned, *healthy]
    random.Random(5).shuffle(everyone)  # noqa: S311 - to be repeatable
    state(*map(created, everyone), *map(cancelled, everyone))
    state(*map(payment_failed, healthy), *map(delivered, healthy))
    assert OutboxRow.objects.count() == 10 * poison_count

    with working(group) as member:
        stop = threading.Event()
        reader = threading.Thread(target=consumer.DeadLetterConsumer(stop).run)
        reader.start()
        try:
            testing.wait_until(lambda: had() == 4 * len(healthy), what="all healthy orders", timeout_seconds=60)
            testing.wait_until(lambda: dead() == poison_count, what="all poison stored", timeout_seconds=60)
            testing.wait_until(lambda: in_state("dead") == poison_count, what="all poison dead", timeout_seconds=60)
            assert in_state("waiting") == poison_count, "their followers"
            assert member.dead == poison_count
            letters = DeadLetter.objects.values_list("topic", "partition", "offset", "event_id", "key")
            places = OutboxRow.objects.filter(type="order.created", key__in=map(str, poisoned))
            assert set(letters) == set(places.values_list("topic", "partition", "offset", "event_id", "key"))
            assert {told_in_sequence(told[order]) for order in healthy} == {"complete"}
            assert not any(told[order] for order in poisoned)

            mended.set()
            outcome = redriving.redrive(
                redriving.choose(state="parked"), by="ada", reason="deployed", cap=poison_count, per_second=10_000
            )
            assert len(outcome.done) == poison_count
            testing.wait_until(lambda: had() == 10 * poison_count, what="everything", timeout_seconds=60)
            testing.wait_until(lambda: ParkedMessage.objects.count() == 0, what="nothing parked")
        finally:
            stop.set()
            reader.join(20)
    assert Counter(DeadLetter.objects.values_list("state", flat=True)) == {"resolved": poison_count}
    assert {tuple(told[order]) for order in poisoned} == {("order.created", "order.cancelled")}


def told_in_sequence(kinds: list[str]) -> str:
    """Whether an order's own facts came in sequence, and that of payments, which may come at any time, once."""
    own = [kind for kind in kinds if kind != "payment.failed"]
    return "complete" if own == IN_SEQUENCE and len(kinds) == 4 else str(kinds)


def state(*events: OrderEvent) -> None:
    """Through the outbox and the relay."""
    with transaction.atomic(), outbox.collect():
        outbox.publish(*events)
    with running_relay():
        testing.wait_until(lambda: outbox.backlog() == 0, what="an empty outbox")


def had() -> int:
    return InboxRow.objects.filter(group="notifications").count()


def dead() -> int:
    return DeadLetter.objects.count()


def in_state(state: str) -> int:
    return ParkedMessage.objects.filter(state=state).count()
