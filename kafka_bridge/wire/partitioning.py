"""Which partition a key goes to, as the producers here choose it: CRC32 of the key, modulo the number of partitions.

That is librdkafka's `consistent_random`, its default, which the relay uses. Java's clients take murmur2 instead, so the
same key goes elsewhere with them unless they are told otherwise. Source: librdkafka's CONFIGURATION.md, `partitioner`.
"""

import zlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Choice:
    """Where a key goes, and why."""

    hash: int
    partitions: int

    @property
    def partition(self) -> int:
        """The partition's number."""
        return self.hash % self.partitions


def choose(key: bytes, partitions: int) -> Choice | None:
    """Where a message with this key goes in a topic of so many partitions; None without a key, which goes anywhere."""
    return Choice(zlib.crc32(key), partitions) if key and partitions else None
