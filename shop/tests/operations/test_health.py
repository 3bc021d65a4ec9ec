"""E12: is this process alive, can the shop take orders, and which part of it is weak."""

import dataclasses
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from django.test import Client

from devtools.local.kafka.apache_kafka import ApacheKafka
from devtools.testing.processes import TOKEN, Shop
from devtools.testing.services import Services
from devtools.testing.shop import buyers as buying
from devtools.testing.shop.buyers import Buyers
from shop.operations import readiness

pytestmark = [pytest.mark.operations, pytest.mark.together]


@pytest.fixture(autouse=True)
def _afresh() -> Iterator[None]:
    """What other settings have found is not told here, nor afterwards."""
    readiness.forget()
    yield
    readiness.forget()


def test_alive_asks_nobody(client: Client) -> None:
    # Without the database mark, a query would fail this test.
    response = client.get("/healthz")
    assert (response.status_code, response.content) == (200, b"ok\n")


@pytest.mark.django_db
def test_ready_without_kafka_is_degraded_but_ready(admin_client: Client, settings: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but not listening: connections are refused
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        settings.KAFKA_BRIDGE = dataclasses.replace(settings.KAFKA_BRIDGE, bootstrap_servers=address)
        response = admin_client.get("/readyz")
    answer = response.json()
    assert (response.status_code, answer["status"]) == (200, "degraded")
    # No process of the shop's runs here.
    assert {name: check["ok"] for name, check in answer["checks"].items()} == {
        "postgresql": True, "relay": True, "mail": True, "redis": True, "processes": False, "kafka": False,
    }  # fmt: skip
    assert answer["checks"]["kafka"]["error"] == "ConnectionRefusedError"
    assert "relay" in answer["checks"]["processes"]["missing"]


@pytest.mark.django_db
def test_a_port_that_listens_is_no_broker_yet(admin_client: Client, settings: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:1,127.0.0.1:{silent.getsockname()[1]}"
        settings.KAFKA_BRIDGE = dataclasses.replace(settings.KAFKA_BRIDGE, bootstrap_servers=address)
        assert admin_client.get("/readyz").json()["checks"]["kafka"]["error"] == "TimeoutError"


def checks(shop: Shop) -> tuple[int, dict[str, Any]]:
    """Status code and checks, as a probe with the token gets them: within two seconds, whatever is away."""
    began = time.monotonic()
    answer = httpx.get(f"{shop.url}/readyz", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=10)
    assert time.monotonic() - began < 4, "a probe does not wait for long"
    return answer.status_code, answer.json()["checks"]


def wrong(shop: Shop) -> dict[str, str]:
    """What is not as it should be."""
    return {name: check["error"] for name, check in checks(shop)[1].items() if not check["ok"]}


def missing(shop: Shop) -> str:
    """The roles that are missed."""
    return str(checks(shop)[1]["processes"].get("missing", ""))


def is_told(shop: Shop, *names: str) -> None:
    """Within ten seconds these are told as weak, and for as long as orders can be taken the shop is ready."""
    began = time.monotonic()
    shop.wait_until(lambda: set(names) <= wrong(shop).keys(), what=f"{names} told", timeout_seconds=15)
    took = time.monotonic() - began
    assert took < 10, f"{names}: after {took:.1f} s"
    assert checks(shop)[0] == 200


@pytest.mark.kafka
@pytest.mark.security
@pytest.mark.slow
def test_what_is_weak_is_told_within_ten_seconds(
    running_shop: Shop, services: Services, real_kafka: ApacheKafka
) -> None:
    """XC2: also a relay that is stopped, and a broker that is frozen."""
    shop = running_shop
    shop.wait_until(lambda: wrong(shop) == {}, what="all is well", timeout_seconds=60)
    real_kafka.pause()
    try:
        is_told(shop, "kafka")
    finally:
        real_kafka.resume()
    shop.wait_until(lambda: wrong(shop) == {}, what="Kafka is back", timeout_seconds=60)
    shop.kill("relay")
    shop.pause("timekeeper")
    try:
        Buyers(shop, buying.most_of(shop)).order(1)
        is_told(shop, "relay", "processes")
        shop.wait_until(lambda: "relay" in missing(shop), what="the relay missed", timeout_seconds=10)
    finally:
        shop.resume("timekeeper")
        shop.start("relay")
    shop.wait_until(lambda: wrong(shop) == {}, what="all processes are back", timeout_seconds=60)
    shop.redis.kill()
    try:
        is_told(shop, "redis")
    finally:
        shop.redis.start()
    shop.wait_until(lambda: wrong(shop) == {}, what="Redis is back", timeout_seconds=60)
    services.postgres.pause()
    try:
        shop.wait_until(lambda: checks(shop)[0] == 503, what="PostgreSQL is missed", timeout_seconds=10)
    finally:
        services.postgres.resume()
    shop.wait_until(lambda: wrong(shop) == {}, what="PostgreSQL is back", timeout_seconds=60)
