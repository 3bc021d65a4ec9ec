"""Events that a group passes over: what is counted, and that a stranger cannot fill a table with them."""

import logging

import pytest

from events import catalogue
from kafka_bridge.consuming import unknown_events
from kafka_bridge.consuming.unknown_events import MOST_KINDS, OTHERS, UnknownEvents
from kafka_bridge.models import UnknownEvent
from kafka_bridge.wire.envelope import NotHeard

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.faults, pytest.mark.security]


@pytest.mark.parametrize("version", ["2", "", "one", "\N{SUPERSCRIPT TWO}", "9" * 40])
def test_what_this_code_does_not_know_is_counted_and_said_once(version: str, caplog: pytest.LogCaptureFixture) -> None:
    """XE2: its version may be anything."""
    unknown = UnknownEvents("orders")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            unknown.count(NotHeard(catalogue.OrderShipped.TYPE, version))
        unknown.count(NotHeard(catalogue.OrderShipped.TYPE, "1"))
    unknown.store_due()
    assert [(row.group, row.type, row.version, row.count) for row in UnknownEvent.objects.all()] == [
        ("orders", "order.shipped", version[:20], 3)
    ]
    assert caplog.text.count("are passed over") == 1


def test_counts_of_all_members_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unknown_events, "STORE_EVERY_SECONDS", 0.0)
    for member in (UnknownEvents("orders"), UnknownEvents("orders")):
        for _ in range(2):
            member.count(NotHeard("x", "1"))
            member.store_due()
    assert UnknownEvent.objects.get().count == 4


def test_made_up_types_are_counted_together_beyond_a_number() -> None:
    """XE2: a stranger may make up one for each message, with whatever in it."""
    unknown = UnknownEvents("orders")
    for number in range(3 * MOST_KINDS):
        unknown.count(NotHeard(f"{number}\x00{'t' * 500}", "\x00"))
    unknown.store_due()
    assert UnknownEvent.objects.count() == MOST_KINDS + 1
    assert UnknownEvent.objects.get(type=OTHERS[0]).count == 2 * MOST_KINDS
