"""XD10, S10: one address a page, a description, structured data that is valid, and maps that list every page."""

import json
import re
from typing import Any

import pytest
from defusedxml.ElementTree import fromstring
from django.test import Client

from devtools.testing.shop.flash_sales import a_sale
from devtools.testing.shop.storefront import a_book
from shop.books import pricing
from shop.models import Book
from shop.search_engines import sitemaps
from shop.site import shared_pages

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.shop]
SHOP = "https://shop.example"
_DATA = r'<script type="application/ld\+json">(.*?)</script>'
SPACE = "{http://www.sitemaps.org/schemas/sitemap/0.9}"


@pytest.fixture(autouse=True)
def _address(settings: Any) -> None:
    settings.SHOP_URL = SHOP
    shared_pages.forget()


def head(client: Client, path: str) -> dict[str, Any]:
    """What the page's head says, by name; the structured data as `data`."""
    response = client.get(path, follow=True)
    assert response.status_code == 200, path
    page = response.content.decode().partition("</head>")[0]
    found: dict[str, Any] = dict(re.findall(r'<meta (?:name|property)="([a-z:_-]+)" content="([^"]*)">', page))
    for name, pattern in (("canonical", r'<link rel="canonical" href="([^"]*)">'), ("data", _DATA)):
        if said := re.search(pattern, page):
            found[name] = json.loads(said[1]) if name == "data" else said[1]
    return found


def places(client: Client, path: str) -> list[str]:
    """The addresses on a map."""
    answer = client.get(path)
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/xml")
    return [str(each.text) for each in fromstring(answer.content).iter(f"{SPACE}loc")]


def test_a_book_says_its_price_and_whether_there_are_copies(client: Client) -> None:
    book = a_book(stock=3, price_minor=1250, blurb='Salt, wind & a "lamp".\n\n</script><b>x</b>' + " word" * 60)
    said = head(client, book.get_absolute_url())
    assert said["canonical"] == said["og:url"] == f"{SHOP}{book.get_absolute_url()}"
    assert (said["og:type"], len(said["description"]) <= 200) == ("book", True)
    product, crumbs = said["data"]["@graph"]
    assert (product["isbn"], product["name"], product["description"]) == (book.isbn, book.title, book.blurb)
    offer = product["offers"]
    assert (offer["price"], offer["priceCurrency"], offer["availability"]) == (
        "12.50", "USD", "https://schema.org/InStock",
    )  # fmt: skip
    assert [each["name"] for each in crumbs["itemListElement"]] == ["All books", book.category.name, book.title]


def test_authors_and_series_are_said_with_the_address_of_their_books(client: Client) -> None:
    book = a_book(author="Inês Luz", series="The Tides", series_number=2)
    person, series = f"{SHOP}/authors/ines-luz/", f"{SHOP}/series/the-tides/"
    product = head(client, book.get_absolute_url())["data"]["@graph"][0]
    assert product["author"] == {"@type": "Person", "name": "Inês Luz", "url": person}
    assert product["isPartOf"] == {"@type": "BookSeries", "name": "The Tides", "url": series}
    assert product["position"] == 2
    for address, named in ((person, product["author"]), (series, product["isPartOf"])):
        said = head(client, address.removeprefix(SHOP))
        assert (said["canonical"], said["data"]["@graph"][0]) == (address, named)
    assert head(client, "/authors/INES-luz/")["canonical"] == person


def test_a_sale_and_an_empty_shelf_are_said_too(client: Client) -> None:
    book = a_book(stock=9, price_minor=1000)
    a_sale(book, price_minor=400, units=5)
    assert head(client, book.get_absolute_url())["data"]["@graph"][0]["offers"]["price"] == "4.00"
    gone = a_book(stock=0)
    assert head(client, gone.get_absolute_url())["data"]["@graph"][0]["offers"]["availability"].endswith("OutOfStock")
    Book.objects.filter(pk=gone.pk).update(is_listed=False)
    pricing.forget()
    shared_pages.forget()
    said = head(client, gone.get_absolute_url())
    assert (said["robots"], "canonical" in said) == ("noindex", False)


def test_a_list_has_one_address_and_searches_have_none(client: Client) -> None:
    book = a_book()
    shelf = book.category.slug
    for path, address in (
        ("/", "/"),
        ("/?sort=price", "/"),
        (f"/?category={shelf}&sort=title", f"/?category={shelf}"),
        (f"/authors/{book.author_slug}/?sort=price", f"/authors/{book.author_slug}/"),
    ):
        assert head(client, path)["canonical"] == f"{SHOP}{address}", path
    for path in (f"/?q={book.title}", "/?format=paperback", "/?language=en"):
        said = head(client, path)
        assert (said["robots"], "canonical" in said) == ("noindex", False), path
    assert client.get("/?category=nowhere").status_code == 404


def test_the_maps_list_every_page_in_parts(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sitemaps._Part, "limit", 2)
    books = [a_book() for _ in range(5)]
    shelf = books[0].category.slug
    hidden = a_book(is_listed=False)
    parts = [place.partition("//")[2].partition("/")[2] for place in places(client, "/sitemap.xml")]
    found = [address for part in parts for address in places(client, f"/{part}")]
    assert len(found) == len(set(found))
    assert {f"{SHOP}{book.get_absolute_url()}" for book in books} <= set(found)
    assert f"{SHOP}{hidden.get_absolute_url()}" not in found
    assert {f"{SHOP}/", f"{SHOP}/?category={shelf}", f"{SHOP}/authors/{books[0].author_slug}/"} <= set(found)
    for address in found:
        said = head(client, address.removeprefix(SHOP))
        assert said["canonical"] == address, "what is listed is the page's own address"
    assert client.get("/sitemap-nothing.xml").status_code == 404
    assert client.get("/sitemap-books.xml?p=99").status_code == 404


def test_programs_are_told_what_to_leave_alone(client: Client) -> None:
    lines = client.get("/robots.txt").content.decode().splitlines()
    assert f"Sitemap: {SHOP}/sitemap.xml" in lines
    assert {"Disallow: /orders", "Disallow: /checkout", "Disallow: /*?q="} <= set(lines)
