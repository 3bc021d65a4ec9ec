"""What a stranger may write into any topic: events of every type with something wrong in them, copies that nobody made,
and bytes. Hypothesis chooses; most of a message is right, so that what is wrong comes far into the code.
"""

import json
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

from django.conf import settings as django_settings
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from devtools.testing.bridge.raw_producer import RawMessage
from kafka_bridge.runtime import topics
from kafka_bridge.wire import event_types

GOLDEN = Path(django_settings.BASE_DIR) / "events" / "tests" / "golden"
# Shared, so that thousands of messages do not each have their own.
_ZEROS = [bytes(size) for size in (1000, 100_000, 1_040_000, 5_000_000)]
_COMPRESSIONS = ("none", "gzip", "snappy", "lz4", "zstd")
_NOW = int(time.time() * 1000)
_NUMBERS = st.sampled_from([0, -1, 2**31, 2**63, -(2**63), 10**40, 1.5, 1e308])
_TEXTS = st.sampled_from(
    [
        "",
        "\x00",
        "a\x00b",
        "\u202e\u200b",
        "\N{PILE OF POO}" * 50,
        "x" * 5000,
        "'; DROP TABLE orders; --",
        "../..",
        "{}",
    ]
)
_SCALARS = st.one_of(_NUMBERS, _TEXTS, st.none(), st.booleans(), st.just([]), st.just({}))
_BYTES = st.sampled_from(
    [b"", b"\x00", b"\xff\xfe", b"-1", b"9" * 400, b"9" * 6000, b"nan", b"inf", b"1e309", b" 1 ", b"0x10", b"\xd9\xa1",
     b"orders.\x00events", b"orders.events", b"x" * 2000, b"x" * 60_000, str(uuid4()).encode()]
)  # fmt: skip
_NAMES = st.sampled_from([b"\xff", b"\xff\xfe\x00", b"ce_\xc3\x28", b"", b"x", b"\x00", b"n" * 3000, "ü".encode()])
_BRIDGE_HEADERS = tuple(
    f"{prefix}_{fact}".encode()
    for prefix, facts in {
        "retry": "group topic partition offset attempt tries due error",
        "dlq": "group topic partition offset attempts handler error traceback body_bytes body_sha256",
    }.items()
    for fact in facts.split()
)


@st.composite
def _events(draw: st.DrawFn) -> tuple[bytes, bytes | None, dict[bytes, bytes | None]]:
    """Key, body and headers of a good event about an order that does not exist."""
    path = draw(st.sampled_from(sorted(GOLDEN.glob("*.json"))))
    event_type, version = path.name.removesuffix(".json").rsplit(".v", 1)
    order = str(draw(st.uuids(version=4)))
    fields = {**json.loads(path.read_text()), "order_id": order}
    headers: dict[bytes, bytes | None] = {
        b"ce_specversion": b"1.0",
        b"ce_type": event_type.encode(),
        b"ce_dataversion": version.encode(),
        b"ce_id": str(draw(st.uuids(version=4))).encode(),
        b"ce_correlationid": order.encode(),
        b"ce_time": b"2026-01-01T00:00:00+00:00",
    }
    return order.encode(), json.dumps(fields).encode(), headers


@st.composite
def _bodies(draw: st.DrawFn, body: bytes) -> bytes | None:
    """The body with something wrong in it, or something else."""
    fields = json.loads(body)
    name = draw(st.sampled_from(sorted(fields)))
    match draw(st.integers(0, 11)):
        case 0:
            return None
        case 1:
            return draw(st.binary(max_size=300))
        case 2:
            return body[: draw(st.integers(0, len(body)))]
        case 3 | 4:
            return json.dumps(fields | {name: _changed(draw, fields[name])}).encode()
        case 5:
            return json.dumps({key: value for key, value in fields.items() if key != name}).encode()
        case 6:
            opening, closing = draw(st.sampled_from([(b"[", b"]"), (b'{"a":', b"}")]))
            depth = draw(st.sampled_from([50, 900, 1500, 20_000]))
            return body[:-1] + b',"junk":' + opening * depth + b"1" + closing * depth + b"}"
        case 7:
            return json.dumps({name: draw(_SCALARS)}).encode()[:-1] + b"," + body[1:]
        case 8:
            return body.decode().encode(draw(st.sampled_from(["utf-16", "utf-32", "utf-8-sig", "cp500"])))
        case 9:
            return body.replace(b'"', draw(st.sampled_from([b'"\xff', b'"\\ud800', b'"\\u0000', b"'"])), 8)
        case 10:
            return draw(st.sampled_from(_ZEROS))
        case _:
            return body[:-1] + b"," + b" " * draw(st.sampled_from([1, 10, 1000, 900_000])) + b'"junk":1}'


def _changed(draw: st.DrawFn, value: Any) -> Any:
    """Another value, or the same one with another value somewhere in it."""
    if isinstance(value, list) and value and draw(st.booleans()):
        return [_changed(draw, value[0]), *value[1:]]
    if isinstance(value, dict) and value and draw(st.booleans()):
        name = draw(st.sampled_from(sorted(value)))
        return value | {name: _changed(draw, value[name])}
    return draw(_SCALARS)


@st.composite
def _some_headers(draw: st.DrawFn, good: dict[bytes, bytes | None]) -> tuple[tuple[bytes, bytes | None], ...]:
    """These headers, most often with something wrong in them."""
    pairs = list(good.items())
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(pairs) - 1)) if pairs else 0
        match draw(st.integers(0, 5)):
            case 0 if pairs:
                pairs.pop(at)
            case 1 | 2 if pairs:
                pairs[at] = pairs[at][0], draw(st.none() | _BYTES)
            case 3:
                pairs.insert(at, (draw(_NAMES), draw(st.none() | _BYTES)))
            case 4:
                pairs += [(name, draw(st.none() | _BYTES)) for name in draw(st.lists(st.sampled_from(_BRIDGE_HEADERS)))]
            case _:
                pairs += [(b"many", b"")] * draw(st.sampled_from([10, 5000]))
    return tuple(pairs)


def _copy_headers(topic: str) -> dict[bytes, bytes | None]:
    """Those that the bridge gives a copy in this topic of its own."""
    source, group, kind = topic.rsplit(".", 2)
    facts: dict[str, Any] = {"group": group, "topic": source, "partition": 0, "offset": 10**9}
    facts |= (
        {"attempt": 1, "tries": 3, "due": f"{time.time():.3f}"} if kind == "retry" else {"attempts": 3, "error": "E"}
    )
    return {f"{kind}_{name}".encode(): str(fact).encode() for name, fact in facts.items()}


@st.composite
def messages(draw: st.DrawFn) -> RawMessage:
    """One message for any topic of the project, the retry and dead letter topics included."""
    wanted = [topic.name for topic in topics.wanted()]
    events = [topic.name for topic in event_types.topics()]
    topic = draw(st.sampled_from(events) | st.sampled_from(wanted))
    key, body, headers = draw(_events())
    if topic.endswith((".retry", ".dlq")):
        headers |= _copy_headers(topic)
    return RawMessage(
        topic=topic,
        key=draw(st.sampled_from([key, key, key, None, b"", b"\x00", b"\xff" * 10, b"k" * 3000, b"other"])),
        value=draw(st.just(body) | _bodies(body)) if body else body,
        headers=draw(_some_headers(headers)),
        timestamp=draw(st.sampled_from([0, 0, 0, 1, -1, -(10**17), _NOW - 10**12, _NOW + 10**12, 2**62])),
        partition=draw(st.sampled_from([-1, 0])),
        compression=draw(st.sampled_from(_COMPRESSIONS)),
    )


def some(number: int, *, start: int = 1) -> list[RawMessage]:
    """So many of them, the same ones for the same start; some come twice."""
    found: list[RawMessage] = []

    @seed(start)
    @settings(max_examples=number, phases=[Phase.generate], database=None, suppress_health_check=list(HealthCheck))
    @given(messages(), st.integers(1, 20))
    def collect(message: RawMessage, again: int) -> None:
        found.extend([message] * (2 if again == 20 else 1))

    collect()
    return found[:number]
