"""The search of the catalogue."""

import re
from dataclasses import dataclass
from urllib.parse import urlencode

from django.core.paginator import Page, Paginator
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.urls import reverse
from django.utils import timezone

from shop import models

PAGE_SIZE = 24

SORTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "newest": ("Newest first", ("-year", "-id")),
    "title": ("Title, A to Z", ("title", "isbn")),
    "price": ("Price, low to high", ("price_now", "title", "isbn")),
    "-price": ("Price, high to low", ("-price_now", "title", "isbn")),
}
DEFAULT_SORT = "newest"


@dataclass(frozen=True, kw_only=True)
class SearchRequest:
    """The parameters of a search. Invalid values are ignored, so that a page is always shown."""

    words: str = ""
    category: str = ""
    sort: str = DEFAULT_SORT
    page: int = 1

    @classmethod
    def from_query(cls, query: dict[str, str]) -> "SearchRequest":
        """Read `q`, `category`, `sort` and `page` from a query string."""
        page = query.get("page", "")
        sort = query.get("sort", "")
        return cls(
            words=" ".join(query.get("q", "").replace("\x00", "").split())[:100],
            category=query.get("category", "").replace("\x00", "")[:50],
            sort=sort if sort in SORTS else DEFAULT_SORT,
            page=int(page) if page.isascii() and page.isdigit() and len(page) < 6 else 1,
        )

    def address(self, **changes: str | int) -> str:
        """The URL of this search, with changes; defaults are omitted."""
        values = {"q": self.words, "category": self.category, "sort": self.sort, "page": self.page, **changes}
        defaults: dict[str, str | int] = {"q": "", "category": "", "sort": DEFAULT_SORT, "page": 1}
        query = urlencode({name: value for name, value in values.items() if value != defaults[name]})
        return reverse("catalogue") + (f"?{query}" if query else "")


def books(search_request: SearchRequest) -> QuerySet[models.Book]:
    """The books for sale that have every word in title, author or ISBN, sorted as requested."""
    found = models.Book.objects.filter(is_listed=True).select_related("category")
    if search_request.category:
        found = found.filter(category__slug=search_request.category)
    for word in _words(search_request.words):
        found = found.filter(search_text__contains=word)
    return found.alias(price_now=_price_now()).order_by(*SORTS[search_request.sort][1])


def page_of(search_request: SearchRequest) -> Page[models.Book]:
    """One page of the books; a page number past the end gives the last one."""
    return Paginator(books(search_request), PAGE_SIZE).get_page(search_request.page)


def shelves() -> QuerySet[models.Category]:
    """The categories with books for sale, in their order, each with `book_count`."""
    counted = models.Category.objects.annotate(book_count=Count("books", filter=Q(books__is_listed=True)))
    return counted.filter(book_count__gt=0).order_by("position", "name")


def neighbours(book: models.Book, *, limit: int) -> QuerySet[models.Book]:
    """Other books of the same shelf, newest first."""
    same_shelf = models.Book.objects.filter(is_listed=True, category=book.category)
    return same_shelf.exclude(pk=book.pk).order_by("-year", "-id")[:limit]


def _price_now() -> Coalesce:
    """The price of a running sale, or the usual one."""
    now = timezone.now()
    running = models.FlashSaleBook.objects.filter(book=OuterRef("pk"), sale__starts_at__lte=now, sale__ends_at__gt=now)
    return Coalesce(Subquery(running.order_by().values("price_minor")[:1]), "price_minor")


def _words(text: str) -> list[str]:
    # Hyphens come with a pasted ISBN ("979-5-40213-131-5"), not with what the column holds.
    text = re.sub(r"(?<=\d)[- ](?=\d)", "", text) if re.fullmatch(r"[\d -]+", text) else text
    return [word for word in models.searchable(text).split() if word]
