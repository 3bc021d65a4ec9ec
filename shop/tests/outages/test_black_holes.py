"""XE5: behind an address everything is dropped. Who connects there gives up in time, says so, and nothing is lost."""

import asyncio
import copy
import dataclasses
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from channels.testing import WebsocketCommunicator
from confluent_kafka import KafkaException
from django.conf import settings as django_settings
from django.db import connection
from django_redis import get_redis_connection

from devtools.testing import black_hole
from devtools.testing.shop import admin_desk
from devtools.testing.shop.mails_owed import owed
from devtools.testing.shop.storefront import a_book
from kafka_bridge.monitoring import cluster_reader
from kafka_bridge.monitoring.brokers import broker_certificates, broker_metrics, broker_probe
from kafka_bridge.runtime import clients, error_classes
from orders import links
from orders.mailing import mail_sending
from payments.gateways import http_pool
from payments.sandbox import hooks
from shop.live import sockets
from shop.operations import readiness
from shop.operations.alerts.telling import channels
from shop.operations.overview import redis_server
from shop.operations.processes import redis_store

pytestmark = [pytest.mark.security, pytest.mark.faults, pytest.mark.django_db(transaction=True)]
DOCUMENT = Path(django_settings.BASE_DIR) / "docs" / "operations.md"
BUSY_SECONDS = 20.0
"""So much later than its bound a call may be on a busy machine; TCP alone gives up after two minutes."""


# -- What there is to connect to ------------------------------------------------------------------------------------
def _postgresql(port: int) -> None:
    parameters = connection.get_connection_params()
    psycopg.connect(**{**parameters, "host": "127.0.0.1", "port": port, "connect_timeout": 2})


def _cache(port: int) -> None:
    get_redis_connection("stock").ping()


def _heartbeats(port: int) -> None:
    redis_store.read()


def _redis_figures(port: int) -> None:
    redis_server.read()


def _kafka(port: int) -> None:
    clients.broker_count(timeout_seconds=cluster_reader.PROBE_SECONDS)


def _readiness_of_kafka(port: int) -> None:
    broker_probe.ask(within_seconds=readiness.KAFKA_TIMEOUT_SECONDS)


def _broker_metrics(port: int) -> None:
    broker_metrics.fetch(f"http://127.0.0.1:{port}/metrics")


def _certificate(port: int) -> None:
    broker_certificates.read_end(f"127.0.0.1:{port}")


def _webhook(port: int) -> None:
    channels.say_alive()


def _mail(port: int) -> None:
    try:
        mail_sending.send_due()
    finally:
        connection.close()


def _hook(port: int) -> None:
    pool = http_pool.HttpPool(f"http://127.0.0.1:{port}/hook", timeout_seconds=hooks.ANSWER_SECONDS, keep=1)
    pool.call("POST", "", body=b"{}", headers={})


@dataclasses.dataclass(frozen=True)
class Connecting:
    """One way to connect, what it raises, and after how long at most."""

    call: Callable[[int], None]
    error: type[Exception]
    seconds: float


TRIED = {
    "PostgreSQL": Connecting(_postgresql, psycopg.OperationalError, 2),
    "Redis: cache, counters, marks": Connecting(_cache, redis.RedisError, 0.5),
    "Redis: heartbeats": Connecting(_heartbeats, redis.RedisError, redis_store.ANSWER_SECONDS),
    "Redis: its figures": Connecting(_redis_figures, redis.RedisError, redis_server.ANSWER_SECONDS),
    "Kafka": Connecting(_kafka, KafkaException, cluster_reader.PROBE_SECONDS),
    "Kafka, `/readyz`": Connecting(_readiness_of_kafka, OSError, readiness.KAFKA_TIMEOUT_SECONDS),
    "brokers' metrics": Connecting(_broker_metrics, OSError, broker_metrics.ANSWER_SECONDS),
    "brokers' certificates": Connecting(_certificate, OSError, broker_certificates.ANSWER_SECONDS),
    "alerts: webhook, chat, dead man's switch": Connecting(_webhook, OSError, 0.3 * channels.TIMEOUT_SECONDS),
    "mail server": Connecting(_mail, error_classes.Unavailable, 1),
    "sandbox's webhooks to the shop": Connecting(_hook, OSError, hooks.ANSWER_SECONDS),
}
ELSEWHERE = {
    "Redis: channel layer": "below",
    "payment gateway": "payments/tests/test_silent_gateway.py",
    "PostgreSQL, all roles": "kafka_bridge/tests/runtime/test_database_bounds.py",
    "PostgreSQL, consumers": "kafka_bridge/tests/consuming/test_zombies.py",
    "PostgreSQL, leaders": "kafka_bridge/tests/runtime/test_database_bounds.py",
    "PostgreSQL, checkout": "shop/tests/operations/test_read_only.py",
    "Kafka, relay": "kafka_bridge/tests/publishing/test_relay_faults.py",
    "Kafka, looks at the cluster": "kafka_bridge/tests/runtime/test_coordinators.py",
    "traces": "OpenTelemetry's own matter; they are sent by a thread that nobody waits for",
    "roles told to stop": "kafka_bridge/tests/runtime/test_outages_of_roles.py",
}
"""Connections that other tests try, as more of the shop is needed for them."""


@pytest.fixture
def hole(settings: Any) -> Iterator[int]:
    """Where all settings lead."""
    with black_hole.black_hole() as port:
        led = copy.deepcopy(settings.CACHES)
        led["stock"]["LOCATION"] = f"redis://127.0.0.1:{port}/2"
        settings.CACHES, settings.REDIS_URL = led, f"redis://127.0.0.1:{port}"
        settings.KAFKA_BRIDGE = dataclasses.replace(settings.KAFKA_BRIDGE, bootstrap_servers=f"127.0.0.1:{port}")
        settings.ALERT_HEARTBEAT_URL = f"http://127.0.0.1:{port}/alive"
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", port, 1
        yield port


def _found(call: Callable[[int], None], port: int) -> tuple[Exception | None, float]:
    """What it raises, and after how long."""
    began = time.monotonic()
    try:
        call(port)
    except Exception as error:
        return error, time.monotonic() - began
    return None, time.monotonic() - began


def test_xe5_who_connects_gives_up_in_time_and_says_so(hole: int) -> None:
    [mail] = owed("a@example.org")
    with ThreadPoolExecutor(len(TRIED)) as pool:
        under_way = {name: pool.submit(_found, tried.call, hole) for name, tried in TRIED.items()}
    found = {name: future.result() for name, future in under_way.items()}
    assert [name for name, (error, _) in found.items() if not isinstance(error, TRIED[name].error)] == [], found
    assert [name for name, (_, took) in found.items() if took > TRIED[name].seconds + BUSY_SECONDS] == [], found
    mail.refresh_from_db()
    assert (mail.attempts, mail.sent_at, mail.last_error) == (0, None, ""), "an outage is not the mail's fault"


def test_xe5_a_socket_is_refused_in_time_where_no_news_can_come(hole: int, settings: Any) -> None:
    """The page asks over HTTP meanwhile."""
    layers = copy.deepcopy(settings.CHANNEL_LAYERS)
    layers["default"]["CONFIG"]["hosts"][0]["address"] = f"redis://127.0.0.1:{hole}/3"
    settings.CHANNEL_LAYERS = layers
    order_id = admin_desk.place(a_book())

    async def story() -> bool:
        address = f"/live/orders/{order_id}/?key={links.key_for(order_id)}"
        asker = WebsocketCommunicator(sockets.application, address, headers=[(b"host", b"127.0.0.1")])
        return bool((await asker.connect(timeout=60))[0])

    began = time.monotonic()
    assert asyncio.run(story()) is False
    assert time.monotonic() - began < layers["default"]["CONFIG"]["hosts"][0]["socket_connect_timeout"] + BUSY_SECONDS


def test_every_connection_of_the_table_is_tried() -> None:
    section = DOCUMENT.read_text().split("## Bounds in time\n")[1].split("\n## ")[0]
    named = set(re.findall(r"^\| ([^|]+) \| [^|]+ \| [\d.]+ \|", section, re.MULTILINE))
    assert named == set(TRIED) | set(ELSEWHERE)
    files = [where for where in ELSEWHERE.values() if where.endswith(".py")]
    assert [where for where in files if not (Path(django_settings.BASE_DIR) / where).exists()] == []
