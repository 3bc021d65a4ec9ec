"""What others ran into with shops, Django, Redis and PostgreSQL (docs/failures.md, What others ran into)."""

import gzip
import json
import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import pytest
import redis
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from django_redis import get_redis_connection
from redis._parsers.base import BaseParser

from devtools.testing.shop.storefront import a_book, api_order, checkout_form, put_in_cart
from orders import live
from orders.models import Order
from shop.cart import carts

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.security]
PASSWORD = "Long-enough-17"
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def ada() -> User:
    """Somebody with an account."""
    return User.objects.create_user("ada", password=PASSWORD)


def signed_in(**options: Any) -> Client:
    """Ada's browser."""
    client = Client(**options)
    assert client.post("/sign-in/", {"username": "ada", "password": PASSWORD}).status_code == 302
    return client


# -- Redis ----------------------------------------------------------------------------------------
ANSWERS = (
    "LOADING Redis is loading the dataset in memory",
    "MISCONF Redis is configured to save RDB snapshots, but it is currently not able to persist on disk",
    "READONLY You can't write against a read only replica.",
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    "OOM command not allowed when used memory > 'maxmemory'.",
    "ERR max number of clients reached",
    "NOPERM this user has no permissions to run the command",
    "CROSSSLOT Keys in request don't hash to the same slot",
)


@contextmanager
def redis_answering(words: str) -> Iterator[None]:
    """Every command gets this answer."""
    error = BaseParser.parse_error(words)  # type: ignore[no-untyped-call]
    kinds = (redis.connection.Connection, redis.connection.UnixDomainSocketConnection)
    patches = [mock.patch.object(kind, "read_response", side_effect=error) for kind in kinds]
    with patches[0], patches[1]:
        yield


@pytest.mark.parametrize("words", ANSWERS, ids=lambda words: words.split()[0])
@pytest.mark.usefixtures("ada")
def test_whatever_redis_answers_orders_are_placed(
    words: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(live, "_quiet_until", 0.0)
    book, buyer = a_book(), Client()
    with redis_answering(words):
        put_in_cart(buyer, book)
        placed = buyer.post("/checkout/", checkout_form(buyer))
        assert placed.status_code == 302
        assert buyer.get(placed["Location"]).status_code == 200
        live.push([uuid.uuid4()])
        live.push([uuid.uuid4()])
        assert signed_in().post("/sign-out/").status_code == 302
    pushes = [record for record in caplog.records if record.name == "orders.live" and "no live pushes" in record.msg]
    assert len(pushes) == 1, "told once, and Redis is left alone for a while"
    assert not [record for record in caplog.records if record.exc_info]


def test_scripts_that_redis_forgot_are_sent_again(client: Client) -> None:
    book = a_book()
    for _ in range(2):
        assert client.post("/api/orders/", api_order(book), content_type=JSON).status_code == 201
        get_redis_connection("stock").script_flush()


# -- PostgreSQL -----------------------------------------------------------------------------------
def test_no_statement_is_prepared_behind_the_back_of_a_pooler() -> None:
    connection.ensure_connection()
    assert connection.connection.prepare_threshold is None


def test_ids_do_not_run_out() -> None:
    """No column of ours that a sequence fills is narrower than 64 bits."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name FROM information_schema.columns WHERE data_type <> 'bigint' AND table_schema = 'public' "
            "AND (is_identity = 'YES' OR column_default LIKE 'nextval%')"
        )
        narrow = {name for (name,) in cursor.fetchall()}
    # Django's own, which have a row for each account, permission or kind of row.
    assert {name for name in narrow if not name.startswith(("auth_", "django_", "account_"))} == set()


# -- numbers and texts ----------------------------------------------------------------------------
@pytest.mark.parametrize(
    "typed",
    ["2147483648", "9" * 30, "9" * 5000, "1e400", "1e1", "NaN", "Infinity", "true", "-0", "-1", "0", "1_0", "0x1",
     "1;2", "\x002", "½", ""],
)  # fmt: skip
def test_what_is_no_quantity_is_refused(client: Client, typed: str) -> None:
    book = a_book()
    client.post("/cart/add/", {"sku": book.isbn, "quantity": typed})
    assert not client.session.get(carts.SESSION_KEY)
    put_in_cart(client, book, 2)
    client.post("/cart/change/", {"sku": book.isbn, "quantity": typed})
    assert client.session[carts.SESSION_KEY][book.isbn][0] == 2


@pytest.mark.parametrize(
    "quantity",
    ["2147483648", "9223372036854775808", "1" * 5000, "1e400", "1e1", "1.0", "-0", "NaN", "Infinity", "-Infinity",
     "true", '"1"', '"٣"', "null", "[1]", "01", "+1"],
)  # fmt: skip
def test_the_interface_takes_whole_numbers_only(client: Client, quantity: str) -> None:
    body = json.dumps(api_order(a_book())).replace('"quantity": 1', f'"quantity": {quantity}')
    answer = client.generic("POST", "/api/orders/", body, content_type=JSON)
    assert answer.status_code in (400, 422)
    assert answer["Content-Type"] == "application/problem+json"


def test_prices_at_the_end_of_their_range_add_up_or_are_refused(client: Client) -> None:
    put_in_cart(client, a_book(price_minor=2**31 - 1, stock=50), 20)
    assert client.get("/cart/").status_code == 200
    assert client.post("/checkout/", checkout_form(client)).status_code == 422
    assert not Order.objects.exists()


@pytest.mark.parametrize("field", ["name", "address_line1", "city"])
@pytest.mark.parametrize("damaged", ["%00", "%ED%A0%80", "J%F6rg", "%C3"])
def test_texts_in_another_encoding_are_refused_and_not_stored_damaged(client: Client, field: str, damaged: str) -> None:
    put_in_cart(client, a_book())
    form = {**checkout_form(client), field: "Ada"}
    body = "&".join(
        f"{name}={damaged if name == field else value}"
        for name, values in form.items()
        for value in (values if isinstance(values, list) else [values])
    )
    assert client.generic("POST", "/checkout/", body, content_type=FORM).status_code == 422
    assert not Order.objects.exists()


@pytest.mark.parametrize("damaged", ["\\ud800", "\\udc00x", "\\u0000", "\\ufffd"])
def test_the_interface_takes_no_half_characters(client: Client, damaged: str) -> None:
    body = json.dumps(api_order(a_book())).replace("Ada Reader", damaged)
    assert client.generic("POST", "/api/orders/", body, content_type=JSON).status_code in (400, 422)
    assert not Order.objects.exists()


# -- sessions and accounts ------------------------------------------------------------------------
def test_a_session_that_ends_during_a_request_is_no_error_of_ours(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    book, put_in = a_book(), carts.put_in
    put_in_cart(client, book)

    def ended_meanwhile(*arguments: Any) -> None:
        put_in(*arguments)
        Session.objects.all().delete()

    monkeypatch.setattr(carts, "put_in", ended_meanwhile)
    assert client.post("/cart/add/", {"sku": book.isbn, "quantity": "1"}).status_code == 400
    monkeypatch.undo()
    put_in_cart(client, book)
    assert client.session[carts.SESSION_KEY][book.isbn][0] == 1


@pytest.mark.usefixtures("ada")
def test_a_session_that_somebody_else_chose_is_not_signed_in() -> None:
    browser = Client()
    put_in_cart(browser, a_book())
    chosen = browser.cookies["sessionid"].value
    browser.post("/sign-in/", {"username": "ada", "password": PASSWORD})
    assert browser.cookies["sessionid"].value != chosen
    assert not Session.objects.filter(pk=chosen).exists()


@pytest.mark.usefixtures("ada")
def test_another_site_signs_nobody_in() -> None:
    browser = Client(enforce_csrf_checks=True)
    assert browser.post("/sign-in/", {"username": "ada", "password": PASSWORD}).status_code == 403


@pytest.mark.parametrize(
    "target",
    ["//evil.example", "https://evil.example", "/\\evil.example", "\\\\evil.example", "javascript:alert(1)",
     "http:///evil.example", "http:evil.example", "\x00//evil.example", " //evil.example", "//[evil", "https://testserver@evil"],
)  # fmt: skip
@pytest.mark.usefixtures("ada")
def test_signing_in_leads_to_no_other_site(target: str) -> None:
    answer = Client().post("/sign-in/", {"username": "ada", "password": PASSWORD, "next": target})
    assert (answer.status_code, answer["Location"]) == (302, "/orders/")


def test_names_and_passwords_of_a_megabyte_are_answered(client: Client) -> None:
    big = "x" * 800_000
    assert client.post("/sign-in/", {"username": big, "password": big}).status_code == 200
    assert client.post("/sign-up/", {"username": big, "password1": big, "password2": big}).status_code == 422


# -- requests that are none -----------------------------------------------------------------------
@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"abc"),
        (f"multipart/form-data; boundary={'x' * 300}", b"abc"),
        (f"{FORM}; charset=utf-16", b"a=%ff"),
        (FORM, b"&".join(b"a%d=1" % number for number in range(1001))),
    ],
    ids=["no boundary", "long boundary", "utf-16", "too many fields"],
)
def test_forms_that_are_none_are_refused(client: Client, content_type: str, body: bytes) -> None:
    assert client.generic("POST", "/cart/add/", body, content_type=content_type).status_code == 400


def test_a_compressed_body_is_refused_unread(client: Client) -> None:
    bomb = gzip.compress(b" " * 10_000_000)
    answer = client.generic("POST", "/api/orders/", bomb, content_type=JSON, headers={"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:bookrush:problem:malformed")


HEADERS = (
    {"if-modified-since": "garbage"}, {"if-modified-since": "Mon, 31 Feb 99999 00:00:00 GMT"},
    {"if-none-match": "x" * 5000}, {"range": "bytes=abc"}, {"range": "bytes=9999999999999999-"}, {"range": "bytes=5-2"},
    {"accept-encoding": "\xff;q=x"}, {"accept-language": "en," * 5000}, {"cookie": "sessionid=" + "a" * 8000},
    {"cookie": "messages=xx; csrftoken=\xff"}, {"x-forwarded-host": "evil.example"}, {"traceparent": "x"},
    {"hx-request": "true", "hx-current-url": "http://[::1/"},
)  # fmt: skip


@pytest.mark.parametrize("method", ["get", "head", "options"])
def test_headers_of_any_kind_are_answered(client: Client, method: str) -> None:
    book = a_book()
    for path in ("/", "/sign-in/", f"/covers/{book.isbn}.svg", "/static/shop/css/base.css"):
        for headers in HEADERS:
            answer = getattr(client, method)(path, headers=headers)
            assert answer.status_code < 500, (path, headers)
            assert b"evil" not in b"".join(answer), "nothing of a header gets into a page that others may be shown"


@pytest.mark.parametrize(
    "name",
    [
        "../settings/site.py",
        "%2e%2e/settings/site.py",
        "..%5csettings%5csite.py",
        "/etc/passwd",
        "%00",
        "shop/css/%ff",
        "shop/",
        "a" * 5000,
    ],
)
def test_static_files_are_all_there_is_to_fetch(client: Client, name: str) -> None:
    assert client.get(f"/static/{name}").status_code == 404


def test_the_language_of_logs_stays_ours(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        client.get("/%0d%0aERROR forged", headers={"user-agent": "a\r\nERROR forged"})
    assert not [record for record in caplog.records if "\n" in record.getMessage()]
