"""What the timekeeper does for the bridge."""

import logging

from confluent_kafka import KafkaException
from django.conf import settings

from kafka_bridge import housekeeping, lag, timekeeper
from kafka_bridge.models import LagSample

log = logging.getLogger(__name__)


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


if settings.LAG_SAMPLE_SECONDS > 0:
    timekeeper.every(seconds=settings.LAG_SAMPLE_SECONDS, after_seconds=settings.LAG_SAMPLE_SECONDS, aside=True)(
        sample_lag
    )
