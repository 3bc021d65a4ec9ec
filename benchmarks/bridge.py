"""The bridge alone: saga events through inbox, handler, outbox and commit, from Kafka, in batches and one by one."""

import dataclasses
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import psycopg
from confluent_kafka import Message, TopicPartition
from django.conf import settings
from django.db import connection, connections, transaction
from django.test import override_settings

from benchmarks import drafts
from kafka_bridge import catalogue, clients, envelope, outbox, parking, registry, relay, runner
from orders import checkout
from payments.models import Charge

PATIENCE_SECONDS = 60.0
_CHUNK = 500


def fill_outbox(count: int) -> None:
    """So many order.created rows for the relay, each of another order."""
    wanted = islice(drafts.endless(seed=count), count)
    for some in _chunks(wanted, 1000):
        with transaction.atomic():
            outbox.publish(*map(drafts.created, some))


# -- Runner ------------------------------------------------------------------------------------------
@dataclass
class Meter:
    """Notes how far a runner is after each of its commits, and stops it when that is far enough."""

    enough: int
    stop: threading.Event
    marks: list[tuple[float, int]] = field(default_factory=list)
    member: runner.Runner | None = None

    def mark(self) -> None:
        """Call it after a commit."""
        if self.member is not None:
            self.marks.append((time.monotonic(), self.member.handled))
            if self.member.handled >= self.enough:
                self.stop.set()

    @property
    def rate(self) -> float:
        """Events per second from the first commit to the last; joining the group is not counted."""
        (began, before), (ended, after) = self.marks[0], self.marks[-1]
        return (after - before) / (ended - began)

    @property
    def batch(self) -> float:
        """Events per transaction."""
        return self.marks[-1][1] / len(self.marks)


def measure_runner(*, rounds: int, in_batches: int, one_by_one: int) -> dict[str, Any]:
    """Events per second through two handlers of the saga, both ways, and how fast messages are decoded alone."""
    runs: dict[str, list[float]] = {}
    details: dict[str, list[float]] = {}
    for number in range(rounds):
        ways = (("runner", 500, in_batches), ("plain", 500, in_batches), ("single", 1, one_by_one))
        for name, batch_size, orders in ways:
            with _batches_of(batch_size), _never_parked() if name == "plain" else nullcontext():
                meters = _one_round(orders, seed=number)
            for group, meter in meters.items():
                runs.setdefault(f"{name}_{group}_per_s", []).append(meter.rate)
                details.setdefault(f"{name}_{group}_events_per_transaction", []).append(round(meter.batch, 1))
    ratios = {group: _ratios(runs, group, "single") for group in ("inventory", "orders")}
    runs["runner_vs_single"] = min(ratios.values(), key=sorted)
    # One group after the other heard the same: their mean is steadier than either.
    pairs = zip(*(_ratios(runs, group, "plain") for group in ("inventory", "orders")), strict=True)
    runs["runner_vs_plain"] = [sum(pair) / len(pair) for pair in pairs]
    details |= {name: runs.pop(name) for name in [*runs] if name.startswith("plain_")}
    runs["decode_per_s"] = _decode_rates(rounds)
    return {"runs": runs, "details": {**details, **{f"{group}_ratio": ratio for group, ratio in ratios.items()}}}


def _ratios(runs: dict[str, list[float]], group: str, other: str) -> list[float]:
    pairs = zip(runs[f"runner_{group}_per_s"], runs[f"{other}_{group}_per_s"], strict=True)
    return [usual / otherwise for usual, otherwise in pairs]


@contextmanager
def _never_parked() -> Iterator[None]:
    """A bridge that does not look whether a key is parked: what parking costs when nothing is."""
    usual = parking.heads
    parking.heads = lambda **_: {}
    try:
        yield
    finally:
        parking.heads = usual


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
    for some in _chunks(iter(wanted), _CHUNK):
        checkout._commit(some)
    _relay_all()
    meters = {"inventory": _consume("inventory", count)}
    for some in _chunks(iter(wanted), _CHUNK):
        facts = list(map(drafts.paid, some))
        with transaction.atomic():
            Charge.objects.bulk_create(map(drafts.captured, facts))
            outbox.publish(*facts)
    _relay_all()
    # inventory.reserved and payment.confirmed of each order: the second one confirms it.
    meters["orders"] = _consume("orders", 2 * count)
    _forget_unsent()
    _consume("inventory", count)  # payment.confirmed, out of the way of the next round
    return meters


def _consume(group: str, count: int) -> Meter:
    """Handle so many events that wait in Kafka.

    Raises:
        TimeoutError: they did not come.
    """
    stop = threading.Event()
    meter = Meter(count, stop)
    meter.member = runner.Runner(registry.find(group), stop, after_commit=meter.mark)
    alarm = threading.Timer(PATIENCE_SECONDS, stop.set)
    alarm.start()
    try:
        meter.member.run()
    finally:
        alarm.cancel()
    if meter.member.handled < count or meter.member.dead:
        raise TimeoutError(
            f"{group}: {meter.member.handled} of {count} events after {PATIENCE_SECONDS:g} s, "
            f"{meter.member.dead} dead letters"
        )
    return meter


def _relay_all() -> None:
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


def _forget_unsent() -> None:
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


def _chunks(wanted: Iterator[checkout.Draft], size: int) -> Iterator[Sequence[checkout.Draft]]:
    while some := list(islice(wanted, size)):
        yield some
