"""Inventory's periodic jobs; the timekeeper process runs them."""

import logging

import redis
from django.db import transaction

from inventory import compaction, stock_adjustments
from inventory.redis_counters import counter_sync
from inventory.reservations import expiry
from kafka_bridge.runtime import housekeeping, scheduler

log = logging.getLogger(__name__)
housekeeping.register(compaction.MOVEMENTS)


@scheduler.every(seconds=1)
def expire_holds() -> None:
    """Release holds that were not paid in time; their orders are cancelled."""
    with transaction.atomic(durable=True):
        count = expiry.expire_holds()
    if count:
        log.warning("%d holds expired: not paid in time", count)


@scheduler.every(seconds=1)
def sync_counters() -> None:
    """Compare the Redis counters with PostgreSQL and repair them; skipped while Redis is unavailable."""
    try:
        done = counter_sync.sync()
    except (redis.RedisError, OSError) as error:
        log.warning("stock counters cannot be compared, Redis is unavailable: %s", error)
    else:
        if done:
            log.info("stock counters: %s", done)


@scheduler.every(seconds=5)
def return_unsold() -> None:
    """Move what a sale has left back to the ordinary pool once the sale is over."""
    with transaction.atomic(durable=True):
        units = stock_adjustments.return_unsold()
    if units:
        log.info("%d unsold units of ended sales returned to their ordinary pools", units)
