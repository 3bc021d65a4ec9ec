"""Limits: counted in Redis, by networks and sessions, with a fair answer; nobody locks out anybody else."""

import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.test import Client, RequestFactory
from django_redis import get_redis_connection

from devtools.testing.shop.storefront import a_book, api_order, checkout_form, put_in_cart
from orders.models import Order
from shop.limits import limits, visitors

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.security]
PASSWORD = "Long-enough-17"


@pytest.fixture(autouse=True)
def nothing_counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test begins with all limits full."""
    monkeypatch.setattr(limits, "_backoff_until", 0.0)
    get_redis_connection("default").flushdb()
    yield
    get_redis_connection("default").flushdb()


def sign_in(client: Client, name: str, password: str, *, address: str, path: str = "/sign-in/") -> int:
    return client.post(path, {"username": name, "password": password}, REMOTE_ADDR=address).status_code


@pytest.mark.parametrize("path", ["/sign-in/", "/admin/login/"])
def test_guessing_ends_and_locks_out_nobody_else(path: str) -> None:
    """XA3: forty wrong passwords; then the right one does not help from there, and does from elsewhere."""
    User.objects.create_superuser("ada", password=PASSWORD)
    guesser, owner = Client(), Client()
    answers = [
        sign_in(guesser, name, "no", address="192.0.2.1", path=path) for name in ("ada", "ADA", "Ada", "aDa") * 10
    ]
    assert answers == [200] * 5 + [429] * 35, "one user name in any case"
    assert sign_in(guesser, "ada", PASSWORD, address="192.0.2.1", path=path) == 429
    assert sign_in(owner, "ada", PASSWORD, address="192.0.2.2", path=path) == 302
    response = guesser.post(path, {"username": "ada", "password": "no"}, REMOTE_ADDR="192.0.2.1")
    assert 0 < int(response["Retry-After"]) <= 180
    assert "too many wrong passwords" in response.content.decode()
    assert limits.refusals()["sign-in-name"] >= 36


def test_many_guesses_at_once_are_counted_one_by_one() -> None:
    """XA3."""
    User.objects.create_user("ada", password=PASSWORD)

    def guess(_: int) -> int:
        try:
            return sign_in(Client(), "ada", "no", address="192.0.2.1")
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(guess, range(24)))
    assert sorted(answers) == [200] * 5 + [429] * 19


def test_one_password_for_all_accounts_ends_too() -> None:
    """XA3: and those of a company who know their passwords are not counted."""
    User.objects.create_user("ada", password=PASSWORD)
    answers = [sign_in(Client(), "ada", PASSWORD, address="192.0.2.1") for _ in range(10)]
    assert answers == [302] * 10
    request = RequestFactory().post("/", REMOTE_ADDR="192.0.2.1")
    for _ in range(limits.SIGN_IN_NETWORK.burst - 1):
        limits.take(request, (limits.SIGN_IN_NETWORK, "192.0.2.1"))
    assert sign_in(Client(), "x", "no", address="192.0.2.1") == 200
    assert sign_in(Client(), "y", "no", address="192.0.2.1") == 429
    assert sign_in(Client(), "y", "no", address="192.0.2.2") == 200


def test_accounts_are_not_made_by_the_dozen(client: Client) -> None:
    """XA3."""
    answers = []
    for number in range(15):
        form = {"email": f"robot{number}@example.com", "password1": PASSWORD}
        answers.append(Client().post("/sign-up/", form, REMOTE_ADDR="192.0.2.1").status_code)
    assert answers == [302] * 10 + [429] * 5
    assert User.objects.count() == 10


def test_a_visitor_places_so_many_orders(client: Client) -> None:
    """XA3: what was typed is still there, and the answer says when to come back."""
    book = a_book(stock=100)
    answers = []
    for _ in range(14):
        put_in_cart(client, book)
        answers.append(client.post("/checkout/", checkout_form(client)))
    assert [answer.status_code for answer in answers] == [302] * 12 + [429] * 2
    assert int(answers[-1]["Retry-After"]) in range(1, 11)
    assert "You have placed many orders in a short time." in answers[-1].content.decode()
    assert "1 Shelf Lane" in answers[-1].content.decode()
    assert Order.objects.count() == 12


def test_the_interface_says_it_in_json(client: Client, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """XA3: programs are limited by network; load tests from networks that are named are not."""
    monkeypatch.setattr(limits, "ORDERS_NETWORK", replace(limits.ORDERS_NETWORK, burst=2, each_seconds=30))
    book = a_book(stock=100)

    def order(address: str) -> Any:
        body = json.dumps(api_order(book))
        return client.post("/api/orders/", body, content_type="application/json", REMOTE_ADDR=address)

    answers = [order("192.0.2.1") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201, 201, 429]
    assert answers[-1].json()["error"]["code"] == "too_many_requests"
    assert int(answers[-1]["Retry-After"]) in range(1, 31)
    assert [order("127.0.0.1").status_code for _ in range(4)] == [201] * 4
    settings.LOAD_TEST_NETWORKS = []
    assert [order("127.0.0.1").status_code for _ in range(3)] == [201, 201, 429]


def test_a_company_behind_one_address_is_not_shut_out() -> None:
    """XA3: five hundred people order in the same second, from their own sessions."""
    request = RequestFactory().post("/", REMOTE_ADDR="192.0.2.1")
    for number in range(500):
        limits.take(request, (limits.ORDERS_VISITOR, f"session:{number}"), (limits.ORDERS_NETWORK, "192.0.2.1"))


def test_searching_has_an_end(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """XA3; pages without a search have none."""
    monkeypatch.setattr(limits, "SEARCH", replace(limits.SEARCH, burst=3, each_seconds=30))
    assert [client.get("/?q=ada").status_code for _ in range(5)] == [200, 200, 200, 429, 429]
    assert client.get("/").status_code == 200


def test_staff_see_how_many_were_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """XA3."""
    monkeypatch.setattr(limits, "SEARCH", replace(limits.SEARCH, burst=1, each_seconds=30))
    for _ in range(3):
        Client().get("/?q=ada")
    shown = io.StringIO()
    call_command("show_limits", stdout=shown)
    assert all(limit.name in shown.getvalue() for limit in limits.LIMITS)
    assert limits.refusals(days=1)["search"] == 2


def test_what_is_refused_is_counted_for_no_limit() -> None:
    request = RequestFactory().post("/", REMOTE_ADDR="192.0.2.1")
    narrow, wide = replace(limits.SEARCH, name="n", burst=1, each_seconds=60), replace(limits.SEARCH, name="w", burst=2)
    limits.take(request, (narrow, "a"), (wide, "b"))
    for _ in range(5):
        with pytest.raises(limits.Refused):
            limits.take(request, (narrow, "a"), (wide, "b"))
    limits.take(request, (wide, "b"))


def test_without_redis_some_limits_let_through_and_some_refuse(
    client: Client, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """XA3: each limit says which, and why; nobody waits for a server that is away."""
    User.objects.create_user("ada", password=PASSWORD)

    def away(alias: str) -> Any:
        raise ConnectionRefusedError

    monkeypatch.setattr(limits, "get_redis_connection", away)
    assert [sign_in(client, "ada", "no", address="192.0.2.1") for _ in range(8)] == [200] * 8
    form = {"email": "a@example.com", "password1": PASSWORD}
    assert client.post("/sign-up/", form).status_code == 429
    assert {limit.without_redis for limit in limits.LIMITS} == set(limits.WithoutRedis)
    assert all(limit.why and limit.sentence for limit in limits.LIMITS)


@pytest.mark.parametrize(
    ("peer", "forwarded", "network"),
    [
        ("192.0.2.1", "", "192.0.2.1"),
        ("192.0.2.1", "198.51.100.7", "192.0.2.1"),
        ("10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "203.0.113.9, 198.51.100.7, 10.0.0.9", "198.51.100.7"),
        ("10.0.0.1", "127.0.0.1, 198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "nonsense", "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "", "2001:db8:1:2::"),
        ("::ffff:192.0.2.1", "", "192.0.2.1"),
        ("10.0.0.1", "2001:db8:1:2:ffff::1", "2001:db8:1:2::"),
        ("", "", visitors.UNKNOWN),
    ],
)
def test_whose_address_is_believed(settings: Any, peer: str, forwarded: str, network: str) -> None:
    """XA3: X-Forwarded-For is read from its right end, and only where a proxy of ours sends it."""
    settings.PROXY_NETWORKS = ["10.0.0.0/8"]
    visitors._network.cache_clear()
    request = RequestFactory().get("/", REMOTE_ADDR=peer, HTTP_X_FORWARDED_FOR=forwarded)
    assert visitors.network_of(request) == network
    visitors._network.cache_clear()
