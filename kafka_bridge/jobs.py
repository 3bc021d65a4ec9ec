"""What the timekeeper does for the bridge."""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime

from confluent_kafka import KafkaException
from django.utils import timezone

from kafka_bridge.dead_letters import letter_store, redrive_sender
from kafka_bridge.models import LagSample
from kafka_bridge.monitoring.alarms import Alarm
from kafka_bridge.monitoring.groups import lag, stall_detector
from kafka_bridge.publishing import outbox
from kafka_bridge.runtime import conf, housekeeping, scheduler, topics
from kafka_bridge.runtime.coordinators.asking import Coordinators
from kafka_bridge.telemetry import metrics

log = logging.getLogger(__name__)
PARKED_TOO_MANY = 100
"""With more dead letters than this, waiting for a person, something is wrong that is not the messages."""
OUTBOX_TOO_OLD_SECONDS = 60
"""An event leaves within milliseconds; one that has waited for so long is stuck."""
STANDSTILL_SECONDS = 120
"""A message takes milliseconds, an attempt in its place seconds; a group that has not moved for so long is stuck."""
_PLACE = ["group", "topic", "partition"]
LAG = metrics.gauge(
    "consumer_lag_messages", "Messages that a group has still to read, at the last sample", _PLACE, by="timekeeper"
)
LAG_SECONDS = metrics.gauge(
    "consumer_lag_seconds", "Age of the oldest message that a group has still to read", _PLACE, by="timekeeper"
)
ENDS = metrics.gauge(
    "topic_end_offset", "The offset of the next message of a partition", ["topic", "partition"], by="timekeeper"
)
LETTERS = metrics.gauge("dead_letters_waiting", "Dead letters that wait for a person", by="timekeeper")
OUTBOX_AGE = metrics.gauge("outbox_oldest_seconds", "Age of the oldest event that waits for a relay", by="timekeeper")
# Its child is started by the first sample; a new one each time would take twice what the sample takes.
_coordinators = Coordinators()
_too_many_letters = Alarm(over=f"no more than {PARKED_TOO_MANY} dead letters wait for a person again")
_not_leaving = Alarm(over="events leave for Kafka again")
_expiring = Alarm(over="no unread message is about to be deleted any more")
_standing_still = Alarm(over="every group that has something to read moves again")
_stall_detector = stall_detector.StallDetector(seconds=STANDSTILL_SECONDS)
LagReading = tuple[datetime, Sequence[lag.PartitionLag]]
"""The lag of all groups, with what people have paused, and when the brokers said so."""
_read_elsewhere: Callable[[], LagReading | None] | None = None


def take_lag_from(source: Callable[[], LagReading | None]) -> None:
    """Sample what this process reads anyway. Where `source` has none of the last seconds, the brokers are asked."""
    global _read_elsewhere
    _read_elsewhere = source


def _read_lag() -> LagReading:
    if _read_elsewhere is not None and (found := _read_elsewhere()) is not None:
        return found
    return timezone.now(), lag.with_pauses(lag.read_lag(coordinators=_coordinators))


def sample_lag() -> None:
    """Note how far every group is behind; nothing is noted while Kafka does not answer."""
    try:
        at, found = _read_lag()
    except KafkaException as error:
        log.warning("no lag sample: Kafka does not answer (%s)", error)
        _stall_detector.forget()
        _forget_shown()
        return
    LagSample.objects.bulk_create(
        LagSample(
            at=at,
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
    _show(found)
    _expiring.update(_too_late(found))
    _standing_still.update(_not_moving(_stall_detector.find_stalled(found)))


def _show(found: Sequence[lag.PartitionLag]) -> None:
    """To Prometheus; what is no longer there is not shown."""
    _forget_shown()
    for row in found:
        ENDS.labels(row.topic, row.partition).set(row.end)
        LAG.labels(row.group, row.topic, row.partition).set(row.messages)
        if row.seconds is not None:
            LAG_SECONDS.labels(row.group, row.topic, row.partition).set(row.seconds)


def _forget_shown() -> None:
    for shown in (LAG, LAG_SECONDS, ENDS):
        shown.clear()


@scheduler.every(seconds=60, after_seconds=60, background=True)
def prune() -> None:
    """Forget what is too old to matter."""
    for name, count in housekeeping.prune().items():
        if count:
            log.info("%d old rows of %s are gone", count, name)


@scheduler.every(seconds=30, after_seconds=10, background=True)
def watch_dead_letters() -> None:
    """Say once that too many dead letters wait for a person, and once that it is over; mend heads that were left."""
    if mended := redrive_sender.repair_heads():
        log.warning("%d parked keys were left behind by what was done to their dead letters; mended", mended)
    waiting = letter_store.count_waiting(limit=PARKED_TOO_MANY + 1)
    many = (
        f"more than {PARKED_TOO_MANY} dead letters wait for a person: see `manage.py dead_letters list --kinds` or the "
        "admin"
    )
    LETTERS.set(waiting)
    _too_many_letters.update(many if waiting > PARKED_TOO_MANY else "")


@scheduler.every(seconds=15, after_seconds=15)
def watch_outbox() -> None:
    """Say once that events do not leave, and once that they do."""
    seconds = outbox.oldest_seconds()
    OUTBOX_AGE.set(seconds)
    waits = f"an event has waited {seconds:.0f} s for the relay: is one running, and does it reach Kafka?"
    _not_leaving.update(waits if seconds > OUTBOX_TOO_OLD_SECONDS else "")


def _too_late(found: Sequence[lag.PartitionLag]) -> str:
    """Groups that have left messages unread for half of what their topic keeps them; the rest is all they have."""
    kept = {topic.name: topic.retention_seconds for topic in topics.wanted()}
    late = sorted({f"{row.group} ({row.topic})" for row in found if (row.seconds or 0) > kept[row.topic] / 2})
    return f"unread messages are about to be deleted: {', '.join(late)} must catch up" if late else ""


def _not_moving(stuck: Sequence[lag.PartitionLag]) -> str:
    """Which groups stand still, and what their members say about it."""
    places = [f"{row.group} ({row.topic}[{row.partition}], {row.reason or row.state})" for row in stuck]
    if not stuck:
        return ""
    return f"no progress for {_stall_detector.seconds:g} s although there is something to read: {', '.join(places)}"


# A project without settings gets as far as the system check that says so.
if conf.are_there() and (seconds := conf.current().lag_sample_seconds) > 0:
    scheduler.every(seconds=seconds, after_seconds=seconds, background=True)(sample_lag)
