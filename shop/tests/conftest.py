"""What the shop's tests share."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.db import connection

from devtools.testing.shop import shop_at_rest
from payments.gateways.sandbox import SandboxGateway
from shop.books import pricing
from shop.prices import rates


@pytest.fixture(autouse=True)
def todays_prices() -> Iterator[None]:
    """No test sees the prices, the rates and the stock that another one left in the process."""
    pricing.forget()
    rates.forget()
    yield
    pricing.forget()
    rates.forget()


@pytest.fixture
def quick_world(settings: Any, sandbox_gateway: SandboxGateway) -> None:
    """A gateway and a carrier without delays."""
    settings.CARRIER_SHIP_DELAY_SECONDS = settings.CARRIER_DELIVER_DELAY_SECONDS = 0


@pytest.fixture
def slow_carrier(settings: Any, sandbox_gateway: SandboxGateway) -> None:
    """A gateway without delays, and a carrier that never comes by itself."""
    settings.CARRIER_SHIP_DELAY_SECONDS = settings.CARRIER_DELIVER_DELAY_SECONDS = 3600


@pytest.fixture
def shop(slow_carrier: None) -> shop_at_rest.Shop:
    """A shop in which everything is as it should be."""
    return shop_at_rest.a_shop()


@pytest.fixture
def database_away() -> Iterator[None]:
    """PostgreSQL ends all connections to the test database and lets nobody in."""
    name = connection.settings_dict["NAME"]
    connection.close()
    with psycopg.connect(**{**connection.get_connection_params(), "dbname": "postgres"}, autocommit=True) as admin:
        admin.execute(psycopg.sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(psycopg.sql.Identifier(name)))
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
        try:
            yield
        finally:
            connection.close()
            admin.execute(
                psycopg.sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(psycopg.sql.Identifier(name))
            )
