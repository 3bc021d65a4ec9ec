"""Mails about accounts: written down in the transaction that makes them due, sent by the timekeeper.

# Note [Mails of accounts]
A page that sent a mail itself would wait for the mail server, hold a thread meanwhile, and tell by the time it takes
whether an account exists. So the page only writes a row. The timekeeper sends it within moments and deletes it: links
in these mails open accounts, and nothing shall keep them. What cannot be sent is tried again until the links are stale.
Sending is at least once, as with the mails of orders.
"""

import contextlib
import logging
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.db import connection
from django.db.models.functions import Now
from django.http import HttpRequest
from django.template.loader import render_to_string

from orders.mailing import mail_errors
from shop.limits import limits
from shop.models import AccountMail

log = logging.getLogger(__name__)
SUBJECTS: Mapping[str, str] = {
    "email_confirmation_signup": "Confirm your address",
    "email_confirmation": "Confirm your new address",
    "account_already_exists": "You have an account already",
    "password_reset_key": "Choose a new password",
    "password_changed": "Your password was changed",
    "password_reset": "Your password was changed",
    "email_changed": "The address of your account was changed",
    "account_deleted": "Your account was deleted",
    "order_link": "Your order",
}
"""By the name of a template in `templates/mail/account/`."""
BATCH = 20
LEASE_SECONDS = 300.0
ROUND_SECONDS = 20.0
_STALE = timedelta(days=2)
_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 5.0, 900.0
_CLAIM = """
UPDATE shop_accountmail SET next_attempt_at = now() + make_interval(secs => %s), attempts = attempts + 1
WHERE id = ANY(ARRAY(
    SELECT id FROM shop_accountmail WHERE next_attempt_at <= now() ORDER BY next_attempt_at LIMIT %s
    FOR UPDATE SKIP LOCKED
))
RETURNING id
"""
_LATER = """
UPDATE shop_accountmail SET next_attempt_at = now() + make_interval(secs => %s) WHERE id = ANY(%s)
"""


def queue(*, to: str, name: str, context: Mapping[str, Any]) -> None:
    """Have a mail sent, by the name of its template."""
    text = render_to_string(f"mail/account/{name}.txt", {**context, "shop_url": settings.SHOP_URL})
    AccountMail.objects.create(to=to, subject=SUBJECTS[name], text=text)


def may_write_to(request: HttpRequest, address: str) -> bool:
    """Whether one more mail that anybody can ask for may go to this address; see `limits.ADDRESS_MAILS`."""
    try:
        limits.take(request, (limits.ADDRESS_MAILS, address.casefold()))
    except limits.Refused:
        return False
    return True


def send_due() -> None:
    """Send what is due, for some seconds; a mail server that is away is tried again later."""
    began = time.monotonic()
    while (claimed := _claim()) and time.monotonic() - began < ROUND_SECONDS:
        _send(claimed, until=began + ROUND_SECONDS)


def _claim() -> list[AccountMail]:
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, [LEASE_SECONDS, BATCH])
        ids = [mail_id for (mail_id,) in cursor.fetchall()]
    return list(AccountMail.objects.filter(pk__in=ids).order_by("pk")) if ids else []


def _send(claimed: list[AccountMail], *, until: float) -> None:
    server = get_connection()
    try:
        server.open()
    except OSError as error:  # smtplib's errors are OSErrors too
        log.warning("no mail server (EMAIL_URL): %s", mail_errors.in_words(error))
        _try_later(claimed)
        return
    try:
        for number, mail in enumerate(claimed):
            if time.monotonic() > until:
                _try_later(claimed[number:])
                return
            _send_one(server, mail)
    finally:
        with contextlib.suppress(OSError):
            server.close()


def _send_one(server: Any, mail: AccountMail) -> None:
    """Send a mail; whatever is raised is about this one. The log has no address in it."""
    try:
        server.send_messages([EmailMessage(mail.subject, mail.text, to=[mail.to])])
    except Exception as error:
        if mail_errors.is_permanent(error):
            log.warning("a mail about an account was refused for good (%s)", type(error).__name__)
            mail.delete()
            return
        log.warning("a mail about an account was not sent (%s); it is tried again", type(error).__name__)
        _try_later([mail])
        return
    mail.delete()


def _try_later(mails: list[AccountMail]) -> None:
    """After a pause that grows; not at all once its links are stale."""
    AccountMail.objects.filter(pk__in=[mail.pk for mail in mails], created_at__lt=Now() - _STALE).delete()
    pause = min(_LONGEST_PAUSE_SECONDS, _PAUSE_SECONDS * 2 ** max(mail.attempts for mail in mails))
    with connection.cursor() as cursor:
        cursor.execute(_LATER, [pause, [mail.pk for mail in mails]])
