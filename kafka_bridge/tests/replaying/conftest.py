"""The group whose events are replayed."""

from collections import Counter
from collections.abc import Callable

import pytest

from devtools.testing.bridge.bridge_events import delivered
from events import catalogue
from kafka_bridge.consuming import registry
from kafka_bridge.publishing import outbox

MakeGroup = Callable[[str], registry.Group]


@pytest.fixture
def seen(make_group: MakeGroup, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """What a group in the place of notifications has done, by key; it hears created and delivered, and answers."""
    monkeypatch.delitem(registry._groups, "notifications")
    group, calls = make_group("notifications"), Counter[str]()

    @group.on(catalogue.OrderCreated)
    def act(event: catalogue.OrderCreated) -> None:
        calls[event.key] += 1
        outbox.publish(delivered(event.order_id))

    @group.on(catalogue.OrderDelivered)
    def note(event: catalogue.OrderDelivered) -> None:
        calls[event.key] += 1

    return calls
