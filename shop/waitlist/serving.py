"""Copies that came back, for those who waited for them: in turn, each with a copy of their own.

# Note [Told with a copy in hand]
Who is told has a copy kept in the same transaction (Note [A pool for one copy] in `inventory/kept_copies.py`), so the
mail's promise holds however many others want the book. The time for which it is kept begins when the mail has left.
Copies that nobody took are given to the next in line before anybody else can order them: ending and keeping are one
transaction. Between a copy's return by another way (a cancelled order, a correction) and the next run, a second at the
most, whoever orders first gets it.
"""

from collections.abc import Sequence
from datetime import timedelta

from django.conf import settings
from django.db import connection
from django.db.models.functions import Now
from django.utils import timezone

from inventory import kept_copies, ledger
from kafka_bridge.runtime.postgresql import transactions
from shop.flashsales.flash_sales import LAST_ORDERS
from shop.models import Book, WaitlistEntry

BY = "waitlist"
State = WaitlistEntry.State
_BATCH = 200
# A mail that does not leave keeps its copy from others; after so long the copy goes back by itself.
_UNSENT_MOST = timedelta(days=7)
_WANTED = """
SELECT s.sku FROM inventory_stock s
WHERE s.bin = s.sku AND s.received > s.held + s.sold
  AND s.sku IN (SELECT sku FROM shop_waitlistentry WHERE state = 'waiting')
  AND EXISTS (SELECT FROM shop_book b WHERE b.isbn = s.sku AND b.is_listed)
"""


def serve(*, skus: Sequence[str] = ()) -> int:
    """End what was kept long enough, and keep what is free for those who wait; needs a transaction. Returns how many
    are told. With `skus` only for these books."""
    transactions.require("shop.waitlist.serving")
    overdue = _overdue(skus)
    wanted = {*_wanted(skus), *overdue.values()}
    if not wanted:
        return 0
    # All at once, in the sequence in which everybody locks pools.
    ledger.lock([*wanted, *(kept_copies.pool_of(sku, number) for number, sku in overdue.items())])
    if overdue:
        end(overdue, reason="kept long enough")
    return sum(_keep_for_next(sku) for sku in sorted(wanted))


def _overdue(skus: Sequence[str]) -> dict[int, str]:
    """Entries whose copy was kept long enough, locked: skus by id."""
    told = WaitlistEntry.objects.filter(state=State.TOLD, held_until__lt=timezone.now() - LAST_ORDERS)
    if skus:
        told = told.filter(sku__in=skus)
    return dict(told.order_by("pk").select_for_update(skip_locked=True).values_list("pk", "sku")[:_BATCH])


def _wanted(skus: Sequence[str]) -> set[str]:
    """Books that have free copies and buyers who wait."""
    with connection.cursor() as cursor:
        cursor.execute(_WANTED)
        return {sku for (sku,) in cursor.fetchall() if not skus or sku in skus}


def end(copies: dict[int, str], *, reason: str) -> None:
    """These entries (skus by id), which are locked, are over; copies that nobody ordered are free."""
    kept_copies.give_back(copies=copies, reason=reason, by=BY)
    WaitlistEntry.objects.filter(pk__in=list(copies)).update(
        state=State.OVER, ended_at=Now(), mail=WaitlistEntry.Mail.NONE
    )


def _keep_for_next(sku: str) -> int:
    if not Book.objects.filter(isbn=sku, is_listed=True).exists():
        return 0
    waiting = WaitlistEntry.objects.filter(sku=sku, state=State.WAITING).order_by("confirmed_at", "pk")
    numbers = list(waiting.select_for_update(skip_locked=True).values_list("pk", flat=True)[:_BATCH])
    closes_at = timezone.now() + timedelta(hours=settings.BACK_IN_STOCK_HOLD_HOURS) + _UNSENT_MOST
    served = kept_copies.keep(
        sku=sku, numbers=numbers, closes_at=closes_at, reason="kept for a buyer who waited for it", by=BY
    )
    WaitlistEntry.objects.filter(pk__in=served).update(
        state=State.TOLD, told_at=Now(), mail=WaitlistEntry.Mail.BACK, mail_due_at=Now(), mail_attempts=0
    )
    return len(served)
