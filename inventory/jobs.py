"""What the timekeeper does for inventory."""

import logging

import redis
from django.db import transaction

from inventory import compaction, counter_sync, holds, stock_adjustments
from kafka_bridge.runtime import housekeeping, scheduler

log = logging.getLogger(__name__)
housekeeping.register(compaction.MOVEMENTS)


@scheduler.every(seconds=1)
def expire_holds() -> None:
    """Give up holds that were not paid in time; their orders end."""
    with transaction.atomic(durable=True):
        count = holds.expire()
    if count:
        log.warning("%d holds were not paid in time and are given up", count)


@scheduler.every(seconds=1)
def tend_gate() -> None:
    """Compare the gate with PostgreSQL and mend it; without Redis there is nothing to compare."""
    try:
        done = counter_sync.sync()
    except (redis.RedisError, OSError) as error:
        log.warning("the gate cannot be compared: %s", error)
    else:
        if done:
            log.info("the gate: %s", done)


@scheduler.every(seconds=5)
def return_unsold() -> None:
    """What a sale has left goes back among the ordinary units once it is over."""
    with transaction.atomic(durable=True):
        units = stock_adjustments.return_unsold()
    if units:
        log.info("%d units of sales that are over can be bought again as usual", units)
