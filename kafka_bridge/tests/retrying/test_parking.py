"""Sequence behind a failure, as far as PostgreSQL decides it."""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext

from devtools.testing.bridge.bridge_events import cancelled, created, delivered, payment_failed
from events import catalogue
from events.base import OrderEvent
from kafka_bridge import testing
from kafka_bridge.consuming import inbox, message_processing, registry
from kafka_bridge.models import InboxRow, ParkedMessage
from kafka_bridge.publishing import outbox
from kafka_bridge.retrying import parking, waiting_heads
from kafka_bridge.retrying.parking import Head, State
from kafka_bridge.runtime import error_classes
from kafka_bridge.wire import envelope
from kafka_bridge.wire.envelope import Received

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.faults]
MakeGroup = Callable[[str], registry.Group]
Story = list[tuple[str, str]]


def received(event: OrderEvent, offset: int = 0, *, topic: str = "") -> Received:
    """As it comes from a topic, its own or another one."""
    return Received(
        event=event, id=uuid4(), correlation_id=event.order_id, topic=topic or event.TOPIC.name, partition=0,
        offset=offset,
    )  # fmt: skip


@pytest.fixture
def told() -> Story:
    """What the group handled: key and type, in sequence."""
    return []


@pytest.fixture
def group(make_group: MakeGroup, told: Story) -> registry.Group:
    """A group that notes what it handles."""
    made = make_group("listening")
    for event in (catalogue.OrderCreated, catalogue.OrderCancelled, catalogue.OrderDelivered, catalogue.PaymentFailed):
        made.on(event)(lambda said: told.append((said.key, said.TYPE)))
    return made


def park(message: Received, *, state: str = State.RETRYING, attempts: int = 1, delay_seconds: float = 0) -> str | None:
    """As the runner parks a message that failed."""
    with transaction.atomic():
        return parking.park(
            group="listening", message=message, state=state, attempts=attempts, delay_seconds=delay_seconds,
            error="ValueError: no",
        )  # fmt: skip


def anyone(_: Head) -> bool:
    """Any head is wanted."""
    return True


def handle_head(group: registry.Group, message: Received) -> bool:
    """The head of this message's key, whatever state it is in."""
    return message_processing.handle_head(group, message.event.key, anyone, message_processing.Attempt())


def states(key: str) -> list[tuple[str, str]]:
    """Type and state of what is parked of a key, in sequence."""
    return list(ParkedMessage.objects.filter(key=key).order_by("id").values_list("type", "state"))


def test_what_follows_a_parked_message_waits_from_whatever_topic_and_others_pass(
    group: registry.Group, told: Story
) -> None:
    """FAILURES 24."""
    stuck, free = uuid4(), uuid4()
    park(received(created(stuck)))
    batch = [received(payment_failed(stuck), 1), received(created(free), 2), received(cancelled(stuck), 3)]
    trace = message_processing.Attempt()

    assert message_processing.handle(group, batch, trace) == (1, 0)

    assert (told, trace.put_behind) == ([(str(free), "order.created")], 2)
    assert states(str(stuck)) == [
        ("order.created", State.RETRYING), ("payment.failed", State.WAITING), ("order.cancelled", State.WAITING),
    ]  # fmt: skip
    assert [row.event_id for row in InboxRow.objects.all()] == [batch[1].id], "who waits has not been had"


def test_they_follow_in_sequence_when_the_head_is_handled(group: registry.Group, told: Story) -> None:
    order = uuid4()
    first = received(created(order))
    park(first)
    message_processing.handle(group, [received(payment_failed(order), 1), received(delivered(order), 2)])

    while handle_head(group, first):
        pass

    assert [kind for _, kind in told] == ["order.created", "payment.failed", "order.delivered"]
    assert (ParkedMessage.objects.count(), InboxRow.objects.count()) == (0, 3)
    assert message_processing.handle(group, [received(cancelled(order), 3)]) == (1, 0), "the key is free again"


def test_a_message_waits_once_however_often_it_comes(group: registry.Group) -> None:
    order = uuid4()
    park(received(created(order)))
    late = received(cancelled(order), 1)
    for _ in range(2):
        message_processing.handle(group, [late, late])
    assert len(states(str(order))) == 2


def test_what_was_had_does_not_wait_and_is_not_parked(group: registry.Group, told: Story) -> None:
    """A zombie fails with a message that its successor has handled; a redelivered one meets a parked key."""
    order = uuid4()
    had = received(created(order), 0)
    message_processing.handle(group, [had])
    assert park(had) is None
    park(received(cancelled(order), 1))
    message_processing.handle(group, [had])
    assert states(str(order)) == [("order.cancelled", State.RETRYING)]
    assert len(told) == 1


def test_a_message_that_comes_again_while_it_is_parked_says_so(group: registry.Group, told: Story) -> None:
    """We died between parking it and sending its copy."""
    message, trace = received(created()), message_processing.Attempt()
    park(message, delay_seconds=30)
    assert message_processing.handle(group, [message], trace) == (0, 0)
    [(again, head)] = trace.parked_themselves
    assert (again, head.event_id, head.attempts, told) == (message, message.id, 1, [])
    assert head.due is not None and 25 < head.due - time.time() < 35


@pytest.mark.security
def test_another_event_at_the_same_place_is_parked_too(group: registry.Group) -> None:
    """XE1: the topic was deleted and created again, so places repeat; events do not."""
    before, after = received(created(), 0), received(created(), 0)
    assert park(before, state=State.DEAD) == State.DEAD
    assert park(after) == State.RETRYING
    assert [states(message.event.key) for message in (before, after)] == [
        [("order.created", State.DEAD)], [("order.created", State.RETRYING)],
    ]  # fmt: skip


@pytest.mark.security
def test_a_follower_at_the_place_of_its_head_waits_behind_it(group: registry.Group) -> None:
    """XE1: it is not taken for the head that comes once more."""
    order, trace = uuid4(), message_processing.Attempt()
    park(received(created(order), 0), state=State.DEAD)
    follower = received(cancelled(order), 0)
    message_processing.handle(group, [follower], trace)
    assert (trace.put_behind, trace.parked_themselves) == (1, [])
    assert states(str(order)) == [("order.created", State.DEAD), ("order.cancelled", State.WAITING)]


@pytest.mark.security
def test_a_parked_event_that_lies_at_two_places_is_parked_and_handled_once(group: registry.Group, told: Story) -> None:
    """XE1: the relay sent it twice, or everything was published again for a Kafka that lost its data."""
    message = received(created(), 0)
    park(message)
    again, trace = replace(message, offset=41), message_processing.Attempt()
    message_processing.handle(group, [again], trace)
    assert [received for received, _ in trace.parked_themselves] == [again]
    assert park(again) == State.WAITING
    assert states(message.event.key) == [("order.created", State.RETRYING)]
    while handle_head(group, message):
        pass
    assert message_processing.handle(group, [again]) == (0, 1)
    assert told == [(message.event.key, "order.created")]


def test_a_second_failure_of_a_key_waits_behind_the_first(group: registry.Group) -> None:
    order = uuid4()
    assert park(received(created(order))) == State.RETRYING
    assert park(received(payment_failed(order))) == State.WAITING


def test_a_head_that_fails_again_leaves_no_trace(make_group: MakeGroup) -> None:
    group = make_group("listening")

    @group.on(catalogue.OrderCreated)
    def fail(event: catalogue.OrderCreated) -> None:
        raise ValueError("still")

    message, trace = received(created()), message_processing.Attempt()
    park(message)
    with pytest.raises(ValueError, match="still"):
        message_processing.handle_head(group, message.event.key, anyone, trace)
    assert (trace.head and trace.head.event_id, trace.handler and trace.handler.function) == (message.id, fail)
    assert (InboxRow.objects.count(), len(states(message.event.key))) == (0, 1)


def test_a_released_head_counts_as_had_but_is_not_handled(group: registry.Group, told: Story) -> None:
    order = uuid4()
    first, second = received(created(order)), received(cancelled(order), 1)
    park(first, state=State.DEAD)
    message_processing.handle(group, [second])
    with transaction.atomic():
        parking.release(group="listening", event_id=first.id)
    assert waiting_heads.find_all_ready(group="listening", overdue_seconds=60) == [str(order)]

    while handle_head(group, first):
        pass

    assert [kind for _, kind in told] == ["order.cancelled"]
    assert message_processing.handle(group, [first]) == (0, 1), "not even if it comes once more"


@pytest.mark.parametrize(
    ("state", "attempts", "delay_seconds", "is_ready"),
    [
        (State.RETRYING, 1, 0, False),
        (State.RETRYING, 1, -90, True),
        (State.RETRYING, 0, -90, False),
        (State.DEAD, 4, -90, False),
        (State.RELEASED, 4, 0, True),
        (State.WAITING, 0, 0, True),
    ],
)
def test_heads_that_need_no_copy_are_found(
    group: registry.Group, state: str, attempts: int, delay_seconds: float, is_ready: bool
) -> None:
    """The second is overdue: its copy may be lost. The third was sent again by a person, whose copy is on its way."""
    message = received(created())
    park(message, state=state, attempts=attempts, delay_seconds=delay_seconds)
    expected = [message.event.key] if is_ready else []
    assert waiting_heads.find_all_ready(group="listening", overdue_seconds=60) == expected


def test_looks_go_round_and_find_what_was_released_wherever_it_is() -> None:
    for number, state in enumerate(["dead", "waiting", "dead", "waiting", "dead", "released", "dead"]):
        park(received(created(UUID(int=number)), number), state=state)
    keys = [str(UUID(int=number)) for number in range(7)]
    looks, after = [], ""
    for _ in range(4):
        found = waiting_heads.find_ready(group="listening", overdue_seconds=60, after=after, limit=2)
        looks.append(found.keys)
        after = found.last
    assert looks == [[keys[5], keys[1]], [keys[5], keys[3]], [keys[5]], [keys[5]]]
    assert after == "", "and from the beginning again"
    assert waiting_heads.find_all_ready(group="listening", overdue_seconds=60) == [keys[5], keys[1], keys[3]]


def test_a_look_costs_the_same_however_many_are_parked() -> None:
    park_many(10_000, keys=5_000)
    with CaptureQueriesContext(connection) as captured:
        assert waiting_heads.find_ready(group="listening", overdue_seconds=60).keys == []
    with connection.cursor() as cursor:
        for query in captured:
            cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS) {query['sql']}")
            plan = "\n".join(row[0] for row in cursor.fetchall())
            assert "Seq Scan" not in plan, plan
            pages = int(plan.partition("shared hit=")[2].split(maxsplit=1)[0])
            assert pages < 2_500, plan


def park_many(number: int, *, keys: int) -> None:
    """So many for so many keys, each key behind a dead head."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO kafka_bridge_parkedmessage
                ("group", key, state, topic, partition, "offset", event_id, type, headers, value, attempts, error)
            SELECT 'listening', md5((n %% %(keys)s)::text), CASE WHEN n < %(keys)s THEN 'dead' ELSE 'waiting' END,
                'orders.events', 0, n, gen_random_uuid(), 'order.created', '[]', repeat('v', 500)::bytea, 1, ''
            FROM generate_series(0, %(number)s - 1) n
            """,
            {"number": number, "keys": keys},
        )
        cursor.execute("ANALYZE kafka_bridge_parkedmessage")


def test_a_dead_head_sent_again_is_handled_as_edited(group: registry.Group) -> None:
    message = received(created(total_minor=1250))
    park(message, state=State.DEAD, attempts=4)
    with transaction.atomic():
        parking.send_again(
            group="listening", event_id=message.id,
            headers=parking.original(message).headers_,
            value=envelope.encode_body(created(UUID(message.event.key), total_minor=99)),
        )  # fmt: skip
        head = parking.lock_heads(group="listening", keys=[message.event.key])[message.event.key]
        event = envelope.decode(parking.read_record(head)).event
    assert (head.state, head.attempts, getattr(event, "total_minor", 0)) == (State.RETRYING, 0, 99)


def test_nothing_parked_costs_one_short_statement(group: registry.Group) -> None:
    """And the plan does not read the table, however much of other keys lies there."""
    for number in range(20):
        park(received(created(), number))
    with connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off")
        cursor.execute("EXPLAIN " + inbox._INSERT_UNLESS_PARKED, ["listening", "[]", "listening", '["x"]'])
        plan = "\n".join(row[0] for row in cursor.fetchall())
        cursor.execute("RESET enable_seqscan")
    assert "parked_key" in plan
    with CaptureQueriesContext(connection) as queries:
        message_processing.handle(group, [received(created(), 100)])
    assert sum("parkedmessage" in query["sql"] for query in queries) == 1


EVENTS = 15


@pytest.mark.parametrize("seed", range(20))
def test_drain_against_arrival_keeps_the_sequence(make_group: MakeGroup, seed: int) -> None:
    """Two members bring a key's messages from two topics, and park some of them, while two others work off the key.

    Each topic's messages must be handled in their order, each once, and nothing may be left lying.
    """
    group = make_group("listening")
    group.on(catalogue.OrderCreated)(outbox.publish)
    group.on(catalogue.PaymentFailed)(outbox.publish)
    order, arrived = uuid4(), threading.Semaphore(0)
    placed = [received(created(order, total_minor=number), number) for number in range(EVENTS)]
    failed = [received(payment_failed(order, str(number)), number) for number in range(EVENTS)]
    park(placed[0])

    def arrive(messages: list[Received], randomly: random.Random) -> None:
        for message in messages:
            persistently(partial(park, message) if randomly.random() < 0.2 else partial(take_in, group, message))
        arrived.release()

    def work_off() -> None:
        while arrived._value < 2 or states(str(order)):
            persistently(partial(handle_head, group, placed[0]))

    errors = in_threads(
        partial(arrive, placed[1:], random.Random(seed)),  # noqa: S311 - to be repeatable
        partial(arrive, failed, random.Random(-seed)),  # noqa: S311
        work_off,
        work_off,
    )

    assert errors == []
    stated = testing.stated()
    assert [e.total_minor for e in stated if isinstance(e, catalogue.OrderCreated)] == list(range(EVENTS))
    assert [e.reason for e in stated if isinstance(e, catalogue.PaymentFailed)] == [str(n) for n in range(EVENTS)]
    assert states(str(order)) == []


def take_in(group: registry.Group, message: Received) -> None:
    """As the runner does with a batch of one."""
    message_processing.handle(group, [message])


def persistently(action: Callable[[], Any]) -> None:
    """Run the transaction again where PostgreSQL asks for it, as the runner does."""
    while True:
        try:
            action()
        except OperationalError as error:
            if not error_classes.is_conflict(error):
                raise
        else:
            return


def in_threads(*targets: Callable[[], object]) -> list[BaseException]:
    """Run all of these at once, to their ends; returns what they raised."""
    errors: list[BaseException] = []

    def guarded(target: Callable[[], object]) -> None:
        try:
            target()
        except BaseException as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=guarded, args=[target]) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return errors


def test_the_broker_in_memory_keeps_the_sequence_too(group: registry.Group, told: Story) -> None:
    order, broker = uuid4(), testing.MemoryBroker(groups=["listening"])
    dead = received(created(order), 7)
    park(dead, state=State.DEAD)
    with transaction.atomic():
        outbox.publish(cancelled(order), created())
    broker.drain()
    assert [kind for _, kind in told] == ["order.created"], "of the other order"
    with transaction.atomic():
        parking.release(group="listening", event_id=dead.id)
    broker.drain()
    assert told[1:] == [(str(order), "order.cancelled")]
