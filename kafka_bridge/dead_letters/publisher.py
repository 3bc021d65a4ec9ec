"""Puts messages that could not be handled into the dead letter topics, with the reason in their headers."""

import logging
import traceback

from kafka_bridge.retrying import republish
from kafka_bridge.runtime import error_classes, topics
from kafka_bridge.wire.records import Record

log = logging.getLogger(__name__)
TRACEBACK_LIMIT = 8000


def publish_dead_letter(
    group: str, record: Record, *, error: BaseException, attempts: int, handler: str = "", member: str = ""
) -> None:
    """Copy the message, as it came, with the error and its origin; return once the brokers have acknowledged it.

    `attempts` counts the calls of its handler, `handler` names the function that failed, `member` the Kafka group of
    the consumer that gave it up: the group's own, or that of its retry topics.

    Raises:
        KafkaException: they did not; the message must stay where it is, so do not move the offset.
    """
    topic, partition, offset = record.coordinates
    republish.put(
        topics.dead_letter_topic_name(topic, group),
        key=record.key_,
        value=record.value_,
        # The message's own headers first and unchanged: a redrive sends them again without ours.
        headers=[*record.headers_, *_reason(group, record, error, attempts, handler, member)],
    )
    log.error(
        "%s: %s[%d]@%d went to the dead letters after %d attempts: %s",
        group, topic, partition, offset, attempts, error_classes.describe(error),
    )  # fmt: skip


def _reason(
    group: str, record: Record, error: BaseException, attempts: int, handler: str, member: str
) -> list[tuple[str, bytes]]:
    topic, partition, offset = record.coordinates
    # From the end: the last frames are those of the handler. The limit keeps the record below the brokers' maximum.
    trace = "".join(traceback.format_exception(error))[-TRACEBACK_LIMIT:]
    facts = {
        "dlq_group": group,
        "dlq_member": member,
        "dlq_id": record.message_id,
        "dlq_topic": topic,
        "dlq_partition": partition,
        "dlq_offset": offset,
        "dlq_attempts": attempts,
        "dlq_handler": handler,
        "dlq_event": record.header("ce_type"),
        "dlq_error": error_classes.describe(error),
        "dlq_traceback": trace,
    }
    return [(name, str(value).encode(errors="replace")) for name, value in facts.items()]
