"""A Redis that accepts connections and says nothing: pages are served and orders taken within seconds."""

import copy
import os
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.test import Client

from devtools.testing import tcp_proxy
from devtools.testing.shop.storefront import a_book, checkout_form, put_in_cart
from orders.models import Order

pytestmark = [pytest.mark.security, pytest.mark.faults, pytest.mark.django_db(transaction=True)]
# Each use of Redis may take half a second to be given up; a page uses it a few times.
ANSWER_SECONDS = 6.0


@pytest.fixture
def between(settings: Any) -> Iterator[tcp_proxy.TcpProxy]:
    """What leads to Redis, for all that the web server uses it for."""
    address = urlsplit(os.environ["REDIS_URL"])
    target = address.path if address.scheme == "unix" else (str(address.hostname), int(address.port or 6379))
    with tcp_proxy.proxy_to(target) as proxy:
        led = copy.deepcopy(settings.CACHES)
        for number, name in enumerate(("default", "stock", "live"), 1):
            led[name]["LOCATION"] = f"redis://127.0.0.1:{proxy.port}/{number}"
        settings.CACHES = led
        yield proxy


def test_xe5_pages_and_orders_go_on_while_redis_says_nothing(between: tcp_proxy.TcpProxy, client: Client) -> None:
    book = a_book()
    put_in_cart(client, book)
    form = checkout_form(client)
    between.freeze()
    took: dict[str, float] = {}
    for page in ("/", "/cart/", "/checkout/"):
        began = time.monotonic()
        assert client.get(page).status_code == 200
        took[page] = time.monotonic() - began
    began = time.monotonic()
    answer = client.post("/checkout/", form)
    took["the order"] = time.monotonic() - began
    assert (answer.status_code, Order.objects.count()) == (302, 1)
    began = time.monotonic()
    assert client.get(answer["Location"]).status_code == 200
    took["its page"] = time.monotonic() - began
    assert max(took.values()) < ANSWER_SECONDS, took
    assert max(took.values()) > 0.4, "nothing asked Redis"
