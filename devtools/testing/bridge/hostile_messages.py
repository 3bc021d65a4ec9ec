"""What a stranger may write into any topic: events of every type with something wrong in them, copies that nobody made,
and bytes. Most of a message is right, so that what is wrong comes far into the code.
"""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any, TypeVar
from uuid import UUID

from django.conf import settings
from hypothesis import strategies as st

from devtools.testing.bridge.raw_producer import RawMessage
from kafka_bridge.runtime import topics
from kafka_bridge.wire import event_types

GOLDEN = sorted((Path(settings.BASE_DIR) / "events" / "tests" / "golden").glob("*.json"))
T = TypeVar("T")
Headers = list[tuple[bytes, bytes | None]]
_NOW = int(time.time() * 1000)
_SCALARS: list[Any] = [
    0, -1, 2**31, 2**63, -(2**63), 10**40, 1.5, 1e308, None, True, [], {}, "", "\x00", "a\x00b", "\u202e\u200b",
    "\N{PILE OF POO}" * 50, "x" * 5000, "'; DROP TABLE orders; --", "../..", "reserve_first", "payment_first",
]  # fmt: skip
_VALUES: list[bytes | None] = [
    None, b"", b"\x00", b"\xff\xfe", b"-1", b"0", b"9" * 400, b"9" * 6000, b"nan", b"inf", b"1e309", b" 1 ", b"0x10",
    b"\xd9\xa1", b"orders.\x00events", b"orders.events", b"x" * 2000, b"x" * 60_000, b"0001-01-01T00:00:00+14:00",
]  # fmt: skip
_NAMES = [b"\xff", b"\xff\xfe\x00", b"ce_\xc3\x28", b"", b"x", b"\x00", b"n" * 3000, "ü".encode(), b"ce_type"]
_TIMES = [*[0] * 12, 1, -1, -(10**17), _NOW - 10**12, _NOW + 10**12, 2**62]
# Shared, so that thousands of messages do not each have their own.
_ZEROS = [bytes(size) for size in (1000, 100_000, 1_040_000, 5_000_000)]
_BRIDGE_HEADERS = [
    f"{prefix}_{fact}".encode()
    for prefix, facts in {
        "retry": "group topic partition offset attempt tries due error",
        "dlq": "group topic partition offset attempts handler error traceback body_bytes body_sha256",
    }.items()
    for fact in facts.split()
]


def messages() -> st.SearchStrategy[RawMessage]:
    """One message for any topic of the project. Each is as likely as any other, which hypothesis by itself is not."""
    return st.randoms(use_true_random=True).map(message)


def some(number: int, *, start: int) -> list[RawMessage]:
    """So many of them, the same ones for the same start; some come twice."""
    chance = Random(start)  # noqa: S311 - to be repeatable, not secret
    found: list[RawMessage] = []
    while len(found) < number:
        found += [message(chance)] * chance.choice([1] * 9 + [2])
    return found[:number]


def message(chance: Random) -> RawMessage:
    """One message; retry and dead letter topics get what looks like copies."""
    event_topics = [topic.name for topic in event_types.topics()]
    topic = chance.choice([chance.choice(event_topics), chance.choice([each.name for each in topics.wanted()])])
    key, body, headers = _event(chance)
    if topic not in event_topics:
        headers += _copy_headers(topic)
    return RawMessage(
        topic=topic,
        key=chance.choice([key, key, key, key, None, b"", b"\x00", b"\xff" * 10, b"k" * 3000]),
        value=_body(chance, body) if chance.random() < 0.6 else body,
        headers=tuple(_changed_headers(chance, headers) if chance.random() < 0.5 else headers),
        timestamp=chance.choice(_TIMES),
        partition=chance.choice([-1, 0]),
        compression=chance.choice(["none", "gzip", "snappy", "lz4", "zstd"]),
    )


def _event(chance: Random) -> tuple[bytes, bytes, Headers]:
    """Key, body and headers of a good event about an order that does not exist."""
    path = chance.choice(GOLDEN)
    event_type, version = path.name.removesuffix(".json").rsplit(".v", 1)
    order, event_id = (str(UUID(int=chance.getrandbits(128), version=4)) for _ in range(2))
    headers: dict[str, str] = {
        "ce_specversion": "1.0",
        "ce_type": event_type,
        "ce_dataversion": version,
        "ce_id": event_id,
        "ce_correlationid": order,
        "ce_time": "2026-01-01T00:00:00+00:00",
    }
    fields = json.loads(path.read_text()) | {"order_id": order}
    return order.encode(), json.dumps(fields).encode(), _encoded(headers)


def _copy_headers(topic: str) -> Headers:
    """Those that the bridge gives a copy in this topic of its own."""
    source, group, kind = topic.rsplit(".", 2)
    facts: dict[str, Any] = {"group": group, "topic": source, "partition": 0, "offset": 10**9}
    facts |= (
        {"attempt": 1, "tries": 3, "due": f"{time.time():.3f}"} if kind == "retry" else {"attempts": 3, "error": "E"}
    )
    return _encoded({f"{kind}_{name}": str(fact) for name, fact in facts.items()})


def _encoded(headers: dict[str, str]) -> Headers:
    return [(name.encode(), value.encode()) for name, value in headers.items()]


def _body(chance: Random, body: bytes) -> bytes | None:
    """The body with something wrong in it, or something else."""
    fields = json.loads(body)
    name = chance.choice(list(fields))
    match chance.randrange(13):
        case 0:
            return None
        case 1:
            return chance.randbytes(chance.randrange(300))
        case 2:
            return body[: chance.randrange(len(body))]
        case 3 | 4 | 5:
            return json.dumps(fields | {name: _changed(chance, fields[name])}).encode()
        case 6:
            return json.dumps({key: value for key, value in fields.items() if key != name}).encode()
        case 7:
            opening, closing = chance.choice([(b"[", b"]"), (b'{"a":', b"}")])
            depth = chance.choice([50, 900, 1500, 20_000])
            return body[:-1] + b',"junk":' + opening * depth + b"1" + closing * depth + b"}"
        case 8:
            return json.dumps({name: chance.choice(_SCALARS)}).encode()[:-1] + b"," + body[1:]
        case 9:
            return body.decode().encode(chance.choice(["utf-16", "utf-32", "utf-8-sig", "cp500"]))
        case 10:
            return body.replace(b'"', chance.choice([b'"\xff', b'"\\ud800', b'"\\u0000', b"'"]), 8)
        case 11:
            return chance.choice(_ZEROS)
        case _:
            return body[:-1] + b"," + b" " * chance.choice([1, 10, 1000, 900_000]) + b'"junk":1}'


def _changed(chance: Random, value: Any) -> Any:
    """Another value, or the same one with another value somewhere in it."""
    if isinstance(value, list) and value and chance.random() < 0.7:
        return [_changed(chance, value[0]), *value[1:]]
    if isinstance(value, dict) and value and chance.random() < 0.7:
        name = chance.choice(list(value))
        return value | {name: _changed(chance, value[name])}
    return chance.choice(_SCALARS)


def _changed_headers(chance: Random, headers: Headers) -> Headers:
    """These headers with something wrong in them."""
    at = chance.randrange(len(headers))
    rest = [*headers[:at], *headers[at + 1 :]]
    match chance.randrange(6):
        case 0:
            return rest
        case 1 | 2:
            return [*rest, (headers[at][0], chance.choice(_VALUES))]
        case 3:
            return [(chance.choice(_NAMES), chance.choice(_VALUES)), *headers]
        case 4:
            return [*headers, *((name, chance.choice(_VALUES)) for name in _sample(chance, _BRIDGE_HEADERS))]
        case _:
            return [*headers, *[(b"many", b"")] * chance.choice([10, 5000])]


def _sample(chance: Random, found: Sequence[T]) -> list[T]:
    return chance.sample(found, chance.randrange(1, len(found)))
