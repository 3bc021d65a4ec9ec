"""Guests find their orders by mail, and make them an account's own. S1, XD1."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.contrib.auth.models import User
from django.test import Client
from django_redis import get_redis_connection

from devtools.testing.shop import mail_server
from devtools.testing.shop.admin_desk import place
from devtools.testing.shop.mail_server import MailServer
from devtools.testing.shop.mailbox import letters, link
from devtools.testing.shop.storefront import a_book
from orders import links
from orders.mailing import mail_sending
from orders.models import Order, OrderMail, Withdrawal
from shop.limits import limits

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.shop]
ADA = "ada@example.com"


@pytest.fixture(autouse=True)
def nothing_counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test begins with all limits full."""
    monkeypatch.setattr(limits, "_backoff_until", 0.0)
    get_redis_connection("default").flushdb()
    yield
    get_redis_connection("default").flushdb()


@pytest.fixture
def server(settings: Any) -> Iterator[MailServer]:
    """The shop's mail server."""
    with mail_server.serving(settings) as state:
        yield state


@pytest.fixture
def order() -> Order:
    """One that a guest has placed."""
    return Order.objects.get(pk=place(a_book()))


def account(name: str, address: str = "", *, confirmed: bool = False) -> Client:
    """A browser in which it is signed in."""
    client, user = Client(), User.objects.create_user(name, address)
    if address:
        EmailAddress.objects.create(user=user, email=address, verified=confirmed, primary=True)
    client.force_login(user)
    return client


@pytest.mark.security
def test_an_orders_link_comes_by_mail_and_the_page_tells_nothing(server: MailServer, order: Order) -> None:
    def ask(reference: str, address: str) -> tuple[int, str]:
        answer = Client().post("/find-order/", {"reference": reference, "email": address})
        return answer.status_code, answer["Location"]

    right = ask(f" {order.reference.lower()} ", "ADA@example.com")
    assert right == ask(order.reference, "bo@example.com") == ask("BR-00000-00000", ADA) == (302, "/find-order/sent/")
    assert len(letters(server, ADA)) == 1
    assert letters(server, "bo@example.com") == []
    page = Client().get(link(server, ADA, "/orders/"))
    assert page.context["order"] == order
    assert page.context["is_buyer"]


@pytest.mark.security
def test_looking_for_orders_has_an_end() -> None:
    form = {"reference": "BR-00000-00000", "email": ADA}
    answers = [Client().post("/find-order/", form).status_code for _ in range(limits.ACCOUNT_MAILS.burst + 2)]
    assert answers[-2:] == [429, 429]
    assert Client().post("/find-order/", {"reference": "", "email": "no"}, REMOTE_ADDR="192.0.2.9").status_code == 422


def test_every_mail_leads_to_its_order(server: MailServer, order: Order) -> None:
    """XD1."""
    Withdrawal.objects.create(order=order, number=1, units={line.sku: 1 for line in order.lines.all()}, had_left=True)
    for kind in OrderMail.Kind:
        OrderMail.objects.create(order=order, kind=kind, amount_minor=100, reason="torn")
    mail_sending.send_due()
    told = letters(server, ADA)
    assert len(told) == len(OrderMail.Kind)
    assert all(links.address(order) in letter for letter in told)
    assert Client().get(link(server, ADA, "/orders/")).context["order"] == order


def test_an_order_is_claimed_by_its_link(order: Order) -> None:
    browser, page = account("ada"), f"/orders/{order.pk}/?key={links.key_for(order.pk)}"
    assert "Keep this order in my account" in browser.get(page).content.decode()
    assert browser.post("/orders/claim/", {"order": order.pk, "key": links.key_for(order.pk)})["Location"] == (
        f"/orders/{order.pk}/"
    )
    assert list(browser.get("/orders/").context["page"]) == [order]
    again = account("bo").post("/orders/claim/", {"order": order.pk, "key": links.key_for(order.pk)}, follow=True)
    assert again.status_code == 404, "it has an account already"


@pytest.mark.security
def test_a_key_that_is_none_claims_nothing(order: Order) -> None:
    for key in ("", "x", links.key_for("0" * 36), "\N{SNOWMAN}"):
        account(f"bo{key}").post("/orders/claim/", {"order": order.pk, "key": key})
    account("cy").post("/orders/claim/", {"order": "nonsense", "key": links.key_for("nonsens")})
    order.refresh_from_db()
    assert order.user_id is None


@pytest.mark.security
@pytest.mark.parametrize(("confirmed", "claimed"), [(True, 1), (False, 0)])
def test_orders_of_an_address_belong_to_who_has_confirmed_it(order: Order, confirmed: bool, claimed: int) -> None:
    browser = account("ada", ADA, confirmed=confirmed)
    found = re.search(r"(\d) order was placed", " ".join(browser.get("/account/").content.decode().split()))
    assert bool(found) == confirmed
    browser.post("/orders/claim/")
    assert len(browser.get("/orders/").context["page"]) == claimed
