"""What one bad message in a hundred costs the others: time from the producer's hand to the commit of the effect."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from django.db import transaction

from benchmarks import drafts, stats
from events import catalogue
from kafka_bridge.consuming import consumer_process, registry
from kafka_bridge.publishing import outbox
from kafka_bridge.runtime import clients, topics, waiting
from kafka_bridge.wire import envelope
from kafka_bridge.wire.events import Event

PATIENCE_SECONDS = 60.0
ONE_IN = 100


@dataclass
class Watch:
    """When which order was sent and handled, and which are poison."""

    sent: dict[str, float] = field(default_factory=dict)
    handled: dict[str, float] = field(default_factory=dict)
    poison: set[str] = field(default_factory=set)

    def handle(self, event: Event) -> None:
        """A handler with one statement of its own."""
        if event.key in self.poison:
            raise ValueError("poison")
        if event.key in self.sent:
            transaction.on_commit(lambda: self.handled.setdefault(event.key, time.monotonic()))

    @property
    def p99_ms(self) -> float:
        """Of those that are healthy."""
        return stats.percentile([1000 * (at - self.sent[key]) for key, at in self.handled.items()], 99)


def measure(*, rounds: int, seconds: float, rate: float) -> dict[str, Any]:
    """The p99 of healthy messages with and without poison, at a steady rate."""
    watch = Watch()
    group = registry.Group("benchmark")
    group.on(catalogue.OrderCreated)(lambda event: watch.handle(event))
    topics.apply(topics.plan())
    stop = threading.Event()
    member = consumer_process.ConsumerProcess(group, stop)
    thread = threading.Thread(target=member.run)
    thread.start()
    details: dict[str, list[float]] = {"clean_p99_ms": [], "poison_p99_ms": []}
    try:
        _wait(lambda: len(member.runner.assigned) > 0, "partitions")
        _send(watch, 200, rate, every=0)  # warm
        for _ in range(rounds):
            for name, every in (("clean_p99_ms", 0), ("poison_p99_ms", ONE_IN)):
                for notes in (watch.sent, watch.handled, watch.poison):
                    notes.clear()
                _send(watch, int(seconds * rate), rate, every=every)
                details[name].append(watch.p99_ms)
    finally:
        stop.set()
        thread.join(20)
    pairs = zip(details["clean_p99_ms"], details["poison_p99_ms"], strict=True)
    return {"runs": {"poison_p99_ratio": [poison / clean for clean, poison in pairs]}, "details": details}


def _send(watch: Watch, count: int, rate: float, *, every: int) -> None:
    """So many messages, one after the other at this rate; returns when all healthy ones are handled."""
    producer, began = clients.producer(linger_ms=0), time.monotonic()
    events = [drafts.created(draft) for draft in islice(drafts.endless(seed=count), count)]
    watch.poison.update(event.key for number, event in enumerate(events) if every and number % every == every // 2)
    for number, event in enumerate(events):
        while (left := began + number / rate - time.monotonic()) > 0:
            producer.poll(left)
        _produce(producer, watch, event)
        producer.poll(0)
    producer.flush(PATIENCE_SECONDS)
    _wait(lambda: len(watch.handled) >= count - len(watch.poison), "healthy messages")


def _produce(producer: Any, watch: Watch, event: Event) -> None:
    row = outbox.row_of(event)
    watch.sent[event.key] = time.monotonic()
    producer.produce(
        clients.topic_name(row.topic),
        key=row.key,
        value=bytes(row.body),
        headers=envelope.headers(
            event_id=row.event_id,
            event_type=row.type,
            version=row.version,
            source="orders",
            subject=row.key,
            time=datetime.now(UTC),
            correlation_id=row.correlation_id,
            causation_id=None,
            traceparent=row.traceparent,
        ),
    )


def _wait(condition: Callable[[], bool], what: str) -> None:
    waiting.until(condition, what=what, timeout_seconds=PATIENCE_SECONDS, every_seconds=0.02)
