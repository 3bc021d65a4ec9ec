"""What a person can do about a mail that has failed: try again, correct the address, give up."""

from django.db.models import QuerySet
from django.db.models.functions import Now

from kafka_bridge.runtime.postgresql import transactions
from orders.models import Order, OrderMail


class NotFailed(Exception):
    """The mail does not wait for a person (any more): it was sent, is being tried again, or was given up."""


def try_again(*, mail_id: int) -> OrderMail:
    """It is sent as soon as the worker comes to it, with all attempts before it.

    Raises:
        NotFailed: see there.
    """
    mail = _failed(mail_id)
    _make_due(OrderMail.objects.filter(pk=mail_id))
    return mail


def correct_address(*, mail_id: int, email: str) -> OrderMail:
    """The order has this address from now on, and all of its mails that failed are tried again. Returns the mail.

    The address must have been validated.

    Raises:
        NotFailed: see there.
    """
    mail = _failed(mail_id)
    Order.objects.filter(pk=mail.order_id).update(email=email)
    _make_due(OrderMail.objects.filter(order_id=mail.order_id))
    return mail


def give_up(*, mail_id: int) -> OrderMail:
    """It is never sent, and nobody is reminded of it.

    Raises:
        NotFailed: see there.
    """
    mail = _failed(mail_id)
    OrderMail.objects.filter(pk=mail_id).update(closed_at=Now())
    return mail


def _failed(mail_id: int) -> OrderMail:
    """The mail, locked, so that of two persons who press a button one is told that the other did."""
    transactions.require("orders.actions.failed_mails")
    mail = OrderMail.objects.select_for_update(of=("self",)).select_related("order").get(pk=mail_id)
    if not mail.has_failed:
        state = "was sent" if mail.sent_at else "was given up" if mail.closed_at else "is being tried again"
        raise NotFailed(f"This mail {state} already; nothing was changed.")
    return mail


def _make_due(mails: QuerySet[OrderMail]) -> None:
    mails.filter(failed_at__isnull=False, closed_at=None).update(failed_at=None, attempts=0, next_attempt_at=Now())
