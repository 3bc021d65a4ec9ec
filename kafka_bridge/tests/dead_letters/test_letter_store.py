"""Dead letters as rows: what is read from a copy, that each letter is one row, and which kinds there are."""

from base64 import b64encode
from typing import Any, cast
from uuid import UUID, uuid4

import pytest
from confluent_kafka import Message

from devtools.testing.bridge.bridge_events import cancelled, created
from devtools.testing.bridge.dead_letters import Copy, a_letter, copy_of, headers_of
from kafka_bridge.dead_letters import error_kinds, letter_store
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


@pytest.mark.security
@pytest.mark.parametrize("state", State.values)
def test_another_message_at_the_same_place_is_another_letter(state: str) -> None:
    """XE1: Kafka was lost and its topics made anew: places repeat, messages do not."""
    letter_store.store([letter_store.parse_dead_letter(copy_of(created()))])
    DeadLetter.objects.update(state=state)
    other = cancelled()
    assert letter_store.store([letter_store.parse_dead_letter(copy_of(other, died_ms=1_750_000_000_000))]) == 1
    assert list(DeadLetter.objects.order_by("id").values_list("type", "state")) == [
        ("order.created", state), ("order.cancelled", State.PARKED),
    ]  # fmt: skip


@pytest.mark.security
def test_an_event_that_lies_at_two_places_is_one_letter() -> None:
    """XE1."""
    event, headers = created(), headers_of(created())
    deaths = [
        letter_store.parse_dead_letter(copy_of(event, headers=headers, offset=offset, member="notifications"))
        for offset in (3, 8)
    ]
    assert letter_store.store(deaths) == 1
    assert DeadLetter.objects.get().offset == 3


@pytest.mark.security
@pytest.mark.parametrize("headers", [{}, {"ce_id": b"no id"}, None])
def test_messages_that_could_not_be_read_are_told_apart_by_all_there_is_about_them(
    headers: dict[str, bytes] | None,
) -> None:
    """XE1: also where they claim the id of an event."""
    event = created()
    headers = headers_of(event) if headers is None else headers
    deaths = [
        copy_of(event, headers=headers, value=value, offset=offset, written_ms=written_ms, died_ms=died_ms)
        for value, offset, written_ms, died_ms in (
            (b"{", 0, 1000, 5000),
            (b"[", 0, 1000, 6000),  # other contents
            (b"{", 1, 1000, 7000),  # another place
            (b"{", 0, 8000, 9000),  # the topic was created again, and has the same contents at the same place
        )
    ]
    assert letter_store.store([letter_store.parse_dead_letter(death) for death in deaths]) == 4
    again = copy_of(event, headers=headers, value=b"{", written_ms=8000, died_ms=10_000)
    assert letter_store.store([letter_store.parse_dead_letter(again)]) == 0, "the group has read it once more"
    assert (DeadLetter.objects.count(), DeadLetter.objects.filter(state=State.PARKED).count()) == (4, 4)


@pytest.mark.security
@pytest.mark.parametrize("state", State.values)
@pytest.mark.parametrize("is_readable", [True, False])
def test_what_was_decided_stays_so_when_the_group_reads_its_topic_again(state: str, is_readable: bool) -> None:
    """XC3: `reset_offsets --to beginning`; what is malformed or rejected dies once more, and that is no news."""
    event, headers = created(), headers_of(created())
    how: dict[str, Any] = {"member": "notifications"} if is_readable else {"written_ms": 1000}
    letter_store.store([letter_store.parse_dead_letter(copy_of(event, headers=headers, **how))])
    DeadLetter.objects.update(state=state)
    before = DeadLetter.objects.values().get()
    again = copy_of(event, headers=headers, died_ms=1_750_000_000_000, **how)
    assert letter_store.store([letter_store.parse_dead_letter(again)]) == 0
    assert DeadLetter.objects.values().get() == before


@pytest.mark.security
@pytest.mark.parametrize("state", [State.RESOLVED, State.DISCARDED])
def test_no_death_opens_a_letter_that_is_closed(state: str) -> None:
    """XC3: whoever says so."""
    event, headers = created(), headers_of(created())
    letter_store.store([letter_store.parse_dead_letter(copy_of(event, headers=headers))])
    DeadLetter.objects.update(state=state)
    late = copy_of(event, headers=headers, died_ms=1_750_000_000_000, member="notifications.retry")
    assert letter_store.store([letter_store.parse_dead_letter(late)]) == 0
    assert DeadLetter.objects.get().state == state


@pytest.mark.parametrize("event_id", [None, uuid4()])
def test_a_letter_that_has_no_name_yet_gets_it_when_its_message_comes_again(event_id: UUID | None) -> None:
    """A version of before stored it, and somebody has dealt with it."""
    event = created()
    headers = {"ce_id": str(event_id).encode()} if event_id else {}
    copies = [copy_of(event, headers=headers, value=b"{", written_ms=ms, died_ms=ms + 1) for ms in (1000, 9000)]
    deaths = [letter_store.parse_dead_letter(copy) for copy in copies]
    letter_store.store(deaths[:1])
    DeadLetter.objects.update(message_id=None, state=State.DISCARDED)
    assert letter_store.store(deaths[:1]) == 0
    assert (DeadLetter.objects.get().message_id, letter_store.store(deaths)) == (deaths[0].message_id, 1)


def test_what_could_be_read_once_it_was_sent_again_stays_one_letter() -> None:
    """This code is newer than the one that could not read it; its handler fails, so it dies as the event that it is."""
    event = created()
    headers = headers_of(event)
    unread = copy_of(event, headers=headers, written_ms=1000, error="Malformed: unknown event")
    letter_store.store([letter_store.parse_dead_letter(unread)])
    DeadLetter.objects.update(state=State.REDRIVEN)
    dead = copy_of(event, headers=headers, died_ms=1_750_000_000_000, member="notifications.retry")
    assert letter_store.store([letter_store.parse_dead_letter(dead)]) == 1
    letter = DeadLetter.objects.get()
    assert (letter.state, letter.message_id, letter.is_readable) == (State.PARKED, letter.event_id, True)


def test_a_late_copy_of_what_was_handled_after_all_opens_nothing() -> None:
    event, headers = created(), headers_of(created())
    letter_store.store([letter_store.parse_dead_letter(copy_of(event, headers=headers))])
    letter = DeadLetter.objects.get()
    assert letter.event_id is not None
    InboxRow.objects.create(
        group="notifications", event_id=letter.event_id, topic="orders.events", partition=1, offset=0
    )
    letter_store.resolve(group="notifications", event_id=letter.event_id)
    late = letter_store.parse_dead_letter(copy_of(event, headers=headers, died_ms=1_750_000_000_000))
    assert letter_store.store([late]) == 0
    letter.refresh_from_db()
    assert (letter.state, letter.closed_at is not None) == (State.RESOLVED, True)
    assert [(act.who, act.what) for act in letter.acts.all()] == [("notifications", "resolved")]


def test_only_an_open_letter_of_that_event_and_group_is_resolved() -> None:
    first, second, third = a_letter(), a_letter(), a_letter()
    DeadLetter.objects.filter(pk=second.pk).update(state=State.DISCARDED)
    for event_id in (first.event_id, second.event_id, uuid4()):
        letter_store.resolve(group="notifications", event_id=event_id)  # type: ignore[arg-type]
    letter_store.resolve(group="orders", event_id=third.event_id)  # type: ignore[arg-type]
    states = dict(DeadLetter.objects.values_list("pk", "state"))
    assert states == {first.pk: State.RESOLVED, second.pk: State.DISCARDED, third.pk: State.PARKED}


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

    found = error_kinds.waiting()
    assert found[0].count == 3
    assert sorted((kind.count, kind.groups, kind.type) for kind in found) == [
        (1, ["notifications"], "order.created"),
        (1, ["orders"], "order.cancelled"),
        (3, ["notifications"], "order.created"),
    ]
    assert (found[0].first.timestamp(), found[0].last.timestamp(), found[0].example) == (1, 3, letters[2].pk)
    assert error_kinds.waiting(limit=1) == found[:1]
