"""Where messages go that could not be handled: a topic per group and source topic, with the reason in the headers."""

import logging
import threading
import traceback

from kafka_bridge.retrying import republish
from kafka_bridge.runtime import clients, topics
from kafka_bridge.runtime.error_classes import describe as describe
from kafka_bridge.wire.records import Record

log = logging.getLogger(__name__)
TRACEBACK_LIMIT = 8000


def put(group: str, record: Record, *, error: BaseException, attempts: int, handler: str = "") -> None:
    """Copy the message, as it came, with the error and its origin; return once the brokers have acknowledged it.

    `attempts` counts the calls of its handler, `handler` names the function that failed.

    Raises:
        KafkaException: they did not; the message must stay where it is, so do not move the offset.
    """
    topic, partition, offset = record.place
    republish.put(
        topics.dead_letter_topic(topic, group),
        key=record.key_,
        value=record.value_,
        headers=[*record.headers_, *_reason(group, record, error, attempts, handler)],
    )
    log.error(
        "%s: %s[%d]@%d went to the dead letters after %d attempts: %s",
        group, topic, partition, offset, attempts, describe(error),
    )  # fmt: skip


class TooManyDeadLetters(Exception):
    """So many dead letters in a row that the group stopped: look at the last errors, mend what they have in common."""


class DeadLetterLimit:
    """Dead letters of a group in this process, without one handled message in between.

    When everything fails, the messages are not what is wrong: a group that goes on would carry its topics into the
    dead letters. Counted from several threads.
    """

    def __init__(self, group: str, stop: threading.Event) -> None:
        self.group = group
        self.is_too_long = False
        self.cap = clients.conf().dead_letters_in_row
        self._count = 0
        self._stop = stop
        self._lock = threading.Lock()

    def another(self) -> None:
        """One more; it may be the one that stops the process."""
        with self._lock:
            self._count += 1
            if self._count != self.cap:
                return
            self.is_too_long = True
        log.critical(
            "%s: %d dead letters in a row and nothing handled in between: stopping. "
            "Look at the last errors, mend what they have in common, then start the group again.",
            self.group, self._count,
        )  # fmt: skip
        self._stop.set()

    def ended(self) -> None:
        """A message was handled."""
        with self._lock:
            self._count = 0


def _reason(group: str, record: Record, error: BaseException, attempts: int, handler: str) -> list[tuple[str, bytes]]:
    topic, partition, offset = record.place
    trace = "".join(traceback.format_exception(error))[-TRACEBACK_LIMIT:]
    facts = {
        "dlq_group": group,
        "dlq_topic": topic,
        "dlq_partition": partition,
        "dlq_offset": offset,
        "dlq_attempts": attempts,
        "dlq_handler": handler,
        "dlq_event": record.header("ce_type"),
        "dlq_error": describe(error),
        "dlq_traceback": trace,
    }
    return [(name, str(value).encode(errors="replace")) for name, value in facts.items()]
