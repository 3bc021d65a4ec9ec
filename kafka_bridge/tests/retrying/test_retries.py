"""Retries on a real broker: sequence holds, nothing is lost or doubled, and waiting costs nobody else anything."""

import dataclasses
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from confluent_kafka import Message
from django.core.management import CommandError, call_command
from django.db import OperationalError, transaction

from devtools.testing.bridge.bridge_events import cancelled, created, delivered, payment_failed
from devtools.testing.bridge.group_members import committed, rewind, running, working
from devtools.testing.bridge.kafka_logs import headers_of
from devtools.testing.bridge.relays import read_topic, send
from events import catalogue
from events.base import OrderEvent
from kafka_bridge import testing
from kafka_bridge.consuming import registry
from kafka_bridge.models import ParkedMessage
from kafka_bridge.retrying import parking, republish, retry_topic
from kafka_bridge.retrying.parking import State
from kafka_bridge.retrying.policy import RetryPolicy
from kafka_bridge.runtime import clients, supervision
from kafka_bridge.wire import envelope

pytestmark = [
    pytest.mark.django_db(transaction=True), pytest.mark.kafka, pytest.mark.faults,
    pytest.mark.usefixtures("kafka", "quick"),
]  # fmt: skip
MakeGroup = Callable[[str], registry.Group]
RETRY, DEAD = "orders.events.notifications.retry", "orders.events.notifications.dlq"


@pytest.fixture
def quick(settings: Any, kafka: Any) -> None:
    """Short pauses everywhere."""
    settings.KAFKA_BRIDGE = dataclasses.replace(
        settings.KAFKA_BRIDGE, backoff_seconds=0.02, backoff_max_seconds=0.2, retry_delays_seconds=(0.3, 0.3)
    )


@pytest.fixture
def patient(settings: Any, quick: None) -> None:
    """More rounds than a test lasts: nothing dies."""
    settings.KAFKA_BRIDGE = dataclasses.replace(settings.KAFKA_BRIDGE, retry_delays_seconds=(0.3,) * 200)


@dataclasses.dataclass
class Book:
    """What a group's handlers did and committed, and which orders they cannot handle for now."""

    told: list[tuple[UUID, str]] = dataclasses.field(default_factory=list)
    calls: Counter[UUID] = dataclasses.field(default_factory=Counter)
    poison: set[UUID] = dataclasses.field(default_factory=set)
    error: Exception = dataclasses.field(default_factory=lambda: ValueError("this one does not work"))

    def handle(self, event: OrderEvent) -> None:
        """As a handler."""
        self.calls[event.order_id] += 1
        if event.order_id in self.poison:
            raise self.error
        transaction.on_commit(lambda: self.told.append((event.order_id, event.TYPE)))

    def of(self, order_id: UUID) -> list[str]:
        """What was handled of an order, in sequence."""
        return [kind for order, kind in self.told if order == order_id]


@pytest.fixture
def book() -> Book:
    return Book()


@pytest.fixture
def group(make_group: MakeGroup, monkeypatch: pytest.MonkeyPatch, book: Book) -> registry.Group:
    """A group in the place of notifications, whose topics exist; it hears facts from two topics."""
    monkeypatch.delitem(registry._groups, "notifications")
    group = make_group("notifications")
    for event in (catalogue.OrderCreated, catalogue.OrderCancelled, catalogue.OrderDelivered, catalogue.PaymentFailed):
        group.on(event)(book.handle)
    return group


def parked(order_id: UUID) -> list[tuple[str, str]]:
    """Type and state of what is parked of an order, in sequence."""
    return list(ParkedMessage.objects.filter(key=str(order_id)).order_by("id").values_list("type", "state"))


@pytest.mark.usefixtures("patient")
def test_order_holds_through_a_parked_head_and_others_pass(group: registry.Group, book: Book) -> None:
    """FAILURES 24: followers come from two topics; when the cause is gone, all are handled in the order they came."""
    stuck, free = uuid4(), uuid4()
    book.poison.add(stuck)
    send(created(stuck), created(free))
    with working(group) as member:
        testing.wait_until(lambda: parked(stuck) == [("order.created", State.RETRYING)], what="a parked order")
        send(payment_failed(stuck), payment_failed(free))
        testing.wait_until(lambda: len(parked(stuck)) == 2, what="a first follower")
        send(cancelled(stuck), cancelled(free))
        testing.wait_until(lambda: len(book.of(free)) == 3, what="all of the other order")
        assert book.of(stuck) == []
        testing.wait_until(lambda: len(parked(stuck)) == 3, what="a second follower")
        book.poison.clear()
        testing.wait_until(lambda: parked(stuck) == [], what="nothing parked")
        testing.wait_until(lambda: committed("notifications") == 6, what="6 committed")
    assert book.of(stuck) == ["order.created", "payment.failed", "order.cancelled"]
    assert testing.had_by("notifications") == 6
    assert member.handled == 6


def redrive(order_id: UUID) -> None:
    """What a person does with a dead head: decide it in a transaction, then send the copy."""
    key = str(order_id)
    with transaction.atomic():
        head = parking.lock_heads(group="notifications", keys=[key])[key]
        record = parking.read_record(head)
        topic, partition, offset = record.coordinates
        parking.send_again(group="notifications", event_id=head.event_id, headers=record.headers_, value=record.value_)
    retry_topic.forward(
        group="notifications", topic=topic, partition=partition, offset=offset, message_id=head.event_id, key=key,
        headers=record.headers_, value=record.value_,
    )  # fmt: skip


def test_after_the_last_round_it_is_dead_and_a_redrive_brings_it_back(group: registry.Group, book: Book) -> None:
    """FAILURES 22: attempts are bounded, and a dead letter blocks its own order only."""
    stuck = uuid4()
    book.poison.add(stuck)
    send(created(stuck), cancelled(stuck))
    with working(group) as member:
        testing.wait_until(lambda: (parked(stuck) or [("", "")])[0][1] == State.DEAD, what="a dead head")
        assert member.dead == 1
        assert parked(stuck)[1:] == [("order.cancelled", State.WAITING)]
        [letter] = read_topic(DEAD, count=1)
        head = ParkedMessage.objects.filter(key=str(stuck)).earliest("id")
        headers = headers_of(letter)
        assert (headers["dlq_topic"], headers["dlq_offset"], headers["dlq_group"]) == (
            b"orders.events", str(head.offset).encode(), b"notifications",
        )  # fmt: skip
        assert (headers["dlq_attempts"], headers["dlq_event"]) == (b"5", b"order.created"), "3 in place, 2 rounds"
        assert headers["dlq_handler"] == b"kafka_bridge.tests.retrying.test_retries.Book.handle"
        assert not [name for name in headers if name.startswith("retry_")]
        assert book.calls[stuck] in (5, 6), "and perhaps one in a batch"
        book.poison.clear()
        redrive(stuck)
        testing.wait_until(lambda: parked(stuck) == [], what="nothing parked")
    assert book.of(stuck) == ["order.created", "order.cancelled"]


def test_what_waited_behind_a_discarded_message_goes_on(group: registry.Group, book: Book) -> None:
    stuck = uuid4()
    book.poison.add(stuck)
    send(created(stuck), cancelled(stuck), delivered(stuck))
    with working(group):
        testing.wait_until(lambda: (parked(stuck) or [("", "")])[0][1] == State.DEAD, what="a dead head")
        book.poison.clear()
        head = ParkedMessage.objects.filter(key=str(stuck)).earliest("id")
        with transaction.atomic():
            parking.release(group="notifications", event_id=head.event_id)
        testing.wait_until(lambda: parked(stuck) == [], what="nothing parked", timeout_seconds=5)
    assert book.of(stuck) == ["order.cancelled", "order.delivered"]


@pytest.mark.usefixtures("patient")
def test_a_follower_that_fails_becomes_the_head(group: registry.Group, book: Book) -> None:
    """And those behind it go on waiting, though what was before them is done."""
    stuck, refused = uuid4(), threading.Event()

    @group.on(catalogue.OrderConfirmed)
    def refuse_at_first(event: catalogue.OrderConfirmed) -> None:
        if not refused.is_set():
            refused.set()
            raise ValueError("not yet")
        book.handle(event)

    book.poison.add(stuck)
    send(created(stuck), confirmed(stuck), cancelled(stuck))
    with working(group):
        testing.wait_until(lambda: len(parked(stuck)) == 3, what="three parked")
        book.poison.clear()
        testing.wait_until(lambda: parked(stuck) == [], what="nothing parked")
    assert refused.is_set()
    assert book.of(stuck) == ["order.created", "order.confirmed", "order.cancelled"]


def confirmed(order_id: UUID) -> catalogue.OrderConfirmed:
    """An order.confirmed."""
    return catalogue.OrderConfirmed(
        order_id=order_id, flow=catalogue.RESERVE_FIRST, lines=(), total_minor=0, currency="USD"
    )


def test_a_rejected_message_does_not_hold_up_its_order(group: registry.Group, book: Book) -> None:
    """A forged event must not block an order. Sent again, it is handled on its own."""
    order = uuid4()
    book.poison.add(order)
    book.error = registry.Reject("not with us")
    send(created(order))
    with working(group) as member:
        testing.wait_until(lambda: member.dead == 1, what="a dead letter")
        book.poison.clear()
        send(cancelled(order))
        testing.wait_until(lambda: book.of(order) == ["order.cancelled"], what="the next one of the order")
        [letter] = read_topic(DEAD, count=1)
        headers = headers_of(letter)
        retry_topic.forward(
            group="notifications", topic="orders.events", partition=int(headers["dlq_partition"]),
            offset=int(headers["dlq_offset"]), message_id=None, headers=list(headers.items()),
            value=letter.value() or b"", key=letter.key() or b"",
        )  # fmt: skip
        testing.wait_until(lambda: len(book.of(order)) == 2, what="the one sent again")
    assert ParkedMessage.objects.count() == 0


def test_a_crash_before_the_copy_was_sent(group: registry.Group, book: Book) -> None:
    """The row is there, the copy is not, the offset has not moved: the message comes again and finds itself."""
    order = uuid4()
    send(created(order), cancelled(order))
    park_by_hand(read_topic("orders.events", count=2)[0])
    with working(group):
        testing.wait_until(lambda: testing.had_by("notifications") == 2, what="2 handled")
        testing.wait_until(lambda: committed("notifications") == 2, what="2 committed")
    assert book.of(order) == ["order.created", "order.cancelled"]
    assert len(read_topic(RETRY, count=2, timeout_seconds=1)) == 1


def test_a_crash_between_the_copy_and_the_offset(group: registry.Group, book: Book) -> None:
    """Row and copy are there, the offset has not moved: a second copy is made, and does nothing."""
    order = uuid4()
    book.poison.add(order)
    send(created(order))
    with working(group):
        testing.wait_until(lambda: committed("notifications") == 1, what="1 committed")
    assert [state for _, state in parked(order)] in ([State.RETRYING], [State.DEAD])
    rewind("notifications")
    book.poison.clear()
    ParkedMessage.objects.update(state=State.RETRYING, attempts=1)
    with running(group):  # alone, so that the first copy is not quicker
        testing.wait_until(lambda: committed("notifications") == 1, what="1 committed")
    with working(group):
        testing.wait_until(lambda: testing.had_by("notifications") == 1, what="1 handled")
        testing.wait_until(lambda: committed("notifications.retry") >= 2, what="both copies read")
    assert book.of(order) == ["order.created"]
    assert ParkedMessage.objects.count() == 0


def test_a_copy_that_was_lost_is_not_missed_for_ever(group: registry.Group, book: Book, settings: Any) -> None:
    """Kafka came back without its data, or the copy was kept for too short a time."""
    settings.KAFKA_BRIDGE = dataclasses.replace(settings.KAFKA_BRIDGE, retry_overdue_seconds=0.5)
    order = uuid4()
    send(created(order))
    message = read_topic("orders.events", count=1)[0]
    park_by_hand(message)
    consume_all("notifications", message)
    with working(group):
        testing.wait_until(lambda: book.of(order) == ["order.created"], what="the overdue one")
    assert read_topic(RETRY, count=1, timeout_seconds=1) == []


def park_by_hand(message: Message) -> None:
    """As the runner does, up to the point at which it dies."""
    with transaction.atomic():
        parking.park(
            group="notifications", message=envelope.decode(message), state=State.RETRYING, attempts=1,
            delay_seconds=0.1, error="ValueError: no",
        )  # fmt: skip


def consume_all(group: str, message: Message) -> None:
    """Commit the offset behind this message, as if it had been dealt with."""
    consumer = clients.consumer(group=group)
    try:
        consumer.commit(message=message, asynchronous=False)
    finally:
        consumer.close()


@pytest.mark.usefixtures("patient")
def test_an_outage_costs_a_parked_message_no_attempt(group: registry.Group, book: Book) -> None:
    """FAILURES 23: while PostgreSQL is away the retry consumer waits; rounds are for what the message itself causes."""
    order = uuid4()
    book.poison.add(order)
    send(created(order))
    with working(group) as member:
        testing.wait_until(lambda: parked(order) != [], what="a parked order")
        before = book.calls[order]
        book.error = OperationalError("server closed the connection unexpectedly")
        testing.wait_until(lambda: book.calls[order] > before + 8, what="more calls than there are attempts")
        assert [state for _, state in parked(order)] == [State.RETRYING]
        book.poison.clear()
        testing.wait_until(lambda: book.of(order) == ["order.created"], what="it handled")
    assert member.dead == 0


@pytest.mark.parametrize("protocol", ["consumer", pytest.param("classic", marks=pytest.mark.prove)])
def test_one_that_waits_long_blocks_nobody_and_is_not_thrown_out(
    group: registry.Group, book: Book, settings: Any, protocol: str
) -> None:
    """A copy that is due far later than a consumer may be silent, in front of one that is due at once."""
    settings.KAFKA_BRIDGE = dataclasses.replace(
        settings.KAFKA_BRIDGE, group_protocol=protocol, max_poll_interval_seconds=10, retry_delays_seconds=(12,)
    )
    slow, fast, elsewhere = uuid4(), uuid4(), uuid4()
    quick_one = RetryPolicy(attempts=1, delays_seconds=(0.2,) * 50)
    for event in (catalogue.OrderDelivered, catalogue.PaymentFailed):
        group.handlers[event] = [dataclasses.replace(each, retry=quick_one) for each in group.handlers[event]]
    book.poison |= {slow, fast, elsewhere}
    send(created(slow))
    with working(group) as member:
        testing.wait_until(lambda: parked(slow) != [], what="a parked order")
        began = time.monotonic()
        send(delivered(fast), payment_failed(elsewhere))
        testing.wait_until(lambda: parked(fast) != [] and parked(elsewhere) != [], what="the others parked")
        owned = set(member.retrying.assigned)
        book.poison.clear()
        testing.wait_until(lambda: testing.had_by("notifications") == 2, what="the others handled")
        assert time.monotonic() - began < 8, "while the slow one waits"
        assert book.of(slow) == []
        testing.wait_until(lambda: book.of(slow) == ["order.created"], what="the slow one")
        assert time.monotonic() - began > 8
        assert member.retrying.assigned == owned
    assert len(owned) == 2


def test_too_many_dead_letters_in_a_row_stop_the_group(group: registry.Group, book: Book, settings: Any) -> None:
    """FAILURES 23: when everything fails, the messages are not what is wrong."""
    settings.KAFKA_BRIDGE = dataclasses.replace(
        settings.KAFKA_BRIDGE, dead_letters_in_row=5, retry_delays_seconds=(), batch_size=1
    )
    orders = [uuid4() for _ in range(20)]
    book.poison |= set(orders)
    send(*map(created, orders))
    with pytest.raises(CommandError, match="5 dead letters in a row and nothing handled in between") as raised:
        call_command("run_consumer", "notifications")
    assert raised.value.returncode == supervision.NEEDS_A_PERSON == 4
    dead = ParkedMessage.objects.count()
    assert dead < 20, "it did not carry the whole topic there"
    # Of a partition, offsets go as far as everything before them is done: some that died may come again.
    assert committed("notifications") <= dead
    book.poison.clear()
    with working(group):
        testing.wait_until(lambda: testing.had_by("notifications") == 20 - dead, what="the rest, once it is mended")
        testing.wait_until(lambda: committed("notifications") == 20, what="all of them behind us")
    assert ParkedMessage.objects.count() == dead


def test_a_handled_message_ends_the_row(group: registry.Group, book: Book, settings: Any) -> None:
    settings.KAFKA_BRIDGE = dataclasses.replace(
        settings.KAFKA_BRIDGE, dead_letters_in_row=3, retry_delays_seconds=(), batch_size=1, partitions=1
    )
    bad = [uuid4() for _ in range(4)]
    book.poison |= set(bad)
    with working(group) as member:
        for order in bad:
            send(created(order))
            testing.wait_until(lambda: len(parked_rows()) == bad.index(order) + 1, what="a dead letter")  # noqa: B023
            send(created())
            testing.wait_until(lambda: testing.had_by("notifications") == bad.index(order) + 1, what="a good one")  # noqa: B023
        assert not member.stop.is_set()


def parked_rows() -> list[int]:
    """Ids of all that is parked."""
    return list(ParkedMessage.objects.values_list("pk", flat=True))


@pytest.mark.usefixtures("patient")
def test_two_members_share_one_order(group: registry.Group, book: Book) -> None:
    """Its facts come by two topics, so perhaps to two members, while a third and a fourth retry."""
    orders = [uuid4() for _ in range(30)]
    book.poison |= set(orders)
    with working(group) as one, working(group) as two:
        testing.wait_until(lambda: len(one.runner.assigned) + len(two.runner.assigned) == 6, what="partitions shared")
        send(*map(created, orders))
        testing.wait_until(lambda: ParkedMessage.objects.count() == 30, what="30 parked")
        send(*map(payment_failed, orders), *map(cancelled, orders))
        book.poison.clear()
        testing.wait_until(lambda: testing.had_by("notifications") == 90, what="90 handled")
        testing.wait_until(lambda: ParkedMessage.objects.count() == 0, what="nothing parked")
    for order in orders:
        told = book.of(order)
        assert sorted(told) == ["order.cancelled", "order.created", "payment.failed"]
        assert told.index("order.created") < told.index("order.cancelled")


def test_what_is_no_copy_is_passed_over(group: registry.Group, book: Book) -> None:
    republish.put(RETRY, key=b"x", value=b"{}", headers=[("retry_topic", b"orders.events")])
    with working(group):
        testing.wait_until(lambda: committed("notifications.retry") == 1, what="its offset committed")
    assert book.told == []
