"""Live availability: one poll for all open pages of this process; each page is sent only what changed on it.

Thousands watch a sale at once, so no page causes queries of its own. While at least one page is open, the board polls
prices and stock a few times a second, compares, and marks what is new for each page. So the number of messages to a
page depends on this rate alone, not on the number of orders.
"""

import asyncio
import logging
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime

import msgspec
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import DatabaseError, InterfaceError, close_old_connections, connections
from django.utils import timezone

import money
from shop.books import pricing
from shop.checkout import price_check
from shop.flashsales import flash_sales
from shop.templatetags import shop_words

log = logging.getLogger(__name__)
POLL_SECONDS = 1 / 3
# If a poll takes longer, pages are told that their counts are stale.
STALE_AFTER_SECONDS = 3.0


class Book(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a page shows of one book, in the same words as the server's own pages."""

    left: int | None
    """Units that can be ordered now; None for a book that never had stock."""
    words: str
    level: str
    phase: str
    """The phase of the book's sale: none, upcoming, running or over."""
    price: str
    most: int = 0
    """The most copies that one order may have right now."""
    units: int | None = None
    starts: datetime | None = None
    ends: datetime | None = None


Books = Mapping[str, Book]


def read_books(skus: Collection[str]) -> Books:
    """Those of these books that are for sale, by sku, at most about a second old. Blocks.

    Raises:
        django.db.Error: PostgreSQL is unavailable. (Without Redis, PostgreSQL is queried instead.)
    """
    close_old_connections()
    offers, recent, now = pricing.offers(skus), flash_sales.calendar().recent, timezone.now()
    free = pricing.free(offers)
    return {sku: _book(offer, free.get(sku), offer.sale or recent.get(sku), now) for sku, offer in offers.items()}


class Seat:
    """The subscription of one page: which of its books have news for it. It cannot grow, however slow the page is."""

    def __init__(self, board: "Board", skus: Collection[str]) -> None:
        self._board = board
        self.skus = frozenset(skus)
        self.due: set[str] = set(self.skus)
        self.is_known = False
        """Whether all its books have been looked at since it came; before that it waits, to hear of them together."""
        self.news = asyncio.Event()

    def take(self) -> bytes:
        """The news as JSON; empty if the shop has none of the books. Call it only once `news` is set.

        A book that is no longer for sale is null.
        """
        self.news.clear()
        if not self._board.is_fresh:
            return b'{"type":"stale"}'
        if self.skus.isdisjoint(self._board.seen):
            return b""
        books = {sku: self._board.books.get(sku) for sku in sorted(self.due & self._board.seen)}
        self.due.clear()
        return msgspec.json.encode({"type": "stock", "now": timezone.now(), "books": books})


class Board:
    """The availability that the open pages of this process show, and their subscriptions. Used in one event loop."""

    def __init__(self) -> None:
        self.books: Books = {}
        self.seen: set[str] = set()
        """Skus that somebody looks at and that have been for sale at any time since."""
        self.is_fresh = False
        self._has_polled = False
        self._watched: frozenset[str] = frozenset()
        self._seats: set[Seat] = set()
        self._task: asyncio.Task[None] | None = None

    @property
    def is_watching(self) -> bool:
        """Whether it is polling."""
        return self._task is not None

    @contextmanager
    def seat(self, skus: Collection[str]) -> Iterator[Seat]:
        """Subscribe to these books. The first subscription starts the polling, the last one ends it."""
        seat = Seat(self, skus)
        self._seats.add(seat)
        seat.is_known = seat.skus <= self._watched
        if self._has_polled and (seat.is_known or not self.is_fresh):
            seat.news.set()
        if self._task is None:
            self._task = asyncio.create_task(self._watch())
        try:
            yield seat
        finally:
            self._seats.discard(seat)

    async def _watch(self) -> None:
        # A separate thread with its own database connection, so that no other query can delay the polling.
        executor = ThreadPoolExecutor(1, thread_name_prefix="live-stock")
        read = sync_to_async(read_books, thread_sensitive=False, executor=executor)
        try:
            while self._seats:
                watched = frozenset().union(*(seat.skus for seat in self._seats))
                poll = asyncio.ensure_future(read(watched))
                await asyncio.wait({poll}, timeout=STALE_AFTER_SECONDS)
                if not poll.done():
                    self._mark_stale(TimeoutError(f"no answer for {STALE_AFTER_SECONDS:.0f} s"))
                    await asyncio.wait({poll})
                if error := poll.exception():
                    self._mark_stale(error)
                else:
                    self._show(poll.result(), watched)
                await asyncio.sleep(POLL_SECONDS)
        finally:
            self._task = None
            self.books, self.seen, self.is_fresh, self._has_polled = {}, set(), False, False
            self._watched = frozenset()
            executor.submit(connections.close_all)
            executor.shutdown(wait=False)

    def _show(self, books: Books, watched: frozenset[str]) -> None:
        """Mark what is new for each page; everything, if the page was told that its counts are stale."""
        is_back = not self.is_fresh
        if is_back and self._has_polled:
            log.info("live availability is up to date again")
        changed = {sku for sku in books.keys() | self.books.keys() if books.get(sku) != self.books.get(sku)}
        self.books, self.is_fresh, self._has_polled = books, True, True
        self.seen, self._watched = (self.seen & watched) | books.keys(), watched
        for seat in self._seats:
            if not seat.skus <= watched:
                continue  # it came while this poll was under way
            if new := seat.skus if is_back or not seat.is_known else seat.skus & changed:
                seat.due |= new
                seat.news.set()
            seat.is_known = True

    def _mark_stale(self, error: BaseException) -> None:
        """Tell every page, once, that its counts are stale; whatever the reason, the next poll tries again."""
        if self._has_polled and not self.is_fresh:
            return
        is_foreseen = isinstance(error, DatabaseError | InterfaceError | OSError)
        log.warning("live availability is stale: %r", error, exc_info=None if is_foreseen else error)
        self.is_fresh, self._has_polled = False, True
        for seat in self._seats:
            seat.news.set()


board = Board()


def _book(offer: pricing.Offer, left: int | None, sale: flash_sales.SaleTerms | None, now: datetime) -> Book:
    phase = offer.phase(now) or (sale.phase(now) if sale else None)
    running = sale if sale and phase is flash_sales.Phase.RUNNING else None
    return Book(
        left=left,
        words=shop_words.left_of(left, running.units) if running else shop_words.stock_in_words(left),
        level=shop_words.stock_level(left),
        phase=phase.value if phase else "none",
        price=money.format_amount(offer.price_minor, settings.CURRENCY),
        most=price_check.most(offer, left or 0),
        units=sale.units if sale else None,
        starts=sale.starts_at if sale else None,
        ends=sale.ends_at if sale else None,
    )
