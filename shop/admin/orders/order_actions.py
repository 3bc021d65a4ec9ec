"""Shipping, delivering and cancelling orders in the admin: when it is possible, carrying it out, recording it.

The status itself is changed only by `orders.actions`.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction

from orders.actions import cancellation, parcels
from orders.models import Order, Status
from orders.state_machine.unit_of_work import UnknownOrder
from shop.operations import activity_log

MOST_AT_ONCE = 500
_NAMED = 10


def _obstacle_to_shipping(order: Order) -> str:
    match Status(order.status):
        case Status.PENDING:
            return "not paid yet"
        case Status.PAID if not order.is_confirmed:
            return "paid, but the books are not held yet"
        case Status.PAID:
            return "" if hasattr(order, "shipment") else "no parcel yet; the shipping group creates it"
        case status:
            return f"{status.label.lower()} already"


def _obstacle_to_delivering(order: Order) -> str:
    match Status(order.status):
        case Status.SHIPPED:
            return ""
        case Status.PENDING | Status.PAID:
            return "not shipped yet"
        case status:
            return f"{status.label.lower()} already"


def _obstacle_to_cancelling(order: Order) -> str:
    if order.status in (Status.PENDING, Status.PAID):
        return ""
    return f"{Status(order.status).label.lower()} already"


@dataclass(frozen=True, kw_only=True)
class OrderAction:
    """An action on orders, with its texts."""

    name: str
    title: str
    done: str
    icon: str
    obstacle: Callable[[Order], str]
    """Why it is not possible for this order (read with its shipment), or "" if it is."""
    explanation: str
    wants_reason: bool = False


SHIP = OrderAction(
    name="ship",
    title="Ship now",
    done="shipped",
    icon="local_shipping",
    obstacle=_obstacle_to_shipping,
    explanation="Marks the parcel as picked up, publishes order.shipped, and sends the buyer an email.",
)
DELIVER = OrderAction(
    name="deliver",
    title="Deliver now",
    done="delivered",
    icon="done_all",
    obstacle=_obstacle_to_delivering,
    explanation="Marks the parcel as delivered, publishes order.delivered, and sends the buyer an email.",
)
CANCEL = OrderAction(
    name="cancel",
    title="Cancel",
    done="cancelled",
    icon="cancel",
    obstacle=_obstacle_to_cancelling,
    explanation=(
        "Publishes order.cancelled: inventory releases the books, payments refunds the money or does not capture it, "
        "and the buyer gets an email. This cannot be undone."
    ),
    wants_reason=True,
)
ACTIONS = {action.name: action for action in (SHIP, DELIVER, CANCEL)}


class TooMany(ValueError):
    """More orders than `MOST_AT_ONCE` were selected; nothing was done. Select fewer."""


@dataclass(kw_only=True)
class ActionReport:
    """Which orders were changed, and why the others were not."""

    action: OrderAction
    done: list[Order] = field(default_factory=list)
    left: list[tuple[str, str]] = field(default_factory=list)
    """The order's reference (or ID) and the reason."""

    def in_words(self) -> tuple[str, list[str]]:
        """A sentence about the orders that were changed ("" if none), and one for each reason not to."""
        done = f"{_orders(len(self.done))} {self.action.done}: {_listed(map(str, self.done))}." if self.done else ""
        reasons: dict[str, list[str]] = defaultdict(list)
        for reference, why in self.left:
            reasons[why].append(reference)
        return done, [f"{_orders(len(refs))} not changed, {why}: {_listed(refs)}." for why, refs in reasons.items()]


def carry_out(
    action: OrderAction, *, order_ids: Sequence[UUID], user: AbstractBaseUser, reason: str = ""
) -> ActionReport:
    """Carry the action out for the orders for which it is possible, record it, and report on each.

    Shipping and delivering is one transaction for all orders. Cancelling is one for each order, and in a
    form of the admin a savepoint for each; see Note [One form, one act].

    Raises:
        TooMany: see there.
    """
    if len(order_ids) > MOST_AT_ONCE:
        raise TooMany(f"At most {MOST_AT_ONCE} orders at once. More were selected, so nothing was done.")
    report = ActionReport(action=action)
    if action is CANCEL:
        # In the sequence in which everybody locks orders, as all of them may stay locked until the form is done.
        for order_id in sorted(set(order_ids)):
            _cancel(report, order_id, user, reason)
    else:
        _advance(report, list(dict.fromkeys(order_ids)), user)
    return report


def _advance(report: ActionReport, order_ids: list[UUID], user: AbstractBaseUser) -> None:
    service = parcels.ship if report.action is SHIP else parcels.deliver
    with transaction.atomic():
        report.done = service(order_ids=order_ids, by=user.get_username())
        moved = {order.pk for order in report.done}
        # All of them are still locked, so this is the state on which the service decided.
        rest = Order.objects.filter(pk__in=set(order_ids) - moved).select_related("shipment")
        found = {order.pk: order for order in rest}
        _log(user, report.done, report.action.done.capitalize())
        _record(user, report, before=Status.PAID if report.action is SHIP else Status.SHIPPED)
    report.left = [
        (str(found[pk]), report.action.obstacle(found[pk])) if pk in found else (str(pk), "no such order")
        for pk in order_ids
        if pk not in moved
    ]


def _cancel(report: ActionReport, order_id: UUID, user: AbstractBaseUser, reason: str) -> None:
    try:
        with transaction.atomic():
            before = {pk: order.status for pk, order in Order.objects.locked([order_id]).items()}
            order = cancellation.cancel(order_id=order_id, reason=reason, by=user.get_username())
            _log(user, [order], f"Cancelled: {reason}")
            activity_log.record(
                user=user,
                what="order cancelled",
                subject=order,
                order_id=order_id,
                reason=reason,
                before={"status": before[order_id]},
                after={"status": order.status},
            )
    except cancellation.CannotCancel:
        order = Order.objects.get(pk=order_id)
        report.left.append((str(order), report.action.obstacle(order)))
    except UnknownOrder:
        report.left.append((str(order_id), "no such order"))
    else:
        report.done.append(order)


def _record(user: AbstractBaseUser, report: ActionReport, *, before: Status) -> None:
    for order in report.done:
        activity_log.record(
            user=user,
            what=f"order {report.action.done}",
            subject=order,
            order_id=order.pk,
            before={"status": before.value},
            after={"status": order.status},
        )


def _log(user: AbstractBaseUser, orders: Sequence[Order], what: str) -> None:
    if orders:
        LogEntry.objects.log_actions(user.pk, orders, CHANGE, what)


def _orders(number: int) -> str:
    return "1 order" if number == 1 else f"{number:,} orders"


def _listed(references: Iterable[str]) -> str:
    names = list(references)
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
