"""Which event types there are: the project registers its own, and the bridge knows no others."""

from kafka_bridge.wire.events import Event, Topic

_by_type_and_version: dict[tuple[str, int], type[Event]] = {}
_owners: dict[str, str] = {}


def register(*event_types: type[Event]) -> None:
    """Make event types known, in the sequence in which people shall see them; a second time changes nothing.

    Call it where the types are defined: the bridge imports the `events` module of every app, then its `handlers`.

    Raises:
        ValueError: another class has the same type and version.
    """
    for event_type in event_types:
        known = _by_type_and_version.setdefault((event_type.TYPE, event_type.VERSION), event_type)
        if known is not event_type:
            raise ValueError(f"{event_type.TYPE} version {event_type.VERSION} is {known.__qualname__} already")
        _owners[event_type.TOPIC.name] = event_type.TOPIC.owner


def forget(*event_types: type[Event]) -> None:
    """Take event types away again, as a test does with its own."""
    for event_type in event_types:
        del _by_type_and_version[event_type.TYPE, event_type.VERSION]
        _owners.pop(event_type.TOPIC.name, None)


def registered() -> tuple[type[Event], ...]:
    """All of them, in the sequence of their registration."""
    return tuple(_by_type_and_version.values())


def find(event_type: str, version: int) -> type[Event] | None:
    """The class of events of that type and version; None where nobody registered one."""
    return _by_type_and_version.get((event_type, version))


def topics() -> tuple[Topic, ...]:
    """Every topic that some event type goes to, in the sequence of registration."""
    return tuple(dict.fromkeys(event_type.TOPIC for event_type in registered()))


def owner_of(topic: str) -> str:
    """The app that states facts in the topic of that name (without prefix); "unknown" where no event goes there."""
    return _owners.get(topic, "unknown")
