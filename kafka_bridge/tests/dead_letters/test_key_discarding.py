"""All that a group has of one key is given up at once, and nothing of other keys or groups."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction

from devtools.testing.bridge.bridge_events import cancelled, created, delivered
from devtools.testing.bridge.dead_letters import a_letter, parked
from events import catalogue
from kafka_bridge.consuming import message_processing, registry
from kafka_bridge.dead_letters import key_discarding, redrive_preview, redriving
from kafka_bridge.models import DeadLetter, DeadLetterAct, InboxRow, ParkedMessage
from kafka_bridge.retrying import parking
from kafka_bridge.wire.envelope import Received

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.faults, pytest.mark.security]
State, Parked = DeadLetter.State, ParkedMessage.State


def test_the_head_its_followers_and_the_keys_other_letters_are_given_up() -> None:
    """XC6: what waited becomes a letter of its own, and none of it comes back."""
    order = uuid4()
    letter, rejected = a_letter(created(order)), a_letter(delivered(order))
    elsewhere, other_group = a_letter(created()), a_letter(created(order), group="payments")
    rows = parked(letter, cancelled(order), delivered(order))
    others = [*parked(elsewhere), *parked(other_group)]
    assert (key_discarding.count(letter), key_discarding.obstacle(letter)) == (4, "")

    outcome = key_discarding.discard_key(letter.pk, by="ada", reason="there is no such order")

    assert len(outcome.done) == 4
    assert set(ParkedMessage.objects.values_list("pk", flat=True)) == {row.pk for row in others}
    discarded = DeadLetter.objects.filter(state=State.DISCARDED, closed_at__isnull=False)
    assert set(discarded.values_list("event_id", flat=True)) == {*(row.event_id for row in rows), rejected.event_id}
    assert set(InboxRow.objects.values_list("event_id", flat=True)) == set(discarded.values_list("event_id", flat=True))
    assert set(DeadLetterAct.objects.values_list("who", "what", "reason")) == {
        ("ada", "discarded", "there is no such order")
    }
    again = key_discarding.discard_key(letter.pk, by="ada", reason="twice")
    assert again.left == [(letter.pk, "discarded already")]


def test_what_comes_later_is_handled(make_group: Callable[[str], registry.Group]) -> None:
    group, told, order = make_group("listening"), list[str](), uuid4()
    for heard in (catalogue.OrderCancelled, catalogue.OrderDelivered):
        group.on(heard)(lambda event: told.append(event.TYPE))
    letter = a_letter(created(order), group="listening")
    _, follower = parked(letter, cancelled(order))
    key_discarding.discard_key(letter.pk, by="ada", reason="r")
    come = [
        Received(event=event, id=event_id, correlation_id=order, topic="orders.events", partition=0, offset=number)
        for number, (event, event_id) in enumerate([(cancelled(order), follower.event_id), (delivered(order), uuid4())])
    ]
    assert message_processing.handle(group, come) == (1, 1)
    assert told == ["order.delivered"]


@pytest.mark.parametrize("state", [Parked.RETRYING, Parked.RELEASED, Parked.WAITING])
def test_a_key_whose_head_is_under_way_is_left_alone(state: str) -> None:
    letter = a_letter(created())
    parked(letter, cancelled(), state=state)
    why = "a message of this key is being tried again"
    assert key_discarding.obstacle(letter) == why
    assert key_discarding.discard_key(letter.pk, by="ada", reason="r").left == [(letter.pk, why)]
    assert (ParkedMessage.objects.count(), DeadLetter.objects.get().state) == (2, State.PARKED)


def test_a_letter_that_only_claims_an_events_id_does_not_touch_its_row() -> None:
    """XE1: a stranger's message that could not be read says that it is the event that another order waits for."""
    letter = a_letter(created())
    head, *_ = parked(letter)
    forged = a_letter(created(), headers={"ce_id": str(letter.event_id).encode()}, value=b"{", written_ms=1000)
    redriving.discard(redriving.choose(ids=[forged.pk]), by="ada", reason="noise")
    head.refresh_from_db()
    assert (head.state, InboxRow.objects.count()) == (Parked.DEAD, 0)


def test_nothing_is_discarded_without_a_reason() -> None:
    letter = a_letter()
    with pytest.raises(ValueError, match="reason"):
        key_discarding.discard_key(letter.pk, by="ada", reason=" ")


def test_the_command_discards_a_key(capsys: pytest.CaptureFixture[str]) -> None:
    letter = a_letter(created())
    parked(letter, cancelled())
    call_command("dead_letters", "discard", str(letter.pk), "--whole-key", "--dry-run")
    assert "Dry run: nothing was done" in capsys.readouterr().out
    with pytest.raises(CommandError, match="takes the id of one letter"):
        call_command("dead_letters", "discard", "--all", "--whole-key", "--reason", "r")
    call_command("dead_letters", "discard", str(letter.pk), "--whole-key", "--by", "ada", "--reason", "r")
    assert set(DeadLetter.objects.values_list("state", flat=True)) == {State.DISCARDED}


def test_a_discarded_message_that_was_no_head_is_had(make_group: Callable[[str], registry.Group]) -> None:
    """XC3: it was rejected, so nothing of it is parked; read again, it is not handled."""
    letter = a_letter(created())
    redriving.discard(redriving.choose(), by="ada", reason="r")
    assert list(InboxRow.objects.values_list("group", "event_id")) == [(letter.group, letter.event_id)]
    with transaction.atomic():
        assert parking.lock_heads(group=letter.group, keys=[letter.key]) == {}


@pytest.mark.parametrize(("headers", "would_fail"), [({}, True), (None, False)])
def test_whether_it_would_fail_again_is_told(headers: dict[str, bytes] | None, would_fail: bool) -> None:
    """XC6: then sending it again is not the main button of its page."""
    assert redrive_preview.forecast(a_letter(delivered(), headers=headers)).would_fail is would_fail
