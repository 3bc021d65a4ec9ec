"""What happens to orders: facts are recorded, parcels go out, orders are cancelled.

All of these need a transaction under way, lock the orders they touch, write them in one statement, state what follows,
and leave a line on the trail.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from kafka_bridge import catalogue, outbox, rows
from kafka_bridge.events import OrderEvent
from orders import live
from orders.answers import Answer, answer_to
from orders.models import Order, OrderLine, Shipment, Status

log = logging.getLogger(__name__)

OUT_OF_STOCK = "out of stock"
TIMED_OUT = "not completed in time"
E = TypeVar("E", bound=OrderEvent)
_LEAVE_TRAIL = """
INSERT INTO orders_trailentry (order_id, version, what, answer, status, detail)
SELECT * FROM json_to_recordset(%s) AS t(order_id uuid, version int, what text, answer text, status text, detail text)
"""
Effect = Callable[["Ledger", Order, E, Answer], str]
"""What a fact does to an order, given the order's answer; returns a detail for the trail."""


class CannotCancel(Exception):
    """Too late to cancel: the parcel is on its way or there. The buyer can ask for a return instead."""


class UnknownOrder(LookupError):
    """There is no such order; nothing was done."""


@dataclass
class Ledger:
    """Orders under change: what is written, stated and noted at the end of one service call."""

    orders: dict[UUID, Order]
    now: datetime
    stated: list[OrderEvent]
    trail: list[dict[str, object]]
    confirmed: list[Order]

    def note(self, order: Order, what: str, answer: Answer, detail: str = "") -> None:
        """Leave a line on the order's trail."""
        order.touch()
        self.trail.append(
            {
                "order_id": order.pk,
                "version": order.version,
                "what": what,
                "answer": answer,
                "status": order.status,
                "detail": detail[:300],
            }
        )

    def cancel(self, order: Order, reason: str) -> None:
        """End the order; inventory and payments undo their part when they hear of it."""
        order.move_to(Status.CANCELLED, at=self.now)
        order.cancel_reason = reason
        self.stated.append(
            catalogue.OrderCancelled(
                order_id=order.pk,
                flow=order.flow,
                reason=reason,
                total_minor=order.total_minor,
                currency=order.currency,
                was_confirmed=order.is_confirmed,
            )
        )

    def confirm_if_complete(self, order: Order) -> None:
        """Paid and held makes confirmed, in whichever sequence the two came."""
        if order.paid_at and order.held_at and not order.confirmed_at:
            order.confirmed_at = self.now
            self.confirmed.append(order)

    def close(self) -> None:
        """Write, state, note, and tell the open pages once it is committed."""
        changed = [order for order in self.orders.values() if order.is_changed]
        Order.objects.write(changed)
        if self.confirmed:
            self.stated += _confirmations(self.confirmed)
        if self.stated:
            outbox.publish(*self.stated)
        if self.trail:
            with connection.cursor() as cursor:
                cursor.execute(_LEAVE_TRAIL, [rows.as_json(self.trail)])
        live.push_after_commit([order.pk for order in changed])


def _confirmations(orders: Sequence[Order]) -> list[OrderEvent]:
    lines: dict[UUID, list[catalogue.Line]] = defaultdict(list)
    found = OrderLine.objects.filter(order__in=orders).order_by("id")
    for order_id, sku, quantity, price in found.values_list("order_id", "sku", "quantity", "unit_price_minor"):
        lines[order_id].append(catalogue.Line(sku=sku, quantity=quantity, unit_price_minor=price))
    return [
        catalogue.OrderConfirmed(
            order_id=order.pk,
            flow=order.flow,
            lines=tuple(lines[order.pk]),
            total_minor=order.total_minor,
            currency=order.currency,
        )
        for order in orders
    ]


def _open(order_ids: Sequence[UUID]) -> Ledger:
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("orders.services must be called inside transaction.atomic()")
    return Ledger(orders=Order.objects.locked(order_ids), now=timezone.now(), stated=[], trail=[], confirmed=[])


# -- Facts that others stated ---------------------------------------------------------------------
def record_held(*, facts: Sequence[catalogue.InventoryReserved]) -> None:
    """All lines of these orders are held; those that are paid too are confirmed now."""
    _record(facts, _held)


def record_missing(*, facts: Sequence[catalogue.InventoryInsufficient]) -> None:
    """There was not enough stock for these orders: they end as out of stock."""
    _record(facts, _missing)


def record_paid(*, facts: Sequence[catalogue.PaymentConfirmed]) -> None:
    """The money of these orders is in: they are PAID, and those that are held too are confirmed now."""
    _record(facts, _paid)


def record_payment_failed(*, facts: Sequence[catalogue.PaymentFailed]) -> None:
    """These orders will not be paid: they end with the gateway's reason."""
    _record(facts, _payment_failed)


def record_refunded(*, facts: Sequence[catalogue.PaymentRefunded]) -> None:
    """The money of these orders went back."""
    _record(facts, _refunded)


def _record(facts: "Sequence[E]", effect: Effect[E]) -> None:
    ledger = _open([fact.order_id for fact in facts])
    for fact in facts:
        order = ledger.orders.get(fact.order_id)
        if order is None:
            raise UnknownOrder(f"{fact.TYPE} speaks of order {fact.order_id}, which does not exist")
        answer = answer_to(Status(order.status), type(fact))
        if answer is Answer.ILLEGAL:
            log.error("%s: %s cannot happen to an order that is %s", order, fact.TYPE, order.status)
        detail = effect(ledger, order, fact, answer)
        ledger.note(order, fact.TYPE, answer, detail)
    ledger.close()


def _held(ledger: Ledger, order: Order, fact: catalogue.InventoryReserved, answer: Answer) -> str:
    if answer is Answer.COMPENSATE:
        return "the order was over; inventory releases the hold"
    if order.held_at is None:
        order.held_at = ledger.now
        ledger.confirm_if_complete(order)
    return ""


def _missing(ledger: Ledger, order: Order, fact: catalogue.InventoryInsufficient, answer: Answer) -> str:
    if answer is Answer.MOVE:
        ledger.cancel(order, OUT_OF_STOCK)
    return f"not enough of {', '.join(fact.missing)}"


def _paid(ledger: Ledger, order: Order, fact: catalogue.PaymentConfirmed, answer: Answer) -> str:
    if answer is Answer.MOVE:
        order.payment_reference = fact.transaction_id
        order.move_to(Status.PAID, at=ledger.now)
        ledger.confirm_if_complete(order)
    elif answer is Answer.COMPENSATE:
        order.payment_reference = fact.transaction_id
        return "the order was over; the money goes back"
    return fact.transaction_id


def _payment_failed(ledger: Ledger, order: Order, fact: catalogue.PaymentFailed, answer: Answer) -> str:
    if answer is Answer.MOVE:
        ledger.cancel(order, f"payment failed: {fact.reason}")
    return fact.reason


def _refunded(ledger: Ledger, order: Order, fact: catalogue.PaymentRefunded, answer: Answer) -> str:
    if answer is Answer.MOVE:
        order.refunded_at = ledger.now
    return f"{fact.amount_minor / 100:.2f} {fact.currency}: {fact.reason}"


# -- What we do ourselves ---------------------------------------------------------------------------
def cancel(*, order_id: UUID, reason: str, by: str) -> Order:
    """End an order that has not been shipped; inventory and payments give back what they took.

    Raises:
        CannotCancel: it is shipped, delivered or cancelled already.
        UnknownOrder: there is no such order.
    """
    ledger = _open([order_id])
    order = _only(ledger, order_id)
    if order.status not in (Status.PENDING, Status.PAID):
        raise CannotCancel(f"{order} is {order.status}; only an order that has not been shipped can be cancelled.")
    ledger.cancel(order, reason)
    Shipment.objects.filter(order=order).update(state=Shipment.State.STOPPED)
    ledger.note(order, "cancelled", Answer.MOVE, f"by {by}: {reason}")
    ledger.close()
    return order


def cancel_overdue(*, limit: int = 500) -> int:
    """End orders whose deadline passed before they were confirmed. Returns how many."""
    overdue = Order.objects.filter(
        confirmed_at=None, status__in=(Status.PENDING, Status.PAID), deadline_at__lt=timezone.now()
    )
    ledger = _open(list(overdue.order_by("deadline_at").values_list("pk", flat=True)[:limit]))
    count = 0
    for order in ledger.orders.values():
        # Looked at again under the lock: a fact may have come in meanwhile, and has won then.
        if order.status in (Status.PENDING, Status.PAID) and not order.confirmed_at:
            ledger.cancel(order, TIMED_OUT)
            ledger.note(order, "deadline passed", Answer.MOVE, TIMED_OUT)
            count += 1
    ledger.close()
    return count


def ship(*, order_ids: Sequence[UUID], by: str) -> list[Order]:
    """The parcels of these orders have left. Orders that are not paid, held and unshipped are left alone.

    Returns the orders that were shipped.
    """
    return _advance(order_ids, Status.SHIPPED, Shipment.State.SHIPPED, by)


def deliver(*, order_ids: Sequence[UUID], by: str) -> list[Order]:
    """The parcels of these orders have arrived. Orders that are not shipped are left alone.

    Returns the orders that were delivered.
    """
    return _advance(order_ids, Status.DELIVERED, Shipment.State.DELIVERED, by)


def _advance(order_ids: Sequence[UUID], status: Status, parcel: Shipment.State, by: str) -> list[Order]:
    before = Status.PAID if status is Status.SHIPPED else Status.SHIPPED
    ledger = _open(order_ids)
    tracking = dict(Shipment.objects.filter(order__in=order_ids).values_list("order_id", "tracking_number"))
    ready = [o for o in ledger.orders.values() if o.status == before and o.is_confirmed and o.pk in tracking]
    for order in ready:
        order.move_to(status, at=ledger.now)
        ledger.stated.append(_left_or_arrived(order, status, tracking[order.pk]))
        ledger.note(order, status.label.lower(), Answer.MOVE, f"by {by}: parcel {tracking[order.pk]}")
    Shipment.objects.filter(order__in=ready).update(
        state=parcel, due_at=ledger.now + timedelta(seconds=settings.CARRIER_DELIVER_DELAY_SECONDS)
    )
    ledger.close()
    return ready


def _left_or_arrived(order: Order, status: Status, tracking_number: str) -> OrderEvent:
    if status is Status.SHIPPED:
        return catalogue.OrderShipped(order_id=order.pk, flow=order.flow, tracking_number=tracking_number)
    return catalogue.OrderDelivered(order_id=order.pk, flow=order.flow)


def _only(ledger: Ledger, order_id: UUID) -> Order:
    try:
        return ledger.orders[order_id]
    except KeyError:
        raise UnknownOrder(f"There is no order {order_id}.") from None
