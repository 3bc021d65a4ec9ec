"""The table of bounds in docs/operations.md against the code."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from opentelemetry.exporter.otlp.proto.http.trace_exporter import DEFAULT_TIMEOUT

from kafka_bridge.consuming import group_member
from kafka_bridge.monitoring import cluster_reader
from kafka_bridge.monitoring.brokers import broker_certificates, broker_metrics
from kafka_bridge.runtime import clients, conf
from kafka_bridge.runtime.postgresql import database_bounds
from orders.placing import placement
from payments.sandbox import hooks
from shop.operations import readiness
from shop.operations.alerts.telling import channels
from shop.operations.overview import redis_server
from shop.operations.processes import redis_store
from shop.site import redis_urls

pytestmark = pytest.mark.security
DOCUMENT = Path(settings.BASE_DIR) / "docs" / "operations.md"


def in_the_table() -> dict[tuple[str, str], float]:
    """Seconds by connection and what they bound."""
    section = DOCUMENT.read_text().split("## Bounds in time\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([\d.]+) \| [^|]+ \|$", section, re.MULTILINE)
    return {(connection, what): float(seconds) for connection, what, seconds in rows}


def in_the_code() -> dict[tuple[str, str], float]:
    """The same as the settings and modules have it."""
    databases: Any = settings.DATABASES
    layers: Any = settings.CHANNEL_LAYERS
    caches: Any = settings.CACHES
    postgresql, layer = databases["default"]["OPTIONS"], layers["default"]["CONFIG"]["hosts"][0]
    bridge, kafka = conf.current(), clients.common()
    redis = {(c["OPTIONS"]["SOCKET_TIMEOUT"], c["OPTIONS"]["SOCKET_CONNECT_TIMEOUT"]) for c in caches.values()}
    assert {len(set(both)) for both in redis} == {1}
    assert _keepalive(postgresql["keepalives_idle"], postgresql["keepalives_interval"], postgresql["keepalives_count"])
    keepalive = redis_urls.keepalive("redis://elsewhere:6379")["socket_keepalive_options"]
    *probes, user_timeout = keepalive.values()
    assert _keepalive(*probes)
    return {
        ("PostgreSQL", "connecting"): postgresql["connect_timeout"],
        ("PostgreSQL", "a network that drops everything"): postgresql["tcp_user_timeout"] / 1000,
        ("PostgreSQL, all roles", "a statement; the server ends it"): bridge.database_answer_seconds,
        (
            "PostgreSQL, all roles",
            "no answer at all; the connection is given up",
        ): database_bounds.longest_wait_seconds(),
        ("PostgreSQL, consumers", "a transaction in which nothing is asked"): bridge.consumer_silent_seconds,
        ("PostgreSQL, leaders", "a session with the lock in which nothing is asked"): bridge.leader_silent_seconds,
        ("PostgreSQL, checkout", "an order that waits for its commit"): placement.ANSWER_SECONDS,
        ("Redis: cache, counters, marks", "connecting, and an answer"): redis.pop()[0],
        ("Redis: heartbeats", "connecting, and an answer"): redis_store.ANSWER_SECONDS,
        ("Redis: its figures", "connecting, and an answer"): redis_server.ANSWER_SECONDS,
        ("Redis: channel layer", "connecting"): layer["socket_connect_timeout"],
        ("Redis: channel layer", "an answer"): layer["socket_timeout"],
        ("Redis: channel layer", "a network that drops everything"): user_timeout / 1000,
        ("Kafka", "connecting"): kafka["socket.connection.setup.timeout.ms"] / 1000,
        ("Kafka", "a request, also to a broker that is frozen"): kafka["socket.timeout.ms"] / 1000,
        ("Kafka, relay", "a delivery, with all that the client itself tries"): bridge.delivery_timeout_seconds,
        ("Kafka, `/readyz`", "connecting"): readiness.KAFKA_TIMEOUT_SECONDS,
        ("Kafka, looks at the cluster", "each answer"): cluster_reader.ANSWER_SECONDS,
        ("brokers' metrics", "connecting, and an answer"): broker_metrics.ANSWER_SECONDS,
        ("brokers' certificates", "connecting, and an answer"): broker_certificates.ANSWER_SECONDS,
        ("mail server", "each step of the dialogue"): settings.EMAIL_TIMEOUT,
        ("payment gateway", "a call, with its answer"): settings.PAYMENT_TIMEOUT_SECONDS,
        ("sandbox's webhooks to the shop", "a call, with its answer"): hooks.ANSWER_SECONDS,
        ("alerts: webhook, chat, dead man's switch", "a call, with its answer"): channels.TIMEOUT_SECONDS,
        ("traces", "a call, with its answer"): DEFAULT_TIMEOUT,
        ("roles told to stop", "the thread beside a consumer"): group_member.LEAVE_SECONDS,
    }


def _keepalive(idle: int, interval: int, count: int) -> bool:
    """Whether a connection that only listens is given up as soon as one that has asked something."""
    return idle + interval * count == 10


def test_xe5_the_table_of_bounds_is_what_the_code_has() -> None:
    assert in_the_table() == in_the_code()
