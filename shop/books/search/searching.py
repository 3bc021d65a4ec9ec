"""The search of the catalogue: what the address asks for, and the books that answer it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, overload
from urllib.parse import urlencode

from django.core.paginator import Page, Paginator
from django.db import connection
from django.urls import reverse

from shop import models
from shop.books.search import facets, matching, selection
from shop.books.search.folding import fold, slug_of

PAGE_SIZE = 24
RANKED_MAX = 2_000
"""Where more books than this have the words, the words say little: those whose title they are come first, and then the
newest."""
RELEVANCE, NEWEST = "relevance", "newest"
_NEWEST_FIRST = "s.year DESC, {chosen.id} DESC"
SORTS = {
    RELEVANCE: ("Best match", f"ts_rank(s.vector, {{chosen.words.sql}}) DESC, {_NEWEST_FIRST}"),
    NEWEST: ("Newest first", _NEWEST_FIRST),
    "title": ("Title, A to Z", "{chosen.book}.title_key, s.isbn"),
    "price": ("Price, low to high", "{chosen.price}, s.isbn"),
    "-price": ("Price, high to low", "{chosen.price} DESC, s.isbn DESC"),
    "series": ("In their sequence", "{chosen.book}.series_number, s.year, s.isbn"),
}
"""By name, the label and the SQL."""
_OF_BOOK = {"title", "series"}


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
    price: str = ""
    """One of `selection.BANDS`."""
    stock: str = ""
    """`now` for books of which there are copies."""
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
        read = replace(
            read,
            author=slug_of(read.author),
            series=slug_of(read.series),
            price=read.price if read.price in selection.BANDS else "",
            stock=read.stock if read.stock == selection.IN_STOCK else "",
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
    pages = Paginator(_Found(wanted, counts.total), PAGE_SIZE)
    return Results(page=pages.get_page(wanted.page), counts=counts, meant=meant if counts.any else "")


def books(wanted: SearchRequest, *, total: int = 0, start: int = 0, limit: int = PAGE_SIZE) -> list[models.Book]:
    """The books for sale that have every word, as they are sorted from `start` on; `total` is how many there are,
    where known."""
    if matching.says_nothing(wanted.words):
        return []
    if wanted.sort == RELEVANCE and total > RANKED_MAX:
        first = _titled(wanted)
        rest = max(0, start - len(first)), limit - len(first[start : start + limit])
        isbns = first[start : start + limit] + _isbns(wanted, NEWEST, *rest, but=first)
    else:
        isbns = _isbns(wanted, wanted.sort, start, limit)
    found = models.Book.objects.select_related("category").in_bulk(isbns, field_name="isbn")
    return [found[isbn] for isbn in isbns if isbn in found]


def _titled(wanted: SearchRequest) -> list[str]:
    """Books whose whole title was typed, but for an article."""
    words = fold(wanted.words)
    titles = [words, *(f"{article} {words}" for article in ("a", "an", "the"))]
    return _isbns(wanted, NEWEST, 0, PAGE_SIZE, titles=titles)


def _isbns(
    wanted: SearchRequest, sort: str, start: int, limit: int, *, but: Sequence[str] = (), titles: Sequence[str] = ()
) -> list[str]:
    chosen = selection.select(wanted.words, wanted.filters, with_book=bool(titles) or sort in _OF_BOOK)
    order = SORTS[sort][1].format(chosen=chosen)
    more = " AND s.isbn <> ALL(%(but)s)" if but else ""
    more += " AND b.title_key = ANY(%(titles)s)" if titles else ""
    sql = f"""
SELECT s.isbn FROM {chosen.source_now} WHERE {chosen.condition}{more} ORDER BY {order} LIMIT %(limit)s OFFSET %(start)s
"""  # noqa: S608 - SQL of ours; what people typed is in the parameters
    parameters: dict[str, Any] = {"but": list(but), "titles": list(titles), "limit": limit, "start": start}
    with connection.cursor() as cursor:
        cursor.execute(sql, {**chosen.parameters, **parameters})
        return [isbn for (isbn,) in cursor.fetchall()]


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


class _Found(Sequence[models.Book]):
    """The books of a search, of which a page is looked up when it is asked for."""

    def __init__(self, wanted: SearchRequest, total: int) -> None:
        self._wanted, self._total = wanted, total

    def __len__(self) -> int:
        return self._total

    @overload
    def __getitem__(self, place: int) -> models.Book: ...
    @overload
    def __getitem__(self, place: slice) -> list[models.Book]: ...
    def __getitem__(self, place: int | slice) -> models.Book | list[models.Book]:
        if isinstance(place, int):
            return self[place : place + 1][0]
        start, end, _ = place.indices(self._total)
        return books(self._wanted, total=self._total, start=start, limit=end - start) if end > start else []
