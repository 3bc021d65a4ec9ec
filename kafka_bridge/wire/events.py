"""What an event and a topic are; which ones there are stands in `event_types.py`."""

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID, uuid5

import msgspec

WEEK_SECONDS = 7 * 24 * 3600
GIB = 1024**3
_STORIES = UUID("5f3b2c4e-7a52-4f0e-9a34-0c7f1d6c1a10")


@dataclass(frozen=True, kw_only=True)
class Topic:
    """A topic and how long it keeps what; sizes in bytes, times in seconds."""

    name: str
    owner: str
    """The app that states facts here; nobody else writes to it."""
    partitions: int | None = None
    """None for the number in the settings."""
    retention_seconds: int = WEEK_SECONDS
    retention_bytes: int = 10 * GIB
    """Of one partition."""
    segment_bytes: int = GIB // 4
    max_message_bytes: int | None = None
    """None for the number in the settings."""
    written_by: str = ""
    """The role that writes to it itself (`publishing/lossy_publisher.py`); empty: the relay, what the outbox has."""


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A fact in the past tense. Its body holds ids, quantities and amounts; never names, addresses, mail or card data.

    Unknown fields in a body are ignored, so a newer producer may add some; a new *meaning* takes a new version.
    """

    TYPE: ClassVar[str]
    TOPIC: ClassVar[Topic]
    VERSION: ClassVar[int] = 1

    @property
    def key(self) -> str:
        """What keeps events in sequence: those with the same key go to the same partition."""
        raise NotImplementedError

    @property
    def correlation_id(self) -> UUID:
        """What ties all events of one story together; unless a class says otherwise, that they have the same key."""
        return uuid5(_STORIES, self.key)
