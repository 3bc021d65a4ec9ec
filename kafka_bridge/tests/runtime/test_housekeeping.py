"""Old rows go, in small batches; young ones and those that somebody is using stay."""

import dataclasses
import io
import json
import re
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.utils import timezone
from uuid_utils.compat import uuid7

from devtools.testing.bridge.bridge_events import cancelled, created
from devtools.testing.bridge.dead_letters import a_letter, parked
from events import catalogue
from kafka_bridge.models import DeadLetter, DeadLetterAct, InboxRow, LagSample, OutboxRow, ParkedMessage
from kafka_bridge.runtime import clients, housekeeping

pytestmark = pytest.mark.django_db(transaction=True)


def days_ago(days: float) -> datetime:
    """That moment."""
    return timezone.now() - timedelta(days=days)


def inbox(ages: Sequence[float], group: str = "orders") -> None:
    """Events that the group had so many days ago."""
    rows = [
        InboxRow(group=group, event_id=_id(age), topic="t", partition=0, offset=0, handled_at=days_ago(age))
        for age in ages
    ]
    InboxRow.objects.bulk_create(rows)


def outbox(ages: Sequence[float | None]) -> None:
    """Events that left so many days ago; None for one that has not."""
    OutboxRow.objects.bulk_create(
        OutboxRow(
            event_id=uuid7(), topic="t", key="k", type="x", version=1, correlation_id=uuid4(), traceparent="", body=b"",
            published_at=None if age is None else days_ago(age),
        )
        for age in ages
    )  # fmt: skip


def _id(age: float) -> UUID:
    return UUID(int=housekeeping.first_id(days_ago(age)).int | uuid4().int & (1 << 62) - 1)


def ages(rows: Any, field: str) -> list[int]:
    """How old these rows are, in days."""
    return sorted(
        round((timezone.now() - at).total_seconds() / 86400) for at in rows.values_list(field, flat=True) if at
    )


def test_old_rows_go_and_young_ones_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "BATCH", 3)
    inbox([100, 90, 80, 70, 60, 50, 41, 39, 1])
    inbox([45, 2], group="payments")
    inbox([44], group="a group that the code no longer has")
    outbox([100, 90, 80, 41, 39, None, 1])
    LagSample.objects.bulk_create(
        LagSample(at=days_ago(age), group="g", topic="t", partition=0, end=0, messages=0) for age in (20, 15, 13)
    )
    would = housekeeping.prune(dry_run=True)
    assert {table: count for table, count in would.items() if count} == {
        "kafka_bridge_outboxrow": 4, "kafka_bridge_inboxrow": 9, "kafka_bridge_lagsample": 2,
    }  # fmt: skip
    assert housekeeping.prune() == would
    assert ages(InboxRow.objects, "handled_at") == [1, 2, 39]
    assert ages(OutboxRow.objects, "published_at") == [1, 39]
    assert OutboxRow.objects.filter(published_at=None).count() == 1
    assert ages(LagSample.objects, "at") == [13]
    assert set(housekeeping.prune().values()) == {0}


def test_an_old_event_that_was_had_a_moment_ago_stays() -> None:
    """A redriven dead letter: its id is old, and a copy of it may be under way."""
    InboxRow.objects.create(group="orders", event_id=_id(60), topic="t", partition=0, offset=0)
    assert housekeeping.prune()["kafka_bridge_inboxrow"] == 0


def test_the_first_id_of_a_moment_is_below_all_ids_of_later_ones() -> None:
    before, one, after = timezone.now(), uuid7(), timezone.now() + timedelta(seconds=1)
    assert housekeeping.first_id(before) <= one < housekeeping.first_id(after)
    assert housekeeping.first_id(before).version == 7


def test_a_row_that_somebody_has_locked_is_left_for_the_next_time() -> None:
    inbox([50, 51])
    locked, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        try:
            with transaction.atomic():
                list(InboxRow.objects.order_by("handled_at").select_for_update()[:1])
                locked.set()
                let_go.wait(20)
        finally:
            connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    assert locked.wait(20)
    assert housekeeping.prune()["kafka_bridge_inboxrow"] == 1
    let_go.set()
    holder.join(20)
    assert housekeeping.prune()["kafka_bridge_inboxrow"] == 1


# -- settings that would forget too early -----------------------------------------------------------
@pytest.mark.parametrize(
    ("inbox_days", "outbox_days", "found"),
    [(40, 40, []), (37, 30, []), (36.9, 30, ["kafka_bridge.E004"]), (40, 41, ["kafka_bridge.E005"])],
)
def test_the_inbox_outlives_topics_and_dead_letters(
    inbox_days: float, outbox_days: float, found: list[str], settings: Any
) -> None:
    """FAILURES 25: what is sent again within the retention finds that it was had."""
    assert max(topic.retention_seconds for topic in catalogue.TOPICS) == 7 * 86400
    settings.KAFKA_BRIDGE = dataclasses.replace(clients.conf(), inbox_days=inbox_days, outbox_days=outbox_days)
    assert [message.id for message in housekeeping.check_retention()] == found


# -- the command ----------------------------------------------------------------------------------
def test_the_command_prunes_to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "BATCH", 2)
    inbox([50] * 7)
    out = io.StringIO()
    call_command("prune_tables", "--dry-run", "--json", stdout=out)
    assert json.loads(out.getvalue())["rows"]["kafka_bridge_inboxrow"] == 7
    out = io.StringIO()
    call_command("prune_tables", stdout=out)
    assert InboxRow.objects.count() == 0
    assert re.search("kafka_bridge_inboxrow +│ 40 days +│ KEEP_INBOX_DAYS +│ +7", out.getvalue())


def test_the_command_refuses_settings_that_forget_too_early(settings: Any) -> None:
    settings.KAFKA_BRIDGE = dataclasses.replace(clients.conf(), inbox_days=3, outbox_days=3)
    with pytest.raises(CommandError, match="KEEP_INBOX_DAYS=3 is too short"):
        call_command("prune_tables", skip_checks=False)


# -- dead letters ---------------------------------------------------------------------------------
def closed(letter: DeadLetter, days: float, state: str = DeadLetter.State.RESOLVED) -> DeadLetter:
    """It was dealt with so long ago, and so was what people did to it."""
    letter.acts.create(who="ada", what=state, reason="the test", at=days_ago(days))
    DeadLetter.objects.filter(pk=letter.pk).update(state=state, closed_at=days_ago(days), died_at=days_ago(days))
    return letter


def park_long_ago(*messages: ParkedMessage) -> None:
    """They were parked a hundred days ago."""
    ParkedMessage.objects.filter(pk__in=[message.pk for message in messages]).update(parked_at=days_ago(100))


def test_letters_that_are_over_go_with_what_was_done_to_them() -> None:
    resolved, discarded = closed(a_letter(), 91), closed(a_letter(), 91, DeadLetter.State.DISCARDED)
    young = closed(a_letter(), 89)
    waiting, again = closed(a_letter(), 91, DeadLetter.State.PARKED), closed(a_letter(), 91, DeadLetter.State.REDRIVEN)
    touched = closed(a_letter(), 91)
    touched.acts.create(who="ada", what="edited")
    assert housekeeping.prune(dry_run=True)["kafka_bridge_deadletter"] == 2
    assert housekeeping.prune()["kafka_bridge_deadletter"] == 2
    assert list(DeadLetter.objects.order_by("id")) == [young, waiting, again, touched]
    assert not DeadLetterAct.objects.filter(letter_id__in=[resolved.pk, discarded.pk]).exists()
    assert DeadLetterAct.objects.filter(letter=young).count() == 1


def test_a_letter_behind_which_something_waits_stays() -> None:
    letter = closed(a_letter(created()), 100, DeadLetter.State.DISCARDED)
    park_long_ago(*parked(letter, cancelled(UUID(letter.key)), state=ParkedMessage.State.RELEASED))
    assert set(housekeeping.prune().values()) == {0}
    assert (DeadLetter.objects.count(), ParkedMessage.objects.count()) == (1, 2)


def test_what_is_parked_for_a_group_that_is_no_more_goes_and_then_its_letter() -> None:
    """However long a group takes, its parked messages wait for it; but not for one that will never come."""
    letter = closed(a_letter(created(), group="a group of old"), 100, DeadLetter.State.DISCARDED)
    other = a_letter(created())
    park_long_ago(*parked(letter, cancelled(UUID(letter.key))), *parked(other))
    young = parked(a_letter(created(), group="a group of old"))
    counts = housekeeping.prune()
    assert (counts["kafka_bridge_parkedmessage"], counts["kafka_bridge_deadletter"]) == (2, 1)
    assert set(ParkedMessage.objects.values_list("group", flat=True)) == {other.group, young[0].group}
    assert not DeadLetter.objects.filter(pk=letter.pk).exists()


def test_a_letter_that_somebody_has_in_hand_is_left_for_the_next_time() -> None:
    letters = [closed(a_letter(), 91) for _ in range(2)]
    with transaction.atomic():
        DeadLetter.objects.select_for_update().get(pk=letters[0].pk)
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(prune_and_hang_up).result(30)["kafka_bridge_deadletter"] == 1
    assert list(DeadLetter.objects.all()) == letters[:1]


def prune_and_hang_up() -> dict[str, int]:
    """Prune in a thread of its own."""
    try:
        return housekeeping.prune()
    finally:
        connection.close()


@pytest.mark.parametrize("pruning", [False, True])
def test_acts_are_deleted_by_pruning_alone_and_never_changed(pruning: bool) -> None:
    old, young = closed(a_letter(), 91), closed(a_letter(), 29)
    refused: list[Callable[[], Any]] = [
        young.acts.all().delete,
        lambda: young.acts.update(who="eve"),
        lambda: old.acts.update(who="eve"),
    ]
    if not pruning:
        refused.append(old.acts.all().delete)
    for deed in refused:
        with pytest.raises(DatabaseError, match="what was done to dead letters is"), transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(f"SET LOCAL bookrush.pruning = '{'on' if pruning else 'off'}'")
            deed()


def test_an_event_that_never_left_keeps_no_other_from_being_pruned(monkeypatch: pytest.MonkeyPatch) -> None:
    """It stays among the oldest, of which a batch is made."""
    monkeypatch.setattr(housekeeping, "BATCH", 4)
    outbox([None, *[100] * 10])
    assert housekeeping.prune()["kafka_bridge_outboxrow"] == 10


# -- tables take turns ------------------------------------------------------------------------------
def test_a_long_table_does_not_keep_the_others_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "BATCH", 2)
    outbox([100] * 50)
    inbox([100] * 3)
    counts = housekeeping.prune(limit_seconds=0.1)
    assert counts["kafka_bridge_inboxrow"] >= 2
    assert counts["kafka_bridge_outboxrow"] < 50


def test_settings_that_would_forget_dead_letters_too_early(settings: Any) -> None:
    settings.KAFKA_BRIDGE = dataclasses.replace(clients.conf(), dead_letter_days=36)
    [message] = housekeeping.check_retention()
    assert "KEEP_DEAD_LETTERS_DAYS=36 is too short, at least 37 days" in message.msg
