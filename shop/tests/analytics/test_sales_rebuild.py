"""Sales figures rebuilt from the log: equal to those in use, whatever happened, and while more events arrive."""

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.utils import timezone

from devtools.testing.bridge.group_members import make_group
from devtools.testing.bridge.kafka_logs import forget, put, put_all, said, told
from events import catalogue
from events.base import OrderEvent
from kafka_bridge import testing
from kafka_bridge.consuming import message_processing, registry, runner
from kafka_bridge.models import DeadLetter, InboxRow
from kafka_bridge.publishing import outbox
from kafka_bridge.replaying import log_reader, offset_ranges, projections
from kafka_bridge.runtime import clients
from kafka_bridge.wire import envelope
from shop.models import BookHour, BookSales, DailySales

__all__ = ["make_group"]
MakeGroup = Callable[[str], registry.Group]
SHADOW = ("replay_events", "--group", "analytics", "--shadow")
# Retention goes by the times of messages, so they must not be older than what a topic keeps.
NOON = datetime.now(UTC).replace(hour=12, minute=0) - timedelta(days=5)
SKUS = ("9780000000002", "9780000000019", "9780000000026")
db = pytest.mark.django_db(transaction=True)


def on_kafka(test: Any) -> Any:
    """Marks of a test that needs a broker."""
    for mark in (pytest.mark.usefixtures("kafka"), pytest.mark.kafka, pytest.mark.faults, db):
        test = mark(test)
    return test


def line(sku: str = SKUS[0], quantity: int = 1) -> catalogue.Line:
    return catalogue.Line(sku=sku, quantity=quantity, unit_price_minor=1000)


def confirmed(order_id: UUID | None = None, *lines: catalogue.Line) -> catalogue.OrderConfirmed:
    """An order.confirmed."""
    lines = lines or (line(),)
    total = sum(each.quantity * each.unit_price_minor for each in lines)
    return catalogue.OrderConfirmed(
        order_id=order_id or uuid4(), flow=catalogue.RESERVE_FIRST, lines=lines, total_minor=total, currency="USD"
    )


def story(dice: random.Random) -> list[OrderEvent]:
    """What orders says of one order after it was placed."""
    order_id, flow = uuid4(), dice.choice(catalogue.FLOWS)
    lines = tuple(line(sku, dice.randint(1, 3)) for sku in dice.sample(SKUS, dice.randint(1, 3)))
    facts: list[OrderEvent] = [confirmed(order_id, *lines)]
    match dice.randint(1, 4):
        case 1:
            facts.append(
                catalogue.OrderCancelled(
                    order_id=order_id,
                    flow=flow,
                    reason="test",
                    total_minor=0,
                    currency="USD",
                    was_confirmed=True,
                    lines=lines,
                )
            )
        case 2:
            gone = (line(lines[0].sku),)
            facts.append(
                catalogue.OrderReduced(
                    order_id=order_id,
                    flow=flow,
                    lines=gone,
                    amount_minor=1000,
                    reduction=1,
                    currency="USD",
                    reason="test",
                    cancelled_now=gone,
                )
            )
        case 3:
            facts.append(catalogue.OrderShipped(order_id=order_id, flow=flow, tracking_number="1"))
            facts.append(catalogue.OrderDelivered(order_id=order_id, flow=flow))
    return facts


@contextmanager
def analytics_at_work() -> Iterator[None]:
    """A member of the group in a thread."""
    stop = threading.Event()
    thread = threading.Thread(target=runner.Runner(registry.find("analytics"), stop).run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()


def handled(number: int) -> None:
    """Wait until analytics has had so many."""
    testing.wait_until(lambda: testing.had_by("analytics") == number, what=f"{number} counted")


def figures() -> tuple[list[Any], list[Any]]:
    """All there is."""
    return list(DailySales.objects.order_by("pk").values()), list(BookSales.objects.order_by("pk").values())


def log_of_many_days(stories: int = 60) -> int:
    """Orders of five days in three partitions; returns the number of events."""
    dice, facts = random.Random(5), list[tuple[OrderEvent, int, datetime]]()  # noqa: S311 - to be repeatable
    for number in range(stories):
        time = NOON + timedelta(hours=dice.randint(0, 100))
        facts += [(event, number % 3, time) for event in story(dice)]
    put_all(facts)
    return len(facts)


@db
def test_a_fact_counts_for_the_day_on_which_it_was_stated() -> None:
    group = registry.find("analytics")
    times = [
        datetime(2026, 3, 7, 23, 59, 59, tzinfo=UTC),
        datetime(2026, 3, 8, 1, 30, tzinfo=timezone.get_fixed_timezone(120)),
    ]
    messages = [
        envelope.Received(
            event=confirmed(), id=uuid4(), correlation_id=uuid4(), topic="orders.events", partition=0, offset=offset,
            time=time,
        )
        for offset, time in enumerate([*times, datetime(2026, 3, 8, tzinfo=UTC)])
    ]  # fmt: skip
    testing.record(messages)
    assert message_processing.handle(group, messages).new == 3
    days = dict(DailySales.objects.values_list("day", "confirmed"))
    assert days == {date(2026, 3, 7): 2, date(2026, 3, 8): 1}


@on_kafka
def test_figures_made_anew_from_the_whole_log_are_equal() -> None:
    number = log_of_many_days()
    with analytics_at_work():
        handled(number)
    before = figures()
    assert len(before[0]) == 5
    assert (told(*SHADOW)["heard"], told(*SHADOW)["differences"]) == (number, [])
    code, text = said(*SHADOW, "--apply")
    assert (code, text.splitlines()[-1]) == (0, f"{number} events rebuilt the tables. Nothing differs.")
    assert figures() == before


@on_kafka
def test_what_was_corrupted_by_hand_is_shown_exactly_and_mended() -> None:
    number = log_of_many_days()
    with analytics_at_work():
        handled(number)
    before, day = figures(), DailySales.objects.order_by("pk")[1]
    DailySales.objects.filter(pk=day.pk).update(units=day.units + 7)
    BookSales.objects.filter(pk=SKUS[1]).delete()
    BookSales.objects.create(sku="1", units=4, revenue_minor=5)
    found = told(*SHADOW)
    assert not found["applied"]
    assert [(each["table"], each["key"]) for each in found["differences"]] == [
        ("shop_dailysales", str(day.pk)),
        ("shop_booksales", "1"),
        ("shop_booksales", SKUS[1]),
    ]
    [of_day, invented, deleted] = found["differences"]
    assert (of_day["in_use"]["units"], of_day["anew"]["units"]) == (day.units + 7, day.units)
    assert of_day["in_use"] | {"units": 0} == of_day["anew"] | {"units": 0}
    assert (invented["anew"], deleted["in_use"]) == (None, None)
    code, text = said(*SHADOW)
    assert (code, text.splitlines()[-1]) == (4, "3 rows differ from the log. --apply puts them right.")
    code, text = said(*SHADOW, "--apply")
    assert (code, text.splitlines()[-1]) == (0, f"{number} events rebuilt the tables. 3 rows put right.")
    assert figures() == before
    assert told(*SHADOW)["differences"] == []


@on_kafka
def test_what_the_group_has_not_had_yet_is_left_to_it() -> None:
    first = log_of_many_days(20)
    with analytics_at_work():
        handled(first)
    second = log_of_many_days(30)
    found = told(*SHADOW, "--apply")
    assert (found["heard"], found["differences"]) == (first, [])
    with analytics_at_work():
        handled(first + second)
    assert told(*SHADOW)["differences"] == []


@on_kafka
def test_it_is_exact_while_the_group_is_at_work() -> None:
    """Events come in, the figures are spoilt and put right again and again, and nothing is lost or doubled by it."""
    stop, sent, group = threading.Event(), [0], registry.find("analytics")

    def keep_sending() -> None:
        while not stop.is_set():
            sent[0] += log_of_many_days(5)

    sender = threading.Thread(target=keep_sending)
    sender.start()
    try:
        with analytics_at_work():
            for number in range(6):
                testing.wait_until(lambda n=number: testing.had_by("analytics") > 20 * n, what="something to count")
                DailySales.objects.filter(pk=DailySales.objects.order_by("?")[0].pk).update(units=-1)
                with projections.shadow_of(group) as shadow:
                    for batch in log_reader.read_messages(shadow.begin()):
                        shadow.hear(batch)
                    assert shadow.apply() != []
                    assert shadow.differences() == [], "at one moment, though more was counted since"
            stop.set()
            sender.join(20)
            handled(sent[0])
    finally:
        stop.set()
        sender.join(20)
    found = told(*SHADOW)
    assert (found["heard"], found["lost"], found["differences"]) == (sent[0], 0, [])


@on_kafka
def test_figures_whose_events_are_gone_are_not_replaced() -> None:
    number = log_of_many_days()
    with analytics_at_work():
        handled(number)
    before = figures()
    forget("orders.events", 1, before=10)
    code, text = said(*SHADOW)
    assert code == 4
    assert "orders.events[1]: retention has deleted what was before 10; 10 events that analytics has had" in text
    code, text = said(*SHADOW, "--apply")
    assert (code, "What is rebuilt lacks them." in text) == (2, True)
    assert figures() == before


@on_kafka
def test_what_was_discarded_or_edited_counts_as_it_was_handled() -> None:
    """The log keeps the original of a dead letter; the figures have what became of it."""
    discarded, edited = put(confirmed(), confirmed(None, line(quantity=9)), at=NOON)
    InboxRow.objects.bulk_create(
        InboxRow(group="analytics", event_id=each, topic=clients.topic_name("orders.events"), partition=0, offset=n)
        for n, each in enumerate([discarded, edited])
    )
    mended = confirmed(None, line(quantity=2))
    for offset, (event_id, state, value) in enumerate(
        [
            (discarded, DeadLetter.State.DISCARDED, None),
            (edited, DeadLetter.State.RESOLVED, envelope.encode_body(mended)),
        ]
    ):
        DeadLetter.objects.create(
            group="analytics", topic="orders.events", partition=0, offset=offset, key=key_of(offset), event_id=event_id,
            state=state, edited_value=value, error="", fingerprint="", value=b"", died_at=timezone.now(),
        )  # fmt: skip
    DailySales.objects.create(day=NOON.date(), confirmed=1, units=2, revenue_minor=2000)
    BookSales.objects.create(sku=SKUS[0], units=2, revenue_minor=2000)
    BookHour.objects.create(hour=NOON.replace(second=0, microsecond=0), sku=SKUS[0], paid=1, units=2)
    assert told(*SHADOW)["differences"] == []


def key_of(offset: int) -> str:
    """The key of the message at this place of the first partition."""
    places = offset_ranges.plan_ranges(registry.find("analytics"), "orders.events", offset, offset + 1, partition=0)
    [[message]] = log_reader.read_messages(places)
    return (message.key() or b"").decode()


@on_kafka
def test_a_group_that_does_more_than_its_tables_is_refused_by_the_database(
    make_group: MakeGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(registry._groups, "notifications")
    group = make_group("notifications")
    group.projection(BookSales)

    @group.on(catalogue.OrderConfirmed)
    def answer(event: catalogue.OrderConfirmed) -> None:
        outbox.publish(catalogue.OrderDelivered(order_id=event.order_id, flow=event.flow))

    put(confirmed())
    told("replay_events", "--group", "notifications", "--topic", "orders.events", "--from", "beginning", "--to", "end")
    code, text = said("replay_events", "--group", "notifications", "--shadow")
    assert (code, "the handlers of notifications write more than its projection" in text) == (2, True), text
    assert len(testing.stated()) == 1


def test_a_group_without_a_projection_is_refused() -> None:
    code, text = said("replay_events", "--group", "inventory", "--shadow")
    assert (code, text) == (
        2,
        "inventory has no projection: what it does cannot be rebuilt from the log. Groups that have one: analytics. "
        "Without --shadow its events go through the inbox.",
    )


@db
def test_rows_without_a_natural_key_are_no_projection(make_group: MakeGroup) -> None:
    with pytest.raises(ValueError, match="DeadLetter has no natural key"):
        make_group("listening").projection(DeadLetter)
