"""What buyers are told about their orders, on the page and in mails: plain sentences, made here and nowhere else."""

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime

from events import catalogue
from orders.cancel_reasons import BY_BUYER, CancelCode, CancelReason
from orders.models import Order, OrderMail, PaymentWait, Status, Withdrawal

_HEADLINES = {
    Status.PENDING: "Your order is being processed",
    Status.PAID: "Payment received",
    Status.SHIPPED: "On its way",
    Status.DELIVERED: "Delivered",
    Status.CANCELLED: "Cancelled",
}
_SENTENCES = {
    CancelCode.OUT_OF_STOCK: "We are sorry: the last copies went to someone else.",
    CancelCode.OVER_LIMIT: "In this sale each customer can have only so many copies, and this order would have made it "
    "more.",
    CancelCode.NOT_PAID: "We held your books for a while, but the payment did not arrive in time, so they went back on "
    "sale.",
    CancelCode.TOO_MANY_UNPAID: "Too many orders of these books, from you or from your network, were waiting for "
    "a bank's confirmation at the same time, so this one's went back on sale. You can order them again once the others "
    "are paid.",
    CancelCode.TIMED_OUT: "We are sorry: something kept us from completing your order in time.",
    CancelCode.BY_BUYER: "You cancelled this order.",
}
# Some of what gateways say is told in a sentence of its own.
_OF_PAYMENTS = {
    "not confirmed in time": "Your bank asked you to confirm the payment, and that did not happen in time.",
    "not confirmed by the cardholder": "Your bank asked you to confirm the payment, and it was not confirmed.",
    "the payment was not confirmed with the bank": "Your bank asked you to confirm the payment, and it was not "
    "confirmed.",
}


# A name that a mail may repeat: a few words of letters. See `greeting`.
_GREETABLE = re.compile(r"(?=.{1,60}\Z)[^\W\d_]+\.?(?:[ '\u2019-]{1,2}[^\W\d_]+\.?){0,5}")


def greeting(order: Order) -> str:
    """How a mail to the order's buyer begins.

    A stranger may order with somebody else's address, and so write to them in the shop's name. A name in which a link,
    a number or a sentence would fit is left out.
    """
    plain = "".join(char for char in order.name if not unicodedata.category(char).startswith("M"))
    return f"Dear {order.name}," if _GREETABLE.fullmatch(plain) else "Dear reader,"


def headline(order: Order) -> str:
    """Where the order stands, in two or three words."""
    match Status(order.status):
        case Status.PENDING if order.payment_wait == PaymentWait.ACTION:
            return "Please confirm your payment"
        case Status.PENDING if order.payment_wait == PaymentWait.UNKNOWN:
            return "We are waiting for your bank"
        case Status.PAID if order.is_confirmed:
            return "Confirmed"
        case Status.CANCELLED if order.refunded_at:
            return "Cancelled and refunded"
        case status:
            return _HEADLINES[status]


def detail(order: Order) -> str:
    """What that means, in a sentence or two."""
    match Status(order.status):
        case Status.PENDING:
            return _waiting_for(order)
        case Status.PAID if order.is_confirmed:
            return "Your books are paid for and set aside. We are packing your parcel."
        case Status.PAID:
            return "Your payment is in. We are setting your books aside."
        case Status.SHIPPED:
            return "Your parcel has left our warehouse."
        case Status.DELIVERED:
            return "Your parcel has arrived. Enjoy your books!"
        case Status.CANCELLED:
            return f"{why(order)} {money(order)}"


def payment_step(order: Order) -> str:
    """How the step is called that leads to the payment."""
    match order.payment_wait:
        case PaymentWait.ACTION:
            return "Your bank asks you to confirm"
        case PaymentWait.UNKNOWN:
            return "Waiting for your bank"
        case _:
            return "Payment received"


def _waiting_for(order: Order) -> str:
    if order.payment_wait == PaymentWait.ACTION:
        return "Your bank wants to be sure that it is you who pays. Once you have confirmed it, your order goes on."
    if order.payment_wait == PaymentWait.UNKNOWN:
        return "We asked your bank and have no answer yet. You will not be charged twice; you need not do anything."
    if order.flow == catalogue.PAYMENT_FIRST:
        return "We are charging your card." if not order.held_at else "Almost there."
    return (
        "Your books are set aside. We are charging your card." if order.held_at else "We are setting your books aside."
    )


def why(order: Order) -> str:
    """In a sentence for the buyer, why the order was cancelled; empty where it was not."""
    if order.status != Status.CANCELLED:
        return ""
    match order.why_cancelled:
        case None:
            return "The order was cancelled."
        case CancelReason(CancelCode.PAYMENT_FAILED, detail):
            return _OF_PAYMENTS.get(detail, f"Your payment did not go through ({detail}).")
        case CancelReason(CancelCode.OTHER, words):
            return f"The order was cancelled: {words}."
        case CancelReason(code):
            return _SENTENCES[code]


def cancelled_step(order: Order) -> str:
    """How the timeline calls the end of a cancelled order."""
    if order.why_cancelled == BY_BUYER:
        return "Cancelled by you"
    return f"Cancelled: {order.cancel_reason}" if order.cancel_reason else "Cancelled"


def money(order: Order) -> str:
    """In a sentence, what became of the money of a cancelled order."""
    if order.refunded_at:
        return "Your money has been refunded."
    if order.payment_reference:
        return "Your money is being refunded."
    if _never_charged(order):
        return "You have not been charged."
    # Payments may be asking the bank at this moment; it gives back what it hears of too late.
    return "You will not be charged; if money was on its way already, you get all of it back."


def what_went_back(order: Order) -> str:
    """What a refund was for, as the end of "We have refunded 12.50 USD"."""
    if order.status == Status.CANCELLED:
        late = "" if order.paid_at else ": it reached us after the order was cancelled"
        return f"for your order{late}"
    lines = order.lines.all()
    cancelled, returned = any(line.cancelled for line in lines), any(line.returned for line in lines)
    if cancelled and returned:
        return "for copies that were cancelled or came back"
    return "for the copies that came back" if returned else "for the copies that were cancelled"


@dataclass(frozen=True)
class WithdrawalWords:
    """What the receipt of a withdrawal says of it."""

    declared_at: datetime
    copies: list[tuple[int, str]]
    """How many of which title."""
    had_left: bool


def withdrawal(mail: OrderMail) -> WithdrawalWords | None:
    """What the buyer declared, for its receipt; None for other mails."""
    if mail.kind != OrderMail.Kind.WITHDRAWN:
        return None
    found = Withdrawal.objects.get(order=mail.order_id, number=mail.number)
    titles = {line.sku: line.title for line in mail.order.lines.all()}
    copies = [(number, titles.get(sku, sku)) for sku, number in found.units.items()]
    return WithdrawalWords(declared_at=found.declared_at, copies=copies, had_left=found.had_left)


def _never_charged(order: Order) -> bool:
    reason = order.why_cancelled
    if reason is None:
        return False
    if order.flow == catalogue.RESERVE_FIRST and reason.code in (CancelCode.OUT_OF_STOCK, CancelCode.OVER_LIMIT):
        return True
    return reason.is_known_unpaid
