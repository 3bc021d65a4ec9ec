"""Copies in the bridge's own topics: never too large, and honest about what they lack."""

import hashlib
from typing import Any

import pytest

from kafka_bridge.runtime import conf
from kafka_bridge.wire import copies

pytestmark = pytest.mark.security
FACTS = {"group": "orders", "error": "ValueError: no", "traceback": "T" * 8000}
LIMIT = 1_048_588 + 65_536


def message(*, key: bytes = b"k", value: bytes = b"{}", headers: list[tuple[str, bytes]] | None = None) -> copies.Copy:
    """A message from a topic."""
    return copies.Copy(key, value, headers if headers is not None else [("ce_type", b"order.created")])


def size(copy: copies.Copy) -> int:
    """Bytes of all that is in it."""
    return len(copy.key) + len(copy.value) + sum(len(name) + len(value) for name, value in copy.headers)


def test_a_message_that_fits_is_copied_whole_with_the_facts_behind_its_own_headers() -> None:
    copy = copies.make(message(value=b"x" * 1_000_000), FACTS, prefix="dlq_")
    assert (copy.key, copy.value) == (b"k", b"x" * 1_000_000)
    assert copy.headers[:2] == [("ce_type", b"order.created"), ("dlq_group", b"orders")]
    assert copies.cut_of(copy.headers, prefix="dlq_") == copies.Cut()


def test_the_largest_message_that_a_topic_takes_has_room_beside_all_that_the_bridge_adds() -> None:
    """XB2, FAILURES 48."""
    facts = dict.fromkeys(("group", "topic", "handler", "event"), "x" * 200) | {
        "error": "\N{PILE OF POO}" * 500, "traceback": "\N{PILE OF POO}" * 8000,
    }  # fmt: skip
    largest = b"x" * conf.current().max_message_bytes
    assert copies.make(message(value=largest), facts, prefix="dlq_").value == largest


@pytest.mark.parametrize(
    "large",
    [
        {"value": b"\x00" * 5_000_000},
        {"headers": [("ce_type", b"t"), ("huge", b"h" * 3_000_000)]},
        {"headers": [(f"h{number}", b"v" * 10) for number in range(200_000)]},
        {"key": b"k" * 2_000_000},
        {"key": b"k" * 900_000, "value": b"v" * 900_000, "headers": [("h" * 900_000, b"")]},
    ],
    ids=["body", "header", "headers", "key", "all"],
)
def test_a_message_that_was_compressed_from_more_is_cut_and_the_copy_says_so(large: dict[str, Any]) -> None:
    """XB2, FAILURES 48."""
    original = message(**large)
    copy = copies.make(original, FACTS, prefix="dlq_")
    assert size(copy) < LIMIT
    cut = copies.cut_of(copy.headers, prefix="dlq_")
    if len(copy.value) < len(original.value):
        assert cut.body_bytes == len(original.value)
        assert cut.body_sha256 == hashlib.sha256(original.value).hexdigest()
        assert original.value.startswith(copy.value)
        assert len(copy.value) > 100_000, "as much as fits"
    own = [header for header in copy.headers if not header[0].startswith("dlq_")]
    assert cut.headers_left_out == len(original.headers) - len(own)
    assert set(own) <= set(original.headers)


def test_what_a_stranger_says_was_cut_is_read_with_care() -> None:
    """XB3, FAILURES 49."""
    said = [("dlq_body_bytes", b"9" * 5000), ("dlq_body_sha256", b"\xff" * 5000), ("dlq_headers_left_out", b"-1")]
    assert copies.cut_of(said, prefix="dlq_") == copies.Cut()
