"""The whole life of a dead letter on a real broker: given up, stored, sent again or discarded, and what comes of it."""

import dataclasses
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition
from django.db import connection

from devtools.testing.bridge.bridge_events import cancelled, created, delivered
from devtools.testing.bridge.relays import send
from events import catalogue
from kafka_bridge import testing
from kafka_bridge.consuming import consumer_groups, consumer_process, registry
from kafka_bridge.dead_letters import consumer, redrive_preview, redrive_sender, redriving
from kafka_bridge.models import DeadLetter, InboxRow, ParkedMessage
from kafka_bridge.monitoring.groups import lag
from kafka_bridge.runtime import clients, topics

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.kafka,
    pytest.mark.faults,
    pytest.mark.usefixtures("kafka", "quick"),
]
State = DeadLetter.State
MakeGroup = Callable[[str], registry.Group]


@pytest.fixture
def quick(settings: Any, kafka: Any) -> None:
    """Short pauses between attempts, and one further round."""
    settings.KAFKA_BRIDGE = dataclasses.replace(
        settings.KAFKA_BRIDGE,
        backoff_seconds=0.01,
        backoff_max_seconds=0.2,
        retry_delays_seconds=(0.05,),
        dead_letters_in_row=100_000,
    )


class Shipping:
    """A group whose handlers fail for what is poison until they are mended, and note in which sequence they got it."""

    def __init__(self, group: registry.Group) -> None:
        self.group = group
        self.mended = False
        self.poison: Callable[[Any], bool] = lambda event: False
        self.seen: list[tuple[str, str]] = []
        self.calls: Counter[str] = Counter()
        for event_type in (catalogue.OrderCreated, catalogue.OrderCancelled, catalogue.OrderDelivered):
            group.on(event_type)(self.handle)

    def handle(self, event: Any) -> None:
        self.calls[event.key] += 1
        if not self.mended and self.poison(event):
            raise ValueError(f"cannot do {event.key}")
        self.seen.append((event.key, event.TYPE))

    def sequence(self, key: str) -> list[str]:
        """What was called for this key, each once: a call of a batch that failed was rolled back, and came again."""
        return [kind for seen, kind in dict.fromkeys(self.seen) if seen == key]


@pytest.fixture
def shipping(make_group: MakeGroup, monkeypatch: pytest.MonkeyPatch) -> Shipping:
    """In the place of notifications, whose topics exist."""
    monkeypatch.delitem(registry._groups, "notifications")
    return Shipping(make_group("notifications"))


@contextmanager
def running(*members: Any) -> Iterator[None]:
    """These members in threads, stopped on leaving."""
    threads = [threading.Thread(target=member.run) for member in members]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for member in members:
            member.stop.set()
        for thread in threads:
            thread.join(20)
        assert not any(thread.is_alive() for thread in threads)


def group_and_reader(shipping: Shipping) -> tuple[consumer_process.ConsumerProcess, consumer.DeadLetterConsumer]:
    return consumer_process.ConsumerProcess(shipping.group, threading.Event()), consumer.DeadLetterConsumer(
        threading.Event()
    )


def in_state(state: str, count: int) -> None:
    testing.wait_until(lambda: DeadLetter.objects.filter(state=state).count() == count, what=f"{count} {state}")


def dead_heads(count: int) -> None:
    testing.wait_until(
        lambda: ParkedMessage.objects.filter(state=ParkedMessage.State.DEAD).count() == count,
        what=f"{count} dead heads",
    )


def everything_redriven(**how: Any) -> redriving.RedriveOutcome:
    return redriving.redrive(redriving.choose(state=State.PARKED), by="ada", reason="mended", per_second=10_000, **how)


# -- One letter's life ---------------------------------------------------------------------------------------
def test_given_up_stored_mended_sent_again_and_resolved(shipping: Shipping) -> None:
    """FAILURES 22 and 24: and what waited behind it follows in sequence."""
    order = uuid4()
    shipping.poison = lambda event: event.order_id == order and isinstance(event, catalogue.OrderCreated)
    send(created(order), cancelled(order), *(created() for _ in range(5)))
    with running(*group_and_reader(shipping)):
        in_state(State.PARKED, 1)
        dead_heads(1)
        letter = DeadLetter.objects.get()
        assert (letter.key, letter.type, letter.error) == (
            str(order),
            "order.created",
            f"ValueError: cannot do {order}",
        )
        assert (letter.topic, "Shipping.handle" in letter.handler, "cannot do" in letter.traceback) == (
            "orders.events", True, True,
        )  # fmt: skip
        assert letter.attempts >= 4
        testing.wait_until(lambda: len(set(shipping.seen)) == 5, what="the other orders")
        testing.wait_until(lambda: redrive_preview.waiting_behind(letter).count() == 1, what="one behind it")

        shipping.mended = True
        everything_redriven()
        in_state(State.RESOLVED, 1)
        testing.wait_until(lambda: ParkedMessage.objects.count() == 0, what="nothing parked")
        assert shipping.sequence(str(order)) == ["order.created", "order.cancelled"]
    assert [(act.who, act.what) for act in letter.acts.all()] == [("ada", "redriven"), ("notifications", "resolved")]


def test_what_fails_again_is_the_same_letter_parked_again(shipping: Shipping) -> None:
    shipping.poison = lambda event: True
    send(created())
    with running(*group_and_reader(shipping)):
        in_state(State.PARKED, 1)
        dead_heads(1)
        before = DeadLetter.objects.get()
        everything_redriven()
        testing.wait_until(
            lambda: list(before.acts.values_list("what", flat=True)) == ["redriven", "parked again"],
            what="parked again",
        )
        again = DeadLetter.objects.get()
        assert (again.pk, again.state, bytes(again.value)) == (before.pk, State.PARKED, bytes(before.value))
        assert again.attempts > before.attempts
        assert again.died_at > before.died_at


def test_an_edited_body_is_what_is_handled(shipping: Shipping) -> None:
    order, totals = uuid4(), list[int]()

    def note_total(event: catalogue.OrderCreated) -> bool:
        if event.total_minor >= 0:
            totals.append(event.total_minor)
        return event.total_minor < 0

    shipping.poison = note_total
    send(created(order, total_minor=-1))
    with running(*group_and_reader(shipping)):
        in_state(State.PARKED, 1)
        dead_heads(1)
        letter = DeadLetter.objects.get()
        fields = json.loads(bytes(letter.value)) | {"total_minor": 4200}
        redriving.edit(letter.pk, json.dumps(fields), by="ada")
        everything_redriven()
        in_state(State.RESOLVED, 1)
    assert totals == [4200]
    assert bytes(DeadLetter.objects.get().value) == bytes(letter.value)
    assert InboxRow.objects.get().event_id == letter.event_id, "the same event"


def test_discarding_releases_what_waits_behind(shipping: Shipping) -> None:
    order = uuid4()
    shipping.poison = lambda event: isinstance(event, catalogue.OrderCreated)
    send(created(order), cancelled(order), delivered(order))
    with running(*group_and_reader(shipping)):
        in_state(State.PARKED, 1)
        dead_heads(1)
        letter = DeadLetter.objects.get()
        testing.wait_until(lambda: redrive_preview.waiting_behind(letter).count() == 2, what="two behind it")
        redriving.discard(redriving.choose(ids=[letter.pk]), by="ada", reason="a test order")
        testing.wait_until(lambda: ParkedMessage.objects.count() == 0, what="nothing parked")
        assert shipping.sequence(str(order)) == ["order.cancelled", "order.delivered"]
    assert DeadLetter.objects.get().state == State.DISCARDED


def test_what_was_never_an_event_is_stored_and_can_be_discarded(shipping: Shipping) -> None:
    producer = clients.producer()
    topic = clients.topic_name("orders.events")
    producer.produce(topic, key=b"\x00k", value=b"\x00not json", headers=[("ce_type", b"\xff?"), ("n", None)])
    producer.produce(topic, value=None)
    assert producer.flush(10) == 0
    with running(*group_and_reader(shipping)):
        in_state(State.PARKED, 2)
        redriving.discard(redriving.choose(group="notifications"), by="ada", reason="noise")
        in_state(State.DISCARDED, 2)
    assert {letter.error.partition(":")[0] for letter in DeadLetter.objects.all()} == {"Malformed"}


def test_a_rejected_message_is_handled_on_its_own_when_it_is_sent_again(
    make_group: MakeGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(registry._groups, "notifications")
    group, mended, seen = make_group("notifications"), threading.Event(), list[str]()

    @group.on(catalogue.OrderDelivered)
    def reject(event: catalogue.OrderDelivered) -> None:
        if not mended.is_set():
            raise registry.Reject("we do not take these")
        seen.append(event.key)

    event = delivered()
    send(event)
    with running(
        consumer_process.ConsumerProcess(group, threading.Event()), consumer.DeadLetterConsumer(threading.Event())
    ):
        in_state(State.PARKED, 1)
        assert ParkedMessage.objects.count() == 0
        mended.set()
        everything_redriven()
        in_state(State.RESOLVED, 1)
    assert seen == [event.key]


# -- Many ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("many", [100, pytest.param(1000, marks=pytest.mark.prove(long=True))])
def test_many_of_a_kind_are_sent_again_with_a_cap_and_a_pace(shipping: Shipping, many: int) -> None:
    """As many rows as poisonous messages, one kind, and after the fix a bulk clears them all."""
    some = many * 4 // 10
    shipping.poison = lambda event: event.total_minor == 13
    send(*(created(total_minor=13 if number % 2 else 12) for number in range(2 * many)))
    with running(*group_and_reader(shipping)):
        testing.wait_until(
            lambda: DeadLetter.objects.count() == many, what="all letters", timeout_seconds=90, every_seconds=0.2
        )
        testing.wait_until(
            lambda: ParkedMessage.objects.filter(state="dead").count() == many, what="all heads", timeout_seconds=30
        )
        assert len(set(DeadLetter.objects.values_list("fingerprint", flat=True))) == 1
        shipping.mended = True
        first = everything_redriven(cap=some)
        assert (len(first.done), first.beyond_cap) == (some, many - some)
        testing.wait_until(
            lambda: DeadLetter.objects.filter(state=State.RESOLVED).count() == some, what="some", timeout_seconds=60
        )
        assert set(DeadLetter.objects.filter(state=State.PARKED).values_list("pk", flat=True)).isdisjoint(first.done)
        everything_redriven()
        testing.wait_until(
            lambda: DeadLetter.objects.filter(state=State.RESOLVED).count() == many, what="all", timeout_seconds=60
        )
    # Calls of a batch that failed were rolled back, so what was called more often was not done more often.
    assert (InboxRow.objects.count(), len(set(shipping.seen))) == (2 * many, 2 * many)


# -- The reader and the sender -------------------------------------------------------------------------------------
def test_reading_the_topics_again_changes_nothing(shipping: Shipping) -> None:
    """FAILURES 2 and 25: the group's offsets are lost, or somebody sets them back."""
    shipping.poison = lambda event: True
    send(created(), created())
    with running(*group_and_reader(shipping)):
        in_state(State.PARKED, 2)
        dead_heads(2)
        shipping.mended = True
        everything_redriven()
        in_state(State.RESOLVED, 2)
    before = list(DeadLetter.objects.order_by("id").values())
    rewind()
    reader = consumer.DeadLetterConsumer(threading.Event())
    with running(reader):
        testing.wait_until(lambda: reader.seen_before == 2, what="both seen again")
    assert list(DeadLetter.objects.order_by("id").values()) == before
    assert reader.stored == 0


def rewind() -> None:
    """Commit offset 0 in every dead letter topic."""
    consumer = Consumer(clients.common() | {"group.id": clients.conf().group_prefix + "dead_letters"})
    places = [TopicPartition(clients.topic_name(topic.name), 0, 0) for topic in topics.dead_letter_topics()]
    try:
        consumer.commit(offsets=places, asynchronous=False)
    finally:
        consumer.close()


def test_an_outage_of_the_database_loses_no_letter(shipping: Shipping) -> None:
    """FAILURES 31: the reader waits, and stores what came meanwhile."""
    shipping.poison = lambda event: True
    reader = consumer.DeadLetterConsumer(threading.Event())
    with running(reader):
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE kafka_bridge_deadletter RENAME TO elsewhere")
        try:
            send(created())
            with running(consumer_process.ConsumerProcess(shipping.group, threading.Event())):
                dead_heads(1)
        finally:
            with connection.cursor() as cursor:
                cursor.execute("ALTER TABLE elsewhere RENAME TO kafka_bridge_deadletter")
        in_state(State.PARKED, 1)
    assert (reader.stored, reader.seen_before) == (1, 0)


def test_without_kafka_a_redrive_is_noted_and_sent_when_it_is_back(shipping: Shipping, kafka: Any) -> None:
    """FAILURES 19: the decision is in PostgreSQL, the copy follows."""
    shipping.poison = lambda event: True
    send(created())
    with running(*group_and_reader(shipping)):
        in_state(State.PARKED, 1)
        dead_heads(1)
    kafka.stop()
    shipping.mended = True
    outcome = everything_redriven()
    assert redrive_sender.unsent(outcome.done) == 1
    with pytest.raises(KafkaException):
        redrive_sender.send_due()
    assert redrive_sender.unsent(outcome.done) == 1
    kafka.start()
    with running(*group_and_reader(shipping)):
        in_state(State.RESOLVED, 1)
    assert redrive_sender.unsent(outcome.done) == 0


def test_two_senders_do_not_send_the_same(shipping: Shipping, monkeypatch: pytest.MonkeyPatch) -> None:
    shipping.poison = lambda event: True
    send(*(created() for _ in range(60)))
    with running(*group_and_reader(shipping)):
        in_state(State.PARKED, 60)
        dead_heads(60)
    everything_redriven()
    claims = [list(DeadLetter.objects.raw(redrive_sender._CLAIM, [redrive_sender._LEASE, 40])) for _ in range(2)]
    taken = [letter.pk for claim in claims for letter in claim]
    assert (len(claims[0]), len(taken), len(set(taken))) == (40, 60, 60)
    assert redrive_sender.send_due() is False, "all are with somebody"


def test_the_group_is_listed_and_its_lag_is_told(shipping: Shipping) -> None:
    shipping.poison = lambda event: True
    send(created())
    with running(consumer_process.ConsumerProcess(shipping.group, threading.Event())):
        dead_heads(1)
    assert consumer_groups.find("dead_letters") is consumer_groups.DEAD_LETTERS
    behind = [row for row in lag.read_lag(["dead_letters"]) if row.messages]
    assert [(row.topic, row.messages, row.committed) for row in behind] == [
        ("orders.events.notifications.dlq", 1, None)
    ]
