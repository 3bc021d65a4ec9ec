"""How many partitions a rate takes: the wanted rate by what one member of a group was seen to handle.

# Note [Only a busy member shows what it can do]
A member that has read everything handles what is written, however little that is. So only those spans count at whose
end something was left to read.
"""

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from kafka_bridge.consuming import registry
from kafka_bridge.models import LagSample
from kafka_bridge.monitoring.groups import throughput
from kafka_bridge.runtime import clients
from kafka_bridge.wire import event_types

WINDOW = timedelta(days=7)
# Longer apart, and a pause of the timekeeper would be taken for slowness of the consumers.
_SPAN_SECONDS_MAX = 120.0
Member = tuple[str, str, datetime]
"""A group, one of its members, and when it was looked at."""


@dataclass(frozen=True, kw_only=True)
class Advice:
    """What one group needs for a rate."""

    group: str
    member_rate: float | None
    """Messages per second that one member handled when it had more to do than it could; None if that was never seen."""
    members: int | None
    """Members (and so partitions, at least) that the wanted rate takes; None if the rate of one is not known."""


def advise(
    *, rate: float, groups: Sequence[registry.Group], headroom: float, member_rate: float | None
) -> list[Advice]:
    """For each group, how many members this rate takes; `member_rate` goes before what was measured.

    Rates are messages per second through one topic; `headroom` 1.5 keeps a third of the members' time free.
    """
    measured = {} if member_rate else measured_rates()
    found = []
    for group in groups:
        one = member_rate or measured.get(group.name)
        members = max(1, math.ceil(rate * headroom / one)) if one else None
        found.append(Advice(group=group.name, member_rate=one, members=members))
    return found


def partitions_now(group: registry.Group) -> int:
    """The most members of this group that can be at work at a time, by the catalogue and the settings."""
    return min((topic.partitions or clients.conf().partitions for topic in group.topics), default=0)


def hearers(topic_names: Iterable[str]) -> list[registry.Group]:
    """The groups that hear any of these topics."""
    wanted = set(topic_names)
    known = {topic.name for topic in event_types.topics()}
    if unknown := wanted - known:
        raise LookupError(f"no topic {', '.join(sorted(unknown))}; there are: {', '.join(sorted(known))}")
    return [group for group in registry.groups() if wanted & {topic.name for topic in group.topics}]


def measured_rates() -> dict[str, float]:
    """By group, the best rate of one busy member in the last week; see the note above."""
    by_partition: dict[throughput.Key, list[LagSample]] = defaultdict(list)
    for sample in LagSample.objects.filter(at__gte=timezone.now() - WINDOW).order_by("at"):
        by_partition[throughput.key_of(sample)].append(sample)
    handled: dict[Member, float] = defaultdict(float)
    busy: set[Member] = set()
    for samples in by_partition.values():
        for before, after in itertools.pairwise(samples):
            seconds = (after.at - before.at).total_seconds()
            if not after.owner or after.owner != before.owner or not 0 < seconds <= _SPAN_SECONDS_MAX:
                continue
            member: Member = after.group, after.owner, after.at
            read = (after.end - after.messages) - (before.end - before.messages)
            handled[member] += max(0, read) / seconds
            if after.messages:
                busy.add(member)
    best: dict[str, float] = {}
    for member in busy:
        if handled[member]:
            best[member[0]] = max(best.get(member[0], 0.0), handled[member])
    return best
