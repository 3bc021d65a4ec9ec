"""Finding books, and the pages that show them."""

import pytest
from django.test import Client

from devtools.testing.shop.storefront import a_book
from shop.books import covers
from shop.books.search import searching
from shop.books.search.searching import SearchRequest
from shop.models import Book

pytestmark = pytest.mark.django_db

POLICY = {
    "default-src 'self'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "object-src 'none'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
}


@pytest.fixture
def library() -> None:
    """Four books that differ in all that one can look for."""
    a_book(title="Inês and the Sea", author="Órla Quinn", price_minor=900, year=2020, shelf="fiction")
    a_book(title="The Sea Ledger", author="Max Brand", price_minor=2500, year=2023, shelf="history")
    a_book(title="Broth", author="Mai Nguyen", price_minor=1500, year=2025, shelf="food")
    a_book(title="Out of Print", author="Max Brand", price_minor=100, year=2026, shelf="food", is_listed=False)


def titles(**wish: str) -> list[str]:
    """What is found, in order."""
    return [book.title for book in searching.books(SearchRequest.from_query(wish))]


@pytest.mark.usefixtures("library")
def test_search_filter_and_sort() -> None:
    assert titles() == ["Broth", "The Sea Ledger", "Inês and the Sea"]
    assert titles(q="sea") == ["The Sea Ledger", "Inês and the Sea"]
    assert titles(q="ines") == ["Inês and the Sea"]
    assert titles(q="INÊS orla") == ["Inês and the Sea"]
    assert titles(q="sea brand") == ["The Sea Ledger"]
    assert titles(q="brand", category="food") == []
    assert titles(category="history") == ["The Sea Ledger"]
    assert titles(sort="title") == ["Broth", "Inês and the Sea", "The Sea Ledger"]
    assert titles(sort="price") == ["Inês and the Sea", "Broth", "The Sea Ledger"]
    assert titles(sort="-price") == ["The Sea Ledger", "Broth", "Inês and the Sea"]
    assert titles(q="100%_") == []


@pytest.mark.usefixtures("library")
def test_an_isbn_is_found_with_and_without_hyphens() -> None:
    book = Book.objects.get(title="Broth")
    number = book.isbn
    assert titles(q=number) == ["Broth"]
    assert titles(q=f"{number[:3]}-{number[3:7]}-{number[7:12]}-{number[12]}") == ["Broth"]


@pytest.mark.parametrize(
    "query",
    [
        {"page": "-1"},
        {"page": "x"},
        {"page": "9" * 50},
        {"page": "٣"},
        {"sort": "drop"},
        {"q": "\x00"},
        {"category": "\x00"},
    ],
)
def test_nonsense_in_the_address_still_shows_a_page(client: Client, query: dict[str, str]) -> None:
    a_book(title="Broth")
    assert client.get("/", query).status_code == 200


def test_pages_cover_everything_once(client: Client) -> None:
    for _ in range(searching.PAGE_SIZE + 3):
        a_book()
    first, second = (client.get("/", {"page": number, "sort": "title"}) for number in (1, 2))
    shown = [book.isbn for response in (first, second) for book in response.context["page"]]
    assert shown == list(Book.objects.order_by("title", "isbn").values_list("isbn", flat=True))
    assert (first.context["next"], second.context["previous"]) == ("/?sort=title&page=2", "/?sort=title")


def test_the_front_page_says_what_is_left_and_carries_its_policy(client: Client) -> None:
    a_book(title="Plenty", stock=30)
    a_book(title="Few", stock=3)
    a_book(title="Gone", stock=0)
    response = client.get("/")
    page = response.content.decode()
    assert response.status_code == 200
    assert [page.count(words) for words in ("Only 3 left", "Not in stock yet", "Every copy sold once")] == [1, 1, 1]
    assert {part.strip() for part in response["Content-Security-Policy"].split(";")} >= POLICY - {"script-src 'self'"}
    assert "style=" not in page
    assert "onclick" not in page


def test_htmx_gets_the_results_alone(client: Client) -> None:
    a_book(title="Broth")
    whole = client.get("/?q=broth").content.decode()
    part = client.get("/?q=broth", headers={"HX-Request": "true"}).content.decode()
    assert ("<html" in whole, "<html" in part) == (True, False)
    assert part.strip().startswith('<div id="results"')
    assert part.strip() in whole.replace("\r", "")


def test_a_book_says_its_stock_in_words(client: Client) -> None:
    answers = {stock: client.get(a_book(stock=stock).get_absolute_url()).content.decode() for stock in (0, 1, 3, 6)}
    words = {0: "Not in stock yet", 1: "Last copy", 3: "Only 3 left", 6: "In stock"}
    assert {stock: words[stock] in page for stock, page in answers.items()} == dict.fromkeys(words, True)
    assert {stock: "Buy now" in page for stock, page in answers.items()} == {0: False, 1: True, 3: True, 6: True}


def test_an_old_title_leads_to_the_right_address(client: Client) -> None:
    book = a_book(title="A New Title")
    response = client.get(f"/books/{book.isbn}-an-old-title/")
    assert (response.status_code, response["Location"]) == (301, f"/books/{book.isbn}-a-new-title/")


def test_a_book_that_is_not_there_is_a_page_of_ours(client: Client) -> None:
    response = client.get("/books/9795000000019-nothing/")
    assert response.status_code == 404
    assert "This page is out of print" in response.content.decode()


def test_covers_are_drawn_alike_every_time_and_kept_for_a_year(client: Client) -> None:
    book = a_book(title="Salt & <Pepper>", author="O'Neill")
    response = client.get(book.cover_url)
    assert (response["Content-Type"], response["Cache-Control"]) == (
        "image/svg+xml", "public, max-age=31536000, immutable",
    )  # fmt: skip
    covers.draw.cache_clear()
    assert client.get(book.cover_url).content == response.content
    assert b"<title>Salt &amp; &lt;Pepper&gt;, O'Neill</title>" in response.content
    before = book.cover_url
    book.title = "Salt"
    assert book.cover_url != before


@pytest.mark.parametrize("title", ["", "X", "Ж", "W" * 200, "a " * 99, "Ænigma, Œuvre, Straße, Łódź", "日本語"])
@pytest.mark.parametrize("shelf", ["fiction", "mystery", "nowhere"])
def test_any_words_make_a_cover(title: str, shelf: str) -> None:
    for number in range(12):
        picture = covers.draw(isbn=str(number), title=title, author=title, shelf=shelf)
        assert picture.startswith("<svg") and picture.endswith("</svg>") and "nan" not in picture
