"""B1: the role web counts what it sends, also from memory, and analytics has it within seconds."""

import urllib.request

import pytest

from devtools.testing.processes import Shop
from kafka_bridge.runtime import waiting
from shop import models

pytestmark = [pytest.mark.window, pytest.mark.kafka, pytest.mark.together]
LOOKS = 30


def look(shop: Shop, isbn: str, title: str, **headers: str) -> None:
    """A stranger's look at the page of a book."""
    address = shop.url + models.page_url(isbn=isbn, title=title)
    request = urllib.request.Request(address, headers=headers)  # noqa: S310 - our own shop
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=60) as answer:
        assert answer.status == 200
        assert "x-is-shared" not in answer.headers


def seen(shop: Shop, isbn: str) -> int:
    """How many looks analytics has counted."""
    ((count,),) = shop.query("SELECT coalesce(sum(seen), 0)::int FROM shop_bookhour WHERE sku = %s", isbn)
    return int(count)


def test_looks_at_pages_from_memory_arrive(running_shop: Shop) -> None:
    shown, hidden = running_shop.query("SELECT isbn, title FROM shop_book WHERE is_listed ORDER BY isbn DESC LIMIT 2")
    before = seen(running_shop, shown[0]), seen(running_shop, hidden[0])
    for _ in range(LOOKS):
        look(running_shop, *hidden, DNT="1")
        look(running_shop, *shown)
    waiting.until(
        lambda: seen(running_shop, shown[0]) == before[0] + LOOKS, what="all looks counted", timeout_seconds=120
    )
    assert seen(running_shop, hidden[0]) == before[1]
