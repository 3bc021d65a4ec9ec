"""What the timekeeper does for orders."""

import logging

from django.db import transaction

from kafka_bridge.runtime import scheduler
from orders.actions import cancellation

log = logging.getLogger(__name__)


@scheduler.every(seconds=2)
def cancel_overdue_orders() -> None:
    """End what got stuck before it was confirmed; holds and money go back."""
    with transaction.atomic(durable=True):
        count = cancellation.cancel_overdue()
    if count:
        log.warning("%d orders were not confirmed before their deadline and are cancelled", count)
