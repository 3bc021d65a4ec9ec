"""XE5: PostgreSQL takes no writes. Pages say so with 503, readiness too, and all goes on once it is over."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.test import Client

from devtools.local.postgres import Postgres
from devtools.testing.shop.orders import draft
from devtools.testing.shop.storefront import a_book, put_in_cart
from kafka_bridge import testing
from orders.placing import placement
from shop.operations import readiness

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.security, pytest.mark.faults]


class Switch:
    """Makes the whole server take no writes, and take them again."""

    def __init__(self, admin: "psycopg.Connection[Any]") -> None:
        self._admin = admin

    def turn(self, value: str) -> None:
        self._admin.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}")
        self._admin.execute("SELECT pg_reload_conf()")
        with connection.cursor() if value == "on" else self._admin.cursor() as cursor:
            testing.wait_until(lambda: _shown(cursor) == value, what=f"a server with read-only {value}")


def _shown(cursor: Any) -> str:
    cursor.execute("SHOW default_transaction_read_only")
    return str(cursor.fetchone()[0])


@pytest.fixture
def read_only(postgres_server: Postgres) -> Iterator[Switch]:
    # Its own session setting would hide the server's, so this session has none: it may always change the system.
    with psycopg.connect(postgres_server.url("postgres"), autocommit=True) as admin:
        switch = Switch(admin)
        try:
            yield switch
        finally:
            switch.turn("off")


TOKEN = {"Authorization": "Bearer open-sesame"}


def says_so(response: Any) -> bool:
    """Whether it is the page for an outage."""
    words = "Nothing is lost; please try again in a few seconds."
    return response.status_code == 503 and words in response.content.decode() and bool(response["Retry-After"])


def test_xe5_pages_orders_and_readiness_say_so_and_recover(
    read_only: Switch, client: Client, django_user_model: Any, settings: Any
) -> None:
    settings.READYZ_TOKEN = "open-sesame"
    client.raise_request_exception = False
    django_user_model.objects.create_user("ada", password="lovelace-1815")
    book = a_book()
    read_only.turn("on")
    readiness.forget()
    assert says_so(client.post("/sign-in/", {"username": "ada", "password": "lovelace-1815"}))
    with pytest.raises(placement.CheckoutUnavailable):
        placement.place(draft())
    answer = client.get("/readyz", headers=TOKEN)
    assert (answer.status_code, answer.json()["status"]) == (503, "unavailable")
    assert answer.json()["checks"]["postgresql"]["error"] == "ReadOnlyServer"
    connection.close_if_unusable_or_obsolete()
    assert connection.connection is None, "the connection to a server that was demoted is not kept"
    assert says_so(client.get(f"/books/{book.isbn}-x/"))
    read_only.turn("off")
    readiness.forget()
    assert client.get("/readyz", headers=TOKEN).json()["checks"]["postgresql"]["ok"]
    placement.place(draft())
    assert client.post("/sign-in/", {"username": "ada", "password": "lovelace-1815"}).status_code == 302


def test_xe5_a_session_that_cannot_be_saved_is_an_outage_and_no_bad_request(read_only: Switch, client: Client) -> None:
    client.raise_request_exception = False
    book = a_book()
    put_in_cart(client, book)
    read_only.turn("on")
    assert says_so(client.post("/cart/add/", {"sku": book.isbn, "quantity": 1}))
    read_only.turn("off")
    assert client.post("/cart/add/", {"sku": book.isbn, "quantity": 1}).status_code == 302
