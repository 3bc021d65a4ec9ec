"""An audit that takes as long for ten million orders as for ten thousand: what moved, and a piece of everything else.

# Note [What moved, and the round]
Rules about single orders are checked for orders about which something was stated since the last audits (with the grace
period, and some more for transactions that commit late), for those that were found wrong before, and for the next ones
of a round that goes through all orders, for `ROUND_SECONDS` each time. Rules about stock pools go round in the same
way, a book at a time; a book that takes longer than `BOOK_SECONDS` is named in a note and left to the full audit. A
small shop is audited completely every time; a big one is gone through in hours, and what somebody changed in an old
order behind the shop's back is found when the round comes there. What was found wrong is looked at in every audit until
it is right. The other rules have indexes of their own.

The statements are those of the full audit: tables that they name are shadowed by the rows of the piece.
"""

import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import OperationalError, connection, transaction
from django.utils import timezone
from psycopg import errors

from kafka_bridge.runtime.postgresql import bulk_rows
from shop.audit import invariants, money, orders, stock
from shop.audit.invariants import Invariant
from shop.audit.report import EXAMPLES, Finding
from shop.models import AuditProgress

BY_ORDER = (
    stock.LIVE, stock.LINES, money.TOTALS, money.PARTS, money.COUPONS_USED, money.KEPT, money.RETURNED, money.ONCE,
    money.REFUNDED, orders.REASON,
)  # fmt: skip
BY_BOOK = (stock.LEDGER, stock.HOLDS, stock.POOLS, stock.SALES)
ROUND_SECONDS = 2.0
"""How long each of the two rounds may go on in one audit."""
BOOK_SECONDS = 2.0
"""How long one book may take."""
CHUNK = 5_000
"""Orders in one piece."""
MOVED_MOST = 50_000
"""Orders that moved, at most; older ones are left to the round."""
_LATE = timedelta(seconds=60)
_MARKS = 60
_SUSPECTS = 500
_ID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
_POOL = re.compile(r"\b(?:pool|book) (\w+)")
_ORDERS = """
WITH orders_order AS MATERIALIZED (SELECT * FROM orders_order WHERE id = ANY(%(ids)s::uuid[])),
orders_orderline AS MATERIALIZED (SELECT * FROM orders_orderline WHERE order_id = ANY(%(ids)s::uuid[])),
payments_charge AS MATERIALIZED (SELECT * FROM payments_charge WHERE order_id = ANY(%(ids)s::uuid[])),
payments_refund AS MATERIALIZED (
    SELECT * FROM payments_refund WHERE charge_id = ANY(ARRAY(SELECT id FROM payments_charge))
),
inventory_reservation AS MATERIALIZED (SELECT * FROM inventory_reservation WHERE order_id = ANY(%(ids)s::uuid[])),
inventory_hold AS MATERIALIZED (SELECT * FROM inventory_hold WHERE reservation_id = ANY(%(ids)s::uuid[])),
"""
_BOOKS = """
WITH inventory_stock AS MATERIALIZED (SELECT * FROM inventory_stock WHERE split_part(bin, '@', 1) = ANY(%(skus)s)),
inventory_movement AS (SELECT * FROM inventory_movement WHERE sku = ANY(%(skus)s)),
inventory_hold AS (SELECT * FROM inventory_hold WHERE sku = ANY(%(skus)s)),
"""
_NEXT_ORDERS = """
SELECT id FROM (
    (SELECT id FROM orders_order WHERE id > %(after)s ORDER BY id LIMIT %(most)s)
    UNION (SELECT order_id FROM payments_charge WHERE order_id > %(after)s ORDER BY order_id LIMIT %(most)s)
    UNION (SELECT order_id FROM inventory_reservation WHERE order_id > %(after)s ORDER BY order_id LIMIT %(most)s)
) AS next ORDER BY id LIMIT %(most)s
"""
_MOVED = """
SELECT DISTINCT key FROM (
    SELECT key FROM kafka_bridge_outboxrow WHERE id > %(mark)s ORDER BY id DESC LIMIT %(rows)s
) AS stated WHERE key ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' LIMIT %(most)s
"""
_SKUS = "SELECT split_part(bin, '@', 1) FROM inventory_stock UNION SELECT isbn FROM shop_book ORDER BY 1"
_START = UUID(int=0)


@dataclass(frozen=True, kw_only=True)
class Audited:
    """What an incremental audit found, and how far it came; `save` keeps that for the next one."""

    findings: tuple[Finding, ...]
    progress: AuditProgress


def check(rules: Iterable[Invariant], *, grace_seconds: float, limit_seconds: float | None) -> Audited:
    """Check these rules, in the current transaction; see Note [What moved, and the round].

    Raises:
        django.db.OperationalError: it takes longer than the limit in total.
    """
    run = _Run(grace_seconds, limit_seconds)
    run.orders()
    run.books()
    direct = [rule for rule in rules if rule not in BY_ORDER and rule not in BY_BOOK]
    for finding in invariants.check(direct, grace_seconds=grace_seconds, limit_seconds=run.left()):
        run.found[finding.name] = finding
    return Audited(findings=tuple(run.found[rule.name] for rule in rules), progress=run.closed())


class _Run:
    """One audit under way."""

    def __init__(self, grace_seconds: float, limit_seconds: float | None) -> None:
        self._grace = grace_seconds
        self._until = None if limit_seconds is None else time.monotonic() + limit_seconds
        self._progress = AuditProgress.objects.filter(pk=1).first() or AuditProgress(pk=1)
        self._started_at, self._newest = timezone.now(), _newest_stated()
        rules = (*BY_ORDER, *BY_BOOK)
        self.found = {rule.name: Finding(name=rule.name, sentence=rule.sentence, count=0) for rule in rules}

    def left(self) -> float | None:
        """Seconds until the limit."""
        return None if self._until is None else max(0.001, self._until - time.monotonic())

    # -- Orders ----------------------------------------------------------------------------------------
    def orders(self) -> None:
        """What moved and what was wrong first; then on with the round."""
        first = {UUID(text) for text in self._progress.suspect_orders}
        first |= _moved_since(self._mark())
        for piece in _pieces(sorted(first)):
            self._check_orders(piece)
        cursor, until = self._progress.order_cursor or _START, time.monotonic() + ROUND_SECONDS
        begun = cursor
        while time.monotonic() < until:
            piece = _next_orders(cursor)
            self._check_orders([order_id for order_id in piece if order_id not in first])
            cursor = piece[-1] if piece else _START
            if len(piece) < CHUNK:
                cursor, is_whole = _START, begun == _START
                self._progress.round_finished_at = self._started_at
                if is_whole:
                    break
                begun = _START  # once round in one audit is enough
        self._progress.order_cursor = cursor

    def _check_orders(self, ids: Sequence[UUID]) -> None:
        if ids:
            self._check(BY_ORDER, _ORDERS, {"ids": bulk_rows.uuids(ids)}, limit_seconds=self.left())

    def _mark(self) -> int:
        """The last event id that an audit saw which is so old that all orders before it have been judged."""
        under_way = timedelta(seconds=2 * self._grace + settings.AUDIT_SECONDS)
        settled = self._started_at - _LATE - under_way
        marks = [mark for at, mark in self._progress.marks if at <= settled.timestamp()]
        return max(marks, default=0)

    # -- Books -----------------------------------------------------------------------------------------
    def books(self) -> None:
        """What was wrong first; then on with the round."""
        first = list(self._progress.suspect_skus)
        for sku in first:
            self._check_book(sku)
        skus, until = _all_skus(), time.monotonic() + ROUND_SECONDS
        waiting = [sku for sku in skus if sku > self._progress.sku_cursor]
        waiting += skus[: len(skus) - len(waiting)]
        for sku in waiting:
            if time.monotonic() > until:
                break
            if sku not in first:
                self._check_book(sku)
            self._progress.sku_cursor = sku

    def _check_book(self, sku: str) -> None:
        left = self.left()
        limit = BOOK_SECONDS if left is None else min(BOOK_SECONDS, left / 2)
        try:
            with transaction.atomic():
                self._check(BY_BOOK, _BOOKS, {"skus": [sku]}, limit_seconds=limit)
        except OperationalError as error:
            if not isinstance(error.__cause__, errors.QueryCanceled):
                raise
            note = f"not asked of book {sku}, which takes too long; manage.py audit asks"
            for rule in BY_BOOK:
                self.found[rule.name] = replace(self.found[rule.name], note=note)

    # -- Both ------------------------------------------------------------------------------------------
    def _check(
        self, rules: Iterable[Invariant], scope: str, values: dict[str, Any], *, limit_seconds: float | None
    ) -> None:
        found = invariants.check(
            rules, grace_seconds=self._grace, limit_seconds=limit_seconds, scope=scope, values=values
        )
        for one in list(found):
            before = self.found[one.name]
            examples = (*before.examples, *one.examples)
            self.found[one.name] = replace(before, count=before.count + one.count, examples=examples)

    def closed(self) -> AuditProgress:
        """How far it came, for the next audit."""
        wrong = [example for finding in self.found.values() if finding.count for example in finding.examples]
        ids = {found for example in wrong for found in _ID.findall(example)}
        skus = {found for example in wrong for found in _POOL.findall(example)}
        progress = self._progress
        progress.suspect_orders, progress.suspect_skus = sorted(ids)[:_SUSPECTS], sorted(skus)[:_SUSPECTS]
        progress.marks = [*progress.marks, [self._started_at.timestamp(), self._newest]][-_MARKS:]
        for name, finding in self.found.items():
            self.found[name] = replace(finding, examples=tuple(sorted(finding.examples))[:EXAMPLES])
        return progress


def _pieces(ids: Sequence[UUID]) -> Iterator[Sequence[UUID]]:
    for start in range(0, len(ids), CHUNK):
        yield ids[start : start + CHUNK]


def _newest_stated() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(max(id), 0) FROM kafka_bridge_outboxrow")
        return int(cursor.fetchone()[0])


def _moved_since(mark: int) -> set[UUID]:
    with connection.cursor() as cursor:
        cursor.execute(_MOVED, {"mark": mark, "rows": 6 * MOVED_MOST, "most": MOVED_MOST})
        return {UUID(key) for (key,) in cursor.fetchall()}


def _next_orders(after: UUID) -> list[UUID]:
    with connection.cursor() as cursor:
        cursor.execute(_NEXT_ORDERS, {"after": after, "most": CHUNK})
        return [order_id for (order_id,) in cursor.fetchall()]


def _all_skus() -> list[str]:
    """All books that have stock, in the sequence of the round; there are as many as in the catalogue."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT split_part(bin, '@', 1) FROM inventory_stock UNION SELECT isbn FROM shop_book ORDER BY 1"
        )
        return [sku for (sku,) in cursor.fetchall()]
