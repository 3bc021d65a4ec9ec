"""Orders under change: locked, written in one statement, what follows stated, and a line on the trail for each step.

Everything that happens to orders, be it a fact or something done by hand, opens a unit of work and closes it.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.utils import timezone

from events import catalogue
from kafka_bridge.publishing import outbox
from kafka_bridge.runtime.postgresql import transactions
from orders import live
from orders.cancel_reasons import CancelReason
from orders.coupons import uses
from orders.models import Order, OrderLine, Status
from orders.state_machine.transitions import Answer


@dataclass
class UnitOfWork:
    """Orders under change: what is written, stated and noted at the end of one service call."""

    orders: dict[UUID, Order]
    now: datetime
    stated: list[outbox.Statement]
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

    def cancel(self, order: Order, reason: CancelReason) -> None:
        """End the order; inventory and payments undo their part when they hear of it."""
        order.move_to(Status.CANCELLED, at=self.now)
        order.cancel_reason = str(reason)
        self.stated.append(
            catalogue.OrderCancelled(
                order_id=order.pk,
                flow=order.flow,
                reason=order.cancel_reason,
                total_minor=order.total_minor,
                currency=order.currency,
                was_confirmed=order.is_confirmed,
                lines=_kept(order) if order.is_confirmed else (),
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
        Order.objects.write(changed, self.trail)
        uses.give_back([order.pk for order in changed if order.coupon_code and order.status == Status.CANCELLED])
        if self.confirmed:
            self.stated += _confirmations(self.confirmed)
        if self.stated:
            outbox.publish(*self.stated)
        live.push_after_commit([order.pk for order in changed])


def _confirmations(orders: Sequence[Order]) -> list[catalogue.OrderConfirmed]:
    lines: dict[UUID, list[catalogue.Line]] = defaultdict(list)
    found = OrderLine.objects.filter(order__in=orders).order_by("id")
    columns = ("order_id", "sku", "quantity", "unit_price_minor", "sale_id", "amount_minor")
    for order_id, sku, quantity, price, sale_id, amount in found.values_list(*columns):
        line = catalogue.Line(sku=sku, quantity=quantity, unit_price_minor=price, sale_id=sale_id, amount_minor=amount)
        lines[order_id].append(line)
    return [
        catalogue.OrderConfirmed(
            order_id=order.pk,
            flow=order.flow,
            lines=tuple(lines[order.pk]),
            total_minor=order.total_minor,
            currency=order.currency,
            shipping_minor=order.shipping_minor,
        )
        for order in orders
    ]


def _kept(order: Order) -> tuple[catalogue.Line, ...]:
    """What was not cancelled of the order before."""
    lines = OrderLine.objects.filter(order=order).order_by("id")
    return tuple(line.units(line.kept, after=line.cancelled) for line in lines if line.kept)


class UnknownOrder(LookupError):
    """There is no such order; nothing was done."""


def begin(order_ids: Sequence[UUID]) -> UnitOfWork:
    """Lock these orders, until the transaction ends; one that does not exist is absent."""
    transactions.require("a change of orders")
    return UnitOfWork(orders=Order.objects.locked(order_ids), now=timezone.now(), stated=[], trail=[], confirmed=[])


def begin_one(order_id: UUID) -> tuple[UnitOfWork, Order]:
    """Lock this order, until the transaction ends.

    Raises:
        UnknownOrder: there is no such order.
    """
    work = begin([order_id])
    try:
        return work, work.orders[order_id]
    except KeyError:
        raise UnknownOrder(f"There is no order {order_id}.") from None


def lines_of(order: Order) -> list[OrderLine]:
    """The order's lines. Nobody changes them without the order's lock."""
    return list(OrderLine.objects.filter(order=order).order_by("id"))
