"""Pseudonyms are stored in orders, stock and Redis: an update of the shop must find them again."""

from typing import Any

import pytest
from django.test import RequestFactory
from django_redis import get_redis_connection

from shop.checkout import owners
from shop.flashsales import flash_sales
from shop.limits import limits, visitors

pytestmark = pytest.mark.security
ADDRESS = "203.0.113.7"


@pytest.fixture(autouse=True)
def _a_key(settings: Any) -> None:
    settings.SECRET_KEY = "a key of this test"


def test_they_stay_as_they_were_stored() -> None:
    request = RequestFactory().get("/", REMOTE_ADDR=ADDRESS)
    assert visitors.pseudonym_of(request) == "d2130a359e09c71c82f7bc78f9b4d563"  # pragma: allowlist secret
    assert owners.pseudonym_of("account:7") == "1a3f703864665410bf8cad9be053bd03"  # pragma: allowlist secret
    assert flash_sales.customer_of(7, "") == "bb61aecf5598d6ef605e93eabca79025"  # pragma: allowlist secret
    guest = flash_sales.customer_of(None, "Ada@example.com")
    assert guest == "91232a3bf704afca55dcbc67d041970f"  # pragma: allowlist secret


def test_limits_count_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_backoff_until", 0.0)
    limits.take(RequestFactory().get("/", REMOTE_ADDR=ADDRESS), (limits.ORDERS_NETWORK, ADDRESS))
    found = get_redis_connection("default").keys("{limits}:orders-network:*")
    assert found == [b"{limits}:orders-network:bf1f2d706e2a602baf2ee7a82da86b63"]
