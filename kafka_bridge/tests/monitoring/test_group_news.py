"""That something has moved in a group is heard at once."""

import contextlib
import time

import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition

from devtools.testing.bridge.bridge_events import created
from devtools.testing.bridge.kafka_logs import put
from kafka_bridge import testing
from kafka_bridge.monitoring.group_news import GroupNews
from kafka_bridge.runtime import clients

TOPIC = "orders.events"
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.kafka,
    pytest.mark.window,
    pytest.mark.usefixtures("kafka"),
]


def test_a_commit_and_a_member_are_news() -> None:
    """F11: a partition's owner moves without a message, and the page shows it as soon as one."""
    put(created())
    member = Consumer(clients.common() | {"group.id": "news", "enable.auto.commit": False})
    news = GroupNews()
    try:
        # The first commit of all makes the brokers' topic, which is looked for every few seconds.
        testing.wait_until(lambda: (_commit(member), news.poll())[1], what="news of a commit")
        _fall_silent(news)
        member.subscribe([clients.topic_name(TOPIC)])
        # Its own polling is what makes it join.
        testing.wait_until(lambda: (member.poll(0.1), news.poll())[1], what="news of a member")
    finally:
        news.close()
        member.close()


def _commit(member: Consumer) -> None:
    # A young broker has no coordinator yet, or one that is being loaded.
    with contextlib.suppress(KafkaException):
        member.commit(offsets=[TopicPartition(clients.topic_name(TOPIC), 0, 0)], asynchronous=False)


def _fall_silent(news: GroupNews) -> None:
    """What was written so far is heard."""
    silent_since = time.monotonic()
    while time.monotonic() - silent_since < 1:
        if news.poll():
            silent_since = time.monotonic()
        time.sleep(0.05)
