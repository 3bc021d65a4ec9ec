"""The bridge alone: saga events through inbox, handler, outbox and commit, from Kafka, in batches and one by one."""

import dataclasses
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import Any

import psycopg
from confluent_kafka import Message, TopicPartition
from django.conf import settings
from django.db import connection, connections, transaction
from django.test import override_settings

from benchmarks import drafts, stats
from events import catalogue
from kafka_bridge.believing import refusals
from kafka_bridge.consuming import consumer_process, inbox, registry
from kafka_bridge.publishing import outbox, relay
from kafka_bridge.runtime import clients
from kafka_bridge.wire import envelope
from kafka_bridge.wire.envelope import Received
from orders.placing import placement
from payments.models import Charge

PATIENCE_SECONDS = 60.0
_CHUNK = 500


def fill_outbox(count: int) -> None:
    """So many order.created rows for the relay, each of another order."""
    wanted = islice(drafts.endless(seed=count), count)
    for some in chunks(wanted, 1000):
        with transaction.atomic():
            outbox.publish(*map(drafts.created, some))


# -- Runner ------------------------------------------------------------------------------------------
Take = Callable[..., Sequence[Received]]
Sift = Callable[[registry.Group, Sequence[Received]], Sequence[Received]]
# What a message costs with all that the bridge does, and with less of that: how messages are taken, and believed.
_WAYS: dict[str, tuple[Take, Sift]] = {
    "usual": (inbox.take_unless_parked, refusals.sift),
    "unparked": (inbox.take, refusals.sift),
    "plain": (lambda *, group, messages: messages, refusals.sift),
    "trusting": (inbox.take_unless_parked, lambda group, messages: messages),
}


def use(way: str) -> None:
    """Have the bridge do it this way."""
    inbox.take_unless_parked, refusals.sift = _WAYS[way]  # type: ignore[assignment]


@dataclass
class Meter:
    """Times each transaction of a runner, and stops it when it has handled enough.

    The ways take turns, transaction by transaction: so whatever else the machine does meets them all alike.
    """

    enough: int
    stop: threading.Event
    transactions: dict[str, list[tuple[float, int]]] = field(default_factory=lambda: {variant: [] for variant in _WAYS})
    """Of each way: how long each one took, and how many events it handled."""
    member: consumer_process.ConsumerProcess | None = None
    _since: tuple[float, int] | None = None
    _turns: Iterator[str] = field(default_factory=lambda: cycle(_WAYS))
    _way: str = "usual"

    def mark(self) -> None:
        """Call it after a commit. The first transaction is not counted: it has waited for the group."""
        if self.member is None or (self._since and self.member.handled == self._since[1]):
            return  # what it took was nothing that the group hears
        now = time.monotonic(), self.member.handled
        if self._since is not None:
            self.transactions[self._way].append((now[0] - self._since[0], now[1] - self._since[1]))
        self._way = next(self._turns)
        use(self._way)
        self._since = time.monotonic(), now[1]
        if self.member.handled >= self.enough:
            self.stop.set()

    @property
    def rate(self) -> float:
        """Events per second, in the usual way."""
        seconds, events = map(sum, zip(*self.transactions["usual"], strict=True))
        return events / seconds

    @property
    def batch(self) -> float:
        """Events per transaction."""
        return statistics.mean(events for variant in self.transactions.values() for _, events in variant)

    def against(self, variant: str) -> float:
        """The usual rate against that of another way; without each one's slowest, for others use the machine too."""
        return self._seconds_per_event(variant) / self._seconds_per_event("usual")

    def _seconds_per_event(self, variant: str) -> float:
        return stats.mean_of_fastest([seconds / events for seconds, events in self.transactions[variant]], 80)


def measure_runner(*, rounds: int, in_batches: int, one_by_one: int) -> dict[str, Any]:
    """Events per second through two handlers of the saga, both ways, and how fast messages are decoded alone."""
    runs: dict[str, list[float]] = {}
    details: dict[str, list[float]] = {}
    for number in range(rounds):
        meters: dict[str, dict[str, Meter]] = {}
        for name, batch_size, orders in (("runner", 500, in_batches), ("single", 1, one_by_one)):
            with _batches_of(batch_size):
                meters[name] = _one_round(orders, seed=number)
            for group, meter in meters[name].items():
                _append(runs, f"{name}_{group}_per_s", meter.rate)
                _append(details, f"{name}_{group}_events_per_transaction", round(meter.batch, 1))
                for variant in ("unparked", "plain", "trusting"):
                    _append(details, f"{name}_{group}_against_{variant}", meter.against(variant))
            for variant in ("plain", "trusting"):
                ratios = [meter.against(variant) for meter in meters[name].values()]
                _append(runs, f"{name}_vs_{variant}", statistics.mean(ratios))
        _append(
            runs, "runner_vs_single", min(meters["runner"][g].rate / meters["single"][g].rate for g in meters["runner"])
        )
    runs["decode_per_s"] = _decode_rates(rounds)
    return {"runs": runs, "details": details}


def _append(into: dict[str, list[float]], name: str, value: float) -> None:
    into.setdefault(name, []).append(value)


@contextmanager
def _batches_of(size: int) -> Iterator[None]:
    """A bridge whose consumers take so many messages at a time; one that takes a single one does not wait for more."""
    options = settings.KAFKA_BRIDGE
    linger = options.batch_linger_seconds if size > 1 else 0.0
    with override_settings(KAFKA_BRIDGE=dataclasses.replace(options, batch_size=size, batch_linger_seconds=linger)):
        yield


def _one_round(count: int, *, seed: int) -> dict[str, Meter]:
    """Orders through inventory's `order.created` and orders' `payment.confirmed`; with what is said in between."""
    wanted = list(islice(drafts.endless(seed=seed), count))
    for some in chunks(iter(wanted), _CHUNK):
        placement._commit(some)
    relay_all()
    meters = {"inventory": _consume("inventory", count)}
    for some in chunks(iter(wanted), _CHUNK):
        facts = list(map(drafts.paid, some))
        with transaction.atomic():
            Charge.objects.bulk_create(map(drafts.captured, facts))
            outbox.publish(*facts)
    relay_all()
    # inventory.reserved and payment.confirmed of each order: the second one confirms it.
    meters["orders"] = _consume("orders", 2 * count)
    forget_unsent()
    _consume("inventory", count)  # payment.confirmed, out of the way of the next round
    return meters


def _consume(group: str, count: int) -> Meter:
    """Handle so many events that wait in Kafka.

    Raises:
        TimeoutError: they did not come.
    """
    stop = threading.Event()
    meter = Meter(count, stop)
    meter.member = consumer_process.ConsumerProcess(registry.find(group), stop, after_commit=meter.mark)
    alarm = threading.Timer(PATIENCE_SECONDS, stop.set)
    alarm.start()
    try:
        meter.member.run()
    finally:
        alarm.cancel()
        use("usual")
    if meter.member.handled < count or meter.member.dead:
        raise TimeoutError(
            f"{group}: {meter.member.handled} of {count} events after {PATIENCE_SECONDS:g} s, "
            f"{meter.member.dead} dead letters"
        )
    return meter


def relay_all() -> None:
    """Bring the whole outbox to Kafka, as the relay does.

    Raises:
        TimeoutError: it does not become empty.
    """
    params = connections["default"].get_connection_params()
    params.pop("cursor_factory", None)
    producer, stop = clients.producer(), threading.Event()
    until = time.monotonic() + PATIENCE_SECONDS
    with psycopg.connect(**params, autocommit=True) as own:
        while outbox.backlog():
            relay.relay_batch(own, producer, stop)
            if time.monotonic() > until:
                raise TimeoutError(f"{outbox.backlog()} rows are still in the outbox after {PATIENCE_SECONDS:g} s")


def forget_unsent() -> None:
    """What was said last would be heard in the next round, by groups that have nothing to do with it."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE kafka_bridge_outboxrow SET published_at = now() WHERE published_at IS NULL")


# -- Decoding ----------------------------------------------------------------------------------------
def _decode_rates(rounds: int) -> list[float]:
    messages = _some_messages(catalogue.ORDERS.name, 3000)
    rates = []
    for _ in range(rounds):
        started = time.perf_counter()
        for message in messages:
            envelope.decode(message)
        rates.append(len(messages) / (time.perf_counter() - started))
    return rates


def _some_messages(topic: str, count: int) -> list[Message]:
    """The first messages of a topic.

    Raises:
        TimeoutError: there are none.
    """
    consumer = clients.consumer(group="benchmark-decoding")
    try:
        name = clients.topic_name(topic)
        partitions = consumer.list_topics(name, timeout=10).topics[name].partitions
        consumer.assign([TopicPartition(name, number, 0) for number in partitions])
        found: list[Message] = []
        while some := consumer.consume(count - len(found), 2.0):
            found += [message for message in some if message.error() is None]
        if not found:
            raise TimeoutError(f"{name} holds no messages")
        return found
    finally:
        consumer.close()


def chunks(wanted: Iterator[placement.Draft], size: int) -> Iterator[Sequence[placement.Draft]]:
    while some := list(islice(wanted, size)):
        yield some
