"""Brings outbox rows to Kafka: in order per key, each at least once, none ever forgotten.

One leader (a PostgreSQL advisory lock), any number of standbys. A row counts as sent only after its delivery report.
What is sent twice is the same event, and the inbox knows it; what matters is in which sequence events come first.

# Note [One row per key at a time]
Of each key only the first unsent row goes out; the next one follows after its report. So when a delivery fails in the
middle of a batch, no later fact of that key can have overtaken it, and there is nothing to take back. Most keys have
one row under way anyway, so this costs nothing.

# Note [Two leaders]
A leader that was frozen and replaced still has rows in its producer when it wakes up, and a message whose delivery was
given up may be written all the same, by a broker that was frozen itself. Neither does harm: a relay sends a row only
when it has seen all earlier ones of its key acknowledged. So whatever comes late is a repeat of something that lies
further up in its partition already, or comes in its right place.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple, cast
from uuid import UUID

import msgspec
import psycopg
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from kafka_bridge.publishing import outbox
from kafka_bridge.runtime import access_errors, clients, processes
from kafka_bridge.runtime.postgresql import bulk_rows, database_bounds, leadership
from kafka_bridge.runtime.postgresql.leadership import Connection
from kafka_bridge.telemetry import activity, metrics, tracing
from kafka_bridge.wire import envelope, event_types

log = logging.getLogger(__name__)

LEADER_LOCK = 0x626F6F6B72  # any number will do, so long as nobody else in this database uses it

EVENTS = metrics.counter(
    "relay_events", "Events that the relay has brought to Kafka, which acknowledged them", by="relay"
)
BATCHES = metrics.counter("relay_batches", "Batches of events that the relay has worked through", by="relay")
FAILURES = metrics.counter(
    "relay_delivery_failures", "Events that Kafka did not take; they stay first in line", by="relay"
)
WAITING = metrics.gauge(
    "relay_outbox_rows", "Unsent events that the relay found at its last look, up to the size of a batch", by="relay"
)
OLDEST = metrics.gauge(
    "relay_outbox_oldest_seconds", "Age of the oldest unsent event at the relay's last look", by="relay"
)
SENDING = metrics.histogram(
    "relay_batch_seconds", "How long a batch took from its first row to the last report", by="relay"
)

_UNSENT = """
SELECT id, event_id, topic, key, type, version, correlation_id, causation_id, traceparent, body, created_at
FROM kafka_bridge_outboxrow WHERE published_at IS NULL ORDER BY id LIMIT %s
"""
_SENT = """
UPDATE kafka_bridge_outboxrow o SET published_at = clock_timestamp(), partition = s.partition, "offset" = s."offset"
FROM json_to_recordset(%s) AS s(id bigint, partition int, "offset" bigint) WHERE o.id = s.id AND o.id = ANY(%s)
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
class InFlight:
    """The rows on their way, and what was reported of them."""

    expected: int = 0
    delivered: list[Delivered] = field(default_factory=list)
    failed: list[tuple[int, KafkaError]] = field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        """Whether every row has its report."""
        return len(self.delivered) + len(self.failed) >= self.expected

    def reporter(self, row: ClaimedRow) -> Callable[[KafkaError | None, Message], None]:
        """The delivery callback of one row."""

        def report(error: KafkaError | None, message: Message) -> None:
            if error is None:
                partition, offset = cast(int, message.partition()), cast(int, message.offset())
                self.delivered.append(Delivered(row.id, partition, offset))
                if tracing.is_on():
                    tracing.record_sending(row, cast(str, message.topic()), partition, offset)
            else:
                self.failed.append((row.id, error))

        return report


class Relayed(NamedTuple):
    """What has become of the rows that were unsent."""

    sent: int
    """How many Kafka has acknowledged."""
    left: int
    """How many are known to wait still: they failed, or follow another one of their key."""


class FatalProducerError(Exception):
    """librdkafka says the producer cannot go on (its identity was fenced): end the process, a new one starts afresh."""


def run(stop: threading.Event) -> int:
    """Relay until told to stop. Returns how many rows were sent. Survives the loss of PostgreSQL and of Kafka."""
    counts: list[int] = []
    leadership.run_as_leader(
        LEADER_LOCK, role="relay", stop=stop, work=lambda connection: _lead(connection, stop, counts)
    )
    return sum(counts)


def _lead(connection: Connection, stop: threading.Event, counts: list[int]) -> None:
    # Before the first look at the table: a row that is written in between is announced on a channel we already hear.
    connection.execute(f"LISTEN {outbox.CHANNEL}")
    # One for each term: what is under way at its end is dropped with it, and sent again by the next leader.
    refused: list[KafkaError] = []
    producer = clients.producer(on_error=partial(_note_refusal, refused))
    processes.announce_ready()
    activity.current.say("working", "brings events to Kafka")
    sent = 0
    try:
        while not stop.is_set():
            activity.current.turn()
            relayed = relay_batch(connection, producer, stop, refused)
            database_bounds.check_takes_writes(connection)
            sent += relayed.sent
            # Whatever is written after the look at the table is announced, so there is no need to look once more.
            if not (relayed.sent and relayed.left):
                _wait_for_rows(connection)
    finally:
        counts.append(sent)
        # Whatever is still under way stays unsent in the outbox, so that the next leader sends it again.
        producer.purge()
        producer.flush(1)


def _note_refusal(refused: list[KafkaError], error: KafkaError) -> None:
    if access_errors.is_sign_in_refused(error):
        refused.append(error)


def relay_batch(
    connection: Connection, producer: Producer, stop: threading.Event, refused: list[KafkaError] | None = None
) -> Relayed:
    """Send the first unsent row of each key, wait for the reports, note them.

    `refused` gets what the producer hears of brokers that do not let it in.

    Raises:
        AccessRefused: nothing arrives, because the brokers do not let us in.
        FatalProducerError: the producer cannot go on.
        psycopg.OperationalError: PostgreSQL is gone; what was sent will be sent again.
    """
    in_flight, refused = InFlight(), [] if refused is None else refused
    refused.clear()  # of before: what is still so comes again, each time the producer tries
    began = time.perf_counter()
    unsent = unsent_rows(connection)
    for row in first_of_each_key(unsent):
        _produce(producer, row, in_flight, stop)
    while not in_flight.is_complete and not stop.is_set():
        if producer.flush(0.25):
            # A sign of life, see Note [A leader that is silent]; and it raises if we lead no longer.
            connection.execute("SELECT 1")
            activity.current.turn()
        if refused and not in_flight.delivered:
            raise access_errors.AccessRefused(refused[-1])
    if stop.is_set():
        # A last chance for reports: a row whose report we miss is sent once more by the next leader.
        producer.flush(2)
    if in_flight.delivered:
        ids = [delivered.id for delivered in in_flight.delivered]
        connection.execute(_SENT, [bulk_rows.as_json(in_flight.delivered), ids])
    _count(in_flight, time.perf_counter() - began)
    _report_failures(in_flight, stop)
    is_full = len(unsent) >= clients.conf().relay_batch_size
    return Relayed(sent=len(in_flight.delivered), left=len(unsent) - len(in_flight.delivered) + is_full)


def _count(in_flight: InFlight, seconds: float) -> None:
    if not in_flight.expected:
        return
    EVENTS.inc(len(in_flight.delivered))
    FAILURES.inc(len(in_flight.failed))
    BATCHES.inc()
    SENDING.observe(seconds)
    if in_flight.delivered:
        activity.current.progress()
        activity.current.note_use("kafka", answer_seconds=seconds)
    elif in_flight.failed:
        activity.current.note_use("kafka", error=in_flight.failed[0][1].name())


def unsent_rows(connection: Connection) -> list[ClaimedRow]:
    """The oldest unsent rows, a batch at the most.

    They are not locked: another relay that reads them too sends repeats, see Note [Two leaders].
    """
    unsent = [
        ClaimedRow._make(row) for row in connection.execute(_UNSENT, [clients.conf().relay_batch_size]).fetchall()
    ]
    WAITING.set(len(unsent))
    OLDEST.set((datetime.now(UTC) - unsent[0].created_at).total_seconds() if unsent else 0)
    activity.current.note_use("postgresql")
    return unsent


def first_of_each_key(unsent: Iterable[ClaimedRow]) -> list[ClaimedRow]:
    """Of these rows those that may go now; see Note [One row per key at a time]."""
    first: dict[str, ClaimedRow] = {}
    for row in unsent:
        first.setdefault(row.key, row)
    return list(first.values())


def _produce(producer: Producer, row: ClaimedRow, in_flight: InFlight, stop: threading.Event) -> None:
    headers = envelope.headers(
        event_id=row.event_id,
        event_type=row.type,
        version=row.version,
        source=event_types.owner_of(row.topic),
        subject=row.key,
        time=row.created_at,
        correlation_id=row.correlation_id,
        causation_id=row.causation_id,
        traceparent=outbox.traceparent(row.correlation_id, row.event_id, row.traceparent[-2:]),
    )
    in_flight.expected += 1
    report = in_flight.reporter(row)
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
            in_flight.failed.append((row.id, error.args[0]))
            return


def _report_failures(in_flight: InFlight, stop: threading.Event) -> None:
    """Say what went wrong, and slow down: the rows are still there."""
    if not in_flight.failed:
        return
    row_id, error = in_flight.failed[0]
    if error.fatal():
        raise FatalProducerError(str(error))
    if forbidden := [each for _, each in in_flight.failed if access_errors.is_access_refused(each)]:
        # Facts of other topics go on; whoever reads the log, or the age of the oldest row, sees that these do not.
        log.error("%d rows were not delivered: %s", len(forbidden), access_errors.advice(forbidden[0]))
    log.warning(
        "%d rows were not delivered (row %d: %s); they stay first in line", len(in_flight.failed), row_id, error
    )
    stop.wait(1)


def _wait_for_rows(connection: Connection) -> None:
    """Sleep until a transaction says that it stated something, or the slow poll is due."""
    started = time.monotonic()
    # All that has come is taken at once: one look at the table answers every announcement from before it.
    for _ in connection.notifies(timeout=clients.conf().relay_poll_seconds, stop_after=1):
        pass
    if connection.closed:
        raise psycopg.OperationalError(f"the connection broke after {time.monotonic() - started:.1f} s of waiting")
