"""Where the promises are tried: events, topics and a group of their own, a relay and a member at work, and the end.

# Note [Effects as events]
A handler needs something to write, and a project's database is no place for tables of ours. So the effect of an event
is another event, stated in the handler: it commits together with the inbox row like any effect, and the outbox shows
how often and in which sequence it was written.
"""

import dataclasses
import threading
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, ClassVar

import psycopg
from confluent_kafka import Consumer, KafkaException, TopicPartition
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor

from kafka_bridge.consuming import registry
from kafka_bridge.dead_letters import letter_store
from kafka_bridge.models import DeadLetter, InboxRow, OutboxRow, ParkedMessage
from kafka_bridge.publishing import outbox
from kafka_bridge.retrying.policy import RetryPolicy
from kafka_bridge.runtime import clients, conf, topics
from kafka_bridge.testing.memory import wait_until
from kafka_bridge.testing.running import consuming, relaying
from kafka_bridge.testing.topics import delete_topics_and_groups, make_topics
from kafka_bridge.wire import envelope, event_types
from kafka_bridge.wire.events import Event, Topic

PREFIX = "contract-"
PATIENCE_SECONDS = 120.0
"""A member that was killed keeps its partitions until the brokers have missed it: 45 s, unless they are told else."""
_POLICY = RetryPolicy(attempts=2, backoff_seconds=0.05, delays_seconds=(0.5, 0.5))


class CannotRun(Exception):
    """Something that the contract needs is not there; the message says what to do."""


class Fails(Exception):
    """What the contract's handler raises where a promise is about failing."""


class Vocabulary:
    """The events, topics and groups of one run; a child process makes the same ones from the same name."""

    def __init__(self, run: str) -> None:
        self.run = run
        facts, effects = Topic(name=f"{run}.facts", owner=run), Topic(name=f"{run}.effects", owner=run)

        class Numbered(Event, frozen=True, kw_only=True):
            """So many-th of its subject."""

            subject: str
            number: int

            @property
            def key(self) -> str:
                """The subject."""
                return self.subject

        class Stated(Numbered, frozen=True, kw_only=True):
            """What the promises are tried with."""

            TYPE: ClassVar = f"{run}.stated"
            TOPIC: ClassVar = facts

        class Effect(Numbered, frozen=True, kw_only=True):
            """See Note [Effects as events]."""

            TYPE: ClassVar = f"{run}.effect"
            TOPIC: ClassVar = effects
            group: str

        self.stated: Any = Stated
        self.effect: Any = Effect
        self.groups = {name: registry.Group(f"{run}.{name}", retry=_POLICY) for name in ("main", "killed")}
        event_types.register(Stated, Effect)

    def forget(self) -> None:
        """As if they had never been there."""
        event_types.forget(self.stated, self.effect)
        for group in self.groups.values():
            registry.forget(group.name)


class Stage:
    """One run of the contract: state events, wait for their effects, make them fail."""

    def __init__(self) -> None:
        self.words = Vocabulary(f"{PREFIX}{uuid.uuid4().hex[:8]}")
        self.failing: set[str] = set()
        """Subjects whose first event is not handled."""
        for group in self.words.groups.values():
            group.on(self.words.stated)(self._handler(group.name))

    def _handler(self, group: str) -> Any:
        def note(event: Any) -> None:
            if event.subject in self.failing and event.number == 0:
                raise Fails(f"{event.subject} is told to fail")
            outbox.publish(self.words.effect(subject=event.subject, number=event.number, group=group))

        return note

    # -- what promises do -----------------------------------------------------------------------
    def state(self, subject: str, *numbers: int) -> None:
        """State these events of a subject, in a transaction."""
        with transaction.atomic():
            outbox.publish(*(self.words.stated(subject=subject, number=number) for number in numbers))

    def effects(self, subject: str, *, group: str = "main") -> list[int]:
        """What has happened so far: the numbers of a subject's events, in the sequence of their effects."""
        rows = OutboxRow.objects.filter(type=self.words.effect.TYPE, key=subject).order_by("id")
        events = [envelope.decode_body(self.words.effect, bytes(row.body)) for row in rows]
        name = self.words.groups[group].name
        return [event.number for event in events if event.group == name]  # type: ignore[attr-defined]

    def wait_for_effects(self, subject: str, numbers: list[int], *, group: str = "main") -> None:
        """Wait until so much has happened.

        Raises:
            AssertionError: something else did.
        """
        with suppress(TimeoutError):
            wait_until(
                lambda: len(self.effects(subject, group=group)) >= len(numbers),
                what=subject,
                timeout_seconds=PATIENCE_SECONDS,
            )
        found = self.effects(subject, group=group)
        if found != numbers:
            raise AssertionError(f"{subject}: the effects are {found}, and should be {numbers}")

    def rows(self, subject: str) -> int:
        """Outbox rows of a subject's events."""
        return OutboxRow.objects.filter(type=self.words.stated.TYPE, key=subject).count()

    def parked(self, subject: str) -> int:
        """Messages of a subject that are put down, in either group."""
        return ParkedMessage.objects.filter(group__startswith=self.words.run, key=subject).count()

    def send_once_more(self, subject: str) -> int:
        """Have the relay send a subject's events a second time; returns how many."""
        rows = OutboxRow.objects.filter(type=self.words.stated.TYPE, key=subject)
        count = rows.update(published_at=None)
        wait_until(lambda: not rows.filter(published_at=None).exists(), what="the relay", timeout_seconds=60)
        return count

    def wait_until_read(self) -> None:
        """Wait until the main group has nothing left to read."""
        wait_until(lambda: self._left() == 0, what="the group to have read everything", timeout_seconds=60)

    def _left(self) -> int:
        config = clients.common() | {"group.id": clients.conf().group_prefix + self.words.groups["main"].name}
        reader = Consumer(config)
        try:
            name = clients.topic_name(self.words.stated.TOPIC.name)
            places = [
                TopicPartition(name, number) for number in reader.list_topics(name, timeout=10).topics[name].partitions
            ]
            committed = reader.committed(places, timeout=10)
            ends = [reader.get_watermark_offsets(place, timeout=10)[1] for place in places]
            return sum(end - max(0, at.offset) for at, end in zip(committed, ends, strict=True))
        finally:
            reader.close()

    def store_dead_letters(self) -> int:
        """Store what lies in our dead letter topic, as the group `dead_letters` does for all; returns how many."""
        name = clients.topic_name(
            topics.dead_letter_topic_name(self.words.stated.TOPIC.name, self.words.groups["main"].name)
        )
        config = {"group.id": f"{self.words.run}.reader", "auto.offset.reset": "earliest", "enable.auto.commit": False}
        reader = Consumer(clients.common() | config)
        try:
            places = reader.list_topics(name, timeout=10).topics[name].partitions
            reader.assign([TopicPartition(name, number, 0) for number in places])
            messages = [message for message in reader.consume(100, 5) if message.error() is None]
        finally:
            reader.close()
        return letter_store.store([letter_store.parse_dead_letter(message) for message in messages]) if messages else 0

    def letters(self) -> Any:
        """Our dead letters."""
        return DeadLetter.objects.filter(group=self.words.groups["main"].name)

    # -- the end ----------------------------------------------------------------------------------
    def clean_up(self) -> None:
        """Delete what can be deleted; see the package."""
        mine = {"group__startswith": self.words.run}
        OutboxRow.objects.filter(topic__startswith=self.words.run).delete()
        InboxRow.objects.filter(**mine).delete()
        ParkedMessage.objects.filter(**mine).delete()
        DeadLetter.objects.filter(**mine, acts=None).delete()
        options = clients.conf()
        delete_topics_and_groups(f"{options.topic_prefix}{self.words.run}")
        if options.group_prefix != options.topic_prefix:
            delete_topics_and_groups(f"{options.group_prefix}{self.words.run}")
        self.words.forget()


def why_not() -> str:
    """What is missing, and what to do about it; empty if the contract can run."""
    if not conf.are_there():
        return conf.MISSING
    if connection.vendor != "postgresql":
        return f"The default database is {connection.vendor}; the bridge needs PostgreSQL."
    try:
        executor = MigrationExecutor(connection)
        plan = executor.migration_plan(
            [node for node in executor.loader.graph.leaf_nodes() if node[0] == "kafka_bridge"]
        )
    except (DatabaseError, psycopg.Error) as error:
        return f"PostgreSQL does not answer: {str(error).strip()}"
    if plan:
        return "The bridge's tables are not there, or not up to date: run `manage.py migrate`."
    try:
        clients.broker_count()
    except KafkaException as error:
        return f"No broker answers at {clients.conf().bootstrap_servers}: {error.args[0].str()}"
    return ""


@contextmanager
def opened() -> Iterator[Stage]:
    """A stage with a relay and a member of the main group at work; everything is cleaned up afterwards.

    Raises:
        CannotRun: see `why_not`.
    """
    if reason := why_not():
        raise CannotRun(reason)
    before = conf.current()
    settings.KAFKA_BRIDGE = dataclasses.replace(before, ready_file="", dead_letters_in_row=0)
    stage = Stage()
    try:
        make_topics(lambda name: stage.words.run in name)
        with ExitStack() as at_work:
            at_work.enter_context(relaying())
            at_work.enter_context(consuming(stage.words.groups["main"].name))
            yield stage
    finally:
        stage.clean_up()
        settings.KAFKA_BRIDGE = before


def block_for_ever() -> None:
    """What a handler does that is to be killed in the middle of its transaction."""
    threading.Event().wait()
