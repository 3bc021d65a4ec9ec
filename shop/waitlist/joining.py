"""Joining the waiting list, confirming the address, leaving."""

from django.conf import settings
from django.core import signing
from django.db import connection, transaction
from django.db.models.functions import Now
from django.utils.crypto import constant_time_compare

from inventory import kept_copies
from shop.models import WaitlistEntry
from shop.site.pseudonyms import pseudonym
from shop.typed import emails

State = WaitlistEntry.State
_SALT = "shop.waitlist"
# One statement: a second wish for the same book, or the same one twice at a time, changes nothing.
_JOIN = """
INSERT INTO shop_waitlistentry (sku, email, contact, state, mail, mail_attempts)
VALUES (%s, %s, %s, 'asked', 'confirm', 0) ON CONFLICT DO NOTHING
"""


def join(*, sku: str, email: str) -> None:
    """Somebody wants to hear of the book; the address gets one mail that asks whether that is so.

    The same answer whether the address waits already or not: who asks is not told about others.
    """
    with connection.cursor() as cursor:
        cursor.execute(_JOIN, [sku, email, pseudonym(_SALT, emails.canonical(email))])


def confirm(entry_id: int) -> None:
    """The address is its owner's wish: the place in the queue is taken now; a second call changes nothing."""
    asked = WaitlistEntry.objects.filter(pk=entry_id, state=State.ASKED)
    asked.update(state=State.WAITING, confirmed_at=Now(), mail=WaitlistEntry.Mail.NONE)


def leave(entry_id: int) -> None:
    """Nothing more is sent, and a copy that was kept is free for the next; a second call changes nothing."""
    with transaction.atomic():
        entry = WaitlistEntry.objects.select_for_update().filter(pk=entry_id, state__in=WaitlistEntry.OPEN).first()
        if entry is None:
            return
        if entry.state == State.TOLD:
            kept_copies.give_back(copies={entry.pk: entry.sku}, reason="not wanted any more", by="waitlist")
        WaitlistEntry.objects.filter(pk=entry_id).update(
            state=State.STOPPED, ended_at=Now(), mail=WaitlistEntry.Mail.NONE
        )


def key_of(entry_id: int) -> str:
    """The unguessable part of the link in the mails."""
    return signing.Signer(salt=_SALT).signature(str(entry_id))


def find(entry_id: int, key: str) -> WaitlistEntry | None:
    """The entry, for who holds its link."""
    if not constant_time_compare(key_of(entry_id), key):
        return None
    return WaitlistEntry.objects.filter(pk=entry_id).first()


def address_of(entry: WaitlistEntry) -> str:
    """The link, for a mail."""
    return f"{settings.SHOP_URL}/waitlist/{entry.pk}/{key_of(entry.pk)}/"
