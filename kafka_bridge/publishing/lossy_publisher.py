"""Facts of which some may be lost: straight to Kafka, without the outbox, acknowledged by the leader alone (acks=1).

# Note [Bounded loss]
What happens a thousand times a second and is only counted does not need a row in a transaction for each. So it goes
into a queue in this process, which has an end: when it is full, because Kafka is away or slow, what comes is dropped
and counted. What Kafka does not take within half a minute is dropped and counted, too. Nobody waits for any of it.
Lost with the process is what lay in its queue; lost with a leading broker, what no other one had copied.
"""

import logging
from datetime import UTC, datetime

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from uuid_utils.compat import uuid7

from kafka_bridge.publishing import outbox
from kafka_bridge.runtime import clients
from kafka_bridge.telemetry import metrics
from kafka_bridge.wire import envelope
from kafka_bridge.wire.events import Event

log = logging.getLogger(__name__)
QUEUED_MAX = 2000
GIVE_UP_SECONDS = 30.0
SENT = metrics.counter(
    "lossy_events_sent", "Events without an outbox that the leading broker has acknowledged", by=metrics.ALL
)
LOST = metrics.counter(
    "lossy_events_lost",
    "Events without an outbox that were dropped: the queue was full, or Kafka did not take them",
    ["why"],
    by=metrics.ALL,
)
FULL, NOT_TAKEN = "full", "not_taken"


class LossyPublisher:
    """A queue of events, and the client that empties it; used by one thread. See Note [Bounded loss]."""

    def __init__(self, *, queued_max: int = QUEUED_MAX, give_up_seconds: float = GIVE_UP_SECONDS) -> None:
        self._producer: Producer = clients.lossy_producer(queued_max=queued_max, give_up_seconds=give_up_seconds)

    def publish(self, event: Event) -> bool:
        """Queue it; whether there was room. Never waits.

        Raises:
            TypeError: the event's topic is the relay's, so it belongs into the outbox.
        """
        if not event.TOPIC.written_by:
            raise TypeError(f"{event.TYPE} must not be lost: state it with outbox.publish")
        try:
            self._produce(event)
        except BufferError:
            LOST.labels(FULL).inc()
            return False
        except KafkaException as error:  # too large, or a client beyond repair
            LOST.labels(NOT_TAKEN).inc()
            log.warning("%s is lost: %s", event.TYPE, error)
            return False
        return True

    def poll(self, seconds: float = 0.0) -> None:
        """Hear what became of those before, for at most so long."""
        self._producer.poll(seconds)

    def close(self, seconds: float) -> None:
        """Send what is queued, for at most so long; the rest is lost."""
        if left := self._producer.flush(seconds):
            LOST.labels(NOT_TAKEN).inc(left)

    def _produce(self, event: Event) -> None:
        event_id, correlation_id = uuid7(), event.correlation_id
        headers = envelope.headers(
            event_id=event_id,
            event_type=event.TYPE,
            version=event.VERSION,
            source=event.TOPIC.owner,
            subject=event.key,
            time=datetime.now(UTC),
            correlation_id=correlation_id,
            causation_id=None,
            traceparent=outbox.traceparent(correlation_id, event_id),
        )
        self._producer.produce(
            clients.topic_name(event.TOPIC.name),
            key=event.key,
            value=envelope.encode_body(event),
            headers=headers,  # type: ignore[arg-type]  # of the stubs: a list that may hold None, too
            on_delivery=_note,
        )


def _note(error: KafkaError | None, _: Message) -> None:
    if error is None:
        SENT.inc()
    else:
        LOST.labels(NOT_TAKEN).inc()
        log.debug("an event is lost: %s", error)
