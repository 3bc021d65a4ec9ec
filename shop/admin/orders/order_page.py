"""The admin page of one order: the facts of all apps about it, and what it is waiting for."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.urls import reverse
from django.utils import timezone

from inventory.models import Reservation
from kafka_bridge import admin as facts
from kafka_bridge.models import DeadLetter
from orders import prices
from orders.models import Order, OrderLine, OrderMail, ReturnRequest, Shipment, Status
from payments import admin as payments_admin
from payments.models import Charge, Refund, Review
from shop.admin.operations import activity_log_admin
from shop.admin.orders import order_actions, order_labels, reducing, refunding, returns, timeline
from shop.admin.payments import reviews
from shop.checkout import countries
from shop.models import AuditEntry

_ACTIVITIES_SHOWN = 5
_LETTERS_SHOWN = 20


@dataclass(frozen=True, kw_only=True)
class OrderPage:
    """What the page of an order shows."""

    order: Order
    lines: list[OrderLine]
    prices: prices.Prices
    cancelled_minor: int
    """The price of the cancelled copies, which is or will be refunded."""
    returned_minor: int
    """The price of the returned copies, which is or will be refunded; with the last ones that of shipping too."""
    status: str
    stuck: str
    country: str
    buyers_url: str
    moments: list[timeline.TimelineMoment]
    waits: list[str]
    charge: Charge | None
    charge_label: str
    refunds: list[Refund]
    reviews: list[Review]
    """Open reviews only."""
    letters: list[tuple[DeadLetter, str]]
    """Messages about the order that a group gave up on, newest first, each with its state as a coloured word."""
    returns: list[tuple[ReturnRequest, str, str]]
    """Return requests, each with its state as a coloured word and its copies in words."""
    shipment: Shipment | None
    reservation: Reservation | None
    mails: list[OrderMail]
    actions: list[tuple[order_actions.OrderAction, str]]
    """Actions that are possible now, each with the URL of its confirmation page."""
    reduce_url: str
    """Page for cancelling single copies; empty if not possible now or not permitted."""
    refund_url: str
    """Page for refunding shipped copies; empty likewise."""
    decline_url: str
    """Page for declining the open return request; empty likewise."""
    log: list[AuditEntry]
    """The latest entries of the activity log."""
    log_url: str
    """The full activity log of the order; empty if not permitted."""


def order_page_of(order: Order, *, may_act: bool, may_see_log: bool, may_see_letters: bool) -> OrderPage:
    """Gather the facts of all apps about an order (read with its shipment), in a fixed number of queries."""
    charge = Charge.objects.filter(order_id=order.pk).prefetch_related("refunds").first()
    shipment = getattr(order, "shipment", None)
    mails = list(order.mails.order_by("pk"))
    moments = timeline.moments_of(order)
    lines = list(order.lines.all())
    cancelled_minor, returned_minor = prices.money_back(order, lines)
    refunds = list(charge.refunds.all()) if charge else []
    return_requests = list(order.return_requests.all())
    asked = next((each for each in return_requests if each.state in ReturnRequest.OPEN), None)
    may_reduce = may_act and not reducing.obstacle(order, lines)
    may_refund = may_act and not refunding.obstacle(order, lines)
    possible = [action for action in order_actions.ACTIONS.values() if not action.obstacle(order)] if may_act else []
    return OrderPage(
        order=order,
        lines=lines,
        prices=prices.of(order, lines),
        cancelled_minor=cancelled_minor,
        returned_minor=returned_minor,
        status=order_labels.status_label(order),
        stuck=order_labels.stuck_label(order),
        country=countries.name_of(order.country),
        buyers_url=reverse("order", args=[order.pk]),
        moments=moments,
        waits=[
            *_events_under_way(moments),
            *_money_under_way(charge, refunds),
            *_returns_under_way(asked, lines),
            *_parcel_under_way(order, shipment),
            *_mails_under_way(mails),
        ],
        charge=charge,
        charge_label=payments_admin.state_label(charge) if charge else "",
        refunds=refunds,
        reviews=reviews.open_of(order.pk),
        letters=_letters_about(order) if may_see_letters else [],
        returns=[(each, returns.state_label(each), returns.words_of(each, lines)) for each in return_requests],
        shipment=shipment,
        reservation=Reservation.objects.filter(pk=order.pk).prefetch_related("holds").first(),
        mails=mails,
        actions=[
            (each, f"{reverse('admin:orders_order_act', args=[each.name])}?order={order.pk}") for each in possible
        ],
        reduce_url=reverse("admin:orders_order_reduce", args=[order.pk]) if may_reduce else "",
        refund_url=returns.refund_url(order.pk) if may_refund else "",
        decline_url=returns.decline_url(asked)
        if asked and asked.state == ReturnRequest.State.ASKED and may_act
        else "",
        log=activity_log_admin.about(order.pk, limit=_ACTIVITIES_SHOWN) if may_see_log else [],
        log_url=activity_log_admin.page_about(order) if may_see_log else "",
    )


def _letters_about(order: Order) -> list[tuple[DeadLetter, str]]:
    """By their key: also those that could not be read."""
    letters = DeadLetter.objects.filter(key=str(order.pk)).defer("value", "edited_value", "traceback", "headers")
    return [(letter, facts.letter_label(letter)) for letter in letters.order_by("-id")[:_LETTERS_SHOWN]]


# -- What an order is waiting for, by the tables; one sentence each -----------------------------------------
def _events_under_way(moments: list[timeline.TimelineMoment]) -> Iterator[str]:
    for moment in moments:
        if moment.row is None:
            continue
        if moment.row.published_at is None:
            age = facts.as_age(timezone.now() - moment.at)
            yield f"The relay has not published {moment.row.type} to Kafka yet; it is {age} old."
        elif moment.missing:
            yield f"{' and '.join(moment.missing)}: {moment.row.type} has not been handled yet."


def _money_under_way(charge: Charge | None, refunds: list[Refund]) -> Iterator[str]:
    if charge and (sentence := payments_admin.waits(charge)):
        yield sentence
    for refund in refunds:
        if refund.state == Refund.State.REQUESTED:
            yield payments_admin.refund_waits(refund)


def _returns_under_way(asked: ReturnRequest | None, lines: list[OrderLine]) -> Iterator[str]:
    if asked:
        titles = {line.sku: line.title for line in lines}
        wanted = ", ".join(f"{n} × {titles.get(sku, sku)}" for sku, n in asked.units.items())  # noqa: RUF001
        if asked.state == ReturnRequest.State.WITHDRAWN:
            yield f"The buyer has withdrawn from {wanted}; once the books are here, their money goes back."
        else:
            yield f"The buyer asks to return {wanted} and is waiting for an answer."


def _parcel_under_way(order: Order, shipment: Shipment | None) -> Iterator[str]:
    if shipment and shipment.state == Shipment.State.PACKED and order.status == Status.PAID:
        yield f"The carrier picks the parcel up at {_clock(shipment.due_at)}."
    if shipment and shipment.state == Shipment.State.SHIPPED:
        yield f"The carrier delivers the parcel at {_clock(shipment.due_at)}."


def _mails_under_way(mails: list[OrderMail]) -> Iterator[str]:
    for mail in mails:
        if mail.has_failed:
            yield f"The mail “{mail.get_kind_display()}” has failed and waits for a decision: {mail.last_error}"
        elif mail.sent_at is None and mail.closed_at is None:
            attempts = f" after {mail.attempts} attempts" if mail.attempts else ""
            yield f"The mail “{mail.get_kind_display()}” has not been sent{attempts}."


def _clock(at: datetime) -> str:
    return f"{timezone.localtime(at):%H:%M:%S}"
