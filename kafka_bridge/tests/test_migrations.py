"""Migrations that change rows, from the state before them."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from kafka_bridge.models import DeadLetter, ParkedMessage

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.faults, pytest.mark.security]
BEFORE = [("kafka_bridge", "0008_released")]


def migrate(to: list[tuple[str, str]] | None = None) -> None:
    """Bring the bridge's tables to this state, or to the newest."""
    executor = MigrationExecutor(connection)
    newest = [node for node in executor.loader.graph.leaf_nodes() if node[0] == "kafka_bridge"]
    executor.migrate(to or newest)


@pytest.fixture
def before() -> Iterator[None]:
    """The tables of before messages were named by their events."""
    migrate(BEFORE)
    yield
    ParkedMessage.objects.all().delete()
    migrate()


def insert(table: str, **values: Any) -> int:
    """A row of that time; returns its id."""
    names, holes = ", ".join(f'"{name}"' for name in values), ", ".join(["%s"] * len(values))
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO kafka_bridge_{table} ({names}) VALUES ({holes}) RETURNING id", [*values.values()])  # noqa: S608
        return int(cursor.fetchone()[0])


def parked(event_id: UUID, offset: int, *, key: str = "k", state: str = "waiting") -> int:
    """A parked message."""
    return insert(
        "parkedmessage", group="orders", key=key, state=state, topic="t", partition=0, offset=offset,
        event_id=event_id, type="order.created", headers="[]", value=b"{}", attempts=0, error="",
    )  # fmt: skip


def letter(event_id: UUID | None, offset: int, *, state: str = "parked", error: str = "ValueError: no") -> int:
    """A dead letter."""
    return insert(
        "deadletter", group="orders", topic="t", partition=0, offset=offset, key="k", event_id=event_id, type="",
        state=state, error=error, handler="", fingerprint="", traceback="", attempts=1, headers="[]", value=b"{}",
        died_at="2026-01-31T04:00Z",
    )  # fmt: skip


@pytest.mark.usefixtures("before")
def test_messages_of_a_running_shop_get_their_names() -> None:
    """XE1: what was parked twice is parked once, where the first is; of two letters the open one has the name."""
    twice, once, dead, unread = (uuid4() for _ in range(4))
    kept = [parked(twice, 0, state="dead"), parked(once, 1)]
    parked(twice, 2)
    letters = {
        letter(twice, 0): twice,
        letter(twice, 2, state="resolved"): None,
        letter(dead, 3, state="discarded"): None,
        letter(dead, 4, state="resolved"): dead,
        letter(unread, 5, error="Malformed: the body is no order.created"): None,
        letter(None, 6, error="Malformed: header 'ce_id' is missing"): None,
    }
    migrate()
    assert list(ParkedMessage.objects.order_by("id").values_list("id", flat=True)) == kept
    assert dict(DeadLetter.objects.values_list("id", "message_id")) == letters
    head = ParkedMessage.objects.get(**DeadLetter.objects.get(message_id=twice).parked_as)
    assert (head.pk, head.state) == (kept[0], "dead")
