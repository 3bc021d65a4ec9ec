"""Pages that many share: what one visitor sees is never another's, and nothing on them is old."""

from types import SimpleNamespace

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from devtools.testing.shop.storefront import a_book, put_in_cart
from kafka_bridge.runtime import waiting
from shop.activity.counting import View
from shop.models import Book
from shop.site import shared_answers

pytestmark = pytest.mark.django_db
TEN_EUROS, TWELVE = "10.00", "12.00"


@pytest.fixture
def book() -> Book:
    return a_book(title="Broth", price_minor=1000)


@pytest.mark.parametrize("address", ["/", "/?sort=title", "/?category=fiction", "book"])
def test_a_stranger_gets_what_anybody_may_get(client: Client, book: Book, address: str) -> None:
    response = client.get(book.get_absolute_url() if address == "book" else address)

    kind = {"/": "front", "/?sort=title": "front", "book": f"book {book.isbn}"}.get(address, "list")
    assert response[shared_answers.IS_SHARED] == kind
    assert not response.cookies
    assert "Cookie" not in response["Vary"]
    assert "csrfmiddlewaretoken" not in response.content.decode()


def test_each_visitor_has_a_header_of_their_own(book: Book) -> None:
    user = get_user_model().objects.create_user("ada", password="secret-words")
    member, guest, stranger = Client(), Client(), Client()
    member.force_login(user)
    put_in_cart(guest, book, 3)

    for address in ("/", book.get_absolute_url()) * 2:
        seen = {who: who.get(address) for who in (member, guest, stranger)}
        words = {who: response.content.decode() for who, response in seen.items()}
        assert ["Sign out" in words[who] for who in seen] == [True, False, False]
        assert ["books in it" in words[who] for who in seen] == [False, True, False]
        assert [shared_answers.IS_SHARED in response for response in seen.values()] == [False, False, True]
        assert [response["Cache-Control"] for response in seen.values()] == ["private, no-cache"] * 2 + ["no-cache"]
        assert all("Broth" in text for text in words.values())


def test_a_message_is_shown_once_and_to_nobody_else(book: Book) -> None:
    buyer, other = Client(), Client()
    put_in_cart(buyer, book)
    put_in_cart(other, book)
    other.get("/")

    assert "is in your cart" in buyer.get("/").content.decode()
    assert "is in your cart" not in buyer.get("/").content.decode()
    assert "is in your cart" not in Client().get("/").content.decode()


def test_a_new_price_is_there_within_a_second(client: Client, book: Book) -> None:
    address = book.get_absolute_url()
    assert TEN_EUROS in client.get(address).content.decode()
    # As another process does it, which cannot have this one forget.
    Book.objects.filter(pk=book.pk).update(price_minor=1200)

    # A second, on a machine that does nothing else.
    waiting.until(lambda: TWELVE in client.get(address).content.decode(), what="the new price", timeout_seconds=3)


def test_a_book_that_is_not_there_is_not_kept(client: Client, book: Book) -> None:
    address = book.get_absolute_url()
    book.delete()
    assert client.get(address).status_code == 404
    assert client.get("/books/9795000000000-nothing/").status_code == 404


def test_an_old_title_in_the_address_redirects_everybody(client: Client, book: Book) -> None:
    old = f"/books/{book.isbn}-an-older-title/"
    for _ in range(2):
        response = client.get(old)
        assert (response.status_code, response["Location"]) == (301, book.get_absolute_url())
        assert shared_answers.IS_SHARED not in response


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 302),
        ({"Origin": "http://testserver"}, 302),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "null"}, 302),
        ({"Sec-Fetch-Site": "none"}, 302),
        ({"Origin": "https://trusted.example"}, 302),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "https://testserver"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://testserver"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
def test_another_site_cannot_fill_a_cart(book: Book, settings: object, headers: dict[str, str], status: int) -> None:
    settings.CSRF_TRUSTED_ORIGINS = ["https://trusted.example"]  # type: ignore[attr-defined]
    client = Client(enforce_csrf_checks=True)

    assert client.post("/cart/add/", {"sku": book.isbn, "quantity": 1}, headers=headers).status_code == status
    assert ("books in it" in client.get("/").content.decode()) == (status == 302)


def test_an_answer_is_kept_for_a_moment_and_one_caller_makes_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(shared_answers, "time", SimpleNamespace(monotonic=lambda: now[0]))
    answers = shared_answers.Answers()
    address = ("http", "", "shop", "/", "")
    assert answers.find(address) is None
    kept = answers.keep(address, [("Content-Type", "text/html")], b"page", View("front"))
    assert ("ETag", kept.etag) in kept.headers
    assert answers.find(address) is kept

    now[0] += 0.51 * shared_answers.ANSWER_SECONDS
    assert answers.find(address) is None
    assert answers.find(address) is kept, "only one is told that there is none"
    now[0] += 0.5 * shared_answers.ANSWER_SECONDS
    assert answers.find(address) is None
    assert answers.find(address) is None


def test_strangers_cannot_fill_the_memory() -> None:
    answers = shared_answers.Answers()
    for number in range(shared_answers.ANSWERS_MAX + 50):
        answers.keep(("http", "", "shop", "/", f"x={number}"), [], b"page", View("front"))
    assert answers.find(("http", "", "shop", "/", "x=0")) is None
    assert answers.find(("http", "", "shop", "/", f"x={shared_answers.ANSWERS_MAX + 49}")) is not None
