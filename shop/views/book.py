"""One book's page, and its cover."""

from django.http import Http404, HttpRequest, HttpResponse, HttpResponsePermanentRedirect
from django.shortcuts import get_object_or_404, render
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from orders.checkout import QUANTITY_MAX
from shop import catalogue, covers, models, pricing

NEIGHBOURS = 6
YEAR_SECONDS = 365 * 24 * 3600


@require_safe
def book_page(request: HttpRequest, isbn: str, slug: str) -> HttpResponse:
    """A book with its price and stock; an old or wrong title in the address leads to the right one."""
    book = get_object_or_404(models.Book.objects.select_related("category"), isbn=isbn)
    if request.path != book.get_absolute_url():
        return HttpResponsePermanentRedirect(book.get_absolute_url())
    free = pricing.free()
    left = free.get(isbn, 0)
    context = {
        "book": book,
        "left": free.get(isbn),
        "can_buy": book.is_listed and left > 0,
        "most": min(left, QUANTITY_MAX),
        "neighbours": catalogue.neighbours(book, limit=NEIGHBOURS),
        "free": free,
    }
    return render(request, "shop/book.html", context)


@require_safe
@cache_control(public=True, max_age=YEAR_SECONDS, immutable=True)
def cover(request: HttpRequest, isbn: str) -> HttpResponse:
    """The drawn cover. Its address changes with its words, so browsers may keep it for a year."""
    book = models.Book.objects.filter(isbn=isbn).values("isbn", "title", "author", "category__slug").first()
    if book is None:
        raise Http404
    picture = covers.draw(isbn=isbn, title=book["title"], author=book["author"], shelf=book["category__slug"])
    return HttpResponse(picture, content_type="image/svg+xml")
