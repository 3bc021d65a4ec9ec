"""One part of the shop is away for a while: what each drill does."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from devtools.drills.plans import DrilledShop, DrillPlan, Wait
from devtools.local.roles import GATEWAY

TURN_SECONDS = 20.0
ORDERS_TOPIC = "orders.events"


def postgres_outage(drilled: DrilledShop, wait: Wait, plan: DrillPlan) -> None:
    with _ending_with(drilled.postgres.start):
        drilled.postgres.kill()
        wait("PostgreSQL is down", plan.seconds)


def redis_outage(drilled: DrilledShop, wait: Wait, plan: DrillPlan) -> None:
    with _ending_with(drilled.shop.redis.start):
        drilled.shop.redis.kill()
        wait("Redis is down", plan.seconds)


def kafka_outage(drilled: DrilledShop, wait: Wait, plan: DrillPlan) -> None:
    with _ending_with(drilled.kafka.start):
        drilled.kafka.kill()
        wait("Kafka is down", plan.seconds)


def gateway_outage(drilled: DrilledShop, wait: Wait, plan: DrillPlan) -> None:
    with _ending_with(lambda: drilled.shop.start(GATEWAY)):
        drilled.shop.kill(GATEWAY)
        wait("the gateway is down", plan.seconds)


def broker_kills(drilled: DrilledShop, wait: Wait, plan: DrillPlan) -> None:
    """Half of the time one broker after the other is down, the other half two at once."""
    share = plan.seconds / 2 / len(drilled.kafka.brokers)
    with _ending_with(drilled.kafka.start):
        for broker in drilled.kafka.brokers:
            drilled.kafka.kill(broker)
            wait(f"broker {broker} is down", share)
            drilled.kafka.start(broker)
        two = list(drilled.kafka.brokers)[:2]
        drilled.kafka.kill(*two)
        wait(f"brokers {two[0]} and {two[1]} are down", plan.seconds / 2)


def leader_kills(drilled: DrilledShop, wait: Wait, plan: DrillPlan) -> None:
    """Kill the leader of one partition of the orders' topic after the other; each comes back half a turn later."""
    turn = min(TURN_SECONDS, plan.seconds / 2)
    partitions = cycle(range(3))
    with _ending_with(drilled.kafka.start):
        for number in range(1, int(plan.seconds / turn) + 1):
            leader = _leader(drilled, next(partitions))
            drilled.kafka.kill(leader)
            wait(f"leader {leader} was killed (kill {number})", turn / 2)
            drilled.kafka.start(leader)
            wait(f"broker {leader} is back", turn / 2)


def _leader(drilled: DrilledShop, partition: int) -> int:
    """The broker that leads a partition of the orders' topic; any broker while there is no leader."""
    topic = drilled.shop.environment["KAFKA_TOPIC_PREFIX"] + ORDERS_TOPIC
    client = AdminClient({"bootstrap.servers": drilled.kafka.bootstrap_servers, "log_level": 0})
    try:
        leader = client.list_topics(topic, timeout=10).topics[topic].partitions[partition].leader
    except (KafkaException, KeyError):
        leader = -1
    return leader if leader in drilled.kafka.brokers else next(iter(drilled.kafka.brokers))


@contextmanager
def _ending_with(bring_back: Callable[[], object]) -> Iterator[None]:
    try:
        yield
    finally:
        bring_back()
