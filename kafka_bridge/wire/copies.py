"""Copies of messages in the bridge's own topics: with what the bridge says of them, and never too large.

# Note [A copy always fits]
A topic takes messages of `max_message_bytes`, compressed as they come, and the bridge's own topics take
`COPY_HEADROOM_BYTES` more, for what the bridge adds. So a copy has room for all of its message, except for one that was
compressed from more. Of that one the copy holds as much as fits, and says what is missing: the size and SHA-256 of the
whole body, and how many headers were left out. The whole message lies where it was read first.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from kafka_bridge.runtime import conf
from kafka_bridge.wire.envelope import Headers

BODY_BYTES, BODY_SHA256, LEFT_OUT = "body_bytes", "body_sha256", "headers_left_out"
CUT_FACTS = (BODY_BYTES, BODY_SHA256, LEFT_OUT)
"""What a copy says that does not hold all of its message; with the prefix of the topic's kind these are headers."""
LONGEST_KEY_BYTES = 1024
# The traceback is the longest; with it, all facts together stay below the headroom.
_LONGEST_FACT_BYTES = 32 * 1024
# What Kafka adds to a record and to the batch around it, and the facts about a cut.
_OVERHEAD_BYTES = 1024
# Lengths and the like beside each header.
_HEADER_BYTES = 10


class Copy(NamedTuple):
    """What is put into a topic of the bridge's own."""

    key: bytes
    value: bytes
    headers: Headers


def make(message: Copy, facts: Mapping[str, object], *, prefix: str) -> Copy:
    """This message with these facts as further headers, `<prefix><name>`; see Note [A copy always fits]."""
    said = [_fact(prefix, name, fact) for name, fact in facts.items()]
    room = conf.max_copy_bytes() - _size(said)
    copy, cut = shorten(*message, room=room)
    # The message's own headers first and unchanged: when it is sent again, ours are left out.
    return copy._replace(headers=[*copy.headers, *said, *(_fact(prefix, name, fact) for name, fact in cut.items())])


def shorten(key: bytes, value: bytes, headers: Headers, *, room: int) -> tuple[Copy, dict[str, object]]:
    """As much of a message as fits into so many bytes, and what has to be said of the rest; nothing if there is none.

    Small headers go before large ones, and all of them before the body.
    """
    key, room = key[:LONGEST_KEY_BYTES], room - _OVERHEAD_BYTES - min(len(key), LONGEST_KEY_BYTES)
    if _size(headers) + len(value) <= room:
        return Copy(key, value, headers), {}
    kept, cut = _smallest(headers, room // 2), dict[str, object]()
    body = value[: room - _size(kept)]
    if len(body) < len(value):
        cut |= {BODY_BYTES: len(value), BODY_SHA256: hashlib.sha256(value).hexdigest()}
    if len(kept) < len(headers):
        cut[LEFT_OUT] = len(headers) - len(kept)
    return Copy(key, body, kept), cut


def _smallest(headers: Headers, room: int) -> Headers:
    """The smallest of these headers, as many as have room, in their sequence."""
    by_size = sorted(range(len(headers)), key=lambda index: _size([headers[index]]))
    kept = set[int]()
    for index in by_size:
        room -= _size([headers[index]])
        if room < 0:
            break
        kept.add(index)
    return [header for index, header in enumerate(headers) if index in kept]


def _size(headers: Iterable[tuple[str, bytes]]) -> int:
    return sum(len(name.encode(errors="replace")) + len(value) + _HEADER_BYTES for name, value in headers)


def _fact(prefix: str, name: str, fact: object) -> tuple[str, bytes]:
    return prefix + name, str(fact).encode(errors="replace")[:_LONGEST_FACT_BYTES]


class Cut(NamedTuple):
    """What a copy does not hold of its message."""

    body_bytes: int = 0
    """Size of the whole body; 0 where the copy holds it."""
    body_sha256: str = ""
    headers_left_out: int = 0


def cut_of(headers: Sequence[tuple[str, bytes]], *, prefix: str) -> Cut:
    """What the headers of a copy say of that."""
    found = {name: value for name, value in headers if name.startswith(prefix)}
    size, left_out = (_number(found.get(prefix + name, b"")) for name in (BODY_BYTES, LEFT_OUT))
    digest = found.get(prefix + BODY_SHA256, b"").decode(errors="replace")[:64]
    return Cut(size, digest if size else "", left_out)


def _number(value: bytes) -> int:
    return int(value) if value.isdigit() and len(value) < 16 else 0
