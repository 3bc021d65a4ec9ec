"""B1: what visitors do reaches the broker with bounded loss, counts by the hour once, and is rebuilt from the log."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka import TopicPartition
from django.db.models import Sum
from django.test import Client

from devtools.testing.bridge.group_members import make_group
from devtools.testing.bridge.kafka_logs import headers_of, produce_all, put, said, told
from devtools.testing.shop.storefront import a_book
from events import catalogue
from kafka_bridge import testing
from kafka_bridge.consuming import registry, runner
from kafka_bridge.models import RefusedMessage
from kafka_bridge.publishing import lossy_publisher, outbox
from kafka_bridge.publishing.lossy_publisher import LossyPublisher
from kafka_bridge.runtime import clients
from kafka_bridge.wire import envelope
from kafka_bridge.wire.events import Event
from shop.activity import sending
from shop.activity.counting import Search, View
from shop.analytics import plausibility
from shop.models import BookHour, SearchHour

__all__ = ["make_group"]
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.window]
SHADOW = ("replay_events", "--group", "analytics", "--shadow")
SKU, OTHER = "9780000000002", "9780000000019"
LATE = datetime.now(UTC).replace(minute=30, second=0, microsecond=0) - timedelta(hours=3)


def on_kafka(test: Any) -> Any:
    """Marks of a test that needs a broker."""
    return pytest.mark.usefixtures("kafka")(pytest.mark.kafka(test))


def count_of(why: str = "") -> float:
    """Events that were sent so far, or that were lost for this reason."""
    counter = lossy_publisher.LOST.labels(why) if why else lossy_publisher.SENT
    return float(counter._value.get())


def line(sku: str, quantity: int = 1) -> catalogue.Line:
    return catalogue.Line(sku=sku, quantity=quantity, unit_price_minor=1000)


def ordered(*lines: catalogue.Line) -> list[Event]:
    """An order that is placed and paid."""
    order_id, total = uuid4(), 1000
    common: dict[str, Any] = {"order_id": order_id, "flow": catalogue.RESERVE_FIRST, "lines": lines}
    common |= {"total_minor": total, "currency": "USD"}
    return [catalogue.OrderCreated(**common, payment_method="pm_success"), catalogue.OrderConfirmed(**common)]


def activity() -> list[Event]:
    """What visitors did within a second."""
    return [
        catalogue.PageViewed(page="front", views=9),
        catalogue.PageViewed(page="book", sku=SKU, views=5),
        catalogue.CartChanged(sku=SKU, change="added", copies=3, times=2),
        catalogue.CartChanged(sku=SKU, change="more", copies=3, times=2),
        catalogue.SearchMade(words="whale", found=3, times=4),
        catalogue.SearchMade(words="xyzzy", found=0, times=2),
    ]


def read_all() -> list[Any]:
    """Every message of the topic."""
    name = clients.topic_name(catalogue.ACTIVITY.name)
    reader = clients.consumer(group=f"reader-{uuid4()}")
    try:
        ends = {
            number: reader.get_watermark_offsets(TopicPartition(name, number), timeout=20)[1] for number in (0, 1, 2)
        }
        reader.assign([TopicPartition(name, number, 0) for number in ends])
        found: list[Any] = []
        deadline = time.monotonic() + 60
        while len(found) < sum(ends.values()):
            assert time.monotonic() < deadline
            found += [each for each in reader.consume(100, timeout=1) if each.error() is None]
        return found
    finally:
        reader.close()


@on_kafka
def test_a_process_tells_what_it_counted(settings: Any) -> None:
    """From the counters of a process to the broker, with all that is in a message."""
    settings.ACTIVITY_EVENTS = True
    sending.start()
    try:
        counts = sending.counts()
        assert counts is not None
        for _ in range(3):
            counts.note(View("book", SKU))
        counts.note(Search("whale", 0))
    finally:
        sending.stop()
    found = {each.key(): each for each in read_all()}
    assert {key: each.value() for key, each in found.items()} == {
        SKU.encode(): b'{"page":"book","sku":"9780000000002","views":3}',
        b"search": b'{"words":"whale","found":0,"times":1}',
    }
    headers = headers_of(found[SKU.encode()])
    assert set(headers) == {
        "ce_specversion", "ce_type", "ce_source", "ce_dataversion", "ce_dataschema", "content-type", "ce_id", "ce_time",
        "ce_subject", "ce_correlationid", "ce_traceparent",
    }  # fmt: skip
    assert (headers["ce_source"], headers["ce_subject"]) == (b"/bookrush/shop", SKU.encode())
    assert isinstance(envelope.decode(found[SKU.encode()]).event, catalogue.PageViewed)


def test_a_broker_that_is_away_holds_nobody_up_and_what_is_lost_is_counted(settings: Any) -> None:
    settings.KAFKA_BRIDGE = replace(settings.KAFKA_BRIDGE, bootstrap_servers="127.0.0.1:9")
    full, not_taken = count_of("full"), count_of("not_taken")
    publisher = LossyPublisher(queued_max=50, give_up_seconds=0.5)
    event = catalogue.PageViewed(page="front", views=1)
    begun = time.monotonic()
    assert [publisher.publish(event) for _ in range(80)] == [True] * 50 + [False] * 30
    assert time.monotonic() - begun < 10, "it waits for nothing"
    assert count_of("full") - full == 30

    def have_given_up() -> bool:
        publisher.poll(0.1)
        return count_of("not_taken") - not_taken == 50

    testing.wait_until(have_given_up, what="50 given up", timeout_seconds=60)
    assert publisher.publish(event), "there is room again"


def test_each_fact_goes_its_own_way() -> None:
    with pytest.raises(TypeError, match="outbox"):
        LossyPublisher().publish(ordered(line(SKU))[0])
    with pytest.raises(TypeError, match="LossyPublisher"):
        outbox.row_of(activity()[0])


def books() -> dict[tuple[datetime, str], tuple[int, ...]]:
    return {
        (row.hour, row.sku): (row.seen, row.carted, row.ordered, row.paid, row.units) for row in BookHour.objects.all()
    }


def searches() -> dict[str, tuple[int, int]]:
    return {row.words: (row.times, row.without_result) for row in SearchHour.objects.all()}


def count_twice(*events: Event) -> None:
    """As a group hears them, and once more."""
    for _ in range(2):
        testing.give("analytics", *events)


def test_analytics_counts_each_step_by_the_hour_once() -> None:
    count_twice(*activity(), *ordered(line(SKU, 2), line(SKU), line(OTHER)))
    assert {(hour.minute, hour.second, hour.microsecond) for hour, _ in books()} == {(0, 0, 0)}
    # Two rows where the hour ends meanwhile.
    sums = {sku: [sum(each) for each in zip(*(c for (_, s), c in books().items() if s == sku), strict=True)]
            for sku in (SKU, OTHER)}  # fmt: skip
    assert sums == {SKU: [5, 2, 1, 1, 3], OTHER: [0, 0, 1, 1, 1]}
    assert SearchHour.objects.aggregate(times=Sum("times"), none=Sum("without_result")) == {"times": 6, "none": 2}


@on_kafka
def test_it_is_heard_from_the_broker_and_rebuilt_from_the_log() -> None:
    events = activity()
    produce_all([(event, number % 3, LATE) for number, event in enumerate(events)], [uuid4() for _ in events])
    orders = ordered(line(SKU, 2))
    put(*orders, at=LATE)
    # What no process of ours says: of a page that there is not, a negative count, words that nobody would tell.
    lies: list[tuple[Event, int, datetime]] = [
        (catalogue.PageViewed(page="secret", views=1), 0, LATE),
        (catalogue.PageViewed(page="book", sku=SKU, views=-5), 0, LATE),
        (catalogue.SearchMade(words="ada@example.com", found=0, times=1), 0, LATE),
    ]
    produce_all(lies, [uuid4() for _ in lies])
    stop = threading.Event()
    thread = threading.Thread(target=runner.Runner(registry.find("analytics"), stop).run)
    thread.start()
    try:
        testing.wait_until(
            lambda: (
                testing.had_by("analytics") == len(events) + len(orders) and RefusedMessage.objects.count() == len(lies)
            ),
            what="all heard",
            timeout_seconds=60,
        )
    finally:
        stop.set()
        thread.join(60)
    hour = LATE.replace(minute=0)
    before = books(), searches()
    assert before == ({(hour, SKU): (5, 2, 1, 1, 2)}, {"whale": (4, 0), "xyzzy": (2, 2)})
    assert told(*SHADOW)["differences"] == []
    BookHour.objects.update(seen=1)
    SearchHour.objects.all().delete()
    assert {each["table"] for each in told(*SHADOW)["differences"]} == {"shop_bookhour", "shop_searchhour"}
    assert said(*SHADOW, "--apply")[0] == 0
    assert (books(), searches()) == before


def test_what_no_process_can_have_said_is_not_believed() -> None:
    def doubt(event: Event, time: datetime = LATE) -> str:
        event_id = uuid4()
        [why] = plausibility.plausible(
            [
                envelope.Received(
                    event=event, id=event_id, correlation_id=event_id, topic="shop.activity", partition=0, offset=0,
                    time=time,
                )
            ]
        )  # fmt: skip
        return why

    assert [doubt(event) for event in activity()] == [""] * len(activity())
    assert "still to come" in doubt(activity()[0], datetime.now(UTC) + timedelta(days=1))
    assert doubt(catalogue.PageViewed(page="book", sku="x", views=1))
    assert doubt(catalogue.PageViewed(page="front", views=2_000_000))
    assert doubt(catalogue.CartChanged(sku=SKU, change="stolen", copies=1, times=1))
    assert doubt(catalogue.CartChanged(sku=SKU, change="added", copies=-1, times=1))
    assert doubt(catalogue.SearchMade(words="LOUD", found=0, times=1))


def test_staff_see_it(admin_client: Client, settings: Any) -> None:
    book = a_book(title="Broth")
    testing.give(
        "analytics",
        catalogue.PageViewed(page="book", sku=book.isbn, views=8),
        catalogue.CartChanged(sku=book.isbn, change="added", copies=4, times=4),
        catalogue.SearchMade(words="<xyzzy>", found=0, times=2),
        catalogue.SearchMade(words="", found=0, times=1),
        *ordered(line(book.isbn, 7)),
    )
    page = admin_client.get("/admin/funnel/")
    steps = [(step.name, step.count, step.of_before) for step in page.context["funnel"].day]
    assert steps == [("Seen", 8, None), ("In a cart", 4, 50.0), ("Ordered", 1, 25.0), ("Paid", 1, 100.0)]
    words = page.content.decode()
    assert "&lt;xyzzy&gt;" in words and "they may be personal" in words
    [sold] = BookHour.objects.filter(units__gt=0)
    assert "Broth" in words or page.context["funnel"].hour != sold.hour, "of this hour, which may just have ended"
    assert "Visits are not counted" not in words
    settings.ACTIVITY_EVENTS = False
    assert "Visits are not counted" in admin_client.get("/admin/funnel/").content.decode()


def test_others_do_not(client: Client, django_user_model: Callable[..., Any]) -> None:
    assert client.get("/admin/funnel/").status_code == 302
    user = django_user_model.objects.create_user("ada", password="secret-words", is_staff=True)  # type: ignore[attr-defined]
    client.force_login(user)
    assert client.get("/admin/funnel/").status_code == 403
