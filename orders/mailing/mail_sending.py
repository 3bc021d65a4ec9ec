"""Sends the mails that are due.

Sending is at least once: a crash between the mail server's answer and our note of it sends the mail again.

# Note [A claim outlives the work]
Who claims mails has them for `LEASE_SECONDS`, by the database's clock; nobody else takes them meanwhile. A round
begins no mail after `ROUND_SECONDS` and gives back what is left, and one mail has `EMAIL_TIMEOUT` for each step of its
dialogue with the mail server, of which there are about ten. So a claim ends only under one that is dead or frozen.
Each claim counts up `attempts`; what is written of a failure, or given back, must still have that number.

# Note [Noted together]
That a mail was sent is noted at the latest `NOTE_SECONDS` later, with others: a transaction for each would cost more
than the mails. A crash before the note sends the mails of that moment again, as it always did with the last one.

# Note [Whose failure it is]
While the mail server cannot be reached, or does not let the shop in, no mail is at fault: all are given back uncounted,
and the worker waits. Everything that happens from then on is about the one mail, whatever the exception is. Refused for
good, it has failed at once. Any other error is tried again, with pauses that grow to an hour; a mail that was tried
`ATTEMPTS` times, over about three days, has failed as well. A failed mail waits for a person.
"""

import contextlib
import logging
import time
from collections import deque
from collections.abc import Collection
from datetime import timedelta

from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.db import connection
from django.db.models.functions import Now
from django.template.loader import render_to_string

from kafka_bridge.runtime import backoff, error_classes
from kafka_bridge.telemetry import activity, metrics, tracing
from orders import links, prices
from orders.mailing import mail_errors, messages
from orders.models import OrderMail, Status

SENT = metrics.counter("mails_sent", "Mails that the mail server took", by="notifications")
FAILED = metrics.counter("mails_failed", "Attempts to send a mail that failed", ["then"], by="notifications")
log = logging.getLogger(__name__)
GROUP = "notifications"
"""Who records mails, and sends them."""
LEASE_SECONDS = 180.0
ROUND_SECONDS = 3.0
NOTE_SECONDS = 0.05
ATTEMPTS = 80
_BATCH = 50
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 2.0, 3600.0


# One statement, and so one transaction: it is asked again and again, often for nothing.
_CLAIM = """
UPDATE orders_ordermail SET next_attempt_at = now() + make_interval(secs => %s), attempts = attempts + 1
WHERE id = ANY(ARRAY(
    SELECT id FROM orders_ordermail WHERE sent_at IS NULL AND failed_at IS NULL AND next_attempt_at <= now()
    ORDER BY next_attempt_at LIMIT %s FOR UPDATE SKIP LOCKED
))
RETURNING id
"""


def send_due() -> bool:
    """Send mails that are due, for a few seconds. True if there may be more at once.

    Raises:
        Unavailable: the mail server cannot be reached, or does not let the shop in.
    """
    began = noted = time.monotonic()
    mails, sent = deque(_claim()), list[int]()
    is_work = bool(mails)
    server = get_connection()
    try:
        while mails and (now := time.monotonic()) - began < ROUND_SECONDS:
            if now - noted >= NOTE_SECONDS:
                _note_sent(sent)
                noted = now
            if _is_pointless(mails[0]):
                mails[0].delete()
            elif _send(mails[0], server):
                sent.append(mails[0].pk)
            mails.popleft()
    finally:
        _note_sent(sent)
        _give_back(mails)
    return is_work


def _claim() -> list[OrderMail]:
    """Take some mails for a while; see Note [A claim outlives the work]."""
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, [LEASE_SECONDS, _BATCH])
        ids = [mail_id for (mail_id,) in cursor.fetchall()]
    if not ids:
        return []
    claimed = OrderMail.objects.filter(pk__in=ids).order_by("pk")
    return list(claimed.select_related("order", "order__shipment").prefetch_related("order__lines"))


def _note_sent(sent: list[int]) -> None:
    """See Note [Noted together]; the list is empty afterwards."""
    if sent:
        OrderMail.objects.filter(pk__in=sent).update(sent_at=Now(), failed_at=None, last_error="")
        sent.clear()


def _give_back(mails: Collection[OrderMail]) -> None:
    """Let others have these at once; they were not tried."""
    if not mails:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE orders_ordermail m SET next_attempt_at = now(), attempts = m.attempts - 1 "
            "FROM unnest(%s::bigint[], %s::int[]) AS claimed(id, attempts) "
            "WHERE m.id = claimed.id AND m.attempts = claimed.attempts AND m.sent_at IS NULL",
            [[mail.pk for mail in mails], [mail.attempts for mail in mails]],
        )


def _is_pointless(mail: OrderMail) -> bool:
    """Whether it asks for something that is done or over."""
    return mail.kind == OrderMail.Kind.CONFIRM_PAYMENT and mail.order.status != Status.PENDING


def _send(mail: OrderMail, server: BaseEmailBackend) -> bool:
    """Whether the mail server took it; see Note [Whose failure it is]."""
    try:
        message = _message(mail)
        _open(server)
        with _traced(mail):
            server.send_messages([message])
    except Exception as error:
        if error_classes.is_infrastructure(error) or error_classes.is_conflict(error):
            raise
        _note_failure(mail, error)
        return False
    else:
        SENT.inc()
        return True
    finally:
        # It may hang up first, or say nothing more: the mail's fate is decided by then.
        with contextlib.suppress(OSError):
            server.close()


def _open(server: BaseEmailBackend) -> None:
    began = time.monotonic()
    try:
        server.open()
        activity.current.note_use("mail", answer_seconds=time.monotonic() - began)
    except OSError as error:  # smtplib's errors are OSErrors too
        activity.current.note_use("mail", error=type(error).__name__)
        raise error_classes.Unavailable(f"no mail server (EMAIL_URL): {mail_errors.in_words(error)}") from error


def _traced(mail: OrderMail) -> contextlib.AbstractContextManager[None]:
    """A span of the dialogue with the mail server, in the story of the order."""
    parent = tracing.of_handling(GROUP, mail.caused_by) if mail.caused_by else tracing.NO_PARENT
    attributes: tracing.Attributes = {"bookrush.mail.kind": mail.kind, "bookrush.mail.attempt": mail.attempts}
    return tracing.timed("send mail", "CLIENT", mail.order_id, parent, attributes)


def _message(mail: OrderMail) -> EmailMessage:
    order = mail.order
    context = {
        "order": order,
        "greeting": messages.greeting(order),
        "lines": order.lines.all(),
        "price_rows": prices.rows(order, list(order.lines.all())),
        "mail": mail,
        "why": messages.why(order),
        "money": messages.money(order),
        "what_went_back": messages.what_went_back(order),
        "address": links.address(order),
        "withdrawal_address": links.withdrawal_address(order),
        "withdrawal": messages.withdrawal(mail),
    }
    text = render_to_string(f"mail/{mail.kind}.txt", context)
    return EmailMessage(f"{mail.get_kind_display()}: {order.reference}", text, to=[order.email])


def _note_failure(mail: OrderMail, error: Exception) -> None:
    """Plan the next attempt, or give up. The log has no address in it; the admin shows all that was said."""
    claimed = OrderMail.objects.filter(pk=mail.pk, attempts=mail.attempts, sent_at=None)
    reason = mail_errors.in_words(error)
    if mail_errors.is_permanent(error) or mail.attempts >= ATTEMPTS:
        log.error("mail %d has failed for good (%s); the admin shows why", mail.pk, type(error).__name__)
        FAILED.labels("given up").inc()
        claimed.update(failed_at=Now(), last_error=reason)
        return
    pause = backoff.exponential(
        mail.attempts, first_seconds=_FIRST_PAUSE_SECONDS, longest_seconds=_LONGEST_PAUSE_SECONDS
    )
    log.warning("mail %d was not sent (%s), next try in %.0f s", mail.pk, type(error).__name__, pause)
    FAILED.labels("tried again").inc()
    claimed.update(next_attempt_at=Now() + timedelta(seconds=pause), last_error=reason)
