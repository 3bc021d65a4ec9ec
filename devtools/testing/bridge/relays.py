"""The relay in a thread of the test, and what it has brought to Kafka."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from confluent_kafka import Consumer, Message
from django.db import transaction

from events.base import OrderEvent
from kafka_bridge import testing
from kafka_bridge.publishing import outbox, relay
from kafka_bridge.runtime import clients
from kafka_bridge.testing import running


@contextmanager
def running_relay() -> Iterator[threading.Event]:
    """A relay in a thread; it is stopped on leaving."""
    stop = threading.Event()
    thread = threading.Thread(target=relay.run, args=[stop])
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        running.wake_relay()
        thread.join(20)
        assert not thread.is_alive()


def send(*events: OrderEvent) -> None:
    """Through the outbox and the relay."""
    with transaction.atomic():
        outbox.publish(*events)
    with running_relay():
        testing.wait_until(lambda: outbox.backlog() == 0, what="an empty outbox")


def read_topic(topic: str, *, count: int, timeout_seconds: float = 20) -> list[Message]:
    """The first `count` messages of a topic, by partition and offset."""
    consumer = Consumer(
        {
            "bootstrap.servers": clients.conf().bootstrap_servers,
            "group.id": uuid4().hex,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([clients.topic_name(topic)])
    found: list[Message] = []
    deadline = time.monotonic() + timeout_seconds
    try:
        while len(found) < count and time.monotonic() < deadline:
            found += [message for message in consumer.consume(count, 0.2) if message.error() is None]
    finally:
        consumer.close()
    return sorted(found, key=lambda m: (m.partition(), m.offset()))
