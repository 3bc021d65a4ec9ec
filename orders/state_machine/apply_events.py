"""What others state about an order, and what it does to the order: each fact moves it, or is noted as come too late.

All of these need a transaction under way, lock the orders they touch, write them in one statement, state what follows,
and leave a line on the trail. `transitions.py` says which fact moves an order in which status.
"""

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

import money
from events import catalogue
from events.base import OrderEvent
from orders import payment_pages
from orders.cancel_reasons import NOT_PAID, OUT_OF_STOCK, OVER_LIMIT, TOO_MANY_UNPAID, CancelCode, CancelReason
from orders.models import Order, PaymentWait, Status
from orders.state_machine import payment_check
from orders.state_machine.transitions import Answer, answer_to
from orders.state_machine.unit_of_work import UnitOfWork, UnknownOrder, begin

log = logging.getLogger(__name__)
E = TypeVar("E", bound=OrderEvent)
Effect = Callable[["UnitOfWork", Order, E, Answer], str]
"""What a fact does to an order, given the order's answer; returns a detail for the trail."""


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
    work = _open(facts)
    for fact, why in zip(facts, payment_check.refusals(facts, work.orders), strict=True):
        if why:
            _refuse(work, fact, why)
        else:
            _hear(work, fact, _paid)
    work.close()


def record_payment_failed(*, facts: Sequence[catalogue.PaymentFailed]) -> None:
    """These orders will not be paid: they end with the gateway's reason."""
    _record(facts, _payment_failed)


def record_refunded(*, facts: Sequence[catalogue.PaymentRefunded]) -> None:
    """The money of these orders went back."""
    _record(facts, _refunded)


def _record(facts: "Sequence[E]", effect: Effect[E]) -> None:
    work = _open(facts)
    for fact in facts:
        _hear(work, fact, effect)
    work.close()


def _open(facts: Sequence[OrderEvent]) -> UnitOfWork:
    work = begin([fact.order_id for fact in facts])
    for fact in facts:
        if fact.order_id not in work.orders:
            raise UnknownOrder(f"{fact.TYPE} speaks of order {fact.order_id}, which does not exist")
    return work


def _hear(work: UnitOfWork, fact: E, effect: Effect[E]) -> None:
    order = work.orders[fact.order_id]
    answer = _answer_to(order, fact)
    if answer is Answer.ILLEGAL:
        log.error("%s: %s cannot happen to an order that is %s", order, fact.TYPE, order.status)
    detail = effect(work, order, fact, answer)
    work.note(order, fact.TYPE, answer, detail)


def _refuse(work: UnitOfWork, fact: catalogue.PaymentConfirmed, why: str) -> None:
    """Nothing moves; payments has a person look at it."""
    order = work.orders[fact.order_id]
    log.error("%s: %s is not believed: %s", order, fact.TYPE, why)
    work.stated.append(
        catalogue.OrderPaymentRefused(
            order_id=order.pk,
            flow=order.flow,
            charge_id=fact.charge_id,
            amount_minor=fact.amount_minor,
            currency=fact.currency,
            why=why,
        )
    )
    work.note(order, fact.TYPE, Answer.ILLEGAL, f"not believed: {why}")


def _answer_to(order: Order, fact: OrderEvent) -> Answer:
    """What the table says; but money that has come back in part does not end a cancelled order yet."""
    answer = answer_to(Status(order.status), type(fact))
    if answer is Answer.MOVE and isinstance(fact, catalogue.PaymentRefunded) and fact.left_minor:
        return Answer.TOO_EARLY
    return answer


def _held(work: UnitOfWork, order: Order, fact: catalogue.InventoryReserved, answer: Answer) -> str:
    if answer is Answer.COMPENSATE:
        return "the order was over; inventory releases the hold"
    if order.held_at is None:
        order.held_at = work.now
        work.confirm_if_complete(order)
    return ""


def _missing(work: UnitOfWork, order: Order, fact: catalogue.InventoryInsufficient, answer: Answer) -> str:
    if answer is Answer.MOVE:
        work.cancel(order, OUT_OF_STOCK if fact.missing else OVER_LIMIT)
    if fact.missing:
        return f"not enough of {', '.join(fact.missing)}"
    return f"the customer has as many as the sale allows of {', '.join(fact.over_limit)}"


def _expired(work: UnitOfWork, order: Order, fact: catalogue.InventoryExpired, answer: Answer) -> str:
    if answer is Answer.MOVE:
        work.cancel(order, TOO_MANY_UNPAID if fact.too_many_unpaid else NOT_PAID)
    return "the hold was given up"


def _action_required(work: UnitOfWork, order: Order, fact: catalogue.PaymentActionRequired, answer: Answer) -> str:
    # Without one the page says that the bank asks in its own way.
    url = fact.url if payment_pages.is_gateways(fact.url) else ""
    if fact.url and not url:
        log.error("%s: %r is no page of the payment gateway; the buyer is not sent there", order, fact.url[:200])
    if answer is Answer.MOVE:
        order.payment_wait, order.payment_url, order.payment_until = PaymentWait.ACTION, url, fact.until
    return "the buyer has to confirm the payment"


def _payment_unknown(work: UnitOfWork, order: Order, fact: catalogue.PaymentUnknown, answer: Answer) -> str:
    if answer is Answer.MOVE:
        order.payment_wait, order.payment_url, order.payment_until = PaymentWait.UNKNOWN, "", None
    return "the gateway has not answered; it is asked again"


def _paid(work: UnitOfWork, order: Order, fact: catalogue.PaymentConfirmed, answer: Answer) -> str:
    if answer is Answer.MOVE:
        order.payment_reference = fact.transaction_id
        order.move_to(Status.PAID, at=work.now)
        work.confirm_if_complete(order)
    elif answer is Answer.COMPENSATE:
        order.payment_reference = fact.transaction_id
        return "the order was over; the money goes back"
    return fact.transaction_id


def _payment_failed(work: UnitOfWork, order: Order, fact: catalogue.PaymentFailed, answer: Answer) -> str:
    if answer is Answer.MOVE:
        work.cancel(order, CancelReason(CancelCode.PAYMENT_FAILED, fact.reason))
    return fact.reason


def _refunded(work: UnitOfWork, order: Order, fact: catalogue.PaymentRefunded, answer: Answer) -> str:
    detail = f"{money.format_plain(fact.amount_minor, fact.currency)}: {fact.reason}"
    if answer is Answer.MOVE:
        order.refunded_at = work.now
    return f"{detail}; {money.format_plain(fact.left_minor, fact.currency)} are left" if fact.left_minor else detail
