"""The catalogue: all books, searched, filtered and sorted by the URL alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.core.paginator import Page
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from shop import models
from shop.activity import noting
from shop.activity.counting import View
from shop.books import languages, pricing
from shop.books.search import searching, selection, suggestions
from shop.flashsales import flash_sales
from shop.limits import limits, visitors
from shop.search_engines import page_about
from shop.site import shared_pages

# Number of books in the shop window above the list.
WINDOW = 5
# Number of books in flash sales that are announced there.
ANNOUNCED = 4


@require_safe
def catalogue_page(request: HttpRequest) -> HttpResponseBase:
    """The whole page, or only the results for htmx."""
    search_request = searching.SearchRequest.from_query(request.GET.dict())
    if search_request.words:
        limits.take(request, (limits.SEARCH, visitors.network_of(request)))
    if request.htmx and not request.htmx.history_restore_request:  # type: ignore[attr-defined]
        return _not_kept(render(request, "shop/_results.html", _noted(request, search_request)))
    if search_request.words:  # seldom the same, and limited
        return _not_kept(render(request, "shop/catalogue.html", _noted(request, search_request)))
    return _shared(request, search_request)


@require_safe
def author_page(request: HttpRequest, slug: str) -> HttpResponseBase:
    """All books of an author that are for sale."""
    return _shared(request, searching.SearchRequest.from_query(request.GET.dict() | {"author": slug, "q": ""}))


@require_safe
def series_page(request: HttpRequest, slug: str) -> HttpResponseBase:
    """The books of a series, in their sequence."""
    return _shared(request, searching.SearchRequest.from_query(request.GET.dict() | {"series": slug, "q": ""}))


@require_safe
def suggest(request: HttpRequest) -> HttpResponse:
    """Lines for below the search field, as somebody types: a fragment, empty where nothing fits."""
    typed = searching.SearchRequest.from_query(request.GET.dict()).words
    limits.take(request, (limits.SEARCH, visitors.network_of(request)))
    response = render(request, "shop/_suggestions.html", {"suggestions": suggestions.suggestions(typed)})
    response["Cache-Control"] = "public, max-age=60"
    return response


def _shared(request: HttpRequest, search_request: searching.SearchRequest) -> HttpResponseBase:
    return shared_pages.respond(
        request,
        lambda: shared_pages.Page(
            template="shop/catalogue.html", context=_context(search_request), personal={"search": search_request}
        ),
        view=_view(search_request),
    )


def _view(wanted: searching.SearchRequest) -> View:
    return View("front" if _is_front(wanted) else "list")


def _noted(request: HttpRequest, wanted: searching.SearchRequest) -> dict[str, Any]:
    """The context; it is counted that this was shown, and searched for. Another page or order is no new search."""
    context = _context(wanted)
    noting.page_shown(request, _view(wanted))
    if wanted == searching.SearchRequest(words=wanted.words, sort=wanted.usual_sort) and wanted.words:
        found: searching.Results = context["found"]
        noting.search_made(request, words=wanted.words, found=0 if found.meant else found.counts.total)
    return context


def _is_front(wanted: searching.SearchRequest) -> bool:
    return wanted == searching.SearchRequest(sort=wanted.sort)


def _not_kept(response: HttpResponse) -> HttpResponse:
    response["Vary"] = "HX-Request, Cookie"
    return response


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A kind of books among those found, and where it leads; chosen already, it leads back to all kinds."""

    name: str
    count: int
    address: str
    is_chosen: bool


def _context(wanted: searching.SearchRequest) -> dict[str, Any]:
    found = searching.results(wanted)
    page, shelves = found.page, list(models.Category.objects.all())
    is_front = _is_front(wanted)
    on_sale = _on_sale() if is_front else []
    offers = pricing.offers([book.isbn for book in page.object_list])
    whose = wanted.author and searching.spelled("author", wanted.author)
    series = wanted.series and searching.spelled("series", wanted.series)
    if (wanted.author and not whose) or (wanted.series and not series):
        raise Http404
    shelf = next((shelf for shelf in shelves if shelf.slug == wanted.category), None)
    if wanted.category and shelf is None:
        raise Http404
    return {
        "search": wanted,
        "found": found,
        "page": page,
        "author": whose,
        "series": series,
        "offers": offers,
        "free": pricing.free(offers | {offer.sku: offer for offer in on_sale}),
        "shelves": _choices(wanted, found, "category", {shelf.slug: shelf.name for shelf in shelves}),
        "facets": _facets(wanted, found),
        "shelf": shelf,
        "names": suggestions.pages_of(page.object_list, found.meant or wanted.words),
        "all_books": wanted.address(category="", page=1),
        "is_front": is_front,
        "window": list(page.object_list)[-WINDOW:] if is_front else [],
        "on_sale": on_sale,
        "sorts": list(wanted.sorts.items()),
        "page_links": _page_links(wanted, page),
        "previous": wanted.address(page=page.previous_page_number()) if page.has_previous() else "",
        "next": wanted.address(page=page.next_page_number()) if page.has_next() else "",
        "about": _about(wanted, page, shelf, whose or series),
    }


def _about(
    wanted: searching.SearchRequest, page: Page[models.Book], shelf: models.Category | None, whose: str
) -> page_about.PageAbout:
    """One address for all sequences of the same list; what was searched and filtered has none of its own."""
    number = page.number
    if wanted.words or (wanted.filters.keys() - {"category", "author", "series"}) or (whose and shelf):
        name = f"“{wanted.words}”" if wanted.words else whose or "Books"
        return page_about.of_list(name, f"{page.paginator.count} books.", wanted.address(), number, is_indexed=False)
    if whose:
        kind, slug = ("author", wanted.author) if wanted.author else ("series", wanted.series)
        path = reverse(kind, args=[slug]) + (f"?page={number}" if number > 1 else "")
        words = f"Books by {whose}" if wanted.author else f"The books of the series {whose}, in their sequence"
        return page_about.of_name(kind, whose, slug, f"{words}: {page.paginator.count} for sale.", path, number)
    path = wanted.address(sort=wanted.usual_sort, page=number)
    if shelf:
        return page_about.of_list(shelf.name, f"{shelf.tagline} {page.paginator.count} books.", path, number)
    return page_about.of_front(path, number)


def _facets(wanted: searching.SearchRequest, found: searching.Results) -> list[tuple[str, list[Choice]]]:
    """Those that divide what is found, or are chosen."""
    bands = {band: selection.band_name(band) for band in selection.BANDS}
    names: dict[str, tuple[str, Mapping[str, str]]] = {
        "format": ("Format", dict(models.Format.choices)),
        "language": ("Language", languages.names()),
        "price": ("Price", bands),
        "stock": ("Availability", {selection.IN_STOCK: "In stock"}),
    }
    return [
        (label, choices)
        for kind, (label, kinds) in names.items()
        if (choices := _choices(wanted, found, kind, kinds))
        and (len(choices) > 1 or choices[0].is_chosen or choices[0].count < found.counts.total)
    ]


def _choices(
    wanted: searching.SearchRequest, found: searching.Results, kind: str, names: Mapping[str, str]
) -> list[Choice]:
    """What there is, in the order of the names, and what is chosen even if there is none of it."""
    chosen, counts = getattr(wanted, kind), found.counts.by[kind]
    return [
        Choice(
            name=name,
            count=counts.get(value, 0),
            address=wanted.address(**{kind: "" if value == chosen else value}, page=1),
            is_chosen=value == chosen,
        )
        for value, name in names.items()
        if value in counts or value == chosen
    ]


def _page_links(wanted: searching.SearchRequest, page: Page[models.Book]) -> list[tuple[int | str, str]]:
    """Numbers with their addresses: the first, the last, and those around this one, with gaps between."""
    numbers = page.paginator.get_elided_page_range(page.number, on_each_side=2, on_ends=1)
    return [(number, wanted.address(page=number) if isinstance(number, int) else "") for number in numbers]


def _on_sale() -> list[pricing.Offer]:
    """Books whose sale is running, then those whose sale is next."""
    offers = pricing.offers(flash_sales.calendar().by_sku)
    in_sale = [(offer.sale_id is None, offer.sale.starts_at, offer) for offer in offers.values() if offer.sale]
    return [offer for *_, offer in sorted(in_sale, key=lambda found: found[:2])[:ANNOUNCED]]
