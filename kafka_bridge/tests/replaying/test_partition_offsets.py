"""What a broker has not said is no offset."""

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import OffsetSpec

from devtools.local.kafka.apache_kafka import ApacheKafka
from devtools.testing.bridge.bridge_events import created
from devtools.testing.bridge.kafka_logs import put
from devtools.testing.bridge.replays import TOPIC
from kafka_bridge.replaying import partition_offsets
from kafka_bridge.runtime import clients

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.kafka,
    pytest.mark.operations,
    pytest.mark.usefixtures("kafka"),
]


def test_a_leader_that_does_not_answer_is_an_error_and_no_offset(real_kafka: ApacheKafka) -> None:
    """A client that knows the leader already: librdkafka would say -1001."""
    put(*(created() for _ in range(3)), partition=1)
    admin, places = clients.admin(), [(clients.topic_name(TOPIC), number) for number in range(3)]
    edges = OffsetSpec.earliest(), OffsetSpec.latest()  # type: ignore[no-untyped-call]
    starts, ends = partition_offsets.ask(admin, places, edges, answer_seconds=60)
    assert [list(starts.values()), list(ends.values())] == [[0, 0, 0], [0, 3, 0]]
    real_kafka.pause()
    try:
        with pytest.raises(KafkaException) as error:
            partition_offsets.ask(admin, places, edges, answer_seconds=1)
    finally:
        real_kafka.resume()
    assert error.value.args[0].code() == KafkaError._TIMED_OUT
    assert partition_offsets.ask(admin, [], edges, answer_seconds=1) == [{}, {}]
