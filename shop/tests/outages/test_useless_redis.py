"""XE5: Redis drops everything, says nothing, or takes no writes. Orders go their whole way, and readiness says so."""

import copy
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

import pytest
import redis
from django.test import Client

from devtools.testing import black_hole, tcp_proxy
from devtools.testing.services import Services
from devtools.testing.shop import admin_desk
from devtools.testing.shop.storefront import a_book, checkout_form, put_in_cart
from inventory.models import Stock
from kafka_bridge.runtime import waiting
from orders.models import Order
from shop.operations import readiness
from shop.operations.overview import outage_words, redis_server

pytestmark = [
    pytest.mark.security,
    pytest.mark.faults,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("slow_carrier"),
]
TOKEN = {"Authorization": "Bearer open-sesame"}
# A page asks Redis a few times, and each is given up after half a second; the rest is for a busy machine.
PAGE_SECONDS = 20.0


def lead_to(location: str, settings: Any) -> None:
    """Whatever uses Redis finds it there."""
    led = copy.deepcopy(settings.CACHES)
    for number, name in enumerate(("default", "stock", "live"), 1):
        led[name]["LOCATION"] = location.format(number=number)
    settings.CACHES = led
    settings.REDIS_URL = location.format(number=0)


@contextmanager
def dropping_everything(services: Services, settings: Any) -> Iterator[None]:
    with black_hole.black_hole() as port:
        lead_to(f"redis://127.0.0.1:{port}/{{number}}", settings)
        yield


@contextmanager
def saying_nothing(services: Services, settings: Any) -> Iterator[None]:
    with tcp_proxy.proxy_to(str(services.redis.socket)) as proxy:
        lead_to(f"redis://127.0.0.1:{proxy.port}/{{number}}", settings)
        proxy.freeze()
        yield


@contextmanager
def a_replica(services: Services, settings: Any) -> Iterator[None]:
    """After a failover: it answers, and whatever it is told to write it refuses."""
    with redis.Redis.from_url(services.redis.url()) as client:
        client.replicaof("127.0.0.1", "1")
        try:
            yield
        finally:
            client.replicaof("NO", "ONE")


@contextmanager
def full(services: Services, settings: Any) -> Iterator[None]:
    with redis.Redis.from_url(services.redis.url()) as client:
        limit = str(client.config_get("maxmemory")["maxmemory"])
        client.config_set("maxmemory", 1)
        try:
            yield
        finally:
            client.config_set("maxmemory", limit)


Outage = Callable[[Services, Any], AbstractContextManager[None]]
OUTAGES: dict[Outage, set[str]] = {
    dropping_everything: {"no answer", "TimeoutError"},
    saying_nothing: {"no answer", "TimeoutError"},
    a_replica: {"ReadOnlyError"},
    full: {"OutOfMemoryError"},
}
"""What `/readyz` says of each."""


@pytest.mark.parametrize(
    "outage",
    [pytest.param(dropping_everything, marks=pytest.mark.prove), saying_nothing, a_replica, full],
    ids=lambda outage: outage.__name__,
)
def test_xe5_orders_go_on_while_redis_is_of_no_use(
    outage: Outage, services: Services, client: Client, settings: Any
) -> None:
    settings.READYZ_TOKEN = "open-sesame"
    book = a_book(stock=5)
    put_in_cart(client, book)
    form = checkout_form(client)
    took: dict[str, float] = {}

    def click(name: str, ask: Callable[[], Any]) -> Any:
        began = time.monotonic()
        answer = ask()
        took[name] = time.monotonic() - began
        return answer

    with outage(services, settings):
        for page in ("/", "/checkout/"):
            assert click(page, partial(client.get, page)).status_code == 200
        placed = click("the order", lambda: client.post("/checkout/", form))
        assert placed.status_code == 302
        admin_desk.run()
        readiness.forget()
        page = click("its page", lambda: client.get(placed["Location"]))
        if outage is a_replica:
            with pytest.raises(redis.ReadOnlyError) as told:
                redis_server.read()
            assert outage_words.describe(told.value) == "it takes no writes"
        said = click("readiness", lambda: client.get("/readyz", headers=TOKEN))
    assert Order.objects.get().status == "PAID"
    assert Stock.objects.get(sku=book.isbn).free == 4
    assert page.status_code == 200
    assert (said.status_code, said.json()["status"]) == (200, "degraded")
    assert said.json()["checks"]["redis"]["error"] in OUTAGES[outage]
    assert max(took.values()) < PAGE_SECONDS, took

    def is_well() -> bool:
        readiness.forget()
        return bool(client.get("/readyz", headers=TOKEN).json()["checks"]["redis"]["ok"])

    # Back at the right one only once the settings are: of the first two, that is when the test ends.
    if outage in (a_replica, full):
        waiting.until(is_well, what="a Redis that takes writes", timeout_seconds=60)
