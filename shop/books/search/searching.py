"""The search of the catalogue: what the address asks for, and the books that answer it."""

from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from django.core.paginator import Page, Paginator
from django.db.models import F, FloatField, OuterRef, QuerySet, Subquery
from django.db.models.expressions import RawSQL
from django.db.models.functions import Coalesce
from django.urls import reverse
from django.utils import timezone

from shop import models
from shop.books.search import facets, matching
from shop.books.search.folding import slug_of

PAGE_SIZE = 24
RANKED_MAX = 5_000
"""Where more books than this have the words, the words say little, and the newest come first."""
RELEVANCE, NEWEST = "relevance", "newest"
SORTS: dict[str, tuple[str, tuple[Any, ...]]] = {
    RELEVANCE: ("Best match", (F("rank").desc(), "-year", "-id")),
    NEWEST: ("Newest first", ("-year", "-id")),
    "title": ("Title, A to Z", ("title", "isbn")),
    "price": ("Price, low to high", ("price_now", "title", "isbn")),
    "-price": ("Price, high to low", ("-price_now", "title", "isbn")),
    "series": ("In their sequence", ("series_number", "year", "isbn")),
}


@dataclass(frozen=True, kw_only=True)
class SearchRequest:
    """The parameters of a search. Invalid values are ignored, so that a page is always shown."""

    words: str = ""
    category: str = ""
    format: str = ""
    language: str = ""
    author: str = ""
    """The slug of one, as `series` is."""
    series: str = ""
    sort: str = NEWEST
    page: int = 1

    @classmethod
    def from_query(cls, query: dict[str, str]) -> "SearchRequest":
        """Read `q`, `sort`, `page` and the filters from a query string."""
        page = query.get("page", "")
        read = cls(
            words=" ".join(query.get("q", "").replace("\x00", "").split())[:100],
            page=int(page) if page.isascii() and page.isdigit() and len(page) < 6 else 1,
            **{name: query.get(name, "").replace("\x00", "")[:120] for name in facets.FILTERS},
        )
        sort = query.get("sort", "")
        return replace(read, sort=sort if sort in read.sorts else read.usual_sort)

    @property
    def sorts(self) -> dict[str, str]:
        """What makes sense to sort these books by, with its label."""
        senseless = {RELEVANCE if not self.words else "", "series" if not self.series else ""}
        return {name: label for name, (label, _) in SORTS.items() if name not in senseless}

    @property
    def usual_sort(self) -> str:
        """Unless something else is asked for."""
        return RELEVANCE if self.words else "series" if self.series else NEWEST

    @property
    def filters(self) -> dict[str, str]:
        """What is asked for beside words, by name."""
        return {name: value for name in facets.FILTERS if (value := getattr(self, name))}

    def address(self, **changes: Any) -> str:
        """The URL of this search, with changes; defaults are omitted."""
        wanted = replace(self, **changes)
        usual = {"sort": wanted.usual_sort, "page": 1}
        values = {"q": wanted.words, **wanted.filters, "sort": wanted.sort, "page": wanted.page}
        query = urlencode({name: value for name, value in values.items() if value and value != usual.get(name)})
        return reverse("catalogue") + (f"?{query}" if query else "")


@dataclass(frozen=True, kw_only=True)
class Results:
    """A page of books, how many there are of each kind, and the words that were meant if those typed have no book."""

    page: Page[models.Book]
    counts: facets.Counts
    meant: str = ""


def results(wanted: SearchRequest) -> Results:
    """One page of what is found; a page number past the end gives the last one."""
    counts, meant = facets.counts(wanted.words, wanted.filters), ""
    if wanted.words and not counts.any and (meant := matching.meant(wanted.words)):
        wanted = replace(wanted, words=meant)
        counts = facets.counts(meant, wanted.filters)
    pages = _Counted(books(wanted, total=counts.total), PAGE_SIZE)
    pages.count = counts.total
    return Results(page=pages.get_page(wanted.page), counts=counts, meant=meant if counts.any else "")


def books(wanted: SearchRequest, *, total: int = 0) -> QuerySet[models.Book]:
    """The books for sale that have every word, sorted as requested; `total` is how many they are, where known."""
    found = models.Book.objects.filter(is_listed=True).select_related("category")
    if matching.says_nothing(wanted.words):
        return found.none()
    found = found.filter(**{facets.FILTERS[name].lookup: value for name, value in wanted.filters.items()})
    sort = NEWEST if wanted.sort == RELEVANCE and total > RANKED_MAX else wanted.sort
    if match := matching.match(wanted.words):
        having = f"SELECT book_id FROM shop_booksearch WHERE vector @@ ({match.sql})"  # noqa: S608 - SQL of ours
        found = found.filter(pk__in=_raw(having, match))
        vector = "SELECT vector FROM shop_booksearch WHERE book_id = shop_book.id"
        if sort == RELEVANCE:
            found = found.alias(rank=_raw(f"ts_rank(({vector}), {match.sql})", match))
    if "price" in sort:
        found = found.alias(price_now=_price_now())
    return found.order_by(*SORTS[sort][1])


def neighbours(book: models.Book, *, limit: int) -> list[models.Book]:
    """Other books of the series in their sequence, then of the same shelf, newest first."""
    others = models.Book.objects.filter(is_listed=True).exclude(pk=book.pk)
    series = others.filter(series_slug=book.series_slug).order_by("series_number", "year")
    found = list(series[:limit]) if book.series_slug else []
    shelf = others.filter(category=book.category).exclude(pk__in=[one.pk for one in found])
    return [*found, *shelf.order_by("-year", "-id")[: limit - len(found)]]


def spelled(kind: str, slug: str) -> str:
    """How the `author` or `series` with this slug is written on books; empty if none is for sale."""
    listed = models.Book.objects.filter(is_listed=True, **{f"{kind}_slug": slug_of(slug)})
    return listed.order_by("pk").values_list(kind, flat=True).first() or ""


class _Counted(Paginator):  # type: ignore[type-arg]  # no generic at run time
    """Its books were counted already, with what there is of each kind."""

    count = 0


def _raw(sql: str, match: matching.Match) -> RawSQL:
    return RawSQL(sql, match.parameters, output_field=FloatField())  # noqa: S611 - SQL of ours; words are parameters


def _price_now() -> Coalesce:
    """The price of a running sale, or the usual one."""
    now = timezone.now()
    running = models.FlashSaleBook.objects.filter(book=OuterRef("pk"), sale__starts_at__lte=now, sale__ends_at__gt=now)
    return Coalesce(Subquery(running.order_by().values("price_minor")[:1]), "price_minor")
