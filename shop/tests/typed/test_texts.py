# ruff: noqa: RUF001 - letters that look like others are what this is about
"""The rule for typed texts and mail addresses, and that page, JSON interface and admin all follow it."""

import json

import pytest
from django.core import mail
from django.db import transaction
from django.test import Client

from devtools.testing.shop.storefront import CONTACT, a_book, api_order, checkout_form, put_in_cart
from orders.mailing import mail_sending, mails
from orders.models import Order, OrderMail
from shop.models import Book
from shop.typed import emails, fields, texts

pytestmark = pytest.mark.security
FORGED = "Customer,\r\n\r\nYour payment failed: https://evil.example/pay"
BAD_TEXTS = [
    FORGED,
    "a\nb", "a\x00b", "a\x1bb", "a\x7fb", "a\x85b", "a\u2028b", "ad\u200bmin", "a\u2060b", "a\ufeffb", "a\u00adb",
    "\u202egnp.exe", "a\u2066b\u2069", "\u200eabc", "a\u061cb", "a\u200db", "a\u200cb", "x\U000e0041", "a\ufffeb",
    "\ue000", "e" + "\u0301" * 9,
]  # fmt: skip
BAD_ADDRESSES = [
    "a@xn--é.com", "jörg@example.com", "a b@example.com", "a@b", "@example.com", "a@@example.com", "a@example..com",
    ".a@example.com", "a@-example.com", "a@example.com\nbcc: b@example.com", "x" * 65 + "@example.com",
    "a@" + "b" * 64 + ".com", "a@" + "b." * 130 + "com", '"a b"@example.com', "a@[127.0.0.1]", "Ada <a@example.com>",
]  # fmt: skip


@pytest.mark.parametrize("text", BAD_TEXTS)
def test_what_cannot_be_seen_is_refused(text: str) -> None:
    """XA6."""
    with pytest.raises(texts.NotAllowed):
        texts.clean(text, max_length=200)


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("  Ada \t Reader ", "Ada Reader"),
        ("Zoe\u0308", "Zoë"),
        ("Nguyễn Thị Ánh", "Nguyễn Thị Ánh"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("क्\u200dष", "क्\u200dष"),
        ("👩\u200d👩\u200d👧 and 🏳️\u200d🌈", "👩\u200d👩\u200d👧 and 🏳️\u200d🌈"),
        ("O\u2019Brien\u00a0Jr.", "O\u2019Brien Jr."),
    ],
)
def test_letters_of_all_languages_are_welcome(typed: str, kept: str) -> None:
    assert texts.clean(typed, max_length=200) == kept


def test_several_lines_only_where_they_belong() -> None:
    assert texts.clean(" a \r\n b\n", max_length=20, multiline=True) == "a\nb"
    with pytest.raises(texts.NotAllowed, match="at most 5 characters"):
        texts.clean("a" * 6, max_length=5)


@pytest.mark.parametrize("address", BAD_ADDRESSES)
def test_an_address_that_no_server_takes_is_refused_with_words(address: str) -> None:
    """XE13, XA2."""
    with pytest.raises(emails.NotAnAddress, match="Enter an address"):
        emails.clean(address)


def test_an_address_is_stored_as_servers_take_it() -> None:
    assert emails.clean(" Ada@Bücher.example ") == "Ada@xn--bcher-kva.example"
    assert emails.clean("a+b@EXAMPLE.com") == "a+b@example.com"


@pytest.mark.django_db(transaction=True)
def test_page_and_interface_judge_alike(client: Client) -> None:
    """XE13, XA6, XA2: whatever one of them refuses, so does the other, and nothing gets into an order."""
    book = a_book(stock=100)
    put_in_cart(client, book)
    form = checkout_form(client)
    cases = [("email", value) for value in BAD_ADDRESSES] + [("name", value) for value in BAD_TEXTS]
    cases += [(name, "a\u200bb") for name in ("address_line1", "address_line2", "city", "postcode")]
    for name, value in cases:
        page = client.post("/checkout/", {**form, name: value})
        answer = client.post(
            "/api/orders/", json.dumps(api_order(book) | {name: value}), content_type="application/json"
        )
        assert (page.status_code, list(page.context["form"].errors)) == (422, [name]), value
        assert (answer.status_code, answer.json()["error"]["field"]) == (422, name), value
    assert not Order.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_good_ones_are_stored_alike(client: Client) -> None:
    book = a_book(stock=100)
    put_in_cart(client, book)
    typed = {"name": "Zoe\u0308  Bø", "email": "zoe@Bücher.example"}
    client.post("/checkout/", checkout_form(client, **typed))
    client.post("/api/orders/", json.dumps(api_order(book) | typed), content_type="application/json")
    stored = Order.objects.values_list("name", "email")
    assert list(stored) == [("Zoë Bø", "zoe@xn--bcher-kva.example")] * 2


@pytest.mark.parametrize(
    ("name", "greeted"),
    [
        ("Ada Reader", True),
        ("Nguyễn Thị Ánh", True),
        ("रवि कुमार", True),
        ("Jean-Luc O'Brien Jr.", True),
        (FORGED, False),
        ("https://evil.example/pay", False),
        ("evil.example", False),
        ("Call 555 1234", False),
        ("ada@evil.example", False),
        ("your account was closed because you did not pay us", False),
    ],
)
@pytest.mark.django_db(transaction=True)
def test_a_mail_repeats_a_name_only_if_nothing_else_fits_in_it(client: Client, name: str, greeted: bool) -> None:
    """XA6: also for orders of before, whose names nobody checked."""
    client.post("/api/orders/", json.dumps(api_order(a_book())), content_type="application/json")
    Order.objects.update(name=name)
    with transaction.atomic():
        mails.queue(order_ids=[Order.objects.get().pk], kind=OrderMail.Kind.CONFIRMED)
    mail_sending.send_due()
    [sent] = mail.outbox
    assert str(sent.body).startswith(f"Dear {name},\n" if greeted else "Dear reader,\n")
    assert "evil" not in str(sent.body)


@pytest.mark.django_db
def test_staff_type_by_the_same_rule(admin_client: Client) -> None:
    """XA6."""
    book = a_book()
    response = admin_client.post(
        f"/admin/shop/book/{book.pk}/change/",
        {
            "title": "Evil\u202eeltit", "author": "A\nB", "category": book.category_id, "year": 2024, "pages": 1,
            "weight_grams": 1, "price": "12.50", "blurb": "one\ntwo",
        },
    )  # fmt: skip
    assert response.status_code == 200
    assert set(response.context["adminform"].form.errors) >= {"title", "author"}
    assert "blurb" not in response.context["adminform"].form.errors
    assert Book.objects.get().title == book.title


def test_the_contact_is_not_changed_by_the_rule() -> None:
    field = fields.TypedTextField(max_length=200)
    assert field.clean(CONTACT["address_line1"]) == CONTACT["address_line1"]
