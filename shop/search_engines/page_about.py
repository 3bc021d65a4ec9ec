"""What the head of a page says of it to those who do not look at it: description, address, structured data."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from django.conf import settings
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import Truncator

from money import to_major
from shop import models
from shop.books import pricing

DESCRIPTION_MOST = 155
"""Characters; search engines cut off what is longer."""
_IN_SCRIPT = {ord("<"): "\\u003C", ord(">"): "\\u003E", ord("&"): "\\u0026"}


@dataclass(frozen=True, kw_only=True)
class PageAbout:
    """Of one page; see templates/_about.html."""

    title: str
    description: str
    path: str
    """Of its one address, whatever leads to it: without sorting, filters and the like."""
    is_indexed: bool = True
    kind: str = "website"
    """As Open Graph calls it."""
    data: Mapping[str, Any] | None = None
    """As schema.org has it."""

    @property
    def address(self) -> str:
        """The whole address."""
        return address_of(self.path)

    @property
    def script(self) -> SafeString:
        """The data, as the content of a script element; no text of a book ends it."""
        text = json.dumps({"@context": "https://schema.org", **(self.data or {})}, ensure_ascii=False)
        return mark_safe(text.translate(_IN_SCRIPT))  # noqa: S308 - no character of HTML is left


def address_of(path: str) -> str:
    """Where the shop is reached from outside."""
    return f"{settings.SHOP_URL}{path}"


def of_front(path: str, page: int) -> PageAbout:
    """The list of all books."""
    return PageAbout(
        title="Bookrush" if page == 1 else f"All books, page {page}",
        description="An independent bookshop: novels, essays, children's books and more, with stock counts that are "
        "true, and an order that you can watch on its way.",
        path=path,
        data={
            "@type": "WebSite",
            "name": "Bookrush",
            "url": address_of("/"),
            "potentialAction": {
                "@type": "SearchAction",
                "target": f"{address_of('/')}?q={{search_term_string}}",
                "query-input": "required name=search_term_string",
            },
        },
    )


def of_list(name: str, description: str, path: str, page: int, *, is_indexed: bool = True) -> PageAbout:
    """A shelf, or what a search has found."""
    return PageAbout(
        title=name if page == 1 else f"{name}, page {page}",
        description=_short(description),
        path=path,
        is_indexed=is_indexed,
        data=_crumbs((name, path)),
    )


def of_name(kind: str, name: str, slug: str, description: str, path: str, page: int) -> PageAbout:
    """An `author`, or a `series`, with its books."""
    found = of_list(name, description, path, page)
    said = _named("Person" if kind == "author" else "BookSeries", kind, name, slug)
    return replace(found, data={"@graph": [said, _crumbs((name, path))]})


def of_page(name: str, description: str, path: str) -> PageAbout:
    """One of the shop's own pages."""
    return PageAbout(title=name, description=_short(description), path=path, data=_crumbs((name, path)))


def of_book(book: models.Book, offer: pricing.Offer | None, left: int | None) -> PageAbout:
    """A book, with its price and whether there are copies."""
    path, shelf = book.get_absolute_url(), book.category
    product: dict[str, Any] = {
        "@type": ["Product", "Book"],
        "name": book.title,
        "author": _named("Person", "author", book.author, book.author_slug),
        "description": book.blurb,
        "isbn": book.isbn,
        "gtin13": book.isbn,
        "image": address_of(book.cover_url),
        "bookFormat": f"https://schema.org/{'Hardcover' if book.format == models.Format.HARDBACK else 'Paperback'}",
        "inLanguage": book.language,
        "numberOfPages": book.pages,
        "datePublished": str(book.year),
    }
    if book.publisher:
        product["publisher"] = {"@type": "Organization", "name": book.publisher}
    if book.series_slug:
        product["isPartOf"] = _named("BookSeries", "series", book.series, book.series_slug)
        product |= {"position": book.series_number} if book.series_number else {}
    if offer:
        product["offers"] = {
            "@type": "Offer",
            "url": address_of(path),
            "priceCurrency": settings.CURRENCY,
            "price": f"{to_major(offer.price_minor, settings.CURRENCY):f}",
            "availability": f"https://schema.org/{'InStock' if left else 'OutOfStock'}",
            "itemCondition": "https://schema.org/NewCondition",
        }
    crumbs = _crumbs((shelf.name, f"{reverse('catalogue')}?category={shelf.slug}"), (book.title, path))
    return PageAbout(
        title=f"{book.title} by {book.author}",
        description=_short(book.blurb) or f"{book.title} by {book.author}, {book.pages} pages.",
        path=path,
        is_indexed=offer is not None,
        kind="book",
        data={"@graph": [product, crumbs]},
    )


def _crumbs(*places: tuple[str, str]) -> dict[str, Any]:
    """The way to a page from the front."""
    items = [
        {"@type": "ListItem", "position": number, "name": name, "item": address_of(path)}
        for number, (name, path) in enumerate((("All books", reverse("catalogue")), *places), 1)
    ]
    return {"@type": "BreadcrumbList", "itemListElement": items}


def _named(kind: str, page: str, name: str, slug: str) -> dict[str, Any]:
    """A person or a series, with the page of its books if there is one."""
    return {"@type": kind, "name": name, **({"url": address_of(reverse(page, args=[slug]))} if slug else {})}


def _short(text: str) -> str:
    return Truncator(" ".join(text.split())).chars(DESCRIPTION_MOST)
