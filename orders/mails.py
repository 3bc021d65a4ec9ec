"""Order mails: recorded in the transaction that makes them due, sent outside of any.

Sending is at least once: a crash between the mail server's answer and our note of it sends the mail again.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.core.mail import get_connection, send_mail
from django.core.mail.backends.base import BaseEmailBackend
from django.db import transaction
from django.db.models import F
from django.template.loader import render_to_string
from django.utils import timezone

from kafka_bridge.runtime import backoff, error_classes
from orders import links, messages
from orders.models import Order, OrderMail, Status

log = logging.getLogger(__name__)
_BATCH = 50
_LEASE_SECONDS = 30


@dataclass(frozen=True, kw_only=True)
class MailRequest:
    """Something that a buyer is to be told, and that may happen to an order more than once."""

    order_id: UUID
    kind: OrderMail.Kind
    number: int = 1
    """Which time it is: the same kind and number is the same mail."""
    amount_minor: int | None = None
    """The money that goes back, in minor units."""
    reason: str = ""


def queue(*, order_ids: Sequence[UUID], kind: OrderMail.Kind) -> None:
    """These orders owe their buyers a mail of this kind; a second call changes nothing."""
    queue_each(requests=[MailRequest(order_id=order_id, kind=kind) for order_id in order_ids])


def queue_each(*, requests: Sequence[MailRequest]) -> None:
    """These orders owe their buyers these mails; a second call changes nothing."""
    known = set(Order.objects.filter(pk__in=[request.order_id for request in requests]).values_list("pk", flat=True))
    OrderMail.objects.bulk_create(
        [
            OrderMail(
                order_id=request.order_id,
                kind=request.kind,
                number=request.number,
                amount_minor=request.amount_minor,
                reason=request.reason[:500],
            )
            for request in requests
            if request.order_id in known
        ],
        ignore_conflicts=True,
    )


def send_due() -> bool:
    """Send mails that are due. True if there may be more at once."""
    mails = _claim()
    connection = get_connection()
    for mail in mails:
        if _is_pointless(mail):
            mail.delete()
        else:
            _send(mail, connection)
    return bool(mails)


def _claim() -> list[OrderMail]:
    """Take some mails for a while, so that another process does not send the same ones meanwhile."""
    now = timezone.now()
    with transaction.atomic(durable=True):
        due = OrderMail.objects.filter(sent_at=None, next_attempt_at__lte=now).order_by("next_attempt_at")
        mails = list(due.select_for_update(skip_locked=True)[:_BATCH])
        OrderMail.objects.filter(pk__in=[mail.pk for mail in mails]).update(
            next_attempt_at=now + timedelta(seconds=_LEASE_SECONDS), attempts=F("attempts") + 1
        )
    claimed = OrderMail.objects.filter(pk__in=[mail.pk for mail in mails]).order_by("pk")
    return list(claimed.select_related("order", "order__shipment").prefetch_related("order__lines"))


def _is_pointless(mail: OrderMail) -> bool:
    """Whether it asks for something that is done or over."""
    return mail.kind == OrderMail.Kind.CONFIRM_PAYMENT and mail.order.status != Status.PENDING


def _send(mail: OrderMail, connection: BaseEmailBackend) -> None:
    order = mail.order
    context = {
        "order": order,
        "greeting": messages.greeting(order),
        "lines": order.lines.all(),
        "mail": mail,
        "why": messages.why(order),
        "money": messages.money(order),
        "what_went_back": messages.what_went_back(order),
        "address": links.address(order),
    }
    text = render_to_string(f"mail/{mail.kind}.txt", context)
    try:
        subject = f"{mail.get_kind_display()}: {mail.order.reference}"
        send_mail(subject, text, None, [mail.order.email], connection=connection)
    except OSError as error:  # smtplib's errors are OSErrors too
        pause = backoff.exponential(mail.attempts, first_seconds=2, longest_seconds=600)
        log.warning("mail %d was not sent, next try in %.0f s: %s", mail.pk, pause, error_classes.describe(error))
        OrderMail.objects.filter(pk=mail.pk).update(next_attempt_at=timezone.now() + timedelta(seconds=pause))
    else:
        OrderMail.objects.filter(pk=mail.pk).update(sent_at=timezone.now())
