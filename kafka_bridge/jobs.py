"""What the timekeeper does for the bridge."""

import logging

from confluent_kafka import KafkaException
from django.conf import settings

from kafka_bridge import dead_letter_store, housekeeping, lag, redriving, timekeeper
from kafka_bridge.models import LagSample

log = logging.getLogger(__name__)
PARKED_TOO_MANY = 100
"""With more dead letters than this, waiting for a person, something is wrong that is not the messages."""


def sample_lag() -> None:
    """Note how far every group is behind; nothing is noted while Kafka does not answer."""
    try:
        found = lag.read()
    except KafkaException as error:
        log.warning("no lag sample: Kafka does not answer (%s)", error)
        return
    LagSample.objects.bulk_create(
        LagSample(
            group=row.group,
            topic=row.topic,
            partition=row.partition,
            committed=row.committed,
            end=row.end,
            messages=row.messages,
            seconds=row.seconds,
            owner=row.owner[:200],
        )
        for row in found
    )


@timekeeper.every(seconds=60, after_seconds=60, aside=True)
def prune() -> None:
    """Forget what is too old to matter."""
    for name, count in housekeeping.prune().items():
        if count:
            log.info("%d old rows of %s are gone", count, name)


@timekeeper.every(seconds=30, after_seconds=10, aside=True)
def watch_dead_letters() -> None:
    """Say once that too many dead letters wait for a person, and once that it is over; mend heads that were left."""
    if mended := redriving.mend_heads():
        log.warning("%d parked keys were left behind by what somebody did to their dead letters; mended", mended)
    _alarm.hear(dead_letter_store.waiting(limit=PARKED_TOO_MANY + 1))


class _Alarm:
    """Remembers in this process whether it has been raised; another leader raises it anew."""

    def __init__(self) -> None:
        self.is_raised = False

    def hear(self, waiting: int) -> None:
        """How many letters wait now."""
        if waiting > PARKED_TOO_MANY and not self.is_raised:
            self.is_raised = True
            log.error(
                "more than %d dead letters wait for a person: see `manage.py dead_letters list --kinds` or the admin",
                PARKED_TOO_MANY,
            )
        elif waiting <= PARKED_TOO_MANY and self.is_raised:
            self.is_raised = False
            log.info("no more than %d dead letters wait for a person again", PARKED_TOO_MANY)


_alarm = _Alarm()

if settings.LAG_SAMPLE_SECONDS > 0:
    timekeeper.every(seconds=settings.LAG_SAMPLE_SECONDS, after_seconds=settings.LAG_SAMPLE_SECONDS, aside=True)(
        sample_lag
    )
