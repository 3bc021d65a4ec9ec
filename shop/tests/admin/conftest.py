"""What the tests of the admin share."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from payments import gateways
from shop.models import Book
from shop.tests.shelves import a_book


@pytest.fixture(autouse=True)
def slow_carrier(settings: Any, tmp_path: Path) -> Iterator[None]:
    """A gateway without delays and with a ledger of the test's own; a carrier that never comes by itself."""
    settings.SANDBOX_LATENCY_SECONDS = settings.SANDBOX_SLOW_SECONDS = 0
    settings.CARRIER_SHIP_DELAY_SECONDS = settings.CARRIER_DELIVER_DELAY_SECONDS = 3600
    settings.SANDBOX_LEDGER_PATH = str(tmp_path / "ledger.sqlite3")
    gateways.current.cache_clear()
    yield
    gateways.current.cache_clear()


@pytest.fixture
def book() -> Book:
    """A book of which there is enough."""
    return a_book(stock=50, title="The Glasshouse Alibi")


@pytest.fixture
def viewer() -> Client:
    """A member of staff who may look at everything and change nothing."""
    user = User.objects.create_user("viewer", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client = Client()
    client.force_login(user)
    return client
