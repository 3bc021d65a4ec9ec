"""An order's story: each cause before what it caused, whatever a stranger writes."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from devtools.testing.shop import shop_at_rest
from kafka_bridge.monitoring.log_tail import LogEntry
from shop.kafka_window import message, rendering, stores
from shop.kafka_window.state import Step, Window

pytestmark = pytest.mark.window


def step(name: str, event_id: UUID, cause: UUID | None) -> Step:
    """An event of that type."""
    return Step(
        event_id=event_id, causation_id=cause, type=name, topic="orders.events", stated_at=datetime.now(UTC),
        published_at=None, partition=None, offset=None, handled={},
    )  # fmt: skip


def test_each_cause_is_followed_by_what_it_caused() -> None:
    a, b, c, d = uuid4(), uuid4(), uuid4(), uuid4()
    steps = [step("a", a, None), step("b", b, a), step("d", d, uuid4()), step("c", c, b), step("e", uuid4(), a)]
    told = [(each.type, each.depth) for each in stores.in_causal_sequence(steps)]
    assert told == [("a", 0), ("b", 1), ("c", 2), ("e", 1), ("d", 0)]


def test_those_that_claim_to_have_caused_each_other_are_told_too() -> None:
    a, b, c = uuid4(), uuid4(), uuid4()
    told = stores.in_causal_sequence([step("a", a, b), step("b", b, a), step("c", c, c)])
    assert sorted(each.type for each in told) == ["a", "b", "c"]


@pytest.mark.django_db(transaction=True)
def test_a_confirmed_orders_story(shop: shop_at_rest.Shop) -> None:
    steps = stores.story(shop.kept)
    types = [(each.type, each.depth) for each in steps]
    assert types[:3] == [("order.created", 0), ("inventory.reserved", 1), ("payment.confirmed", 2)]
    assert "inventory" in steps[0].handled


@pytest.mark.parametrize(
    "words", ["", "orders.events/0", "orders.events/x/1", "no.topic/0/1", "../0/1", "orders.events/0/1" + 20 * "0"]
)
def test_what_is_no_place_is_not_opened(words: str) -> None:
    assert message.place(words) is None


@pytest.mark.django_db
def test_a_strangers_message_is_text_and_nothing_else() -> None:
    """No markup of a topic's reaches the page."""
    bad = b"<script>alert(1)</script>"
    entry = LogEntry(
        topic="orders.events", partition=0, offset=0, key=bad, body=bad, body_bytes=len(bad),
        headers=(("ce_type", bad), ("ce_id", bad)), at=None,
    )  # fmt: skip
    window = Window(version=1, tails={("orders.events", 0): (entry,)})
    html = rendering.panel({"message": "orders.events/0/0"}, window)
    assert "&lt;script&gt;" in html and "<script>" not in html
