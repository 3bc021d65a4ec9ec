"""What people have a group do: pause (all of it, a topic, one partition), resume, or have a member leave and come back.

# Note [A pause is read, not sent]
A pause stands in PostgreSQL, and each member looks there every two seconds, between two batches. So it holds for
members that come later, survives their restarts, and whoever has a partition next honours it. While PostgreSQL cannot
be reached what was read last holds; then no message could be handled anyway. A member that could not look yet handles
nothing before it has: what it must leave alone is not known.

A member keeps the partitions that are paused, and its place in the group: it goes on polling, and their offsets stay.
What it has in hand of them is forgotten and comes again when they go on.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.db import DatabaseError, IntegrityError, InterfaceError, connection, transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.dispatch import Signal

from kafka_bridge.consuming import consumer_groups
from kafka_bridge.models import GroupControl

log = logging.getLogger(__name__)
LOOK_SECONDS = 2.0
# After a look that failed: whoever is away should not be asked all the time.
LOOK_AGAIN_SECONDS = 10.0
FIRST_LOOK_AGAIN_SECONDS = 1.0
# A member that does not exist any more never does what it was asked to; a new one has another id.
REQUEST_SECONDS = 60.0
PARTITION_MAX = 100_000


class InvalidControl(Exception):
    """It cannot be done like that; the message says what to do instead."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """A group, a topic of it, or one partition."""

    group: str
    topic: str = ""
    """Without the prefix; empty for all topics."""
    partition: int | None = None

    def __str__(self) -> str:
        if not self.topic:
            return self.group
        number = "" if self.partition is None else f"[{self.partition}]"
        return f"{self.group} in {self.topic}{number}"


@dataclass(frozen=True, kw_only=True)
class GroupAct:
    """What a person did to a group."""

    what: str
    """"paused", "resumed" or "asked to leave and come back"."""
    place: Place
    member_id: str
    who: str
    reason: str


noted = Signal()
"""Sent with `act`, a GroupAct, in the transaction of the act: what a receiver writes is committed with it or not at
all."""


# -- Acts -------------------------------------------------------------------------------------------------
def pause(*, group: str, topic: str = "", partition: int | None = None, who: str, reason: str) -> GroupControl:
    """Have this stand still until it is resumed; members notice within some seconds.

    Raises:
        InvalidControl: there is no such place, no reason, or it is paused already.
    """
    place = _checked(group, topic, partition, reason)
    try:
        with transaction.atomic():
            if found := _in_force(place).first():
                raise InvalidControl(f"{place} is paused already, by {found.who}: {found.reason}")
            return _note("paused", place, kind=GroupControl.Kind.PAUSE, who=who, reason=reason)
    except IntegrityError as error:
        raise InvalidControl(f"{place} has been paused by somebody else just now.") from error


def resume(*, group: str, topic: str = "", partition: int | None = None, who: str, reason: str) -> int:
    """End this pause; it goes on from its committed offsets within some seconds. Returns how many pauses ended.

    A group without a topic ends all of its pauses.

    Raises:
        InvalidControl: there is no such place, no reason, or it is not paused.
    """
    place = _checked(group, topic, partition, reason)
    with transaction.atomic():
        rows = _in_force(place) if topic else pauses().filter(group=group)
        ended = rows.update(ended_at=Now(), ended_by=who[:150], ended_because=reason.strip()[:500])
        if not ended:
            raise InvalidControl(_why_not_paused(place))
        act = GroupAct(what="resumed", place=place, member_id="", who=who, reason=reason)
        noted.send(GroupAct, act=act)
    return ended


def ask_to_rejoin(*, group: str, member_id: str, who: str, reason: str) -> GroupControl:
    """Ask one member to leave and come back; it does so within some seconds, if there is one of that id.

    Raises:
        InvalidControl: there is no such group, no member is named, or no reason.
    """
    place = _checked(group, "", None, reason)
    if not member_id or len(member_id) > 200:
        raise InvalidControl("Name the member by its whole id, as the operations page and show_processes --json do.")
    with transaction.atomic():
        return _note(
            "asked to leave and come back",
            place, kind=GroupControl.Kind.REJOIN, member_id=member_id, who=who, reason=reason,
        )  # fmt: skip


def still_holding(*, group: str, topic: str = "", partition: int | None = None) -> str:
    """Why this stands still also without a pause of its own: a sentence about the larger pause; empty for none."""
    place = Place(group=group, topic=topic, partition=partition)
    larger = [each for each in pauses().filter(group=group) if place_of(each) != place]
    found = next((each for each in larger if covers(each, topic, partition)), None) if topic else None
    if found is None:
        return ""
    whole = "the whole group" if not found.topic else f"all of {found.topic}"
    return f"{whole} is paused by {found.who}: {found.reason}"


def current() -> list[GroupControl]:
    """The pauses in force, the newest first.

    Raises:
        django.db.Error: PostgreSQL cannot be reached.
    """
    return list(pauses())


def pauses() -> QuerySet[GroupControl]:
    """The same as a query."""
    return GroupControl.objects.filter(kind=GroupControl.Kind.PAUSE, ended_at=None)


def place_of(control: GroupControl) -> Place:
    """What it is about."""
    return Place(group=control.group, topic=control.topic, partition=control.partition)


def _why_not_paused(place: Place) -> str:
    holding = still_holding(**vars(place))
    if not holding:
        return f"{place} is not paused."
    return f"{place} has no pause of its own; it stands still because {holding}. Resume that."


def _checked(group: str, topic: str, partition: int | None, reason: str) -> Place:
    try:
        subscriber = consumer_groups.find(group)
    except LookupError as error:
        raise InvalidControl(str(error)) from error
    heard = sorted(each.name for each in subscriber.topics)
    if topic and topic not in heard:
        raise InvalidControl(f"{group} does not hear {topic}; it hears: {', '.join(heard)}.")
    if partition is not None and not (topic and 0 <= partition <= PARTITION_MAX):
        raise InvalidControl("A partition is a number from 0 on, of a topic that is named.")
    if not reason.strip():
        raise InvalidControl("Say why: others will want to know.")
    return Place(group=group, topic=topic, partition=partition)


def _in_force(place: Place) -> QuerySet[GroupControl]:
    return pauses().filter(group=place.group, topic=place.topic, partition=place.partition)


def _note(what: str, place: Place, *, who: str, reason: str, **fields: str) -> GroupControl:
    control = GroupControl.objects.create(
        group=place.group,
        topic=place.topic,
        partition=place.partition,
        who=who[:150],
        reason=reason.strip()[:500],
        **fields,
    )
    act = GroupAct(what=what, place=place, member_id=control.member_id, who=who, reason=reason)
    noted.send(GroupAct, act=act)
    return control


# -- A member's side ----------------------------------------------------------------------------------------
class ControlReader:
    """What one member was told last; see Note [A pause is read, not sent]."""

    def __init__(self, group: str, *, now: Callable[[], float] = time.monotonic) -> None:
        self._group = group
        self._now = now
        self._look_at = 0.0
        self._pauses: Sequence[GroupControl] | None = None
        """None before the first look that worked."""
        self._rejoining: frozenset[str] = frozenset()
        self._has_failed = False

    def look(self) -> bool:
        """Ask PostgreSQL, if it is time, and say whether it was. Outside of any transaction; what fails is tried again
        later.
        """
        if self._now() < self._look_at:
            return False
        self._look_at = self._now() + LOOK_SECONDS
        in_force = Q(kind=GroupControl.Kind.PAUSE, ended_at=None)
        asked = Q(kind=GroupControl.Kind.REJOIN, at__gt=Now() - timedelta(seconds=REQUEST_SECONDS))
        try:
            found = list(GroupControl.objects.filter(in_force | asked, group=self._group))
        except (DatabaseError, InterfaceError) as error:
            connection.close()
            self._note_failure(error)
            return True
        self._pauses = [each for each in found if each.kind == GroupControl.Kind.PAUSE]
        self._rejoining = frozenset(each.member_id for each in found if each.kind == GroupControl.Kind.REJOIN)
        return True

    def _note_failure(self, error: Exception) -> None:
        if self._pauses is None:
            self._look_at = self._now() + FIRST_LOOK_AGAIN_SECONDS
            level = logging.DEBUG if self._has_failed else logging.WARNING
            log.log(level, "%s: waits until it can read what people have it do: %s", self._group, error)
        else:
            self._look_at = self._now() + LOOK_AGAIN_SECONDS
            log.debug("%s: what people have it do cannot be read: %s", self._group, error)
        self._has_failed = True

    def is_paused(self, topic: str = "", partition: int | None = None) -> bool:
        """Whether this stands still: by itself, with its topic, or with its group. Topics without the prefix.

        Everything does until a look has worked.
        """
        return self._pauses is None or any(covers(each, topic, partition) for each in self._pauses)

    def must_rejoin(self, member_id: str | None) -> bool:
        """Whether this member was asked to leave and come back."""
        return member_id in self._rejoining


def covers(control: GroupControl, topic: str, partition: int | None) -> bool:
    """Whether this pause of a group holds this topic or partition of it."""
    return not control.topic or (control.topic == topic and control.partition in (None, partition))
