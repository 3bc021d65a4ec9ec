"""Units left, live: one look for all open pages of this process, and to each page only what changed on it.

A sale is watched by thousands at once. So nobody asks the database or Redis on a page's behalf: while at least one page
is open, the board looks at prices and stock a few times a second, compares, and notes what is new at each seat. How
often a page hears something depends on that pace alone, however many orders there are.
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
LOOK_SECONDS = 1 / 3
# If a look takes longer, pages are told that their counts are old.
PATIENCE_SECONDS = 3.0


class Book(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a page shows of one book; words are those that the server's own pages use."""

    left: int | None
    """Units that can be ordered now; None for a book that never arrived."""
    words: str
    level: str
    phase: str
    """Of the book's sale: none, upcoming, running or over."""
    price: str
    most: int = 0
    """Copies that one order may have right now."""
    units: int | None = None
    starts: datetime | None = None
    ends: datetime | None = None


Books = Mapping[str, Book]


def look() -> Books:
    """All books for sale by sku, at most about a second old. Blocks.

    Raises:
        django.db.Error: PostgreSQL cannot be reached. (Without Redis it is PostgreSQL that is asked.)
    """
    close_old_connections()
    all_offers, free, recent, now = pricing.offers(), pricing.free(), flash_sales.calendar().recent, timezone.now()
    return {sku: _book(offer, free.get(sku), offer.sale or recent.get(sku), now) for sku, offer in all_offers.items()}


class Seat:
    """One page's place at the board: which of its books it must still be told of. It cannot grow, whoever is slow."""

    def __init__(self, board: "Board", skus: Collection[str]) -> None:
        self._board = board
        self.skus = frozenset(skus)
        self.due: set[str] = set(self.skus)
        self.news = asyncio.Event()

    def take(self) -> bytes:
        """What is new, as JSON; empty if the shop has none of the books. Only once `news` is set.

        A book that is not for sale any more is null.
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
    """What the open pages of this process show, and who sits before it. Lives in one event loop."""

    def __init__(self) -> None:
        self.books: Books = {}
        self.seen: set[str] = set()
        """All skus that were ever for sale while somebody sat here."""
        self.is_fresh = False
        self._has_looked = False
        self._seats: set[Seat] = set()
        self._task: asyncio.Task[None] | None = None

    @property
    def is_watching(self) -> bool:
        """Whether it looks at stock right now."""
        return self._task is not None

    @contextmanager
    def seat(self, skus: Collection[str]) -> Iterator[Seat]:
        """A place from which these books are watched. The first one starts the watching, the last one ends it."""
        seat = Seat(self, skus)
        self._seats.add(seat)
        if self._has_looked:
            seat.news.set()
        if self._task is None:
            self._task = asyncio.create_task(self._watch())
        try:
            yield seat
        finally:
            self._seats.discard(seat)

    async def _watch(self) -> None:
        # A thread and a database connection of its own: nobody else's query keeps the board waiting.
        with_thread = ThreadPoolExecutor(1, thread_name_prefix="live-stock")
        ask = sync_to_async(look, thread_sensitive=False, executor=with_thread)
        try:
            while self._seats:
                looking = asyncio.ensure_future(ask())
                await asyncio.wait({looking}, timeout=PATIENCE_SECONDS)
                if not looking.done():
                    self._lose(TimeoutError(f"no answer for {PATIENCE_SECONDS:.0f} s"))
                    await asyncio.wait({looking})
                if error := looking.exception():
                    self._lose(error)
                else:
                    self._show(looking.result())
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            self._task = None
            self.books, self.seen, self.is_fresh, self._has_looked = {}, set(), False, False
            with_thread.submit(connections.close_all)
            with_thread.shutdown(wait=False)

    def _show(self, books: Books) -> None:
        """Note at each seat what is new on it; all of it, if its page was told that it is out of date."""
        is_back = not self.is_fresh
        if is_back and self._has_looked:
            log.info("pages are told what is left again")
        changed = {sku for sku in books.keys() | self.books.keys() if books.get(sku) != self.books.get(sku)}
        self.books, self.is_fresh, self._has_looked = books, True, True
        self.seen |= books.keys()
        for seat in self._seats:
            if new := seat.skus if is_back else seat.skus & changed:
                seat.due |= new
                seat.news.set()

    def _lose(self, error: BaseException) -> None:
        """Tell every page, once, that nobody knows what is left; whatever the reason, the next look tries again."""
        if self._has_looked and not self.is_fresh:
            return
        is_foreseen = isinstance(error, DatabaseError | InterfaceError | OSError)
        log.warning("pages are told that stock is out of date: %r", error, exc_info=None if is_foreseen else error)
        self.is_fresh, self._has_looked = False, True
        for seat in self._seats:
            seat.news.set()


board = Board()


def _book(offer: pricing.Offer, left: int | None, sale: flash_sales.Terms | None, now: datetime) -> Book:
    phase = sale.phase(now) if sale else None
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
