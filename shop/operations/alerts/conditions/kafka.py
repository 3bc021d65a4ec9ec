"""Conditions about brokers, topics and groups."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from kafka_bridge.monitoring.cluster_figures import GroupFigures, GroupPartition, KafkaFigures
from shop.operations.alerts.finding import Finding, counted
from shop.operations.alerts.limits import Limits
from shop.operations.overview.figures import Overview

_RETRY = ".retry"
_NAMED = 5
"""A sentence names so many topics, and counts the rest."""


def lagging(overview: Overview, limits: Limits) -> Iterator[Finding]:
    """Groups that have much to read."""
    return _behind(overview, limits.lag)


def lagging_badly(overview: Overview, limits: Limits) -> Iterator[Finding]:
    """Groups that have very much to read."""
    return _behind(overview, limits.lag_critical)


def slow(overview: Overview, limits: Limits) -> Iterator[Finding]:
    """Groups that are behind and handle little; see Note [How E10 is read]."""
    for group in _groups(overview):
        partitions = _expected_to_move(group)
        messages = sum(each.lag.messages for each in partitions)
        age = max((each.lag.seconds or 0.0 for each in partitions), default=0.0)
        is_behind = messages > limits.behind_messages or (messages > 0 and age > limits.behind_seconds)
        rate = group.rates.handled_per_second or 0.0
        if is_behind and rate < limits.throughput_per_second:
            figures = {"group": group.name, "rate": rate, "messages": messages, "age": age}
            yield Finding(subject=group.name, figures=figures)


def stalled(overview: Overview, limits: Limits) -> Iterator[Finding]:
    """Groups with a partition whose offset does not move, although there is something to read."""
    for group in _groups(overview):
        found = [each for each in _expected_to_move(group) if each.stalled_seconds > limits.stalled_seconds]
        if not found:
            continue
        longest = max(found, key=lambda each: each.stalled_seconds)
        figures = {
            "group": group.name,
            "partitions": _several([f"{each.lag.topic}[{each.lag.partition}]" for each in found]),
            "seconds": longest.stalled_seconds,
            "messages": counted(sum(each.lag.messages for each in found), "message"),
            "state": longest.lag.reason or _STATES[longest.lag.state],
        }
        since = overview.at - timedelta(seconds=longest.stalled_seconds)
        yield Finding(subject=group.name, figures=figures, since=since)


def failing(overview: Overview, limits: Limits) -> Iterator[Finding]:
    """Groups of which too many attempts raise."""
    for group in _groups(overview):
        percent = 100 * (group.rates.error_rate or 0.0)
        if percent > limits.error_percent:
            yield Finding(subject=group.name, figures={"group": group.name, "percent": percent})


def about_to_be_deleted(overview: Overview, limits: Limits) -> Iterator[Finding]:
    """Groups and topics with a message unread for much of the time for which it is kept."""
    kept = {topic.name: topic.retention_seconds for topic in _kafka(overview).topics}
    for group in _kafka(overview).groups:
        oldest: dict[str, float] = {}
        for each in group.partitions:
            if each.lag.messages:
                oldest[each.lag.topic] = max(oldest.get(each.lag.topic, 0.0), each.lag.seconds or 0.0)
        for topic, age in oldest.items():
            if kept.get(topic, 0) > 0 and age > kept[topic] * limits.unread_percent / 100:
                figures = {"group": group.name, "topic": topic, "age": _days(age), "kept": _days(kept[topic])}
                yield Finding(subject=f"{group.name} ({topic})", figures=figures)


def certificates(overview: Overview, limits: Limits) -> Iterator[Finding]:
    """Brokers whose certificates end soon."""
    for broker in _kafka(overview).brokers:
        if broker.certificate_ends_at is None:
            continue
        days = (broker.certificate_ends_at - overview.at) / timedelta(days=1)
        if days < limits.certificate_days:
            yield Finding(
                subject=str(broker.id),
                figures={"broker": broker.id, "when": _date_of(broker.certificate_ends_at, days)},
                severity="critical" if days < limits.certificate_days / 3 else "warning",
            )


def under_replicated(overview: Overview, limits: Limits) -> Iterator[Finding]:
    """Partitions with fewer copies in step than they have."""
    counts = {topic.name: topic.under_replicated for topic in _kafka(overview).topics}
    return _in_topics(counts)


def without_leader(overview: Overview, limits: Limits) -> Iterator[Finding]:
    """Partitions that nobody leads."""
    counts = {topic.name: sum(each.leader is None for each in topic.partitions) for topic in _kafka(overview).topics}
    return _in_topics(counts)


_STATES: dict[str, str] = {
    "nobody": "no member has it",
    "reading": "a member has it",
    "paused": "it is paused",
    "retrying": "messages are tried again",
}


def _kafka(overview: Overview) -> KafkaFigures:
    assert overview.kafka.value is not None  # noqa: S101 - conditions are asked only where there is a value
    return overview.kafka.value


def _groups(overview: Overview) -> Iterator[GroupFigures]:
    """All but those of retry topics, where copies wait for their time on purpose."""
    return (group for group in _kafka(overview).groups if not group.name.endswith(_RETRY))


def _expected_to_move(group: GroupFigures) -> list[GroupPartition]:
    """Partitions that no person has paused, and in which nothing waits on purpose."""
    return [each for each in group.partitions if not (each.is_paused_by_person or each.lag.topic.endswith(_RETRY))]


def _behind(overview: Overview, most: float) -> Iterator[Finding]:
    for group in _kafka(overview).groups:
        if group.messages > most:
            yield Finding(
                subject=group.name, figures={"group": group.name, "messages": counted(group.messages, "message")}
            )


def _in_topics(counts: dict[str, int]) -> Iterator[Finding]:
    if partitions := sum(counts.values()):
        names = _several([name for name, count in counts.items() if count])
        yield Finding(figures={"partitions": counted(partitions, "partition"), "topics": names})


def _several(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _days(seconds: float) -> str:
    return f"{seconds / 86400:.1f} days" if seconds >= 86400 else f"{seconds / 3600:.1f} hours"


def _date_of(moment: datetime, days: float) -> str:
    date = f"{moment.astimezone(UTC):%d %B %Y}"
    return f"on {date}, in {days:.0f} days" if days >= 0 else f"is over: it ended on {date}"
