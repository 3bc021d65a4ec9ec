"""A member of a consumer group in a thread, which notes which partitions it was given and lost, and when."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

Handle = Callable[["Member", Message], None]
_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Move:
    """A partition was given to a member or taken from it, at a time of the monotonic clock."""

    at: float
    kind: Literal["given", "taken"]
    partition: int


class Member(threading.Thread):
    """Reads until it is asked to stop, then leaves its group."""

    def __init__(self, config: Mapping[str, Any], topic: str, handle: Handle, *, number: int) -> None:
        super().__init__(name=f"member-{number}", daemon=True)
        self.number = number
        self.handled = 0
        self.error: KafkaException | None = None
        self.moves: list[Move] = []
        self.partitions: set[int] = set()
        self._config, self._topic, self._handle = config, topic, handle
        self._is_over = threading.Event()

    def ask_to_stop(self) -> None:
        """Have it leave as soon as it has finished what it has in hand."""
        self._is_over.set()

    def run(self) -> None:
        """Poll and handle."""
        consumer = Consumer(dict(self._config))
        consumer.subscribe([self._topic], on_assign=self._given, on_revoke=self._taken, on_lost=self._taken)
        try:
            while not self._is_over.is_set():
                message = consumer.poll(_POLL_SECONDS)
                if message is None:
                    continue
                if (error := message.error()) is None:
                    self._handle(self, message)
                    self.handled += 1
                elif not error.retriable() and error.code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                    raise KafkaException(error)
        except KafkaException as error:
            self.error = error
        finally:
            consumer.close()

    def _given(self, _: Consumer, places: list[TopicPartition]) -> None:
        self._note("given", places)
        self.partitions |= {place.partition for place in places}

    def _taken(self, _: Consumer, places: list[TopicPartition]) -> None:
        self._note("taken", places)
        self.partitions -= {place.partition for place in places}

    def _note(self, kind: Literal["given", "taken"], places: list[TopicPartition]) -> None:
        if not self._is_over.is_set():
            self.moves += [Move(time.monotonic(), kind, place.partition) for place in places]
