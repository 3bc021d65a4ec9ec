"""Requests that no page of ours sends, to every address there is: a clear refusal, never a 500 (XA9, XA11, XE15)."""

import io
import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from devtools.testing.shop.storefront import a_book, checkout_form, put_in_cart
from orders import links
from orders.models import Order
from shop.site import logs

pytestmark = [pytest.mark.django_db, pytest.mark.security]

NASTY = (
    "99999999999999999999", "-1", "0", "1.5", "NaN", "\x00", "a\x00b", "%00", "'\"><script>", "\ud7ff\ufffe",
    "x" * 5000, "../../etc/passwd", "\r\nX: y", "١٢", "[]", "{}", "null",
)  # fmt: skip
QUERIES = ("page", "q", "key", "category", "sort", "next", "p", "o", "e", "status__exact", "id__in", "_popup")


def patterns(found: list[Any], before: str = "") -> Iterator[str]:
    """Every address of the URLconf, as a pattern."""
    for entry in found:
        if isinstance(entry, URLResolver):
            yield from patterns(entry.url_patterns, before + str(entry.pattern))
        elif isinstance(entry, URLPattern):
            yield before + str(entry.pattern)


def addresses() -> list[str]:
    """One address for each pattern."""
    examples = {"isbn": "9790000000000", "slug": "x", "uuid": "00000000-0000-0000-0000-000000000000", "int": "1"}
    found = []
    for pattern in patterns(get_resolver().url_patterns):
        text = re.sub(r"<(?:(\w+):)?\w+>", lambda match: examples.get(match.group(1) or "", "x"), pattern)
        # What is a regular expression (Django's admin has some) is asked for as it is written.
        found.append("/" + re.sub(r"[\^$\\]|\(\?P<\w+>|\)", "", text))
    return sorted(set(found))


def requests_to(address: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Nasty requests, a few of each sort; which, depends on the address, so that all come up."""
    start = sum(map(ord, address))
    for number in range(4):
        name, value = QUERIES[(start + number) % len(QUERIES)], NASTY[(start * 7 + number) % len(NASTY)]
        yield "get", {"query_params": {name: value}}
    yield "get", {"query_params": {"page": NASTY[0], "q": "a\x00b", "p": NASTY[0]}}
    yield "post", {"data": dict.fromkeys(("quantity", "sku", "username", "next", "action", "line"), "\x00")}
    yield "post", {"data": b"\xff\xfe{", "content_type": "application/json"}
    yield "post", {"data": b"\x00", "content_type": "multipart/form-data; boundary=x"}
    yield "post", {"data": {"csrfmiddlewaretoken": "x" * 5000, "idempotency_key": NASTY[0]}}
    yield "put", {"data": b"x"}
    yield "get", {"headers": {"cookie": "sessionid=\x01\u00ff; csrftoken=" + "x" * 4000}}
    yield "get", {"headers": {"hx-request": "true", "accept-language": "x" * 3000, "hx-target": "\ufffe"}}


@pytest.mark.parametrize("visitor", ["stranger", "staff"])
def test_no_address_answers_a_strange_request_with_a_500(visitor: str, admin_user: User) -> None:
    client = Client(raise_request_exception=False)
    if visitor == "staff":
        client.force_login(admin_user)
    wrong, count = [], 0
    for address in addresses():
        if "logout" in address or address == "/sign-out/":
            continue
        for method, options in requests_to(address):
            count += 1
            if (status := getattr(client, method)(address, **options).status_code) >= 500:
                wrong.append((status, method, address, str(options)[:100]))
    assert 500 < count < 4000
    assert not wrong


@pytest.mark.django_db(transaction=True)
def test_the_address_of_ones_order_has_no_key(client: Client, django_user_model: type[User]) -> None:
    user = django_user_model.objects.create_user("ada", password="x")
    client.force_login(user)
    put_in_cart(client, a_book())
    placed = client.post("/checkout/", checkout_form(client))
    address = f"/orders/{Order.objects.get().pk}/"
    assert placed["Location"] == address

    with_key = client.get(f"{address}?key={links.key_for(Order.objects.get().pk)}")
    assert (with_key.status_code, with_key["Location"]) == (302, address)
    page = client.get(address)
    assert page.status_code == 200
    assert b"?key=" not in page.content


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_a_probe_may_call_a_pod_by_its_address(client: Client, path: str) -> None:
    assert client.get(path, headers={"host": "10.42.7.3:8000"}).status_code == 200


def test_a_foreign_host_gets_one_line_in_the_log(client: Client) -> None:
    configured: Any = settings.LOGGING
    assert configured["handlers"]["stderr"]["filters"] == ["strangers"]
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(logs.StrangersInOneLine())
    logger = logging.getLogger("django.security.DisallowedHost")
    logger.addHandler(handler)
    try:
        assert client.get("/", headers={"host": "evil.example" * 200}).status_code == 400
    finally:
        logger.removeHandler(handler)
    [line] = stream.getvalue().splitlines()
    assert len(line) < 300


def test_only_staff_and_a_token_read_what_is_wrong(
    client: Client, admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "READYZ_TOKEN", "open-sesame")
    cache.clear()
    assert client.get("/readyz").json() == {"status": "ok"}
    assert client.get("/readyz", headers={"authorization": "Bearer wrong"}).json() == {"status": "ok"}
    assert "checks" in client.get("/readyz", headers={"authorization": "Bearer open-sesame"}).json()
    assert "checks" in admin_client.get("/readyz").json()


def test_the_admin_has_a_policy_that_lets_in_no_script_from_the_page(admin_client: Client) -> None:
    """As strict as its theme allows; the tests of the admin in a browser see to it that it breaks nothing (XA11)."""
    policy = dict(
        directive.split(" ", 1)
        for directive in admin_client.get("/admin/").headers["Content-Security-Policy"].split("; ")
    )
    assert policy["default-src"] == "'self'"
    assert policy["script-src"] == "'self' 'unsafe-eval'"
    assert (policy["object-src"], policy["base-uri"], policy["frame-ancestors"]) == ("'none'", "'none'", "'none'")
