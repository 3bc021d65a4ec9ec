"""The page of a book, its panel for buying, and its cover."""

from dataclasses import dataclass, field
from datetime import datetime

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponsePermanentRedirect
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.cache import cache_control, never_cache
from django.views.decorators.http import require_safe

from shop import models
from shop.activity.counting import View
from shop.books import covers, pricing
from shop.books.search import searching
from shop.checkout import price_check
from shop.flashsales import flash_sales
from shop.search_engines import page_about
from shop.site import shared_pages

NEIGHBOURS = 6
YEAR_SECONDS = 365 * 24 * 3600


@dataclass(frozen=True, kw_only=True)
class Panel:
    """What the panel shows; `left` is None for a book that never had stock."""

    sku: str
    price_minor: int
    is_listed: bool
    left: int | None
    most: int = 0
    """The most copies that one order may have right now."""
    sale: flash_sales.SaleTerms | None = None
    phase: str = "none"
    """The phase of the sale, or "none"."""
    now: datetime = field(default_factory=timezone.now)

    @property
    def can_buy(self) -> bool:
        """Whether the book can be ordered."""
        return self.most > 0


@require_safe
def book_page(request: HttpRequest, isbn: str, slug: str) -> HttpResponseBase:
    """A book with its price and stock; an outdated title in the URL redirects to the current one."""
    return shared_pages.respond(request, lambda: _book_page(request.path, isbn), view=View("book", isbn))


def _book_page(path: str, isbn: str) -> shared_pages.Page | HttpResponseBase:
    book = get_object_or_404(models.Book.objects.select_related("category"), isbn=isbn)
    if path != book.get_absolute_url():
        return HttpResponsePermanentRedirect(book.get_absolute_url())
    neighbours = searching.neighbours(book, limit=NEIGHBOURS)
    offers = pricing.offers([isbn, *(neighbour.isbn for neighbour in neighbours)])
    free = pricing.free(offers)
    context = {
        "book": book,
        "panel": _panel(isbn, offers.get(isbn), free.get(isbn), usual_price_minor=book.price_minor),
        "neighbours": neighbours,
        "offers": offers,
        "free": free,
        "about": page_about.of_book(book, offers.get(isbn), free.get(isbn)),
    }
    return shared_pages.Page(template="shop/book.html", context=context)


@never_cache
@require_safe
def book_panel(request: HttpRequest, isbn: str) -> HttpResponse:
    """Only the panel, with uncached availability; an open page replaces its panel with it."""
    offer = pricing.offer(isbn)
    if offer is None:
        book = get_object_or_404(models.Book.objects.only("price_minor"), isbn=isbn)
        panel = _panel(isbn, None, None, usual_price_minor=book.price_minor)
    else:
        panel = _panel(isbn, offer, pricing.left_now(offer), usual_price_minor=offer.price_minor)
    return render(request, "shop/_buy.html", {"panel": panel})


@require_safe
@cache_control(public=True, max_age=YEAR_SECONDS, immutable=True)
def cover(request: HttpRequest, isbn: str) -> HttpResponse:
    """The generated cover. Its URL changes with its text, so browsers may cache it for a year."""
    book = models.Book.objects.filter(isbn=isbn).values("isbn", "title", "author", "category__slug").first()
    if book is None:
        raise Http404
    picture = covers.draw(isbn=isbn, title=book["title"], author=book["author"], shelf=book["category__slug"])
    return HttpResponse(picture, content_type="image/svg+xml")


def _panel(isbn: str, offer: pricing.Offer | None, left: int | None, *, usual_price_minor: int) -> Panel:
    """Without an offer the book is not for sale, and not in a flash sale either."""
    if offer is None:
        return Panel(sku=isbn, price_minor=usual_price_minor, is_listed=False, left=left)
    now = timezone.now()
    sale = offer.sale or flash_sales.calendar().recent.get(isbn)
    phase = offer.phase(now) or (sale.phase(now) if sale else None)
    return Panel(
        sku=isbn,
        price_minor=offer.price_minor,
        is_listed=True,
        left=left,
        most=price_check.most(offer, left or 0),
        sale=sale,
        phase=phase.value if phase else "none",
        now=now,
    )
