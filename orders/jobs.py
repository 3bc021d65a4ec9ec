"""What the timekeeper does for orders."""

import logging

from django.db import transaction

from kafka_bridge.monitoring.alarms import Alarm
from kafka_bridge.runtime import scheduler
from orders.actions import cancellation
from orders.mailing import mails

log = logging.getLogger(__name__)
_mails_late = Alarm(over="mails are sent again")
_mails_failed = Alarm(over="no failed mail waits for a person any more")


@scheduler.every(seconds=2)
def cancel_overdue_orders() -> None:
    """End what got stuck before it was confirmed; holds and money go back."""
    with transaction.atomic(durable=True):
        count = cancellation.cancel_overdue()
    if count:
        log.warning("%d orders were not confirmed before their deadline and are cancelled", count)


@scheduler.every(seconds=30, after_seconds=30)
def watch_mails() -> None:
    """Say once that mails do not leave or have failed for good, and once that it is over."""
    seconds, failed = mails.oldest_due_seconds(), mails.count_failed()
    late = f"a mail is {seconds:.0f} s late: is notifications running, and does it reach the mail server?"
    _mails_late.update(late if seconds > mails.LATE_SECONDS else "")
    _mails_failed.update(f"{failed} mails have failed for good: see Mails in the admin" if failed else "")
