"""Brings outbox rows to Kafka: in order per key, each at least once, none ever forgotten.

One leader (a PostgreSQL advisory lock), any number of standbys. A row counts as sent only after its delivery report.
What is sent twice is the same event, and the inbox knows it; what matters is in which sequence events come first.

# Note [One row per key at a time]
Of each key only the first unsent row goes out; the next one follows after its report. So when a delivery fails in the
middle of a batch, no later fact of that key can have overtaken it, and there is nothing to take back. Most keys have
one row under way anyway, so this costs nothing.

# Note [Two leaders]
A leader that was frozen and replaced still has rows in its producer when it wakes up, and a message whose delivery was
given up may be written all the same, by a broker that was frozen itself. Neither does harm: whoever sends a row has
seen all earlier ones of its key acknowledged. So whatever comes late is a repeat of something that lies further up in
its partition already, or comes in its right place.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast
from uuid import UUID

import msgspec
import psycopg
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from kafka_bridge.publishing import outbox
from kafka_bridge.runtime import bulk_rows, clients, processes
from kafka_bridge.wire import envelope, event_types

log = logging.getLogger(__name__)

LEADER_LOCK = 0x626F6F6B72  # any number will do, so long as nobody else in this database uses it
Connection = psycopg.Connection[Any]

_UNSENT = """
SELECT id, event_id, topic, key, type, version, correlation_id, causation_id, traceparent, body, created_at
FROM kafka_bridge_outboxrow WHERE published_at IS NULL ORDER BY id LIMIT %s
"""
_SENT = """
UPDATE kafka_bridge_outboxrow o SET published_at = clock_timestamp(), partition = s.partition, "offset" = s."offset"
FROM json_to_recordset(%s) AS s(id bigint, partition int, "offset" bigint) WHERE o.id = s.id
"""


class ClaimedRow(NamedTuple):
    """An unsent outbox row."""

    id: int
    event_id: UUID
    topic: str
    key: str
    type: str
    version: int
    correlation_id: UUID
    causation_id: UUID | None
    traceparent: str
    body: bytes
    created_at: Any


class Delivered(msgspec.Struct):
    """Where a row now lies."""

    id: int
    partition: int
    offset: int


@dataclass
class Flight:
    """The rows on their way, and what was reported of them."""

    expected: int = 0
    delivered: list[Delivered] = field(default_factory=list)
    failed: list[tuple[int, KafkaError]] = field(default_factory=list)

    @property
    def landed(self) -> bool:
        """Whether every row has its report."""
        return len(self.delivered) + len(self.failed) >= self.expected

    def reporter(self, row_id: int) -> Callable[[KafkaError | None, Message], None]:
        """The delivery callback of one row."""

        def report(error: KafkaError | None, message: Message) -> None:
            if error is None:
                self.delivered.append(Delivered(row_id, cast(int, message.partition()), cast(int, message.offset())))
            else:
                self.failed.append((row_id, error))

        return report


class FatalProducerError(Exception):
    """librdkafka says the producer cannot go on (its identity was fenced): end the process, a new one starts afresh."""


def run(stop: threading.Event) -> int:
    """Relay until told to stop. Returns how many rows were sent. Survives the loss of PostgreSQL and of Kafka."""
    sent, failures = 0, 0
    while not stop.is_set():
        try:
            with processes.leadership(LEADER_LOCK, what="relay", stop=stop) as connection:
                if connection is not None:
                    failures = 0
                    sent += _lead(connection, stop)
        except psycopg.OperationalError as error:
            failures += 1
            pause = processes.backoff(failures, first_seconds=0.5, longest_seconds=clients.conf().backoff_max_seconds)
            log.warning("PostgreSQL cannot be reached (%s); next try in %.1f s", str(error).strip(), pause)
            stop.wait(pause)
    return sent


def _lead(connection: Connection, stop: threading.Event) -> int:
    connection.execute(f"LISTEN {outbox.CHANNEL}")
    producer, sent = clients.producer(), 0
    processes.announce_ready()
    try:
        while not stop.is_set():
            count = relay_batch(connection, producer, stop)
            sent += count
            if not count:
                _wait_for_rows(connection)
    finally:
        # Whatever is still under way stays unsent in the outbox, so that the next leader sends it again.
        producer.purge()
        producer.flush(1)
    return sent


def relay_batch(connection: Connection, producer: Producer, stop: threading.Event) -> int:
    """Send the first unsent row of each key, wait for the reports, note them. Returns how many arrived.

    Raises:
        FatalProducerError: the producer cannot go on.
        psycopg.OperationalError: PostgreSQL is gone; what was sent will be sent again.
    """
    flight = Flight()
    for row in first_of_each_key(connection):
        _produce(producer, row, flight, stop)
    while not flight.landed and not stop.is_set():
        if producer.flush(0.25):
            # We are alive, see processes.py; and it raises if we lead no longer.
            connection.execute("SELECT 1")
    if stop.is_set():
        producer.flush(2)
    if flight.delivered:
        connection.execute(_SENT, [bulk_rows.as_json(flight.delivered)])
    _judge(flight, stop)
    return len(flight.delivered)


def first_of_each_key(connection: Connection) -> list[ClaimedRow]:
    """Of the oldest unsent rows those that may go now; see Note [One row per key at a time]."""
    first: dict[str, ClaimedRow] = {}
    for row in map(ClaimedRow._make, connection.execute(_UNSENT, [clients.conf().relay_batch_size])):
        first.setdefault(row.key, row)
    return list(first.values())


def _produce(producer: Producer, row: ClaimedRow, flight: Flight, stop: threading.Event) -> None:
    headers = envelope.headers(
        event_id=row.event_id,
        event_type=row.type,
        version=row.version,
        source=event_types.owner_of(row.topic),
        subject=row.key,
        time=row.created_at,
        correlation_id=row.correlation_id,
        causation_id=row.causation_id,
        traceparent=row.traceparent,
    )
    flight.expected += 1
    report = flight.reporter(row.id)
    while not stop.is_set():
        try:
            producer.produce(
                clients.topic_name(row.topic),
                key=row.key,
                value=row.body,
                headers=cast(Any, headers),
                on_delivery=report,
            )
            return
        except BufferError:  # the local queue is full: let some of it leave
            producer.poll(0.1)
        except KafkaException as error:
            flight.failed.append((row.id, error.args[0]))
            return


def _judge(flight: Flight, stop: threading.Event) -> None:
    """Say what went wrong, and slow down: the rows are still there."""
    if not flight.failed:
        return
    row_id, error = flight.failed[0]
    if error.fatal():
        raise FatalProducerError(str(error))
    log.warning("%d rows were not delivered (row %d: %s); they stay first in line", len(flight.failed), row_id, error)
    stop.wait(1)


def _wait_for_rows(connection: Connection) -> None:
    """Sleep until a transaction says that it stated something, or the slow poll is due."""
    started = time.monotonic()
    for _ in connection.notifies(timeout=clients.conf().relay_poll_seconds, stop_after=1):
        return
    if connection.closed:
        raise psycopg.OperationalError(f"the connection broke after {time.monotonic() - started:.1f} s of waiting")
