"""A shop at rest for the tests of the audit: one order of each kind, and books that add up."""

import io
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.utils import timezone

from devtools.testing.shop.orders import draft
from devtools.testing.shop.storefront import a_book
from inventory import stock_adjustments
from inventory.redis_counters import counter_sync
from inventory.reservations import holds
from kafka_bridge import testing
from orders.actions import cancellation
from orders.placing import placement
from shop import audit
from shop.models import Book, FlashSale, FlashSaleBook

GROUPS = {"analytics", "inventory", "notifications", "orders", "payments", "shipping"}
CUSTOMER = "c" * 32


@dataclass(frozen=True)
class Shop:
    """A shop at rest, with one order of each kind."""

    book: Book
    sale: FlashSale
    kept: uuid.UUID
    """Confirmed: two copies as usual."""
    ended: uuid.UUID
    """Paid, then cancelled: a copy and its money went back."""
    bought_in_sale: uuid.UUID
    """Confirmed: two copies of the sale."""
    pending: uuid.UUID
    """Held, and payments has not heard of it."""

    @property
    def names(self) -> dict[str, Any]:
        """What a statement may ask for."""
        orders_ = {name: getattr(self, name) for name in ("kept", "ended", "bought_in_sale", "pending")}
        return {**orders_, "sku": self.book.isbn, "sale_bin": f"{self.book.isbn}@{self.sale.pk}"}


def a_shop() -> Shop:
    """Make one; every sum in it is as it should be."""
    book = a_book(stock=50)
    sale = FlashSale.objects.create(
        name="Friday", starts_at=timezone.now(), ends_at=timezone.now() + timedelta(hours=1), customer_limit=2
    )
    FlashSaleBook.objects.create(sale=sale, book=book, price_minor=500, units=10)
    with transaction.atomic():
        stock_adjustments.set_aside(allotments=[allotment(book, sale)], reason="Friday", by="ada")
    counter_sync.sync()
    kept, ended = place(book, quantity=2), place(book)
    in_sale = place(book, quantity=2, sale_id=sale.pk, customer=CUSTOMER)
    testing.MemoryBroker().drain()
    with transaction.atomic():
        cancellation.cancel(order_id=ended, reason="changed my mind", by="ada")
    testing.MemoryBroker().drain()
    pending = place(book)
    testing.MemoryBroker(groups=GROUPS - {"payments"}).drain()
    # Redis may have been away a moment ago, in another test; then it was not told of the orders above.
    counter_sync.rebuild("a test's shop has just been made")
    return Shop(book, sale, kept, ended, in_sale, pending)


def allotment(book: Book, sale: FlashSale) -> stock_adjustments.Allotment:
    """Ten copies for the sale, two for a customer."""
    return stock_adjustments.Allotment(
        sale_id=sale.pk, sku=book.isbn, units=10, customer_limit=2, hold_seconds=None, closes_at=sale.ends_at
    )


def place(book: Book, *, quantity: int = 1, sale_id: int | None = None, **changes: Any) -> uuid.UUID:
    """An order for this book."""
    line = placement.DraftLine(
        sku=book.isbn, title=book.title, unit_price_minor=book.price_minor, quantity=quantity, sale_id=sale_id
    )
    return placement.place(draft(lines=(line,), **changes)).order_id


def broken(grace_seconds: float = 0) -> dict[str, int]:
    """What does not hold, with its count."""
    report = audit.run(grace_seconds=grace_seconds, by="test")
    for finding in report.broken:
        print(f"{finding.name}: {', '.join(finding.examples)}")
    return {finding.name: finding.count for finding in report.broken}


def execute(sql: str, names: dict[str, Any]) -> None:
    """Change the database past the code."""
    with connection.cursor() as cursor:
        cursor.execute(sql, names)


@contextmanager
def busy(*pools: str, writers: int) -> Iterator[list[int]]:
    """Threads that hold, sell and release units of these pools all the time; the list grows with every round."""
    stop, rounds = threading.Event(), list[int]()

    def work(number: int) -> None:
        try:
            while not stop.is_set():
                _one_round(pools, customer=f"{number:032x}")
                rounds.append(number)
        finally:
            connection.close()

    with ThreadPoolExecutor(writers) as pool:
        try:
            at_work = [pool.submit(work, number) for number in range(writers)]
            yield rounds
        finally:
            stop.set()
            for writer in at_work:
                if error := writer.exception(60):
                    raise error


def _one_round(pools: tuple[str, ...], customer: str) -> None:
    """Two orders for each pool: all are held, some are sold, and in the end all are released."""
    requests = [
        holds.ReservationRequest(order_id=uuid.uuid4(), units={name: 1}, customer=customer) for name in pools * 2
    ]
    ids = [request.order_id for request in requests]
    with transaction.atomic():
        holds.hold(requests=requests)
    with transaction.atomic():
        holds.sell(order_ids=ids[::2])
    with transaction.atomic():
        holds.release(order_ids=ids)


@contextmanager
def locked(table: str) -> Iterator[None]:
    """Lock a table as ALTER TABLE does: until the end no other session can even read it."""
    begun, over = threading.Event(), threading.Event()

    def alter() -> None:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
                begun.set()
                over.wait(60)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        try:
            altering = pool.submit(alter)
            assert begun.wait(30)
            yield
        finally:
            over.set()
    altering.result()


def audit_command(*options: str) -> tuple[int, str]:
    """Run the command for a shop at rest: its exit code and what it prints."""
    out, code = io.StringIO(), 0
    try:
        call_command("audit", "--grace", "0", *options, stdout=out, stderr=out)
    except SystemExit as end:
        code = int(str(end.code))
    except CommandError as error:
        code = error.returncode
        out.write(str(error))
    return code, out.getvalue()
