"""Old rows go, in small batches; young ones and those that somebody is using stay."""

import dataclasses
import io
import json
import threading
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.utils import timezone
from uuid_utils.compat import uuid7

from kafka_bridge import catalogue, clients, housekeeping
from kafka_bridge.models import InboxRow, LagSample, OutboxRow

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
    outbox([100, 90, 80, 41, 39, None, 1])
    LagSample.objects.bulk_create(
        LagSample(at=days_ago(age), group="g", topic="t", partition=0, end=0, messages=0) for age in (20, 15, 13)
    )
    assert housekeeping.prune(dry_run=True) == housekeeping.prune() == {
        "kafka_bridge_outboxrow": 4, "kafka_bridge_inboxrow": 8, "kafka_bridge_lagsample": 2,
    }  # fmt: skip
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
    assert "kafka_bridge_inboxrow  │ 40 days │    7" in out.getvalue()


def test_the_command_refuses_settings_that_forget_too_early(settings: Any) -> None:
    settings.KAFKA_BRIDGE = dataclasses.replace(clients.conf(), inbox_days=3, outbox_days=3)
    with pytest.raises(CommandError, match="KEEP_INBOX_DAYS=3 is too short"):
        call_command("prune_tables", skip_checks=False)
