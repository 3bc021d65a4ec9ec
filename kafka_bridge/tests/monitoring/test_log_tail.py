"""The last messages of partitions, read without a group; and where keys go."""

import pytest
from confluent_kafka import Message

from devtools.testing.bridge.bridge_events import created
from devtools.testing.bridge.kafka_logs import put
from devtools.testing.bridge.raw_producer import RawMessage, put_raw
from kafka_bridge import testing
from kafka_bridge.monitoring import log_tail
from kafka_bridge.monitoring.log_tail import LogTail
from kafka_bridge.runtime import clients
from kafka_bridge.wire import partitioning

TOPIC = "orders.events"
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.kafka,
    pytest.mark.window,
    pytest.mark.usefixtures("kafka"),
]


def offsets(tail: LogTail, partition: int) -> list[int]:
    """Of what is kept."""
    tail.poll(0.2)
    return [entry.offset for entry in tail.entries()[clients.topic_name(TOPIC), partition]]


def test_it_keeps_the_last_ones_and_follows() -> None:
    put(*(created() for _ in range(5)), partition=1)
    tail = LogTail(kept=3)
    try:
        assert tail.follow({(clients.topic_name(TOPIC), 1): (0, 5)})
        testing.wait_until(lambda: offsets(tail, 1) == [2, 3, 4], what="the last three")
        put(created(), partition=1)
        testing.wait_until(lambda: offsets(tail, 1) == [3, 4, 5], what="the new one")
        assert not tail.follow({(clients.topic_name(TOPIC), 1): (0, 6)})
    finally:
        tail.close()
    assert tail.entries() == {}


def test_one_message_is_read_by_its_place() -> None:
    event = created()
    put(event)
    found = log_tail.read_one(TOPIC, 0, 0)
    assert found and (found.key.decode(), found.header("ce_type")) == (event.key, "order.created")
    assert log_tail.read_one(TOPIC, 0, 1) is None


def test_a_strangers_message_is_cut() -> None:
    long = RawMessage(topic=TOPIC, partition=0, value=b"x" * 100_000, headers=((b"\xff", b"y" * 5000),))
    assert put_raw([long]) == []
    found = log_tail.read_one(TOPIC, 0, 0)
    assert found and (len(found.body), found.body_bytes) == (log_tail.BODY_BYTES_MAX, 100_000)
    assert [len(value) for _, value in found.headers] == [log_tail.HEADER_BYTES_MAX]


def test_keys_go_where_it_is_said_that_they_go() -> None:
    told: list[Message] = []
    producer = clients.producer(linger_ms=0)
    for number in range(20):
        key = f"key {number}".encode()
        producer.produce(clients.topic_name(TOPIC), b"{}", key, on_delivery=lambda _, message: told.append(message))
    producer.flush(20)
    choices = [partitioning.choose(message.key() or b"", 3) for message in told]
    assert len(told) == 20
    assert [choice and choice.partition for choice in choices] == [message.partition() for message in told]
