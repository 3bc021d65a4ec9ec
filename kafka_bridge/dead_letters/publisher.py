"""Puts messages that could not be handled into the dead letter topics, with the reason in their headers."""

import logging
import traceback
from datetime import UTC, datetime

from confluent_kafka import KafkaException

from kafka_bridge.dead_letters import letter_store
from kafka_bridge.dead_letters.letter_store import PREFIX
from kafka_bridge.retrying import republish
from kafka_bridge.runtime import error_classes, topics
from kafka_bridge.wire import copies
from kafka_bridge.wire.copies import Copy
from kafka_bridge.wire.records import Record

log = logging.getLogger(__name__)
TRACEBACK_LIMIT = 8000
_LONGEST_TYPE = 200


def publish_dead_letter(
    group: str, record: Record, *, error: BaseException, attempts: int, handler: str = "", member: str = ""
) -> None:
    """Copy the message, as it came, with the error and its origin; return once the brokers have acknowledged it.

    `attempts` counts the calls of its handler, `handler` names the function that failed, `member` the Kafka group of
    the consumer that gave it up: the group's own, or that of its retry topics.

    Where Kafka refuses the copy for good (there is no such topic, or it may not be written), the letter is stored at
    once, as its consumer would store it: nothing is lost, and nothing stands still. Call it outside of a transaction.

    Raises:
        KafkaException: they did not; the message must stay where it is, so do not move the offset.
    """
    topic, partition, offset = record.coordinates
    lies_in = topics.dead_letter_topic_name(topic, group)
    message = Copy(record.key_, record.value_, record.headers_)
    copy = copies.make(message, _reason(group, record, error, attempts, handler, member), prefix=PREFIX)
    try:
        republish.put(lies_in, **copy._asdict())
    except KafkaException as refusal:
        if not error_classes.is_refusal(refusal):
            raise
        log.critical(
            "%s refuses dead letters, so this one is stored without it; run `manage.py create_topics`, and look at "
            "what this role may write: %s", lies_in, error_classes.describe(refusal),
        )  # fmt: skip
        letter_store.store([letter_store.read_copy(lies_in, copy, died_at=datetime.now(UTC))])
    log.error(
        "%s: %s[%d]@%d went to the dead letters after %d attempts: %s",
        group, topic, partition, offset, attempts, error_classes.describe(error),
    )  # fmt: skip


def _reason(
    group: str, record: Record, error: BaseException, attempts: int, handler: str, member: str
) -> dict[str, object]:
    topic, partition, offset = record.coordinates
    # From the end: the last frames are those of the handler.
    trace = "".join(traceback.format_exception(error))[-TRACEBACK_LIMIT:]
    return {
        "group": group,
        "member": member,
        "id": record.message_id,
        "topic": topic,
        "partition": partition,
        "offset": offset,
        "attempts": attempts,
        "handler": handler,
        "event": record.header("ce_type")[:_LONGEST_TYPE],
        "error": error_classes.describe(error),
        "traceback": trace,
    }
