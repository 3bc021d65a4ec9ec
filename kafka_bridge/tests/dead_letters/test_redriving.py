"""What people do to dead letters: in PostgreSQL, with the copies on real Kafka in `test_dead_letters_on_kafka.py`."""

import itertools
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import ProgrammingError, transaction
from django.utils import timezone

from devtools.testing.bridge.bridge_events import cancelled, created, delivered
from devtools.testing.bridge.dead_letters import a_letter, age, headers_of, parked
from events import catalogue
from kafka_bridge.consuming import registry
from kafka_bridge.dead_letters import redrive_preview, redrive_sender, redriving
from kafka_bridge.models import DeadLetter, DeadLetterAct, InboxRow, ParkedMessage
from kafka_bridge.wire import envelope

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.faults]
State, Parked = DeadLetter.State, ParkedMessage.State


def redrive(*letters: DeadLetter, **how: Any) -> redriving.RedriveOutcome:
    return redriving.redrive(
        redriving.choose(ids=[letter.pk for letter in letters]), by="ada", reason="the handler is mended", **how
    )


def discard(*letters: DeadLetter) -> redriving.RedriveOutcome:
    return redriving.discard(redriving.choose(ids=[letter.pk for letter in letters]), by="ada", reason="a test order")


def acts(letter: DeadLetter) -> list[tuple[str, str, str]]:
    return list(letter.acts.values_list("who", "what", "reason"))


# -- Redriving ---------------------------------------------------------------------------------------------
def test_a_redrive_wakes_the_head_and_is_noted_with_who_and_why() -> None:
    event = created()
    letter = a_letter(event)
    head, waiting = parked(letter, cancelled(event.order_id))
    assert redrive(letter).done == [letter.pk]
    letter.refresh_from_db()
    head.refresh_from_db()
    assert (letter.state, head.state, head.attempts) == (State.REDRIVEN, Parked.RETRYING, 0)
    assert letter.send_at is not None
    assert letter.send_at <= timezone.now()
    assert ParkedMessage.objects.get(pk=waiting.pk).state == Parked.WAITING
    assert acts(letter) == [("ada", "redriven", "the handler is mended")]


def test_a_bulk_has_a_cap_and_a_pace_and_goes_oldest_first() -> None:
    letters = [a_letter() for _ in range(250)]
    outcome = redriving.redrive(redriving.choose(group="notifications"), by="ada", reason="r", cap=210, per_second=10)
    assert (outcome.done, outcome.beyond_cap) == ([letter.pk for letter in letters[:210]], 40)
    redriven = DeadLetter.objects.filter(state=State.REDRIVEN).order_by("id")
    due = [letter.send_at for letter in redriven if letter.send_at]
    gaps = {round((after - before).total_seconds(), 3) for before, after in itertools.pairwise(due)}
    assert (len(due), gaps) == (210, {0.1}), "also across transactions"
    assert DeadLetterAct.objects.filter(what="redriven").count() == 210
    assert redrive_sender.unsent(outcome.done) == 210


def test_what_was_dealt_with_is_left_alone_and_said_so() -> None:
    resolved, discarded, strange, again = a_letter(), a_letter(), a_letter(group="nobody"), a_letter()
    deaf = a_letter(group="orders")
    for letter, state in ((resolved, State.RESOLVED), (discarded, State.DISCARDED), (again, State.REDRIVEN)):
        DeadLetter.objects.filter(pk=letter.pk).update(state=state)
    outcome = redrive(resolved, discarded, strange, again, deaf)
    assert outcome.done == [again.pk], "its copy may be lost: a second one is harmless"
    assert outcome.left == [
        (resolved.pk, "handled already"),
        (discarded.pk, "discarded, and what waited behind it has gone on"),
        (strange.pk, "there is no group 'nobody'"),
        (deaf.pk, "orders does not hear orders.events"),
    ]


@pytest.mark.parametrize(
    "how", [{"reason": "  "}, {"cap": 0}, {"per_second": 0}, {"per_second": float("inf")}, {"per_second": float("nan")}]
)
def test_nothing_is_done_without_a_reason_a_cap_or_a_pace(how: dict[str, Any]) -> None:
    letter = a_letter()
    with pytest.raises(ValueError, match=r"reason|cap|pace"):
        redriving.redrive(redriving.choose(ids=[letter.pk]), **({"by": "ada", "reason": "r"} | how))
    letter.refresh_from_db()
    assert (letter.state, acts(letter)) == (State.PARKED, [])


def test_acts_cannot_be_changed_or_deleted() -> None:
    letter = a_letter()
    redrive(letter)
    for deed in (lambda: letter.acts.update(who="eve"), lambda: letter.acts.all().delete()):
        with pytest.raises(ProgrammingError, match="never changed or deleted"), transaction.atomic():
            deed()


# -- Discarding --------------------------------------------------------------------------------------------
def test_a_discarded_head_lets_go_on_what_waits_behind_it() -> None:
    event = created()
    letter = a_letter(event)
    head, _ = parked(letter, cancelled(event.order_id))
    assert discard(letter).done == [letter.pk]
    letter.refresh_from_db()
    assert (letter.state, letter.closed_at is not None) == (State.DISCARDED, True)
    assert ParkedMessage.objects.get(pk=head.pk).state == Parked.RELEASED
    assert acts(letter) == [("ada", "discarded", "a test order")]
    assert discard(letter).left == [(letter.pk, "discarded already")]


def test_what_was_sent_again_is_not_discarded_under_way() -> None:
    letter = a_letter()
    redrive(letter)
    assert discard(letter).left == [(letter.pk, "sent again, and perhaps just being handled")]


def test_heads_follow_what_was_done_before_they_were_noted_as_dead() -> None:
    """The letter is stored and dealt with in the moment between its copy and the note that its head is dead."""
    given_up, sent = a_letter(), a_letter()
    heads = [parked(letter, state=Parked.RETRYING)[0] for letter in (given_up, sent)]
    discard(given_up)
    redrive(sent)
    DeadLetter.objects.filter(pk=sent.pk).update(send_at=None)
    ParkedMessage.objects.update(state=Parked.DEAD)
    assert redrive_sender.repair_heads() == 2
    assert ParkedMessage.objects.get(pk=heads[0].pk).state == Parked.RELEASED
    assert redrive_sender.unsent([sent.pk]) == 1
    assert redrive_sender.repair_heads() == 0


# -- Editing -----------------------------------------------------------------------------------------------
def test_an_edited_body_is_sent_in_place_of_the_original_which_stays() -> None:
    event = created(total_minor=-5)
    letter = a_letter(event)
    head, *_ = parked(letter)
    fields = json.loads(envelope.encode_body(event)) | {"total_minor": 500}
    redriving.edit(letter.pk, json.dumps(fields, indent=2), by="ada", reason="the sign was wrong")
    redrive(letter)
    letter.refresh_from_db()
    head.refresh_from_db()
    assert letter.edited_value is not None
    assert json.loads(bytes(letter.edited_value)) == fields == json.loads(bytes(head.value))
    assert bytes(letter.value) == envelope.encode_body(event)
    assert [act[1] for act in acts(letter)] == ["edited", "redriven"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda fields: "{", "is no order.created version 1: Input data was truncated"),
        (
            lambda fields: json.dumps(fields | {"total_minor": "much"}),
            r"Expected `int`, got `str` - at `\$.total_minor`",
        ),
        (lambda fields: json.dumps({k: v for k, v in fields.items() if k != "flow"}), "missing required field `flow`"),
        (lambda fields: json.dumps(fields | {"total_mniro": 1}), "order.created has no total_mniro"),
        (lambda fields: json.dumps(fields | {"order_id": "0b8f3c9e-1111-4c7e-9d57-0aa0a4a3a0a1"}), "must stay so"),
        (lambda fields: "[1]", "Expected `object`, got `array`"),
        (lambda fields: '"\ud800"', "is no order.created"),
    ],
)
def test_a_body_that_does_not_fit_is_refused(change: Callable[[dict[str, Any]], str], words: str) -> None:
    event = created()
    letter = a_letter(event)
    with pytest.raises(redriving.InvalidBody, match=words):
        redriving.edit(letter.pk, change(json.loads(envelope.encode_body(event))), by="ada")
    letter.refresh_from_db()
    assert (letter.edited_value, acts(letter)) == (None, [])


def test_only_what_waits_and_is_a_known_event_can_be_edited() -> None:
    done, unknown = a_letter(), a_letter(headers={"ce_type": b"order.renamed", "ce_dataversion": b"9"})
    DeadLetter.objects.filter(pk=done.pk).update(state=State.DISCARDED)
    for letter, words in ((done, "only one that waits"), (unknown, "no event that this code knows")):
        with pytest.raises(redriving.InvalidBody, match=words):
            redriving.edit(letter.pk, "{}", by="ada")


# -- Dry run -------------------------------------------------------------------------------------------------
def test_a_dry_run_says_what_would_happen() -> None:
    event = created()
    had, doomed, unknown = a_letter(delivered()), a_letter(delivered(), value=b"{}"), a_letter(headers={})
    foreign, behind = a_letter(event, group="shipping"), a_letter(delivered(event.order_id))
    assert had.event_id is not None
    InboxRow.objects.create(group="notifications", event_id=had.event_id, topic="t", partition=0, offset=0)
    parked(behind, delivered(event.order_id), cancelled(event.order_id))
    assert redrive_preview.dry_run(had) == "Already handled by notifications: would change nothing."
    assert redrive_preview.dry_run(doomed).startswith(
        "Would fail again: the body is no order.delivered version 1: Object missing"
    )
    assert redrive_preview.dry_run(unknown) == "Would fail again: its headers name no event that this code knows."
    assert redrive_preview.dry_run(foreign) == "Means nothing to shipping: would only be noted."
    assert redrive_preview.dry_run(behind) == (
        "There is no such order: would change nothing. Behind it 2 messages wait and would follow."
    )
    DeadLetter.objects.filter(pk=had.pk).update(state=State.DISCARDED)
    had.refresh_from_db()
    assert redrive_preview.dry_run(had).startswith("It cannot be sent again: discarded")


@pytest.mark.security
def test_without_a_preview_no_handler_is_named(make_group: Callable[[str], registry.Group]) -> None:
    """XC6: its name says nothing to who decides."""
    group = make_group("bank")

    @group.on(catalogue.OrderCancelled)
    def refund(event: catalogue.OrderCancelled) -> None: ...

    assert redrive_preview.dry_run(a_letter(cancelled(), group="bank")) == (
        "There is no such order; bank would handle it as if it had just come, and that works only if the cause is "
        "mended."
    )


def test_a_group_can_say_itself_what_handling_would_do(make_group: Callable[[str], registry.Group]) -> None:
    group = make_group("bank")

    @group.on(catalogue.OrderCancelled)
    def refund(event: catalogue.OrderCancelled) -> None: ...

    group.preview[catalogue.OrderCancelled] = lambda event: f"would refund {event.total_minor}"
    assert redrive_preview.dry_run(a_letter(cancelled(), group="bank")) == "Would refund 1250."


# -- Choosing ------------------------------------------------------------------------------------------------
def test_letters_are_chosen_by_what_is_known_of_them() -> None:
    first, second, third = a_letter(), a_letter(cancelled(), error="KeyError: 'tax'"), a_letter(group="orders")
    age(first, days=2)
    DeadLetter.objects.filter(pk=third.pk).update(state=State.DISCARDED)
    for how, expected in (
        ({}, [first, second, third]),
        ({"ids": [third.pk, first.pk]}, [first, third]),
        ({"group": "orders"}, [third]),
        ({"event": "order.cancelled"}, [second]),
        ({"error": "TAX"}, [second]),
        ({"kind": second.fingerprint}, [second]),
        ({"state": "parked", "group": "notifications"}, [first, second]),
        ({"ids": [first.pk], "older_than": timedelta(days=3)}, []),
    ):
        assert list(redriving.choose(**how)) == expected, how


def test_the_event_keeps_its_id() -> None:
    """FAILURES 25: so that the inbox recognizes what was handled meanwhile."""
    event = created()
    headers = headers_of(event)
    letter = a_letter(event, headers=headers)
    fields = json.loads(envelope.encode_body(event)) | {"total_minor": 7}
    redriving.edit(letter.pk, json.dumps(fields), by="ada")
    assert str(DeadLetter.objects.get().event_id) == headers["ce_id"].decode()
