"""What tests of a project need: a broker in memory, one in a process of its own, and processes as threads.

The names are imported when they are asked for: the embedded broker runs without Django.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kafka_bridge.testing.embedded import EmbeddedBroker, NoEmbeddedBroker
    from kafka_bridge.testing.examples import example_of
    from kafka_bridge.testing.memory import (
        MemoryBroker,
        MemoryMessage,
        Place,
        forge,
        give,
        had_by,
        record,
        stated,
        wait_until,
    )
    from kafka_bridge.testing.running import consuming, relaying
    from kafka_bridge.testing.topics import delete_topics_and_groups, make_topics

__all__ = [
    "EmbeddedBroker",
    "MemoryBroker",
    "MemoryMessage",
    "NoEmbeddedBroker",
    "Place",
    "consuming",
    "delete_topics_and_groups",
    "example_of",
    "forge",
    "give",
    "had_by",
    "make_topics",
    "record",
    "relaying",
    "stated",
    "wait_until",
]

_HOMES = {
    "embedded": ("EmbeddedBroker", "NoEmbeddedBroker"),
    "examples": ("example_of",),
    "memory": ("MemoryBroker", "MemoryMessage", "Place", "forge", "give", "had_by", "record", "stated", "wait_until"),
    "running": ("consuming", "relaying"),
    "topics": ("delete_topics_and_groups", "make_topics"),
}


# Type checkers know the names, and are to say which ones there are not.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """A public name, imported now."""
        for home, names in _HOMES.items():
            if name in names:
                return getattr(import_module(f"{__name__}.{home}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
