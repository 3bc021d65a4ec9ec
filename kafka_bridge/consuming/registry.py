"""Which group hears which event, and what it then does.

An app's `handlers.py` makes a `Group` and decorates plain functions; `runner.py` calls them.
"""

import enum
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar

from django.core.checks import CheckMessage, Error
from django.db.models import AutoField, Model

from kafka_bridge import catalogue
from kafka_bridge.retrying import retries
from kafka_bridge.wire.envelope import Received
from kafka_bridge.wire.events import Event, Topic

E = TypeVar("E", bound=Event)
Work = Callable[[], bool]
_groups: dict[str, "Group"] = {}


class Reject(Exception):
    """Raise it in a handler when trying again cannot help: the message goes straight to the dead letters."""


class Form(enum.Enum):
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
    flow: str
    form: Form
    function: Callable[[Any], None]
    retry: retries.Policy | None = field(default=None, compare=False)

    @property
    def name(self) -> str:
        """Where the function is found."""
        return f"{self.function.__module__}.{self.function.__qualname__}"

    def call(self, messages: Sequence[Received]) -> None:
        """Give the function the events of these messages, in order, in the form it asked for."""
        if self.form is Form.DATED:
            self.function([Dated(message.event, message.time) for message in messages])
        elif self.form is Form.BATCH:
            self.function([message.event for message in messages])
        else:
            for message in messages:
                self.function(message.event)


class Group:
    """A consumer group: its name, its handlers, its workers.

    A handler runs inside the transaction that also writes its inbox row. What must happen outside any transaction
    (a gateway call, a mail) the handler only records; a *worker* then does it, in a thread of the same process.
    """

    def __init__(self, name: str, *, retry: retries.Policy | None = None) -> None:
        if name in _groups:
            raise ValueError(f"two groups are called {name!r}")
        self.name = name
        self.retry = retry
        """How its messages are tried again, where a handler does not say; None for what the settings say."""
        self.handlers: dict[tuple[type[Event], str], Handler] = {}
        self.workers: list[Work] = []
        self.preview: dict[type[Event], Callable[[Any], str]] = {}
        """By event, a function that says in a sentence what handling it now would do, and does nothing. An app's
        `previews.py` fills it; people read it before they send a dead letter again."""
        self.projected: tuple[type[Model], ...] = ()
        self.duplicates: list[str] = []
        _groups[name] = self

    def on(
        self, event: type[E], *, flow: str | None = None, retry: retries.Policy | None = None
    ) -> Callable[[Callable[[E], None]], Callable[[E], None]]:
        """Hear an event, one at a time; of one flow, or of both. `retry`: not as the group's other events."""
        return self._register(event, flow, Form.ONE, retry)

    def on_batch(
        self, event: type[E], *, flow: str | None = None, retry: retries.Policy | None = None
    ) -> Callable[[Callable[[Sequence[E]], None]], Callable[[Sequence[E]], None]]:
        """Hear an event, as many at a time as have come in; their order within a key is kept."""
        return self._register(event, flow, Form.BATCH, retry)

    def on_dated_batch(
        self, event: type[E], *, flow: str | None = None, retry: retries.Policy | None = None
    ) -> Callable[[Callable[[Sequence[Dated[E]]], None]], Callable[[Sequence[Dated[E]]], None]]:
        """Like `on_batch`, for who needs to know when each fact was stated: whoever counts by the day, for one."""
        return self._register(event, flow, Form.DATED, retry)

    def projection(self, *models: type[Model]) -> None:
        """All that the handlers write is in the tables of these models, and follows from the events alone, whenever
        they come: so `manage.py replay_events --shadow` can make them anew from the log.

        Name them in the sequence in which handlers write them: it is the one in which they are locked.

        Raises:
            ValueError: rows of a model have no natural key, so those made anew could not be compared.
        """
        for model in models:
            if isinstance(model._meta.pk, AutoField):
                raise ValueError(f"{model.__name__} has no natural key: rows made anew would be others")
        self.projected = models

    def worker(self, function: Work) -> Work:
        """Run this beside the consumer: after each commit, and once a second. True says there may be more at once."""
        self.workers.append(function)
        return function

    def handler_of(self, event: Event) -> Handler | None:
        """Who hears this event in this group; None where its flow is none of the group's business."""
        return self.handlers.get((type(event), getattr(event, "flow", "")))

    def policy(self, event: Event) -> retries.Policy:
        """How this event is tried again when its handler raises: as the handler says, or the group, or the settings."""
        handler = self.handler_of(event)
        return (handler and handler.retry) or self.retry or retries.default()

    def knows(self, event: type[Event]) -> bool:
        """Whether the group hears this event in any flow."""
        return any((event, flow) in self.handlers for flow in catalogue.FLOWS)

    @property
    def topics(self) -> list[Topic]:
        """What the group subscribes to, by name."""
        return sorted({event.TOPIC for event, _ in self.handlers}, key=lambda topic: topic.name)

    def hears(self, event: type[Event], flow: str) -> bool:
        """Whether this event of this flow means anything to the group."""
        return (event, flow) in self.handlers

    def _register(
        self, event: type[Event], flow: str | None, form: Form, retry: retries.Policy | None
    ) -> Callable[[Any], Any]:
        def decorate(function: Callable[[Any], None]) -> Callable[[Any], None]:
            for each in [flow] if flow else catalogue.FLOWS:
                if (event, each) in self.handlers:
                    self.duplicates.append(f"{event.TYPE} ({each})")
                self.handlers[event, each] = Handler(event, each, form, function, retry)
            return function

        return decorate


def groups() -> list[Group]:
    """Every group, by name."""
    return [_groups[name] for name in sorted(_groups)]


def find(name: str) -> Group:
    """The group of that name.

    Raises:
        LookupError: there is none; the message lists those there are.
    """
    try:
        return _groups[name]
    except KeyError:
        raise LookupError(f"no consumer group {name!r}; there are: {', '.join(sorted(_groups))}") from None


def listeners(event: type[Event], flow: str) -> list[str]:
    """Names of the groups that hear this event in this flow."""
    return [group.name for group in groups() if group.hears(event, flow)]


def check_registry(**_: object) -> list[CheckMessage]:
    """System check: one handler per event and group, topics from the catalogue, no event that nobody hears."""
    return [Error(message, id=f"kafka_bridge.E00{number}") for number, message in _faults()]


def _faults() -> Iterator[tuple[int, str]]:
    for group in groups():
        for duplicate in group.duplicates:
            yield 1, f"group {group.name!r} has two handlers for {duplicate}"
        for topic in group.topics:
            if topic not in catalogue.TOPICS:
                yield 2, f"group {group.name!r} hears topic {topic.name!r}, which catalogue.TOPICS does not list"
    yield from ((3, f"nobody hears {event.TYPE}") for event in _unheard(catalogue.EVENTS))


def _unheard(events: Iterable[type[Event]]) -> Iterator[type[Event]]:
    return (event for event in events if not any(listeners(event, flow) for flow in catalogue.FLOWS))
