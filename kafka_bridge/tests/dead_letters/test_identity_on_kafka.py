"""Places repeat, messages do not: topics that are created again, messages that lie at two places, a group set back."""

import dataclasses
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from devtools.testing.bridge.bridge_events import cancelled, created
from devtools.testing.bridge.group_members import at_work, working
from devtools.testing.bridge.kafka_logs import headers, put, said
from devtools.testing.bridge.replays import TOPIC
from events import catalogue
from kafka_bridge import testing
from kafka_bridge.consuming import registry
from kafka_bridge.dead_letters import consumer, redriving
from kafka_bridge.models import DeadLetter, InboxRow, ParkedMessage, UnknownEvent
from kafka_bridge.runtime import clients
from kafka_bridge.wire import envelope

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.kafka,
    pytest.mark.faults,
    pytest.mark.security,
    pytest.mark.usefixtures("kafka", "quick"),
]
State = DeadLetter.State


class Shelf:
    """A group's handler, that fails until it is mended."""

    def __init__(self, group: registry.Group) -> None:
        self.mended = threading.Event()
        self.told: list[str] = []
        group.on(catalogue.OrderCreated)(self.handle)

    def handle(self, event: catalogue.OrderCreated) -> None:
        if not self.mended.is_set():
            raise ValueError("no")
        self.told.append(event.key)


@pytest.fixture
def shelf(group: registry.Group) -> Shelf:
    """In the place of notifications."""
    return Shelf(group)


@contextmanager
def everything_running(group: registry.Group) -> Iterator[None]:
    """The group with its retries, and what stores its dead letters."""
    stop = threading.Event()
    with at_work(consumer.DeadLetterConsumer(stop).run, stop), working(group):
        yield


def create_again(topic: str) -> None:
    """Delete the topic and create it: its places begin anew, and the groups' offsets of it are gone."""
    admin, name = clients.admin(), clients.topic_name(topic)
    admin.delete_topics([name])[name].result(30)
    testing.wait_until(lambda: name not in admin.list_topics(timeout=10).topics, what="no topic")
    testing.make_topics(lambda wanted: wanted == name)


def in_states(**counts: int) -> None:
    """Wait for so many letters in each state."""

    def found() -> dict[str, int]:
        states = list(DeadLetter.objects.values_list("state", flat=True))
        return {state: states.count(state) for state in set(states)}

    testing.wait_until(lambda: found() == counts, what=f"{counts}")


def put_raw(*values: bytes, key: str = "k", wire: Any = ()) -> None:
    """Something that may be no event, into partition 0."""
    producer = clients.producer(linger_ms=0)
    for value in values:
        producer.produce(clients.topic_name(TOPIC), key=key, value=value, headers=list(wire), partition=0)
    assert producer.flush(10) == 0


@pytest.mark.parametrize("delays", [(), (0.05,)])
def test_an_event_at_the_place_of_a_dead_one_is_not_lost(
    group: registry.Group, shelf: Shelf, settings: Any, delays: tuple[float, ...]
) -> None:
    """XE1: a message is dead, its topic is created again, and another event that fails lies at the same place."""
    settings.KAFKA_BRIDGE = dataclasses.replace(settings.KAFKA_BRIDGE, retry_delays_seconds=delays)
    put(before := created())
    put_raw(b"{")
    with everything_running(group):
        in_states(parked=2)
        testing.wait_until(lambda: ParkedMessage.objects.filter(state="dead").count() == 1, what="a dead head")
    create_again(TOPIC)
    put(after := created())
    put_raw(b"{")
    with everything_running(group):
        in_states(parked=4)
        testing.wait_until(lambda: ParkedMessage.objects.filter(state="dead").count() == 2, what="both dead")
        assert sorted(DeadLetter.objects.values_list("offset", flat=True)) == [0, 0, 1, 1]
        shelf.mended.set()
        redriving.redrive(redriving.choose(event="order.created"), by="ada", reason="mended")
        in_states(parked=2, resolved=2)
    assert sorted(set(shelf.told)) == sorted([before.key, after.key])
    assert (InboxRow.objects.count(), ParkedMessage.objects.count()) == (2, 0)


def test_an_event_that_lies_twice_in_its_topic_is_handled_once(group: registry.Group, shelf: Shelf) -> None:
    """XE1: before and after it failed."""
    event, event_id, now = created(), uuid4(), datetime.now(UTC)
    wire, body = headers(event, event_id, now), envelope.encode_body(event)
    put_raw(body, key=event.key, wire=wire)
    put_raw(body, key=event.key, wire=wire)
    with everything_running(group):
        in_states(parked=1)
        testing.wait_until(lambda: ParkedMessage.objects.filter(state="dead").count() == 1, what="a dead head")
        put_raw(body, key=event.key, wire=wire)
        shelf.mended.set()
        redriving.redrive(redriving.choose(), by="ada", reason="mended")
        in_states(resolved=1)
        put_raw(body, key=event.key, wire=wire)
        put(other := created())
        testing.wait_until(lambda: other.key in shelf.told, what="another one")
    assert shelf.told == [event.key, other.key]
    assert ParkedMessage.objects.count() == 0


def test_what_was_decided_stays_decided_when_its_topic_is_read_again(
    make_group: Callable[[str], registry.Group], monkeypatch: pytest.MonkeyPatch
) -> None:
    """XC3: malformed and rejected letters, discarded or still waiting."""
    monkeypatch.delitem(registry._groups, "notifications")
    group, calls = make_group("notifications"), list[str]()

    @group.on(catalogue.OrderCreated)
    def reject(event: catalogue.OrderCreated) -> None:
        calls.append(event.key)
        raise registry.Reject("we do not take these")

    put_raw(b"{")
    put_raw(b"{}", wire=headers(created(), uuid4(), datetime.now(UTC)))
    put(discarded := created(), waiting := created())
    with everything_running(group):
        in_states(parked=4)
        keys = ("k", discarded.key)
        redriving.discard(redriving.choose().filter(key__in=keys), by="ada", reason="noise")
        in_states(discarded=3, parked=1)
    before = list(DeadLetter.objects.order_by("id").values())
    code, text = said("reset_offsets", "--group", "notifications", "--topic", TOPIC, "--to", "beginning")
    assert code == 0, text
    calls.clear()
    stop = threading.Event()
    reader = consumer.DeadLetterConsumer(stop)
    with at_work(reader.run, stop), working(group):
        testing.wait_until(lambda: reader.seen_before == 3, what="what died once more seen again")
    assert list(DeadLetter.objects.order_by("id").values()) == before
    assert set(calls) == {waiting.key}, "the group has had the one that was discarded"


def test_strangers_events_neither_die_nor_stop_a_group(group: registry.Group, shelf: Shelf, settings: Any) -> None:
    """XE2 and XB8: types that nobody knows, broken events that others hear, and garbage; healthy ones pass."""
    settings.KAFKA_BRIDGE = dataclasses.replace(settings.KAFKA_BRIDGE, dead_letters_in_row=5)
    shelf.mended.set()
    known = headers(cancelled(), uuid4(), datetime.now(UTC))
    renamed = [(name, b"order.renamed" if name == "ce_type" else value) for name, value in known]
    newer = [(name, b"7" if name == "ce_dataversion" else value) for name, value in known]
    for wire in (renamed, newer, known):
        put_raw(*[b"no event"] * 60, wire=wire)
    put_raw(*[b"garbage"] * 10)
    put(healthy := created())
    stop = threading.Event()
    with at_work(consumer.DeadLetterConsumer(stop).run, stop), working(group) as member:
        testing.wait_until(lambda: shelf.told == [healthy.key], what="the healthy one")
        testing.wait_until(lambda: UnknownEvent.objects.count() == 2, what="both kinds counted")
        in_states(parked=10)
        assert not member.stop.is_set()
    assert dict(member.runner.unknown.seen) == {("order.renamed", "1"): 60, ("order.cancelled", "7"): 60}
    assert {letter.error for letter in DeadLetter.objects.all()} == {"Malformed: header 'ce_type' is missing"}
