"""Which group hears which event, and what it then does.

An app's `handlers.py` makes a `Group` and decorates plain functions; `runner.py` calls them.
"""

import enum
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar

from django.core.checks import CheckMessage, Error
from django.db.models import AutoField, Model

from kafka_bridge.retrying import policy
from kafka_bridge.retrying.policy import RetryPolicy
from kafka_bridge.runtime import clients
from kafka_bridge.wire import event_types
from kafka_bridge.wire.envelope import Received
from kafka_bridge.wire.events import Event, Topic

E = TypeVar("E", bound=Event)
Work = Callable[[], bool]
Belief = Callable[[Sequence[Received]], Sequence[str]]
"""Asked about a batch: for each message why it is not believed, or "" where it is."""
_groups: dict[str, "Group"] = {}


class Reject(Exception):
    """Raise it in a handler when trying again cannot help: the message goes straight to the dead letters."""


class WouldFail(Exception):
    """Raise it in a preview where the event's handler would fail (again); the message says why, as "there is no …"."""


class CallStyle(enum.Enum):
    """How a handler takes its events."""

    ONE = "one by one"
    BATCH = "as a list"
    DATED = "as a list, with their times"


class Dated(NamedTuple, Generic[E]):
    """An event, and when it was stated by the clock of the database."""

    event: E
    time: datetime


@dataclass(frozen=True, slots=True)
class Handler:
    """A function and what it hears."""

    event: type[Event]
    where: tuple[tuple[str, Any], ...]
    """Fields of the event and the values they must have; none: it hears every event of the type."""
    form: CallStyle
    function: Callable[[Any], None]
    retry: RetryPolicy | None = field(default=None, compare=False)
    believes: Belief | None = field(default=None, compare=False)
    """None: whatever comes."""

    @property
    def name(self) -> str:
        """Where the function is found."""
        return f"{self.function.__module__}.{self.function.__qualname__}"

    def hears(self, event: Event) -> bool:
        """Whether the event, of the handler's type, fulfils its conditions."""
        return all(getattr(event, field) == value for field, value in self.where)

    def may_hear(self, fields: Mapping[str, Any]) -> bool:
        """Whether an event of which these fields are known could fulfil the conditions."""
        return all(fields.get(field, value) == value for field, value in self.where)

    def call(self, messages: Sequence[Received]) -> None:
        """Give the function the events of these messages, in order, in the form it asked for."""
        if self.form is CallStyle.DATED:
            self.function([Dated(message.event, message.time) for message in messages])
        elif self.form is CallStyle.BATCH:
            self.function([message.event for message in messages])
        else:
            for message in messages:
                self.function(message.event)


class Group:
    """A consumer group: its name, its handlers, its workers.

    A handler runs inside the transaction that also writes its inbox row. What must happen outside any transaction
    (a gateway call, a mail) the handler only records; a *worker* then does it, in a thread of the same process.
    """

    def __init__(
        self,
        name: str,
        *,
        retry: RetryPolicy | None = None,
        believes: Belief | None = None,
        patience_seconds: float = 0.0,
    ) -> None:
        if name in _groups:
            raise ValueError(f"two groups are called {name!r}")
        self.name = name
        self.patience_seconds = patience_seconds
        """How long its messages may wait for company, so that more of them are handled together; 0: not at all."""
        self.retry = retry
        """How its messages are tried again, where a handler does not say; None for what the settings say."""
        self.believes = believes
        """What bears its messages out, where a handler does not say; None for whatever comes."""
        self.handlers: dict[type[Event], list[Handler]] = {}
        self.workers: list[Work] = []
        self.preview: dict[type[Event], Callable[[Any], str]] = {}
        """By event, a function that says in a sentence what handling it now would do, and does nothing, or raises
        `WouldFail`. An app's `previews.py` fills it; people read it before they send a dead letter again."""
        self.projected: tuple[type[Model], ...] = ()
        self.duplicates: list[str] = []
        _groups[name] = self

    def on(
        self,
        event: type[E],
        *,
        retry: RetryPolicy | None = None,
        believes: Belief | None = None,
        **where: object,
    ) -> Callable[[Callable[[E], None]], Callable[[E], None]]:
        """Hear an event, one at a time.

        `where`: only those of which these fields have these values, as in `@group.on(InvoicePaid, currency="EUR")`; the
        others are none of the group's business. `retry`: another policy than for the group's other events. `believes`:
        what bears a message out, such as `books.stated`; one that is not borne out is refused, and put before a person.

        Raises:
            TypeError: the event has no such field.
        """
        return self._register(event, where, CallStyle.ONE, retry, believes)

    def on_batch(
        self,
        event: type[E],
        *,
        retry: RetryPolicy | None = None,
        believes: Belief | None = None,
        **where: object,
    ) -> Callable[[Callable[[Sequence[E]], None]], Callable[[Sequence[E]], None]]:
        """Hear an event, as many at a time as have come in; their order within a key is kept."""
        return self._register(event, where, CallStyle.BATCH, retry, believes)

    def on_dated_batch(
        self,
        event: type[E],
        *,
        retry: RetryPolicy | None = None,
        believes: Belief | None = None,
        **where: object,
    ) -> Callable[[Callable[[Sequence[Dated[E]]], None]], Callable[[Sequence[Dated[E]]], None]]:
        """Like `on_batch`, with the time at which each fact was stated, for handlers that count by the day."""
        return self._register(event, where, CallStyle.DATED, retry, believes)

    def projection(self, *models: type[Model]) -> None:
        """All that the handlers write is in the tables of these models, and follows from the events alone, whenever
        they come: so `manage.py replay_events --shadow` can rebuild them from the log.

        Name them in the sequence in which handlers write them: it is the one in which they are locked.

        Raises:
            ValueError: rows of a model have no natural key, so rebuilt ones could not be compared.
        """
        for model in models:
            if isinstance(model._meta.pk, AutoField):
                raise ValueError(f"{model.__name__} has no natural key: rebuilt rows would be others")
        self.projected = models

    def worker(self, function: Work) -> Work:
        """Run this beside the consumer: after each commit, and once a second. True says there may be more at once."""
        self.workers.append(function)
        return function

    def handler_of(self, event: Event) -> Handler | None:
        """The handler that hears this event; None where it fulfils no handler's conditions."""
        return next((handler for handler in self.handlers.get(type(event), ()) if handler.hears(event)), None)

    def policy(self, event: Event) -> RetryPolicy:
        """How this event is tried again when its handler raises: as the handler says, or the group, or the settings."""
        handler = self.handler_of(event)
        return (handler and handler.retry) or self.retry or policy.from_settings(clients.conf())

    def longest_delay_seconds(self) -> float:
        """The longest that any of its messages waits for its next attempt from a retry topic."""
        given = [handler.retry for handlers in self.handlers.values() for handler in handlers]
        policies = [*filter(None, given), self.retry or policy.from_settings(clients.conf())]
        return max(each.longest_delay_seconds for each in policies)

    def belief_of(self, event: type[Event]) -> Belief | None:
        """What bears out the group's messages of this type, whatever their fields say; None for whatever comes."""
        return next((each.believes for each in self.handlers.get(event, ()) if each.believes), None)

    def knows(self, event: type[Event]) -> bool:
        """Whether the group hears events of this type, all or some."""
        return event in self.handlers

    @property
    def heard_types(self) -> frozenset[str]:
        """Names of the event types that the group hears, in whatever version."""
        return frozenset(event.TYPE for event in self.handlers)

    @property
    def topics(self) -> list[Topic]:
        """What the group subscribes to, by name."""
        return sorted({event.TOPIC for event in self.handlers}, key=lambda topic: topic.name)

    def hears(self, event: type[Event], fields: Mapping[str, Any]) -> bool:
        """Whether an event of this type, with these fields, means anything to the group."""
        return any(handler.may_hear(fields) for handler in self.handlers.get(event, ()))

    def _register(
        self,
        event: type[Event],
        where: Mapping[str, object],
        form: CallStyle,
        retry: RetryPolicy | None,
        believes: Belief | None,
    ) -> Callable[[Any], Any]:
        if unknown := sorted(set(where) - set(event.__struct_fields__)):
            raise TypeError(f"{event.TYPE} has no field {unknown[0]!r}; it has: {', '.join(event.__struct_fields__)}")

        def decorate(function: Callable[[Any], None]) -> Callable[[Any], None]:
            handler = Handler(event, tuple(sorted(where.items())), form, function, retry, believes or self.believes)
            others = self.handlers.setdefault(event, [])
            self.duplicates += [_in_words(handler) for other in others if other.may_hear(where)]
            others.append(handler)
            return function

        return decorate


def groups() -> list[Group]:
    """Every group, by name."""
    return [_groups[name] for name in sorted(_groups)]


def forget(name: str) -> None:
    """Take a group away again, as a test does with its own."""
    del _groups[name]


def find(name: str) -> Group:
    """The group of that name.

    Raises:
        LookupError: there is none; the message lists those there are.
    """
    try:
        return _groups[name]
    except KeyError:
        raise LookupError(f"no consumer group {name!r}; there are: {', '.join(sorted(_groups))}") from None


def listeners(event: type[Event], fields: Mapping[str, Any] | None = None) -> list[str]:
    """Names of the groups that hear events of this type; only those to which one with these fields means something."""
    return [group.name for group in groups() if group.hears(event, fields or {})]


def heard() -> set[tuple[str, str]]:
    """Which event types which groups hear: pairs of the two names."""
    return {(event.TYPE, group.name) for group in groups() for event in group.handlers}


def check_registry(**_: object) -> list[CheckMessage]:
    """System check: one handler for each event of a group, no event that is not registered or that nobody hears."""
    return [Error(message, id=f"kafka_bridge.E00{number}") for number, message in _problems()]


def _problems() -> Iterator[tuple[int, str]]:
    registered = event_types.registered()
    for group in groups():
        for duplicate in group.duplicates:
            yield 1, f"group {group.name!r} has two handlers for {duplicate}"
        for event in group.handlers:
            if event not in registered:
                yield 2, f"group {group.name!r} hears {event.TYPE}, which no event_types.register() names"
    for event in registered:
        if not listeners(event):
            yield 3, f"nobody hears {event.TYPE}"


def _in_words(handler: Handler) -> str:
    conditions = ", ".join(f"{field}={value!r}" for field, value in handler.where)
    return handler.event.TYPE + (f" ({conditions})" if conditions else "")
