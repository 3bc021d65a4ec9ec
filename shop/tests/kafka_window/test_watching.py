"""The window's watcher: it reads while somebody looks, and nothing is left of it afterwards."""

import threading
import time

import pytest

from devtools.testing.bridge.bridge_events import created
from devtools.testing.bridge.kafka_logs import put
from kafka_bridge import testing
from kafka_bridge.runtime import clients
from shop.kafka_window import watching
from shop.kafka_window.watching import Watcher

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.kafka,
    pytest.mark.window,
    pytest.mark.usefixtures("kafka"),
]
TOPIC = "orders.events"


def readers() -> list[str]:
    """Threads that read for a window."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("window_")]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is waited for long."""
    monkeypatch.setattr(watching, "LINGER_SECONDS", 1.0)


def test_it_costs_nothing_when_closed(quick: None) -> None:
    watcher = Watcher()
    assert (watcher.is_running, readers()) == (False, [])
    put(created(), partition=1)
    testing.wait_until(lambda: watcher.look().tails.get((TOPIC, 1)), what="the message")
    window = watcher.look()
    assert window.stores is not None and len(readers()) == 3
    testing.wait_until(lambda: not watcher.is_running and not readers(), what="the end of its threads")
    testing.wait_until(lambda: watcher.look().tails.get((TOPIC, 1)), what="the message again")
    testing.wait_until(lambda: not readers(), what="the end of its threads")


def test_what_is_written_is_seen(quick: None) -> None:
    """Ends and messages follow; a message that is written while somebody looks is there at once."""
    watcher = Watcher()
    put(created())
    testing.wait_until(lambda: watcher.look().tails.get((TOPIC, 0)), what="the first message")
    began = time.monotonic()
    put(created())
    testing.wait_until(lambda: len(watcher.look().tails[TOPIC, 0]) == 2, what="the second one")
    took = time.monotonic() - began
    testing.wait_until(lambda: end_of(watcher) == 2, what="the end")
    assert took < 30
    testing.wait_until(lambda: not readers(), what="the end of its threads")


def end_of(watcher: Watcher) -> int:
    """Where partition 0 ends."""
    kafka = watcher.look().kafka
    [topic] = [each for each in kafka.topics if each.name == TOPIC] if kafka else []
    return topic.partitions[0].end


def test_beyond_what_can_be_read_it_counts(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "READ_MAX_PER_SECOND", 20.0)
    watcher, producer = Watcher(), clients.producer(linger_ms=0)

    def counts() -> bool:
        for _ in range(20):
            producer.produce(clients.topic_name(TOPIC), b"{}", partition=0)
        producer.flush(20)
        return watcher.look().is_counting

    testing.wait_until(counts, what="counting", timeout_seconds=60)
    assert watcher.look().tails == {}
    testing.wait_until(lambda: watcher.look().tails.get((TOPIC, 0)), what="single messages again", timeout_seconds=60)
    testing.wait_until(lambda: not readers(), what="the end of its threads")
