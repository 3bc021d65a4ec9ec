"""What the timekeeper does for those who wait for books."""

import logging

from django.conf import settings
from django.db import transaction

from kafka_bridge.runtime import housekeeping, scheduler
from shop.waitlist import sending, serving

log = logging.getLogger(__name__)
housekeeping.register(
    housekeeping.RetentionPolicy(
        table="shop_waitlistentry",
        setting="KEEP_WAITLIST_DAYS",
        days=lambda: settings.KEEP_WAITLIST_DAYS,
        old="SELECT ctid FROM shop_waitlistentry WHERE ended_at < %(before)s "
        "OR (state = 'asked' AND asked_at < %(before)s) LIMIT %(limit)s",
    )
)


@scheduler.every(seconds=1)
def serve_waiting() -> None:
    """Give copies that are free to those who wait for them."""
    with transaction.atomic(durable=True):
        told = serving.serve()
    if told:
        log.info("%d waiting buyers are told that their book is back", told)


@scheduler.every(seconds=1, background=True)
def send_waitlist_mails() -> None:
    """Send the mails that are due."""
    sending.send_due()
