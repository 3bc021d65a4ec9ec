"""What happens to orders: facts are recorded, parcels go out, orders are cancelled.

All of these need a transaction under way, lock the orders they touch, write them in one statement, state what follows,
and leave a line on the trail.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from kafka_bridge import catalogue
from kafka_bridge.events import OrderEvent
from orders import mails, payment_check
from orders.answers import Answer, answer_to
from orders.ledger import Ledger, open_ledger, units_of
from orders.models import Order, OrderLine, OrderMail, PaymentWait, ReturnRequest, Shipment, Status, TrailEntry

log = logging.getLogger(__name__)

OUT_OF_STOCK = "out of stock"
OVER_LIMIT = "limit per customer reached"
NOT_PAID = "not paid in time"
TIMED_OUT = "not completed in time"
BY_BUYER = "cancelled by the buyer"
REDUCED = "reduced"
"""How the trail calls it when some copies of an order were cancelled."""
RETURN_ASKED = "return asked for"
"""How the trail calls it when the buyer wants to send copies back."""
RETURNED = "returned"
"""How the trail calls it when copies that had left are paid back."""
RETURN_DECLINED = "return declined"
"""How the trail calls it when staff do not take back what the buyer wanted to send."""
E = TypeVar("E", bound=OrderEvent)
Effect = Callable[["Ledger", Order, E, Answer], str]
"""What a fact does to an order, given the order's answer; returns a detail for the trail."""


class CannotCancel(Exception):
    """It is too late (the parcel is on its way or there: the buyer can ask for a return instead), or there are not so
    many copies; the message says which, and nothing was changed."""


class CannotReturn(Exception):
    """It has not left yet (it can be cancelled instead), there are not so many copies, or it was answered already; the
    message says which, and nothing was changed."""


class UnknownOrder(LookupError):
    """There is no such order; nothing was done."""


# -- Facts that others stated ---------------------------------------------------------------------
def record_held(*, facts: Sequence[catalogue.InventoryReserved]) -> None:
    """All lines of these orders are held; those that are paid too are confirmed now."""
    _record(facts, _held)


def record_missing(*, facts: Sequence[catalogue.InventoryInsufficient]) -> None:
    """There was not enough stock for these orders: they end as out of stock."""
    _record(facts, _missing)


def record_expired(*, facts: Sequence[catalogue.InventoryExpired]) -> None:
    """The holds of these orders were given up before they were paid: they end."""
    _record(facts, _expired)


def record_action_required(*, facts: Sequence[catalogue.PaymentActionRequired]) -> None:
    """The buyers of these orders have to confirm their payment."""
    _record(facts, _action_required)


def record_payment_unknown(*, facts: Sequence[catalogue.PaymentUnknown]) -> None:
    """Nobody knows yet whether these orders are paid; they wait."""
    _record(facts, _payment_unknown)


def record_paid(*, facts: Sequence[catalogue.PaymentConfirmed]) -> None:
    """The money of these orders is in: they are PAID, and those that are held too are confirmed now.

    A fact that payments' own books do not bear out moves nothing; a person looks at it.
    """
    ledger = _open(facts)
    for fact, why in zip(facts, payment_check.refusals(facts, ledger.orders), strict=True):
        if why:
            _refuse(ledger, fact, why)
        else:
            _hear(ledger, fact, _paid)
    ledger.close()


def record_payment_failed(*, facts: Sequence[catalogue.PaymentFailed]) -> None:
    """These orders will not be paid: they end with the gateway's reason."""
    _record(facts, _payment_failed)


def record_refunded(*, facts: Sequence[catalogue.PaymentRefunded]) -> None:
    """The money of these orders went back."""
    _record(facts, _refunded)


def _record(facts: "Sequence[E]", effect: Effect[E]) -> None:
    ledger = _open(facts)
    for fact in facts:
        _hear(ledger, fact, effect)
    ledger.close()


def _open(facts: Sequence[OrderEvent]) -> Ledger:
    ledger = open_ledger([fact.order_id for fact in facts])
    for fact in facts:
        if fact.order_id not in ledger.orders:
            raise UnknownOrder(f"{fact.TYPE} speaks of order {fact.order_id}, which does not exist")
    return ledger


def _hear(ledger: Ledger, fact: E, effect: Effect[E]) -> None:
    order = ledger.orders[fact.order_id]
    answer = _answer_to(order, fact)
    if answer is Answer.ILLEGAL:
        log.error("%s: %s cannot happen to an order that is %s", order, fact.TYPE, order.status)
    detail = effect(ledger, order, fact, answer)
    ledger.note(order, fact.TYPE, answer, detail)


def _refuse(ledger: Ledger, fact: catalogue.PaymentConfirmed, why: str) -> None:
    """Nothing moves; payments has a person look at it."""
    order = ledger.orders[fact.order_id]
    log.error("%s: %s is not believed: %s", order, fact.TYPE, why)
    ledger.stated.append(
        catalogue.OrderPaymentRefused(
            order_id=order.pk,
            flow=order.flow,
            charge_id=fact.charge_id,
            amount_minor=fact.amount_minor,
            currency=fact.currency,
            why=why,
        )
    )
    ledger.note(order, fact.TYPE, Answer.ILLEGAL, f"not believed: {why}")


def _answer_to(order: Order, fact: OrderEvent) -> Answer:
    """What the table says; but money that has come back in part does not end a cancelled order yet."""
    answer = answer_to(Status(order.status), type(fact))
    if answer is Answer.MOVE and isinstance(fact, catalogue.PaymentRefunded) and fact.left_minor:
        return Answer.TOO_EARLY
    return answer


def _held(ledger: Ledger, order: Order, fact: catalogue.InventoryReserved, answer: Answer) -> str:
    if answer is Answer.COMPENSATE:
        return "the order was over; inventory releases the hold"
    if order.held_at is None:
        order.held_at = ledger.now
        ledger.confirm_if_complete(order)
    return ""


def _missing(ledger: Ledger, order: Order, fact: catalogue.InventoryInsufficient, answer: Answer) -> str:
    if answer is Answer.MOVE:
        ledger.cancel(order, OUT_OF_STOCK if fact.missing else OVER_LIMIT)
    if fact.missing:
        return f"not enough of {', '.join(fact.missing)}"
    return f"the customer has as many as the sale allows of {', '.join(fact.over_limit)}"


def _expired(ledger: Ledger, order: Order, fact: catalogue.InventoryExpired, answer: Answer) -> str:
    if answer is Answer.MOVE:
        ledger.cancel(order, NOT_PAID)
    return "the hold was given up"


def _action_required(ledger: Ledger, order: Order, fact: catalogue.PaymentActionRequired, answer: Answer) -> str:
    if answer is Answer.MOVE:
        order.payment_wait, order.payment_url, order.payment_until = PaymentWait.ACTION, fact.url, fact.until
    return "the buyer has to confirm the payment"


def _payment_unknown(ledger: Ledger, order: Order, fact: catalogue.PaymentUnknown, answer: Answer) -> str:
    if answer is Answer.MOVE:
        order.payment_wait, order.payment_url, order.payment_until = PaymentWait.UNKNOWN, "", None
    return "the gateway has not answered; it is asked again"


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
    detail = f"{_money(fact.amount_minor, fact.currency)}: {fact.reason}"
    if answer is Answer.MOVE:
        order.refunded_at = ledger.now
    return f"{detail}; {_money(fact.left_minor, fact.currency)} are left" if fact.left_minor else detail


# -- What we do ourselves ---------------------------------------------------------------------------
def cancel(*, order_id: UUID, reason: str, by: str) -> Order:
    """End an order that has not been shipped; inventory and payments give back what they took.

    Raises:
        CannotCancel: it is shipped, delivered or cancelled already.
        UnknownOrder: there is no such order.
    """
    ledger = open_ledger([order_id])
    order = _only(ledger, order_id)
    if order.status not in (Status.PENDING, Status.PAID):
        raise CannotCancel(f"{order} is {order.status}; only an order that has not been shipped can be cancelled.")
    ledger.cancel(order, reason)
    Shipment.objects.filter(order=order).update(state=Shipment.State.STOPPED)
    ledger.note(order, "cancelled", Answer.MOVE, f"by {by}: {reason}")
    ledger.close()
    return order


def cancel_lines(*, order_id: UUID, units: Mapping[str, int], reason: str, by: str) -> Order:
    """Take some copies, by sku, out of a confirmed order that has not been shipped; exactly their money goes back.

    Raises:
        CannotCancel: it is not confirmed yet, or shipped, delivered or cancelled already; it does not have so many
            copies; or nothing would be left of it.
        UnknownOrder: there is no such order.
    """
    ledger = open_ledger([order_id])
    order = _only(ledger, order_id)
    if order.status != Status.PAID or not order.is_confirmed:
        raise CannotCancel(
            f"{order} is {order.status}; single copies can only be cancelled of an order that is confirmed and has "
            "not been shipped."
        )
    lines = _lines(order)
    _refuse_units(order, lines, units)
    reduced = [line for line in lines if line.sku in units]
    for line in reduced:
        line.cancelled += units[line.sku]
    OrderLine.objects.bulk_update(reduced, ["cancelled"])
    amount_minor = sum(units[line.sku] * line.unit_price_minor for line in reduced)
    order.total_minor -= amount_minor
    ledger.stated.append(
        catalogue.OrderReduced(
            order_id=order.pk,
            flow=order.flow,
            lines=tuple(units_of(line, line.cancelled) for line in lines if line.cancelled),
            amount_minor=amount_minor,
            reduction=TrailEntry.objects.filter(order=order, what=REDUCED).count() + 1,
            currency=order.currency,
            reason=reason,
            cancelled_now=tuple(units_of(line, units[line.sku]) for line in reduced),
        )
    )
    back = f"{_money(amount_minor, order.currency)} back"
    ledger.note(order, REDUCED, Answer.MOVE, f"by {by}: {reason} ({back}, {_counted(units)})")
    ledger.close()
    return order


def _refuse_units(order: Order, lines: Sequence[OrderLine], units: Mapping[str, int]) -> None:
    """Copies can be taken out of lines that have them, and never all of them.

    Raises:
        CannotCancel: see there.
    """
    kept = {line.sku: line.kept for line in lines}
    if not units:
        raise CannotCancel("Say of which book how many copies are to be cancelled.")
    for sku, wanted in units.items():
        if not 1 <= wanted <= kept.get(sku, 0):
            raise CannotCancel(f"{order} has {kept.get(sku, 0)} copies of {sku}, so {wanted} cannot be cancelled.")
    if units == {sku: left for sku, left in kept.items() if left}:
        raise CannotCancel(f"Nothing would be left of {order}; cancel the whole order instead.")


def cancel_overdue(*, limit: int = 500) -> int:
    """End orders whose deadline passed before they were confirmed. Returns how many."""
    overdue = Order.objects.filter(
        confirmed_at=None, status__in=(Status.PENDING, Status.PAID), deadline_at__lt=timezone.now()
    )
    ledger = open_ledger(list(overdue.order_by("deadline_at").values_list("pk", flat=True)[:limit]))
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
    ledger = open_ledger(order_ids)
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


# -- Returns ------------------------------------------------------------------------------------------
def ask_return(*, order_id: UUID, units: Mapping[str, int], reason: str) -> ReturnRequest:
    """The buyer wants to send these copies, by sku, back; staff accept or decline it.

    Raises:
        CannotReturn: it has not been shipped, it does not have so many copies, or another return is not answered yet.
        UnknownOrder: there is no such order.
    """
    ledger = open_ledger([order_id])
    order = _only(ledger, order_id)
    _refuse_return(order, _lines(order), units)
    if ReturnRequest.objects.filter(order=order, state=ReturnRequest.State.ASKED).exists():
        raise CannotReturn(f"A return of {order} has been asked for already, and is not answered yet.")
    request = ReturnRequest.objects.create(order=order, units=dict(units), reason=reason)
    ledger.note(order, RETURN_ASKED, Answer.MOVE, f"{_counted(units)}: {reason}")
    ledger.close()
    return request


def accept_return(
    *, order_id: UUID, units: Mapping[str, int], reason: str, by: str, request_id: int | None = None
) -> Order:
    """Pay back these copies, by sku, of an order that has left; exactly their money goes back.

    With `request_id` this answers what the buyer asked for, be it for these copies or for others.

    Raises:
        CannotReturn: it has not been shipped, it does not have so many copies that were not paid back before, or the
            request is not an open one of this order.
        UnknownOrder: there is no such order.
    """
    ledger = open_ledger([order_id])
    order = _only(ledger, order_id)
    lines = _lines(order)
    _refuse_return(order, lines, units)
    if request_id is not None:
        request = _open_request(order, request_id)
        # Staff who only repeat the buyer's words tell the buyer nothing.
        said = "" if request.reason.startswith(reason) else reason
        _answer_request(request, ReturnRequest.State.ACCEPTED, said, by, at=ledger.now)
    returned = [line for line in lines if line.sku in units]
    for line in returned:
        line.returned += units[line.sku]
    OrderLine.objects.bulk_update(returned, ["returned"])
    amount_minor = sum(units[line.sku] * line.unit_price_minor for line in returned)
    ledger.stated.append(
        catalogue.OrderReturned(
            order_id=order.pk,
            flow=order.flow,
            lines=tuple(units_of(line, units[line.sku]) for line in returned),
            amount_minor=amount_minor,
            number=TrailEntry.objects.filter(order=order, what=RETURNED).count() + 1,
            currency=order.currency,
            reason=reason,
        )
    )
    back = f"{_money(amount_minor, order.currency)} back"
    ledger.note(order, RETURNED, Answer.MOVE, f"by {by}: {reason} ({back}, {_counted(units)})")
    ledger.close()
    return order


def decline_return(*, request_id: int, answer: str, by: str) -> Order:
    """Do not take back what the buyer asked to return; the buyer hears why, on the order's page and by mail.

    Raises:
        CannotReturn: it was answered already, or there is no such request.
    """
    order_id = ReturnRequest.objects.filter(pk=request_id).values_list("order_id", flat=True).first()
    if order_id is None:
        raise CannotReturn(f"There is no return {request_id}.")
    ledger = open_ledger([order_id])
    order = _only(ledger, order_id)
    request = _open_request(order, request_id)
    _answer_request(request, ReturnRequest.State.DECLINED, answer, by, at=ledger.now)
    declined = ReturnRequest.objects.filter(order=order, state=ReturnRequest.State.DECLINED).count()
    mail = mails.Notice(order_id=order.pk, kind=OrderMail.Kind.RETURN_DECLINED, number=declined, reason=answer)
    mails.queue_each(notices=[mail])
    ledger.note(order, RETURN_DECLINED, Answer.MOVE, f"by {by}: {answer}")
    ledger.close()
    return order


def _refuse_return(order: Order, lines: Sequence[OrderLine], units: Mapping[str, int]) -> None:
    """Copies that have left can be returned, each of them once.

    Raises:
        CannotReturn: see there.
    """
    if order.status not in (Status.SHIPPED, Status.DELIVERED):
        raise CannotReturn(f"{order} is {order.status}; only what has been shipped can be returned.")
    left = {line.sku: line.kept - line.returned for line in lines}
    if not units:
        raise CannotReturn("Say of which book how many copies are to be returned.")
    for sku, wanted in units.items():
        if not 1 <= wanted <= left.get(sku, 0):
            raise CannotReturn(f"{order} has {left.get(sku, 0)} copies of {sku} left, so {wanted} cannot be returned.")


def _open_request(order: Order, request_id: int) -> ReturnRequest:
    request = ReturnRequest.objects.filter(pk=request_id, order=order, state=ReturnRequest.State.ASKED).first()
    if request is None:
        raise CannotReturn(f"This return of {order} was answered already.")
    return request


def _answer_request(request: ReturnRequest, state: ReturnRequest.State, answer: str, by: str, *, at: datetime) -> None:
    request.state, request.answer = state, answer[:500]
    request.answered_by, request.answered_at = by[:150], at
    request.save(update_fields=["state", "answer", "answered_by", "answered_at"])


def _lines(order: Order) -> list[OrderLine]:
    """Nobody changes them without the order's lock."""
    return list(OrderLine.objects.filter(order=order).order_by("id"))


def _counted(units: Mapping[str, int]) -> str:
    return ", ".join(f"{number} x {sku}" for sku, number in units.items())


def _money(amount_minor: int, currency: str) -> str:
    return f"{amount_minor / 100:.2f} {currency}"


def _only(ledger: Ledger, order_id: UUID) -> Order:
    try:
        return ledger.orders[order_id]
    except KeyError:
        raise UnknownOrder(f"There is no order {order_id}.") from None
