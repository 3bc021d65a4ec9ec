"""The state of the sale's orders, read from the shop's own tables while it works."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from events import catalogue
from inventory import queries
from inventory.redis_counters import admission
from kafka_bridge.consuming import registry
from orders.cancel_reasons import CancelCode, CancelReason
from shop.simulation.sale_fixture import SaleFixture

# All orders of the sale's books; no other orders can have them.
_MINE = "SELECT order_id FROM orders_orderline WHERE sku = ANY(%(skus)s)"
_OUTCOME_MS = "extract(epoch FROM coalesce(confirmed_at, cancelled_at) - placed_at) * 1000"
_STATE = f"""
SELECT count(*) AS orders,
    count(*) FILTER (WHERE held_at IS NOT NULL AND confirmed_at IS NULL AND status <> 'CANCELLED') AS held,
    count(*) FILTER (WHERE confirmed_at IS NOT NULL AND status <> 'CANCELLED') AS confirmed,
    count(*) FILTER (WHERE confirmed_at IS NULL AND status <> 'CANCELLED') AS open,
    count(*) FILTER (WHERE status = 'CANCELLED' AND payment_reference <> '' AND refunded_at IS NULL) AS unrefunded,
    (percentile_disc(0.50) WITHIN GROUP (ORDER BY {_OUTCOME_MS}))::float8 AS outcome_p50_ms,
    (percentile_disc(0.99) WITHIN GROUP (ORDER BY {_OUTCOME_MS}))::float8 AS outcome_p99_ms,
    extract(epoch FROM max(coalesce(confirmed_at, cancelled_at)) - max(placed_at))::float8 AS last_outcome_after_s
FROM orders_order WHERE id IN ({_MINE})
"""  # noqa: S608 - made of the constants above
_REASONS = f"""
SELECT cancel_reason, count(*) FROM orders_order
WHERE status = 'CANCELLED' AND id IN ({_MINE}) GROUP BY 1
"""  # noqa: S608 - made of the constant above
_UNPUBLISHED = f"""
SELECT count(*) FROM kafka_bridge_outboxrow
WHERE published_at IS NULL AND key IN (SELECT order_id::text FROM ({_MINE}) m)
"""  # noqa: S608 - made of the constant above
# The flow of an order decides which groups hear of it.
_UNHEARD = f"""
SELECT heard.grp, count(*)
FROM orders_order placed
JOIN kafka_bridge_outboxrow o ON o.key = placed.id::text
JOIN unnest(%(types)s::text[], %(flows)s::text[], %(groups)s::text[]) AS heard(type, flow, grp)
    ON heard.type = o.type AND heard.flow = placed.flow
LEFT JOIN kafka_bridge_inboxrow i ON i."group" = heard.grp AND i.event_id = o.event_id
WHERE placed.id IN ({_MINE}) AND o.published_at IS NOT NULL AND i.event_id IS NULL
GROUP BY 1 ORDER BY 1
"""  # noqa: S608 - made of the constant above
_LOSERS = f"""
SELECT o.reference, o.cancel_reason, array_agg(l.sku ORDER BY l.sku)
FROM orders_order o JOIN orders_orderline l ON l.order_id = o.id
WHERE o.status = 'CANCELLED' AND o.id IN ({_MINE}) GROUP BY o.id
"""  # noqa: S608 - made of the constant above
_SOLD_BY_ORDERS = f"""
SELECT l.sku, sum(l.quantity - l.cancelled)::int FROM orders_order o JOIN orders_orderline l ON l.order_id = o.id
WHERE o.confirmed_at IS NOT NULL AND o.status <> 'CANCELLED' AND o.id IN ({_MINE}) GROUP BY 1
"""  # noqa: S608 - made of the constant above


@dataclass(frozen=True, kw_only=True)
class SaleState:
    """The state of the sale's orders at one moment."""

    orders: int
    held: int
    """Held and not yet paid."""
    confirmed: int
    open: int
    """Neither confirmed nor cancelled."""
    unrefunded: int
    """Cancelled, with the refund outstanding."""
    cancelled: dict[str, int]
    """By reason."""
    outcome_p50_ms: float | None
    outcome_p99_ms: float | None
    last_outcome_after_s: float | None
    """From the last order accepted to the last one confirmed or cancelled."""
    left: int
    """Free units of all books in PostgreSQL."""
    left_by_counters: int | None
    """By the Redis counters; None if one of them is unknown."""

    @property
    def ended(self) -> int:
        """Orders with an outcome."""
        return self.orders - self.open


@dataclass(frozen=True, kw_only=True)
class CancelledOrder:
    """An order that was cancelled."""

    reference: str
    reason: str
    skus: tuple[str, ...]


def read_state(fixture: SaleFixture) -> SaleState:
    """The state of the sale's orders right now."""
    mine = {"skus": fixture.skus}
    with connection.cursor() as cursor:
        cursor.execute(_STATE, mine)
        counts = dict(zip([column.name for column in cursor.description or ()], cursor.fetchone(), strict=True))
    by_counters = admission.read_available(fixture.pools)
    return SaleState(
        **counts,
        cancelled=_by_kind(_all(_REASONS, mine)),
        left=sum(queries.free_by_pool(fixture.pools).values()),
        left_by_counters=sum(by_counters.values()) if len(by_counters) == len(fixture.pools) else None,
    )


def _by_kind(counts: Sequence[tuple[Any, ...]]) -> dict[str, int]:
    """Cancelled orders by the kind of their reason, the most frequent first; what gateways said is left out."""
    found: Counter[str] = Counter()
    for text, count in counts:
        reason = CancelReason.parse(text)
        found[str(reason.code) if reason and reason.code is not CancelCode.OTHER else text] += count
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def waiting_for(fixture: SaleFixture) -> dict[str, int]:
    """Number of events of the sale's orders that are not handled yet, by the role that must handle them."""
    mine = {"skus": fixture.skus}
    [(unpublished,)] = _all(_UNPUBLISHED, mine)
    heard = [
        (event.TYPE, flow, group)
        for event in catalogue.EVENTS
        for flow in catalogue.FLOWS
        for group in registry.listeners(event, {"flow": flow})
    ]
    types, flows, groups = (list(column) for column in zip(*heard, strict=True))
    unheard = _all(_UNHEARD, {**mine, "types": types, "flows": flows, "groups": groups})
    return {**({"relay": unpublished} if unpublished else {}), **dict(unheard)}


def cancelled_orders(fixture: SaleFixture) -> list[CancelledOrder]:
    """All orders of the sale that were cancelled."""
    rows = _all(_LOSERS, {"skus": fixture.skus})
    return [CancelledOrder(reference=reference, reason=reason, skus=tuple(skus)) for reference, reason, skus in rows]


def sold_by_orders(fixture: SaleFixture) -> dict[str, int]:
    """Units in confirmed orders, by sku."""
    return dict(_all(_SOLD_BY_ORDERS, {"skus": fixture.skus}))


def _all(statement: str, parameters: dict[str, Any]) -> Sequence[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        found: list[tuple[Any, ...]] = cursor.fetchall()
        return found
