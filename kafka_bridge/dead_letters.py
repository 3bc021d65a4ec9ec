"""Where messages go that could not be handled: a topic per group and source topic, with the reason in the headers."""

import logging
import traceback
from typing import Any, cast

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from kafka_bridge import clients, topics

log = logging.getLogger(__name__)
TRACEBACK_LIMIT = 8000


class DeadLetters:
    """A group's dead letters. Used from the consumer's own thread."""

    def __init__(self, group: str) -> None:
        self.group = group
        self._producer: Producer | None = None

    def put(self, message: Message, *, error: BaseException, attempts: int, timeout_seconds: float = 10) -> None:
        """Copy the message, as it came, with the error and its origin; return once the brokers have acknowledged it.

        Raises:
            KafkaException: they did not; the message must stay where it is, so do not move the offset.
        """
        if self._producer is None:
            self._producer = clients.producer(linger_ms=0)
        outcome: list[KafkaError | None] = []
        # Prefixes belong to the cluster, not to the catalogue.
        source = cast(str, message.topic()).removeprefix(clients.conf().topic_prefix)
        self._producer.produce(
            clients.topic_name(topics.dead_letter_topic(source, self.group)),
            key=message.key(),
            value=message.value(),
            headers=[*cast(list[Any], message.headers() or []), *_reason(message, self.group, error, attempts)],
            on_delivery=lambda failed, _: outcome.append(failed),
        )
        self._producer.flush(timeout_seconds)
        if not outcome:
            self._producer.purge()
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "the dead letter was not acknowledged"))
        if outcome[0] is not None:
            raise KafkaException(outcome[0])
        log.error(
            "%s [%d] @ %d went to the dead letters after %d attempts: %s",
            message.topic(), message.partition(), message.offset(), attempts, describe(error),
        )  # fmt: skip


def describe(error: BaseException) -> str:
    """The error on one line."""
    return f"{type(error).__name__}: {error}".splitlines()[0][:500]


def _reason(message: Message, group: str, error: BaseException, attempts: int) -> list[tuple[str, bytes]]:
    trace = "".join(traceback.format_exception(error))[-TRACEBACK_LIMIT:]
    facts = {
        "dlq_group": group,
        "dlq_topic": message.topic(),
        "dlq_partition": message.partition(),
        "dlq_offset": message.offset(),
        "dlq_attempts": attempts,
        "dlq_error": describe(error),
        "dlq_traceback": trace,
    }
    return [(name, str(value).encode(errors="replace")) for name, value in facts.items()]
