"""Copies of messages, put into another topic and acknowledged there before anything else happens."""

import os
import threading
from collections.abc import Sequence

from confluent_kafka import KafkaError, KafkaException, Producer

from kafka_bridge.runtime import clients

_own = threading.local()


def put(
    topic: str, *, key: bytes, value: bytes, headers: Sequence[tuple[str, bytes]], timeout_seconds: float = 10
) -> None:
    """Write one message and wait until the brokers have it.

    Raises:
        KafkaException: they refuse it (see `error_classes.is_refusal`), or do not have it, or did not say so in time;
            in the latter cases put it again, a copy too many is harmless.
    """
    outcome: list[KafkaError | None] = []
    producer = _producer()
    producer.produce(
        clients.topic_name(topic),
        key=key,
        value=value,
        headers=list(headers),
        on_delivery=lambda error, _: outcome.append(error),
    )
    producer.flush(timeout_seconds)
    if not outcome:
        # Or it would go out some time later, beside the one that the caller puts again.
        producer.purge()
        producer.flush(1)
    error = outcome[0] if outcome else KafkaError(KafkaError._TIMED_OUT, f"{topic}: a copy was not acknowledged")
    if error is not None:
        if error.fatal():
            del _own.producer
        raise KafkaException(error)


def get_ready() -> None:
    """A copy will be put soon, by this thread: connect meanwhile. Returns at once."""
    _producer().poll(0)


def _producer() -> Producer:
    """This thread's, so that a purge hits no other thread's messages; another one after a fork."""
    owner = os.getpid(), clients.conf().bootstrap_servers
    if getattr(_own, "producer", (None, None))[0] != owner:
        _own.producer = owner, clients.producer(linger_ms=0)
    producer: Producer = _own.producer[1]
    return producer
