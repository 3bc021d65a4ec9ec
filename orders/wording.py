"""What buyers are told about their orders, on the page and in mails: plain sentences, made here and nowhere else."""

from kafka_bridge import catalogue
from orders.models import Order, Status

_HEADLINES = {
    Status.PENDING: "Your order is being processed",
    Status.PAID: "Payment received",
    Status.SHIPPED: "On its way",
    Status.DELIVERED: "Delivered",
    Status.CANCELLED: "Cancelled",
}


def headline(order: Order) -> str:
    """Where the order stands, in two or three words."""
    if order.status == Status.PAID and order.is_confirmed:
        return "Confirmed"
    if order.status == Status.CANCELLED and order.refunded_at:
        return "Cancelled and refunded"
    return _HEADLINES[Status(order.status)]


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
            reason = order.cancel_reason
            plainly = f"The order was cancelled: {reason}." if reason else "The order was cancelled."
            return f"{why(order) or plainly} {_money(order)}"


def _waiting_for(order: Order) -> str:
    if order.flow == catalogue.PAYMENT_FIRST:
        return "We are charging your card." if not order.held_at else "Almost there."
    return (
        "Your books are set aside. We are charging your card." if order.held_at else "We are setting your books aside."
    )


def why(order: Order) -> str:
    """In a sentence for the buyer, why the order was cancelled; empty where the reason says it all."""
    reason = order.cancel_reason
    if reason == "out of stock":
        return "We are sorry: the last copies went to someone else."
    if reason == "limit per customer reached":
        return "In this sale each customer can have only so many copies, and this order would have made it more."
    if reason == "not paid in time":
        return "We held your books for a while, but the payment did not arrive in time, so they went back on sale."
    if reason.startswith("payment failed"):
        return f"Your payment did not go through ({reason.removeprefix('payment failed: ')})."
    return ""


def _money(order: Order) -> str:
    if order.refunded_at:
        return "Your money has been refunded."
    if order.payment_reference:
        return "Your money is being refunded."
    return "You have not been charged."
