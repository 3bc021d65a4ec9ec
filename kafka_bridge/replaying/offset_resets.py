"""Moving a group to another offset as an act: shown first, with what stands against it; done by somebody, for a reason.

Pausing the group is not enough: brokers refuse offsets for a group that has members, and its members would go on from
where they are. So they are to be stopped first.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction
from django.dispatch import Signal

from kafka_bridge.consuming import registry
from kafka_bridge.consuming.registry import Group
from kafka_bridge.replaying import offsets
from kafka_bridge.replaying.offsets import InvalidRequest, OffsetMove


@dataclass(frozen=True, kw_only=True, slots=True)
class ResetPreview:
    """What a reset would do."""

    group: Group
    topic: str
    """As the catalogue calls it."""
    moves: Sequence[OffsetMove]
    obstacle: str
    """What must be done before it can be done, in a sentence; empty if nothing."""

    @property
    def again(self) -> int:
        """Messages that come once more; the inbox knows them."""
        return sum(move.again for move in self.moves)

    @property
    def skipped(self) -> int:
        """Messages that the group would never handle."""
        return sum(move.skipped for move in self.moves)


@dataclass(frozen=True, kw_only=True)
class OffsetReset:
    """A reset that is being made."""

    preview: ResetPreview
    who: str
    reason: str


noted = Signal()
"""Sent with `act`, an OffsetReset, in a transaction that is committed only if the brokers have done it."""


def preview(*, group: str, topic: str, partition: int | None = None, to: str) -> ResetPreview:
    """What it would mean to set a group to a place in a topic, written as `offsets.parse_mark` reads it.

    Blocks for as long as the brokers take, some seconds at most.

    Raises:
        LookupError: there is no such group.
        InvalidRequest: there is no such topic, partition or place.
        KafkaException: the brokers do not answer.
    """
    found, mark = registry.find(group), offsets.parse_mark(to)
    ranges = offsets.log_ranges(found, topic, partition=partition)
    moves = offsets.plan_moves(found, ranges, mark)
    return ResetPreview(group=found, topic=topic, moves=moves, obstacle=_obstacle(group))


def reset(shown: ResetPreview, *, allow_skip: bool = False, who: str, reason: str) -> None:
    """Do what was shown. A group that has moved since then is where it was shown afterwards all the same.

    Raises:
        InvalidRequest: the group has members, messages would be skipped and that is not allowed, or nobody or no
            reason is named.
        KafkaException: the brokers did not do it; a member that joined meanwhile is one reason.
        django.db.Error: PostgreSQL, where it is noted, cannot be reached; the offsets may have moved.
    """
    if not who.strip() or not reason.strip():
        raise InvalidRequest("say who does it, and why")
    if obstacle := _obstacle(shown.group.name):
        raise InvalidRequest(obstacle)
    if shown.skipped and not allow_skip:
        raise InvalidRequest(f"{shown.skipped:,} messages would never be handled by {shown.group.name}")
    with transaction.atomic():
        noted.send(OffsetReset, act=OffsetReset(preview=shown, who=who, reason=reason))
        offsets.commit_moves(shown.group, shown.moves)


def _obstacle(group: str) -> str:
    if at_work := offsets.members_of(group):
        return (
            f"{group} is running ({', '.join(at_work)}): its members would go on from where they are. Stop them first."
        )
    return ""
