"""The mails of the waiting list: owed in the rows, sent outside of any transaction, at least once.

A claim is for so long that a mail which is being sent is not sent by another process as well. What the mail server
refuses for good, or has not taken within days, ends the wish, and the copy that was kept goes to the next.
"""

import logging
from datetime import timedelta

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import connection, transaction
from django.db.models.functions import Now
from django.template.loader import render_to_string
from django.utils import timezone

from kafka_bridge.runtime import backoff
from orders.mailing import mail_errors
from shop.models import Book, WaitlistEntry
from shop.waitlist import joining, serving

log = logging.getLogger(__name__)
Mail = WaitlistEntry.Mail
CLAIM_SECONDS = 180.0
ATTEMPTS = 80
_BATCH = 10
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 2.0, 3600.0
_SUBJECTS = {Mail.CONFIRM: "Please confirm: tell me when it is back", Mail.BACK: "It is back, and kept for you"}
_CLAIM = """
UPDATE shop_waitlistentry SET mail_due_at = now() + make_interval(secs => %s), mail_attempts = mail_attempts + 1
WHERE id = ANY(ARRAY(
    SELECT id FROM shop_waitlistentry WHERE mail <> '' AND mail_due_at <= now()
    ORDER BY mail_due_at LIMIT %s FOR UPDATE SKIP LOCKED
))
RETURNING id
"""


def send_due() -> int:
    """Send some of the mails that are due; returns how many left."""
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, [CLAIM_SECONDS, _BATCH])
        claimed = [entry_id for (entry_id,) in cursor.fetchall()]
    entries = list(WaitlistEntry.objects.filter(pk__in=claimed).exclude(mail=Mail.NONE).order_by("pk"))
    return sum(_send(entry) for entry in entries)


def _send(entry: WaitlistEntry) -> bool:
    until = timezone.now() + timedelta(hours=settings.BACK_IN_STOCK_HOLD_HOURS)
    ours = WaitlistEntry.objects.filter(pk=entry.pk, mail=entry.mail, mail_attempts=entry.mail_attempts)
    try:
        _message(entry, until).send()
    except Exception as error:  # whatever it is, it is about this mail, or over sometime
        _note_failure(entry, error)
        return False
    ours.update(mail=Mail.NONE, held_until=until if entry.mail == Mail.BACK else None)
    return True


def _message(entry: WaitlistEntry, until: object) -> EmailMessage:
    title = Book.objects.filter(isbn=entry.sku).values_list("title", flat=True).first() or entry.sku
    context = {"title": title, "until": until, "address": joining.address_of(entry)}
    text = render_to_string(f"mail/waitlist_{entry.mail}.txt", context)
    return EmailMessage(_SUBJECTS[Mail(entry.mail)], text, to=[entry.email])


def _note_failure(entry: WaitlistEntry, error: Exception) -> None:
    if mail_errors.is_permanent(error) or entry.mail_attempts >= ATTEMPTS:
        log.error("the mail to waiting buyer %d has failed for good (%s)", entry.pk, type(error).__name__)
        _give_up(entry.pk)
        return
    pause = backoff.exponential(
        entry.mail_attempts, first_seconds=_FIRST_PAUSE_SECONDS, longest_seconds=_LONGEST_PAUSE_SECONDS
    )
    log.warning("the mail to waiting buyer %d was not sent (%s)", entry.pk, type(error).__name__)
    WaitlistEntry.objects.filter(pk=entry.pk, mail_attempts=entry.mail_attempts).update(
        mail_due_at=Now() + timedelta(seconds=pause)
    )


def _give_up(entry_id: int) -> None:
    with transaction.atomic(durable=True):
        entry = WaitlistEntry.objects.select_for_update().filter(pk=entry_id, state__in=WaitlistEntry.OPEN).first()
        if entry is not None:
            serving.end({entry.pk: entry.sku}, reason="the mail about it could not be sent")
