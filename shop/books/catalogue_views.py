"""The catalogue: all books, searched, filtered and sorted by the URL alone."""

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_safe

from shop.books import pricing, search
from shop.limits import limits, visitors
from shop.site import shared_pages

# Number of books in the shop window above the list.
WINDOW = 5
# Number of books in flash sales that are announced there.
ANNOUNCED = 4


@require_safe
def catalogue_page(request: HttpRequest) -> HttpResponseBase:
    """The whole page, or only the results for htmx."""
    search_request = search.SearchRequest.from_query(request.GET.dict())
    if search_request.words:
        limits.take(request, (limits.SEARCH, visitors.network_of(request)))
    if request.htmx and not request.htmx.history_restore_request:  # type: ignore[attr-defined]
        return _not_kept(render(request, "shop/_results.html", _context(search_request)))
    if search_request.words:  # seldom the same, and limited
        return _not_kept(render(request, "shop/catalogue.html", _context(search_request)))
    return shared_pages.respond(
        request,
        lambda: shared_pages.Page(
            template="shop/catalogue.html", context=_context(search_request), personal={"search": search_request}
        ),
    )


def _not_kept(response: HttpResponse) -> HttpResponse:
    response["Vary"] = "HX-Request, Cookie"
    return response


def _context(search_request: search.SearchRequest) -> dict[str, Any]:
    page = search.page_of(search_request)
    shelves = list(search.shelves())
    is_front = search_request == search.SearchRequest(sort=search_request.sort)
    offers = pricing.offers()
    return {
        "search": search_request,
        "page": page,
        "offers": offers,
        "free": pricing.free(),
        "shelves": [(shelf, search_request.address(category=shelf.slug, page=1)) for shelf in shelves],
        "shelf": next((shelf for shelf in shelves if shelf.slug == search_request.category), None),
        "all_books": search_request.address(category="", page=1),
        "is_front": is_front,
        "window": list(page.object_list)[-WINDOW:] if is_front else [],
        "on_sale": _on_sale(offers) if is_front else [],
        "sorts": [(name, label) for name, (label, _) in search.SORTS.items()],
        "page_links": [(number, search_request.address(page=number)) for number in page.paginator.page_range],
        "previous": search_request.address(page=page.previous_page_number()) if page.has_previous() else "",
        "next": search_request.address(page=page.next_page_number()) if page.has_next() else "",
    }


def _on_sale(offers: pricing.Offers) -> list[pricing.Offer]:
    """Books whose sale is running, then those whose sale is next."""
    in_sale = [(offer.sale_id is None, offer.sale.starts_at, offer) for offer in offers.values() if offer.sale]
    return [offer for *_, offer in sorted(in_sale, key=lambda found: found[:2])[:ANNOUNCED]]
