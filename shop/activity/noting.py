"""What views say: a page was shown, somebody searched, a cart changed. Costs microseconds, and never fails a page."""

from collections.abc import Callable

from django.http import HttpRequest

from shop.activity import privacy, sending
from shop.activity.counting import CartChange, Counts, Search, View


def page_shown(request: HttpRequest, view: View) -> None:
    """A page that was made for this request, or filled in for it."""
    if (counts := _counts(request)) is not None:
        counts.note(view)


def page_sent(header: Callable[[str], str | None], view: View) -> None:
    """A page that was sent from memory; `header` finds one of the request's by its name in lower case."""
    counts = sending.counts()
    if counts is not None and not privacy.is_opted_out(header):
        counts.note(view)


def search_made(request: HttpRequest, *, words: str, found: int) -> None:
    """Somebody searched; `found` is how many books have the words that were typed."""
    if (counts := _counts(request)) is not None:
        counts.note(Search(privacy.tellable(words), found))


def cart_changed(request: HttpRequest, *, sku: str, before: int, after: int) -> None:
    """A cart had so many copies of a book, and has so many now."""
    counts = _counts(request)
    if counts is None or before == after:
        return
    counts.note(CartChange(sku, _change(before, after)), abs(after - before))


def _change(before: int, after: int) -> str:
    if before == 0:
        return "added"
    if after == 0:
        return "removed"
    return "more" if after > before else "fewer"


def _counts(request: HttpRequest) -> Counts | None:
    counts = sending.counts()
    if counts is None or request.method == "HEAD" or privacy.is_opted_out(_header_of(request)):
        return None
    return counts


def _header_of(request: HttpRequest) -> Callable[[str], str | None]:
    # Not request.headers, which is made of all there are.
    return lambda name: request.META.get(f"HTTP_{name.upper().replace('-', '_')}")
