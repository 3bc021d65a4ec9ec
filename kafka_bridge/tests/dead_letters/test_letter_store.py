"""Dead letters as rows: what is read from a copy, that each letter is one row, and which kinds there are."""

from base64 import b64encode
from typing import cast

import pytest
from confluent_kafka import Message

from devtools.testing.bridge.bridge_events import cancelled, created
from devtools.testing.bridge.dead_letters import Copy, a_letter, copy_of, headers_of
from kafka_bridge.dead_letters import letter_store
from kafka_bridge.models import DeadLetter, InboxRow
from kafka_bridge.wire import envelope

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.faults]
State = DeadLetter.State


def test_a_letter_is_stored_with_all_that_its_copy_says() -> None:
    event = created()
    headers = headers_of(event)
    assert letter_store.store([letter_store.parse_dead_letter(copy_of(event, headers=headers, offset=7))]) == 1
    letter = DeadLetter.objects.get()
    assert (letter.group, letter.topic, letter.partition, letter.offset) == ("notifications", "orders.events", 1, 7)
    assert (letter.key, letter.type, str(letter.event_id)) == (event.key, "order.created", headers["ce_id"].decode())
    assert (letter.error, letter.handler, letter.traceback, letter.attempts) == (
        "ValueError: no", "orders.handlers.mail", "Traceback: here", 3,
    )  # fmt: skip
    assert (letter.state, bytes(letter.value)) == (State.PARKED, envelope.encode_body(event))
    assert letter_store.unpack(letter.headers) == list(headers.items()), "the bridge's own headers are left out"


def test_the_same_copy_again_changes_nothing() -> None:
    """FAILURES 2: the consumer ends between the commit and its offset, or reads its topics from the beginning."""
    copy = letter_store.parse_dead_letter(copy_of())
    assert [letter_store.store([copy]), letter_store.store([copy, copy])] == [1, 0]
    letter = DeadLetter.objects.get()
    assert (letter.attempts, letter.acts.count()) == (3, 0)


@pytest.mark.parametrize("state", [State.RESOLVED, State.DISCARDED, State.REDRIVEN])
def test_an_older_death_does_not_open_a_letter_again(state: str) -> None:
    event, headers = created(), headers_of(created())
    deaths = [letter_store.parse_dead_letter(copy_of(event, headers=headers, died_ms=ms)) for ms in (1000, 2000)]
    letter_store.store(deaths)
    DeadLetter.objects.update(state=state)
    assert letter_store.store(deaths) == 0
    assert DeadLetter.objects.get().state == state


def test_a_message_that_died_again_is_the_same_letter() -> None:
    event, headers = created(), headers_of(created())
    letter_store.store([letter_store.parse_dead_letter(copy_of(event, headers=headers))])
    DeadLetter.objects.update(state=State.REDRIVEN, edited_value=b"{}")
    again = copy_of(event, headers=headers, error="KeyError: 'y'", attempts=4, died_ms=1_750_000_000_000, value=b"{}")
    assert letter_store.store([letter_store.parse_dead_letter(again)]) == 1
    letter = DeadLetter.objects.get()
    assert (letter.state, letter.error, letter.attempts) == (State.PARKED, "KeyError: 'y'", 7)
    assert (bytes(letter.value), letter.edited_value and bytes(letter.edited_value)) == (
        envelope.encode_body(event), b"{}",
    ), "the original stays, and so does what was edited"  # fmt: skip
    assert [(act.who, act.what, act.reason) for act in letter.acts.all()] == [
        ("notifications", "parked again", "KeyError: 'y'")
    ]


def test_another_message_at_the_same_place_takes_it_over() -> None:
    """Kafka was lost and its topics made anew: places repeat, messages do not."""
    letter_store.store([letter_store.parse_dead_letter(copy_of(created()))])
    other = cancelled()
    letter_store.store([letter_store.parse_dead_letter(copy_of(other, died_ms=1_750_000_000_000))])
    letter = DeadLetter.objects.get()
    assert (letter.key, letter.type, letter.attempts) == (other.key, "order.cancelled", 3)


def test_a_late_copy_of_what_was_handled_after_all_opens_nothing() -> None:
    event, headers = created(), headers_of(created())
    letter_store.store([letter_store.parse_dead_letter(copy_of(event, headers=headers))])
    letter = DeadLetter.objects.get()
    assert letter.event_id is not None
    InboxRow.objects.create(
        group="notifications", event_id=letter.event_id, topic="orders.events", partition=1, offset=0
    )
    letter_store.resolve(group="notifications", topic="orders.events", partition=1, offset=0)
    late = letter_store.parse_dead_letter(copy_of(event, headers=headers, died_ms=1_750_000_000_000))
    assert letter_store.store([late]) == 0
    letter.refresh_from_db()
    assert (letter.state, letter.closed_at is not None) == (State.RESOLVED, True)
    assert [(act.who, act.what) for act in letter.acts.all()] == [("notifications", "resolved")]


def test_only_an_open_letter_of_that_place_is_resolved() -> None:
    first, second = a_letter(), a_letter()
    DeadLetter.objects.filter(pk=second.pk).update(state=State.DISCARDED)
    for offset in (first.offset, second.offset, 99):
        letter_store.resolve(group="notifications", topic="orders.events", partition=1, offset=offset)
    letter_store.resolve(group="orders", topic="orders.events", partition=1, offset=first.offset)
    states = dict(DeadLetter.objects.values_list("pk", "state"))
    assert states == {first.pk: State.RESOLVED, second.pk: State.DISCARDED}


HOSTILE: list[list[tuple[str, bytes | None]] | None] = [
    None,
    [],
    [("ce_id", b"no id"), ("ce_type", b"\xff\x00\xfe"), ("\x00", b"\x00"), ("empty", None)],
    [("dlq_topic", b"orders.events"), ("dlq_partition", b"-1"), ("dlq_offset", b"99999999999999999999")],
    [("dlq_topic", b"x" * 500), ("dlq_partition", b"1"), ("dlq_offset", b"2"), ("dlq_error", b"\x00" * 900),
     ("dlq_attempts", b"many"), ("dlq_handler", b"h" * 900), ("dlq_group", b"g" * 90), ("ce_type", b"t" * 900)],
]  # fmt: skip


@pytest.mark.parametrize("headers", HOSTILE)
def test_whatever_lies_in_a_dead_letter_topic_is_stored(headers: list[tuple[str, bytes | None]] | None) -> None:
    """FAILURES 27: a stranger writes to the topic; nothing that he writes may stop the others' letters."""
    copy = Copy(topic="orders.events.orders.dlq", key=b"\x00k" * 200, value=None, headers=headers, died_ms=1000)
    assert letter_store.store([letter_store.parse_dead_letter(cast(Message, copy))]) == 1
    letter = DeadLetter.objects.get()
    assert (letter.event_id, bytes(letter.value)) == (None, b"")
    if not headers or len(headers) < 5:
        assert (letter.group, letter.topic, letter.offset) == ("orders", "orders.events.orders.dlq", 7)
        assert letter.error == "unknown: its headers give no reason"


def test_headers_survive_the_way_into_json_and_back() -> None:
    assert letter_store.pack([("a", b"\xff"), ("b", None)]) == [["a", b64encode(b"\xff").decode()], ["b", None]]
    assert letter_store.unpack([["a", "/w=="], ["b", None]]) == [("a", b"\xff")]


def test_ids_and_numbers_do_not_make_another_kind() -> None:
    def kind(error: str, handler: str = "h", event_type: str = "t") -> str:
        return letter_store.fingerprint_of(error=error, handler=handler, event_type=event_type)

    one = kind("KeyError: order 0b8f3c9e-1111-4c7e-9d57-0aa0a4a3a0a1 (BR-7Q2) lacks 3 of 12.50")
    assert one == kind("KeyError: order 5d3a8e0e-2222-4c7e-9d57-0aa0a4a3a0b2 (BR-X99) lacks 14 of 7.25")
    assert one != kind("ValueError: order 0b8f3c9e-1111-4c7e-9d57-0aa0a4a3a0a1 (BR-7Q2) lacks 3 of 12.50")
    assert len({kind("E: 1"), kind("E: 1", handler="other"), kind("E: 1", event_type="other")}) == 3


def test_kinds_are_counted_over_what_waits() -> None:
    letters = [a_letter(error=f"ValueError: {number} is odd", died_ms=1000 * number) for number in (1, 2, 3)]
    letters.append(a_letter(cancelled(), group="orders", error="ValueError: 9 is odd", died_ms=9000))
    other = a_letter(error="KeyError: 'x'")
    a_letter(error="KeyError: 'x'")
    DeadLetter.objects.filter(pk=other.pk).update(state=State.DISCARDED)

    found = letter_store.error_kinds()
    assert found[0].count == 3
    assert sorted((kind.count, kind.groups, kind.type) for kind in found) == [
        (1, ["notifications"], "order.created"),
        (1, ["orders"], "order.cancelled"),
        (3, ["notifications"], "order.created"),
    ]
    assert (found[0].first.timestamp(), found[0].last.timestamp(), found[0].example) == (1, 3, letters[2].pk)
    assert letter_store.error_kind(found[0].fingerprint) == found[0]
    assert letter_store.error_kind("none") is None
