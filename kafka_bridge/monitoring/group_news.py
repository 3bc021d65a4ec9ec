"""Hears at once that something has moved in a group: an offset was committed, or a partition has another owner.

The brokers keep all of that in a topic of their own, and what is written there is the news; what it says is not read,
for its format is theirs. Who hears it asks them as always, only sooner.
"""

import time

from confluent_kafka import OFFSET_END, Consumer, KafkaException, TopicPartition

from kafka_bridge.monitoring import log_tail
from kafka_bridge.runtime import topics

_AT_ONCE = 500
_ASK_SECONDS, _ASK_AGAIN_SECONDS = 2.0, 5.0


class GroupNews:
    """Follows the brokers' own topic from its end on. For one thread.

    Where there is none yet, or none may read it, there is no news, and every few seconds another try.
    """

    def __init__(self) -> None:
        self._consumer: Consumer | None = None
        self._is_followed = False
        self._ask_at = 0.0

    def poll(self) -> bool:
        """Whether something has moved since the last call; never waits for it."""
        if not self._is_followed and time.monotonic() >= self._ask_at:
            self._ask_at = time.monotonic() + _ASK_AGAIN_SECONDS
            self._follow()
        if self._consumer is None:
            return False
        return any(message.error() is None for message in self._consumer.consume(_AT_ONCE, 0))

    def close(self) -> None:
        """End its client; the next `poll` starts anew."""
        consumer, self._consumer, self._is_followed, self._ask_at = self._consumer, None, False, 0.0
        if consumer is not None:
            consumer.close()

    def _follow(self) -> None:
        if self._consumer is None:
            self._consumer = log_tail.reader()
        try:
            topic = self._consumer.list_topics(topics.OFFSETS, timeout=_ASK_SECONDS).topics[topics.OFFSETS]
        except KafkaException:
            return
        if topic.error is None and topic.partitions:
            self._consumer.assign([TopicPartition(topics.OFFSETS, number, OFFSET_END) for number in topic.partitions])
            self._is_followed = True
