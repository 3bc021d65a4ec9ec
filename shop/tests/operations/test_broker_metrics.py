"""E9, E10, O1: heap, sizes, rates and the certificate of a broker are what it, its folder and openssl say."""

import contextlib
import dataclasses
import json
import re
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaException, Producer
from django.conf import settings as django_settings

from devtools.local import ports
from devtools.local.kafka.apache_kafka import ApacheKafka
from devtools.local.prometheus import Prometheus
from devtools.local.roles import PROJECT
from devtools.local.supervisor import Command
from devtools.testing.kafka_security import KafkaSecurity
from devtools.testing.services import Services
from kafka_bridge import testing
from kafka_bridge.monitoring.brokers import broker_metrics
from kafka_bridge.monitoring.cluster_figures import BrokerFigures, KafkaFigures, TopicFigures
from kafka_bridge.monitoring.cluster_reader import ClusterReader
from kafka_bridge.runtime import clients, waiting
from shop.operations.alerts.conditions import kafka as conditions
from shop.operations.alerts.limits import Limits
from shop.operations.overview import collector
from shop.operations.overview.figures import Seen

pytestmark = [pytest.mark.operations, pytest.mark.kafka, pytest.mark.slow, pytest.mark.together]
WRITTEN = 1_000_000
EXPORTERS = ("prometheus-postgres-exporter", "prometheus-redis-exporter")
BY_JMX = (
    *("heap_bytes", "heap_max_bytes", "page_cache_bytes", "log_bytes", "disk_free_bytes"),
    *("requests_per_second", "bytes_in_per_second", "bytes_out_per_second"),
)


@pytest.fixture(scope="module")
def told_broker(_kafka_possible: None, services: Services) -> Iterator[ApacheKafka]:
    """One broker with TLS, and with the agent beside it."""
    folder = services.state.path / "kafka-told"
    shutil.rmtree(folder, ignore_errors=True)
    kafka = ApacheKafka(
        services.supervisor,
        folder=folder,
        jars=services.jars,
        name="told",
        security=KafkaSecurity(folder / "certificates"),
        has_metrics=True,
    )
    kafka.start()
    yield kafka
    kafka.kill(1)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def told(told_broker: ApacheKafka, settings: Any) -> ApacheKafka:
    """The settings are its administrator's, who reads its metrics; it has the shop's topics."""
    own = str(told_broker.folder / "certificates" / "admin.pem")
    settings.KAFKA_BRIDGE = dataclasses.replace(
        settings.KAFKA_BRIDGE,
        bootstrap_servers=told_broker.brokers[1].admin_address,
        security_protocol="SSL",
        sasl_mechanism="",
        ssl_ca_location=str(told_broker.folder / "certificates" / "ca.pem"),
        ssl_certificate_location=own,
        ssl_key_location=own,
        broker_metrics_urls=tuple(told_broker.metrics_urls.split(",")),
    )
    testing.make_topics()
    waiting.until(can_be_read, what="leaders of the topics", timeout_seconds=60)
    return told_broker


def can_be_read() -> bool:
    """Whether every partition has a leader that knows of it."""
    with contextlib.suppress(KafkaException):
        return bool(ClusterReader().read().topics)
    return False


def broker_of(figures: KafkaFigures) -> BrokerFigures:
    """The only one."""
    [broker] = figures.brokers
    return broker


def topic_of(figures: KafkaFigures, name: str) -> TopicFigures:
    """One of them."""
    return next(topic for topic in figures.topics if topic.name == name)


def by_jmx(broker: BrokerFigures) -> list[object]:
    """What comes by JMX only."""
    return [getattr(broker, name) for name in BY_JMX]


def size_on_disk(data: Path, pattern: str) -> int:
    """Of all segments of these partitions."""
    return sum(path.stat().st_size for path in data.glob(f"{pattern}/*.log"))


def write(topic: str, size: int) -> None:
    """So many bytes that do not compress, in messages of 10 kB."""
    producer = Producer(clients.common() | {"linger.ms": 5})
    for number in range(size // 10_000):
        producer.produce(topic, number.to_bytes(10_000, "big"), partition=number % 3)
    assert producer.flush(20) == 0


def test_figures_are_those_of_the_broker_its_folder_and_this_machine(told: ApacheKafka) -> None:
    data, topic = told.brokers[1].folder / "data", "orders.events"
    reader, began = ClusterReader(), time.monotonic()
    first = broker_of(reader.read())
    assert (first.requests_per_second, first.bytes_in_per_second) == (None, None)
    write(clients.topic_name(topic), WRITTEN)
    figures = reader.read()
    seconds, broker = time.monotonic() - began, broker_of(figures)
    assert (broker.is_controller, broker.is_up) == (True, True)
    assert 0 < (broker.heap_bytes or 0) <= (broker.heap_max_bytes or 0) <= 384 * 2**20
    assert abs((broker.disk_free_bytes or 0) - shutil.disk_usage(data).free) < 500 * 2**20
    assert (broker.page_cache_bytes or 0) > 2**20
    # The metadata log grows on.
    assert abs((broker.log_bytes or 0) - size_on_disk(data, "*")) < 50_000
    sizes = {each.number: each.size_bytes for each in topic_of(figures, topic).partitions}
    assert sizes == {number: size_on_disk(data, f"{clients.topic_name(topic)}-{number}") for number in range(3)}
    assert topic_of(figures, topic).size_bytes == sum(size or 0 for size in sizes.values())
    assert WRITTEN <= (topic_of(figures, topic).size_bytes or 0) <= 1.05 * WRITTEN
    assert (broker.bytes_in_per_second or 0) * seconds >= 0.95 * WRITTEN
    assert (broker.requests_per_second or 0) > 0


def test_a_broker_that_shows_nothing_has_no_such_figures_and_all_others(told: ApacheKafka, settings: Any) -> None:
    reader = ClusterReader()
    assert all(figure is not None for figure in by_jmx(broker_of(reader.read()))[:5])
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        url = f"1=http://127.0.0.1:{hanging.getsockname()[1]}/metrics"
        settings.KAFKA_BRIDGE = dataclasses.replace(settings.KAFKA_BRIDGE, broker_metrics_urls=(url,))
        began = time.monotonic()
        figures = reader.read()
        assert time.monotonic() - began < broker_metrics.ANSWER_SECONDS + 1.5
    broker = broker_of(figures)
    assert by_jmx(broker) == [None] * len(BY_JMX)
    assert (broker.is_up, broker.is_controller, broker.leads > 0) == (True, True, True)
    assert {topic.size_bytes for topic in figures.topics} == {None}
    assert figures.groups
    settings.KAFKA_BRIDGE = dataclasses.replace(settings.KAFKA_BRIDGE, broker_metrics_urls=(told.metrics_urls,))
    waiting.until(lambda: bool(broker_of(reader.read()).heap_bytes), what="it is back", timeout_seconds=60)


def test_the_end_of_the_certificate_is_known_and_told(told: ApacheKafka) -> None:
    pem = told.folder / "certificates" / "kafka-1.pem"
    printed = subprocess.run(  # noqa: S603 - our own command line
        ["openssl", "x509", "-in", str(pem), "-noout", "-enddate"],  # noqa: S607
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    end = datetime.strptime(printed.strip(), "notAfter=%b %d %H:%M:%S %Y %Z").replace(tzinfo=UTC)
    figures = ClusterReader().read()
    assert broker_of(figures).certificate_ends_at == end
    overview = dataclasses.replace(collector.overview(), kafka=Seen(value=figures))
    days = (end - overview.at).days
    assert [each.subject for each in conditions.certificates(overview, Limits(certificate_days=days + 1))] == ["1"]
    assert list(conditions.certificates(overview, Limits(certificate_days=days))) == []


def test_dashboards_ask_for_what_the_agent_shows(told: ApacheKafka) -> None:
    [(_, url)] = [broker_metrics.read_entry(entry) for entry in told.metrics_urls.split(",")]
    with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - loopback
        shown = set(re.findall(r"^(\w+)", answer.read().decode(), re.MULTILINE))
    board = json.loads((PROJECT / "deploy" / "grafana" / "dashboards" / "bookrush-services.json").read_text())
    asked = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    names = {
        name for expr in asked for name in re.findall(r"(?:jvm|kafka_broker|kafka_log|kafka_controller)_\w+", expr)
    }
    assert len(names) >= 5
    assert names <= shown


@pytest.mark.parametrize("binary", ["prometheus", "prometheus-postgres-exporter", "prometheus-redis-exporter"])
def test_what_shows_it_is_installed(binary: str) -> None:
    if shutil.which(binary) is None:
        (pytest.fail if django_settings.CI else pytest.skip)(f"there is no {binary} here (apt-get install {binary})")


@pytest.fixture
def scraping(told: ApacheKafka, services: Services, tmp_path: Path) -> Iterator[Prometheus]:
    """Prometheus, with the broker, and what the exporters of Debian say of the tests' PostgreSQL and Redis."""
    if not all(map(shutil.which, ("prometheus", *EXPORTERS))):
        pytest.skip("see the test before")
    supervisor, places = services.supervisor, [f"127.0.0.1:{port}" for port in ports.pick(3)]
    services.postgres.ensure_database()
    source = f"user=bookrush host={services.postgres.sockets} dbname=bookrush sslmode=disable"
    postgres, redis = EXPORTERS
    supervisor.start(
        Command(name=postgres, arguments=[postgres, f"--web.listen-address={places[0]}"],
                environment={"DATA_SOURCE_NAME": source})
    )  # fmt: skip
    supervisor.start(
        Command(
            name=redis, arguments=[redis, f"-redis.addr={services.redis.url()}", f"-web.listen-address={places[1]}"]
        )
    )
    prometheus = Prometheus(supervisor, folder=tmp_path / "prometheus", port=int(places[2].rpartition(":")[2]))
    prometheus.start(
        {}, every="1s", others={"brokers": told.metrics_addresses, "postgres": places[:1], "redis": places[1:2]}
    )
    yield prometheus
    prometheus.stop()
    supervisor.stop(postgres, redis)


def test_each_panel_about_brokers_postgresql_and_redis_shows_something(scraping: Prometheus) -> None:
    board = json.loads((PROJECT / "deploy" / "grafana" / "dashboards" / "bookrush-services.json").read_text())
    asked = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    # Debian has no exporter of Kafka's; the proxy's own metrics are not here.
    shown = [expr for expr in asked if not re.search(r"kafka_brokers|kafka_topic|caddy", expr)]
    assert len(shown) >= 9

    def empty() -> list[str]:
        return [expr for expr in shown if not scraping.query(expr)]

    try:
        waiting.until(lambda: not empty(), what="each panel shows something", timeout_seconds=90)
    except TimeoutError:
        pytest.fail("\n".join(["queries that give nothing:", *empty()]))
