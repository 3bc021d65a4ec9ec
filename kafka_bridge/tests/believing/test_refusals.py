"""What a group believes: only what was stated, to the letter; the rest is refused before it is had (XB4)."""

import dataclasses
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from devtools.testing.bridge.bridge_events import cancelled, created, delivered
from devtools.testing.bridge.dead_letters import a_letter, parked
from events import catalogue
from events.base import OrderEvent
from kafka_bridge.believing import books, refusals
from kafka_bridge.consuming import message_processing, registry
from kafka_bridge.consuming.message_processing import Attempt
from kafka_bridge.models import DeadLetter, InboxRow, OutboxRow, ParkedMessage, RefusedMessage
from kafka_bridge.publishing import outbox
from kafka_bridge.runtime import housekeeping
from kafka_bridge.wire.envelope import Received

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.security]
MakeGroup = Callable[..., registry.Group]


class Careful:
    """A group that believes only what was stated, and what its handlers were called with."""

    def __init__(self, group: registry.Group) -> None:
        self.group = group
        self.heard: list[OrderEvent] = []
        for event in (catalogue.OrderCreated, catalogue.OrderCancelled, catalogue.OrderDelivered):
            group.on_batch(event, believes=books.stated)(self.note)

    def note(self, events: Sequence[OrderEvent]) -> None:
        """Remember them. The rest of this is not told."""
        self.heard += events

    def handle(self, *messages: Received) -> int:
        """One batch; how many were new."""
        return message_processing.handle(self.group, messages).new


@pytest.fixture
def careful(make_group: MakeGroup, monkeypatch: pytest.MonkeyPatch) -> Careful:
    """In the place of notifications, whose dead letters can be sent again."""
    monkeypatch.delitem(registry._groups, "notifications")
    return Careful(make_group("notifications"))


def stated(event: OrderEvent, offset: int = 0) -> Received:
    """As it comes from its topic after it was stated."""
    with transaction.atomic():
        outbox.publish(event)
    return received(event, OutboxRow.objects.latest("id").event_id, offset)


def received(event: OrderEvent, event_id: UUID | None = None, offset: int = 0) -> Received:
    """As it comes from a topic, whoever wrote it."""
    return Received(
        event=event, id=event_id or uuid4(), correlation_id=event.order_id, topic=event.TOPIC.name, partition=0,
        offset=offset,
    )  # fmt: skip


def test_what_nobody_stated_is_refused_and_listed_and_the_rest_is_handled(careful: Careful) -> None:
    true, forged = stated(created(), 1), received(cancelled(), offset=2)
    assert careful.handle(forged, true) == 1
    assert careful.heard == [true.event]
    row = RefusedMessage.objects.get()
    assert (row.group, row.type, row.key, row.event_id) == ("notifications", "order.cancelled", forged.event.key,
                                                             forged.id)  # fmt: skip
    assert (row.topic, row.partition, row.offset, row.why) == ("orders.events", 0, 2, books.NEVER_STATED)
    assert row.undone == "note: Remember them. The rest of this is not told."
    assert bytes(row.value) == books.body_of(forged)
    assert careful.handle(forged, true) == 0
    assert RefusedMessage.objects.count() == 1, "the same message read again is the same row"


@pytest.mark.parametrize("change", [{"total_minor": 1}, {"order_id": uuid4()}, {"flow": "payment_first"}])
def test_an_id_that_was_borrowed_costs_the_true_message_nothing(careful: Careful, change: dict[str, Any]) -> None:
    """The forged one comes first, in a batch of its own or with the true one."""
    event = created()
    true, forged = stated(event, 5), msgspec.structs.replace(event, **change)
    assert careful.handle(received(forged, true.id, 3)) == 0
    assert not InboxRow.objects.exists()
    assert careful.handle(received(forged, true.id, 4), true) == 1
    assert careful.heard == [true.event]
    assert RefusedMessage.objects.count() == 2


def test_another_type_under_a_stated_id_is_refused(careful: Careful) -> None:
    true = stated(created())
    assert isinstance(true.event, catalogue.OrderCreated)
    assert careful.handle(received(delivered(true.event.order_id), true.id)) == 0
    assert RefusedMessage.objects.get().why == books.STATED_OTHERWISE


def test_a_batch_costs_one_round_trip_more(careful: Careful, make_group: MakeGroup) -> None:
    trusting = make_group("trusting")
    trusting.on_batch(catalogue.OrderCreated)(lambda events: None)
    messages = [stated(created(), number) for number in range(20)]
    costs = []
    for group in (careful.group, trusting):
        with CaptureQueriesContext(connection) as queries:
            message_processing.handle(group, messages)
        costs.append(len(queries))
    assert costs[0] == costs[1] + 1


def test_a_refusal_is_undone_with_its_batch(careful: Careful) -> None:
    """The batch comes again, and refuses it then."""

    def fail(events: Sequence[OrderEvent]) -> None:
        raise ValueError

    careful.group.on_batch(catalogue.OrderConfirmed)(fail)
    confirmed = catalogue.OrderConfirmed(
        order_id=uuid4(), flow=catalogue.RESERVE_FIRST, lines=(), total_minor=1, currency="USD"
    )
    with pytest.raises(ValueError):
        careful.handle(received(created()), received(confirmed))
    assert not RefusedMessage.objects.exists()


# -- Messages that come another way ----------------------------------------------------------------------
def test_a_parked_message_that_nobody_stated_goes_without_being_handled(careful: Careful) -> None:
    """One that was parked before its group asked; what waits behind it goes on."""
    event = created()
    letter = a_letter(event)
    parked(letter, state=ParkedMessage.State.RETRYING)
    assert message_processing.handle_head(careful.group, event.key, lambda head: True, Attempt())
    letter.refresh_from_db()
    assert (careful.heard, letter.state) == ([], DeadLetter.State.DISCARDED)
    assert list(letter.acts.values_list("what", "reason")) == [("discarded", "not believed: see the refused messages")]
    assert not ParkedMessage.objects.exists()
    assert RefusedMessage.objects.get().event_id == letter.event_id


def test_a_dead_letter_that_is_sent_again_is_asked_about_too(careful: Careful) -> None:
    true, forged = stated(created(), 1), received(created(), offset=2)
    for message in (true, forged):
        message_processing.handle_alone(careful.group, message, Attempt())
    assert careful.heard == [true.event]
    assert RefusedMessage.objects.get().event_id == forged.id


def test_what_a_person_has_edited_is_borne_out_by_the_dead_letter(careful: Careful) -> None:
    """And by nothing else: another body under the same id is refused."""
    edited = created()
    letter = a_letter(edited)
    assert letter.event_id is not None
    DeadLetter.objects.update(edited_value=books.body_of(received(edited)))
    other = msgspec.structs.replace(edited, total_minor=1)
    message_processing.handle_alone(careful.group, received(other, letter.event_id, 1), Attempt())
    message_processing.handle_alone(careful.group, received(edited, letter.event_id, 2), Attempt())
    assert careful.heard == [edited]
    assert RefusedMessage.objects.count() == 1


# -- How long the outbox remembers -------------------------------------------------------------------------
def test_the_outbox_keeps_what_a_dead_letter_or_a_parked_message_needs(
    careful: Careful, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "BATCH", 2)
    needed, waiting, closed, *others = (stated(created()) for _ in range(8))
    OutboxRow.objects.update(published_at=timezone.now() - timedelta(days=400))
    for message, state in ((needed, DeadLetter.State.PARKED), (closed, DeadLetter.State.RESOLVED)):
        letter = a_letter(message.event)
        DeadLetter.objects.filter(pk=letter.pk).update(event_id=message.id, state=state)
    parked(a_letter(created()))
    ParkedMessage.objects.update(event_id=waiting.id)
    assert housekeeping.prune()["kafka_bridge_outboxrow"] == len(others) + 1
    assert set(OutboxRow.objects.values_list("event_id", flat=True)) == {needed.id, waiting.id}
    assert careful.handle(needed, waiting) == 2


def test_the_outbox_must_not_forget_before_the_topics(settings: Any) -> None:
    settings.KAFKA_BRIDGE = dataclasses.replace(settings.KAFKA_BRIDGE, outbox_days=3)
    [problem] = housekeeping.check_retention()
    assert (problem.id, "would not be believed" in problem.msg) == ("kafka_bridge.E004", True)


# -- The list -------------------------------------------------------------------------------------------
def test_a_flood_fills_the_list_and_no_more(careful: Careful, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "OPEN_AT_MOST", 5)
    for batch in range(4):
        careful.handle(*(received(created(), offset=10 * batch + number) for number in range(3)))
    assert RefusedMessage.objects.count() == 6
    assert careful.heard == []


def test_a_very_long_body_is_kept_in_part(careful: Careful) -> None:
    forged = created(payment_method="x" * 200_000)
    careful.handle(received(forged))
    assert len(RefusedMessage.objects.get().value) == refusals.BODY_AT_MOST


def test_people_read_the_list_and_close_it_with_a_note(careful: Careful, admin_client: Client) -> None:
    forged = received(created(payment_method="<script>alert(1)</script>"))
    careful.handle(forged)
    row = RefusedMessage.objects.get()
    listed = admin_client.get(reverse("admin:kafka_bridge_refusedmessage_changelist"), {"state": "open"})
    page = admin_client.get(reverse("admin:kafka_bridge_refusedmessage_change", args=[row.pk]))
    for response in (listed, page):
        assert (response.status_code, b"<script>alert" in response.content) == (200, False)
        for words in (books.NEVER_STATED, "order.created", "note: Remember them."):
            assert words in response.content.decode(), words
    close = reverse("admin:kafka_bridge_refusedmessage_close")
    assert books.NEVER_STATED in admin_client.get(close, {"message": row.pk}).content.decode()
    assert admin_client.post(close, {"message": row.pk, "reason": ""}).status_code == 200
    assert refusals.open_messages().exists()
    assert admin_client.post(close, {"message": row.pk, "reason": "a test"}).status_code == 302
    row.refresh_from_db()
    assert (row.closed_by, row.note, row.closed_at is not None) == ("admin", "a test", True)
    RefusedMessage.objects.update(closed_at=timezone.now() - timedelta(days=400))
    assert housekeeping.prune()["kafka_bridge_refusedmessage"] == 1


def test_who_may_only_read_the_list_closes_nothing(careful: Careful, client: Client) -> None:
    careful.handle(received(created()))
    client.force_login(User.objects.create_user("eve", is_staff=True))
    close = reverse("admin:kafka_bridge_refusedmessage_close")
    assert client.post(close, {"message": RefusedMessage.objects.get().pk, "reason": "x"}).status_code == 403
    assert refusals.open_messages().exists()
