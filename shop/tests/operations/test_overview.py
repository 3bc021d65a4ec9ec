"""E9, E12, O1, O2: each figure of the overview is its source's own, and a source that is away takes no other along."""

import dataclasses
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
import redis
from confluent_kafka import TopicPartition
from django.db import connections

from devtools.local.kafka.apache_kafka import ApacheKafka
from devtools.testing import processes
from devtools.testing.processes import Shop
from devtools.testing.services import Services
from devtools.testing.shop import buyers as buying
from devtools.testing.shop.buyers import Buyers
from kafka_bridge.monitoring.cluster_figures import GroupFigures, KafkaFigures
from kafka_bridge.monitoring.heartbeats.heartbeat import Heartbeat
from kafka_bridge.runtime import clients
from shop.operations.overview import collector
from shop.operations.overview.figures import DatabaseFigures, Overview, Seen
from shop.operations.processes import expected

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.operations, pytest.mark.together]
INSTANTLY_SECONDS = 0.05
OFTEN_SECONDS = 0.5
SOURCES = {"processes", "kafka", "database", "redis"}


class HurriedCollector(collector.Collector):
    """Looks often."""

    def __init__(self) -> None:
        super().__init__()
        for source in self.sources:
            source.every_seconds = OFTEN_SECONDS


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a test to which it is all the same how old figures may be."""
    monkeypatch.setattr(collector, "Collector", HurriedCollector)


@pytest.fixture
def watched(
    running_shop: Shop, real_kafka: ApacheKafka, settings: Any, monkeypatch: Any, django_db_blocker: Any
) -> Iterator[Shop]:
    """The running shop, and a collector in this process that looks at it."""
    settings.REDIS_URL = running_shop.redis.url()
    settings.KAFKA_BRIDGE = dataclasses.replace(
        settings.KAFKA_BRIDGE,
        bootstrap_servers=real_kafka.bootstrap_servers,
        topic_prefix=processes.PREFIX,
        group_prefix=processes.PREFIX,
    )
    monkeypatch.setitem(connections.settings["default"], "NAME", processes.DATABASE)
    with django_db_blocker.unblock():
        collector.start()
        running_shop.wait_until(lambda: all(seen.value for seen in seen_now().values()), what="all sources")
        yield running_shop
        collector.stop()


def seen_now() -> dict[str, Seen[Any]]:
    """By name, each source."""
    began = time.monotonic()
    found = collector.overview()
    assert time.monotonic() - began < INSTANTLY_SECONDS
    return {name: getattr(found, name) for name in SOURCES}


def kafka_now() -> KafkaFigures:
    """The cluster as it was seen last."""
    value = collector.overview().kafka.value
    assert value is not None
    return value


def database_now() -> DatabaseFigures:
    """What PostgreSQL said last."""
    value = collector.overview().database.value
    assert value is not None
    return value


def heartbeats_now() -> tuple[Heartbeat, ...]:
    """What processes said last."""
    value = collector.overview().processes.value
    return value.heartbeats if value is not None else ()


def looked_again(shop: Shop, name: str) -> None:
    """Until the source was asked after now."""
    before = seen_now()[name].at
    shop.wait_until(lambda: seen_now()[name].at != before, what=f"another look at {name}")
    before = seen_now()[name].at
    shop.wait_until(lambda: seen_now()[name].at != before, what=f"one that began after that, at {name}")


def group_of(name: str) -> GroupFigures:
    """One group as it was seen last."""
    return next(group for group in kafka_now().groups if group.name == name)


@pytest.mark.usefixtures("hurried")
def test_each_figure_is_that_of_its_source(watched: Shop) -> None:
    buyers = Buyers(watched, buying.most_of(watched))
    buyers.order(6)
    watched.wait_until(lambda: buyers.statuses() == {"DELIVERED": 6}, what="all delivered", timeout_seconds=60)
    watched.stop("shipping")
    buyers.order(3)
    watched.wait_until(lambda: buyers.statuses().get("PAID") == 3, what="three paid", timeout_seconds=60)
    watched.wait_until(
        lambda: {wait.stage: wait.orders for wait in database_now().waiting}.get("shipping") == 3, what="three waiting"
    )
    waiting = next(wait for wait in database_now().waiting if wait.stage == "shipping")
    assert waiting.sentence.startswith("3 paid orders wait for shipping, the oldest for ")
    assert (waiting.group, waiting.orders, 0 < waiting.oldest_seconds < 60) == ("shipping", 3, True)
    assert waiting.url.endswith("?status__exact=PAID")
    looked_again(watched, "kafka")
    figures, admin = kafka_now(), clients.admin()
    metadata = admin.list_topics(timeout=10)
    assert figures.cluster_id == metadata.cluster_id
    assert [broker.id for broker in figures.brokers if broker.is_up] == sorted(metadata.brokers)
    assert (figures.without_leader, sum(topic.under_replicated for topic in figures.topics)) == (0, 0)
    ends = {(topic.name, each.number): (each.start, each.end) for topic in figures.topics for each in topic.partitions}
    reader = clients.consumer(group="overview-test")
    for (topic, number), (start, end) in ends.items():
        place = TopicPartition(clients.topic_name(topic), number)
        assert reader.get_watermark_offsets(place, timeout=10) == (start, end), place
    reader.close()
    orders = next(topic for topic in figures.topics if topic.name == "orders.events")
    assert orders.messages == sum(each.end - each.start for each in orders.partitions)
    assert orders.retention_seconds > 0
    shipping, inventory = group_of("shipping"), group_of("inventory")
    assert (shipping.state, shipping.members) == ("EMPTY", ())
    assert (shipping.messages >= 3, (shipping.seconds or 0) > 0) == (True, True)
    assert max(each.stalled_seconds for each in shipping.partitions) > 0
    assert (inventory.state, inventory.messages, len(inventory.members)) == ("STABLE", 0, 1)
    assert len(inventory.members[0].partitions) == len(inventory.partitions)
    # The members' own counters: handled within the last minute.
    watched.wait_until(lambda: group_of("inventory").rates.error_rate == 0.0, what="inventory's counters")
    assert group_of("inventory").rates.p50_seconds
    outsider = clients.consumer(group="inventory")
    committed = outsider.committed(
        [TopicPartition(clients.topic_name(each.lag.topic), each.lag.partition) for each in inventory.partitions],
        timeout=10,
    )
    outsider.close()
    theirs = {
        (each.topic.removeprefix(processes.PREFIX), each.partition): each.offset
        for each in committed
        if each.offset >= 0
    }
    assert theirs
    assert (
        theirs.items()
        <= {(each.lag.topic, each.lag.partition): each.lag.committed for each in inventory.partitions}.items()
    )
    # One that leaves and comes back is a rebalance.
    watched.start("shipping")
    watched.wait_until(lambda: group_of("shipping").state == "STABLE", what="shipping is back", timeout_seconds=60)
    watched.wait_until(lambda: group_of("shipping").messages == 0, what="it has caught up", timeout_seconds=60)
    assert group_of("shipping").rebalances[0].moved > 0
    watched.wait_until(lambda: buyers.statuses() == {"DELIVERED": 9}, what="all delivered", timeout_seconds=60)


@pytest.mark.usefixtures("hurried")
def test_what_postgresql_and_redis_say(watched: Shop) -> None:
    looked_again(watched, "database")
    found = database_now()
    assert abs(found.clock_ahead_seconds) < 0.5
    assert (found.is_read_only, found.outbox.rows, found.connections > 5) == (False, 0, True)
    [(size, most)] = watched.query(
        "SELECT pg_database_size(current_database()), current_setting('max_connections')::int"
    )
    assert (abs(found.size_bytes - size) < 10_000_000, found.connections_max) == (True, most)
    watched.stop("relay")
    try:
        Buyers(watched, buying.most_of(watched)).order(1)
        watched.wait_until(lambda: database_now().outbox.rows > 0, what="the outbox is seen to fill")
        [(rows,)] = watched.query("SELECT count(*) FROM kafka_bridge_outboxrow WHERE published_at IS NULL")
        looked_again(watched, "database")
        assert database_now().outbox.rows == rows and database_now().outbox.oldest_seconds > 0
    finally:
        watched.start("relay")
    said = collector.overview().redis.value
    client = redis.Redis.from_url(watched.redis.url())
    assert said is not None
    assert abs(said.memory_bytes - client.info("memory")["used_memory"]) < 5_000_000
    watched.wait_until(
        lambda: {beat.role for beat in heartbeats_now()} >= set(expected.roles()),
        what="all processes are seen",
    )


def stays_fresh(shop: Shop, source: str) -> None:
    """It is told as away within ten seconds, all others are asked on, and nobody who looks waits."""
    began = time.monotonic()
    shop.wait_until(lambda: seen_now()[source].error, what=f"{source} is away", timeout_seconds=15)
    took = time.monotonic() - began
    assert took < 10, f"{source}: {took:.1f} s"
    before = seen_now()
    # Where processes are read from matters not, as long as somebody says.
    others = SOURCES - {source}
    shop.wait_until(
        lambda: all(seen_now()[name].at != before[name].at for name in others),
        what=f"the others are read on without {source}",
        timeout_seconds=15,
    )
    now = seen_now()
    assert not any(now[name].error for name in others), {name: now[name].error for name in others}
    assert now[source].value and now[source].failing_since


def is_whole(overview: Callable[[], dict[str, Seen[Any]]] = seen_now) -> bool:
    """Whether every source can be read again."""
    return not any(seen.error for seen in overview().values())


@contextmanager
def redis_killed(shop: Shop, services: Services, kafka: ApacheKafka) -> Iterator[None]:
    """It is gone."""
    shop.redis.kill()
    try:
        yield
    finally:
        shop.redis.start()


@contextmanager
def redis_frozen(shop: Shop, services: Services, kafka: ApacheKafka) -> Iterator[None]:
    """It accepts connections and answers nobody."""
    shop.redis.pause()
    try:
        yield
    finally:
        shop.redis.resume()


@contextmanager
def postgresql_frozen(shop: Shop, services: Services, kafka: ApacheKafka) -> Iterator[None]:
    """It answers nobody."""
    services.postgres.pause()
    try:
        yield
    finally:
        services.postgres.resume()


@contextmanager
def kafka_frozen(shop: Shop, services: Services, kafka: ApacheKafka) -> Iterator[None]:
    """It answers nobody."""
    kafka.pause()
    try:
        yield
    finally:
        kafka.resume()


@pytest.mark.parametrize(
    ("outage", "source"),
    [
        (postgresql_frozen, "database"),
        pytest.param(redis_killed, "redis", marks=pytest.mark.prove),
        pytest.param(redis_frozen, "redis", marks=pytest.mark.prove),
        pytest.param(kafka_frozen, "kafka", marks=pytest.mark.prove),
    ],
)
def test_an_outage_of_one_leaves_the_rest_fresh(
    outage: Callable[[Shop, Services, ApacheKafka], AbstractContextManager[None]],
    source: str,
    watched: Shop,
    services: Services,
    real_kafka: ApacheKafka,
) -> None:
    with outage(watched, services, real_kafka):
        stays_fresh(watched, source)
    watched.wait_until(is_whole, what=f"{source} is back", timeout_seconds=60)


@pytest.mark.usefixtures("hurried")
def test_a_single_look_asks_all(watched: Shop) -> None:
    found: Overview = collector.collect_once()
    assert all(getattr(found, name).value and not getattr(found, name).error for name in SOURCES)
    assert found.disks and all(disk.free_bytes <= disk.size_bytes for disk in found.disks)
