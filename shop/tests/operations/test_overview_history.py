"""E9, O2: samples are thinned with averages and maxima; what waits is counted through indexes; loops that hang show."""

import dataclasses
import json
import os
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from devtools.testing.shop import orders, overviews
from kafka_bridge.monitoring.heartbeats import reporting
from kafka_bridge.runtime import housekeeping, waiting
from kafka_bridge.telemetry import activity
from orders.models import Order, Status
from orders.placing import placement
from shop.models import OverviewSample
from shop.operations.overview import collector, database, samples, waiting_orders
from shop.operations.overview.figures import Overview, Seen
from shop.operations.pages import stored
from shop.operations.pages.reading import Reader, Sources

pytestmark = pytest.mark.operations
FINISHED = 4000


def moment(minutes_ago: float) -> datetime:
    """A whole minute in the past, and so many seconds."""
    return datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=minutes_ago)


@pytest.mark.django_db
def test_older_samples_are_averages_with_the_maxima_kept() -> None:
    start = moment(190)
    taken = {start + timedelta(seconds=10 * number): number for number in range(190 * 6)}
    OverviewSample.objects.bulk_create(
        OverviewSample(resolution=samples.SECONDS, at=at, averages={"group.orders.lag": value})
        for at, value in taken.items()
    )
    samples.thin()
    samples.thin()  # finds nothing more to do
    minute = OverviewSample.objects.filter(resolution=60).order_by("at")
    assert minute.count() == 190
    assert (minute[0].averages, minute[0].maxima) == ({"group.orders.lag": 2.5}, {"group.orders.lag": 5})
    quarter = OverviewSample.objects.filter(resolution=900).order_by("at")[1]
    within = [value for at, value in taken.items() if quarter.at <= at < quarter.at + timedelta(minutes=15)]
    assert quarter.averages["group.orders.lag"] == pytest.approx(sum(within) / len(within))
    assert quarter.maxima["group.orders.lag"] == max(within)
    housekeeping.prune()
    oldest = OverviewSample.objects.filter(resolution=samples.SECONDS).order_by("at")[0].at
    assert timedelta(hours=1, minutes=59) < datetime.now(UTC) - oldest <= timedelta(hours=2, seconds=5)
    assert minute.count() == 190

    # Charts take the finest that is there for long enough.
    def read(minutes: float) -> list[samples.Point]:
        return list(collector.history("group.orders.lag", moment(minutes), datetime.now(UTC)))

    assert [point.maximum for point in read(60)] == [value for at, value in taken.items() if at >= moment(60)]
    assert (read(180)[0].maximum - read(180)[0].average, len(read(180))) == (2.5, 180)
    assert collector.history("group.nobody.lag", moment(60), datetime.now(UTC)) == []


def test_the_last_hour_is_in_memory_when_postgresql_is_away() -> None:
    # Without the database mark, a query would fail this test.
    recent, now = samples.RecentSamples(), datetime.now(UTC)
    nothing: dict[str, Any] = {"processes": Seen(), "kafka": Seen(), "redis": Seen()}
    away = Overview(at=now, database=Seen(error="it does not answer", failing_since=now), **nothing)
    recent.add(away)
    assert samples.points(recent, away.database, "outbox.rows", moment(50), now) == []
    disks = Overview(at=now, database=away.database, disks=(), **nothing)
    assert samples.values_of(disks) == {}


@pytest.mark.django_db(transaction=True)
def test_who_waits_is_counted_through_indexes_among_thousands_of_orders_that_are_done() -> None:
    placed = [placement.place(orders.draft()).order_id for _ in range(5)]
    model = Order.objects.get(pk=placed[0])
    now = datetime.now(UTC)
    Order.objects.bulk_create(
        _another(model, status=Status.DELIVERED, confirmed_at=now, shipped_at=now, delivered_at=now)
        for _ in range(FINISHED)
    )
    ago = now - timedelta(seconds=42)
    change(placed[1], status=Status.PAID, paid_at=ago, held_at=ago, confirmed_at=ago)
    change(placed[2], status=Status.SHIPPED, confirmed_at=ago, shipped_at=now - timedelta(hours=3))
    change(placed[3], status=Status.CANCELLED, cancelled_at=ago, payment_reference="ch_1")
    change(placed[4], payment_wait="action", held_at=ago)
    try:
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE orders_order")
            cursor.execute(f"EXPLAIN (FORMAT JSON) {waiting_orders.QUERY}", waiting_orders.PARAMETERS)
            [(plan,)] = cursor.fetchall()
        scans = list(_scans(plan[0]["Plan"] if isinstance(plan, list) else json.loads(plan)[0]["Plan"]))
        assert {name for name, _ in scans} <= {"Index Scan", "Index Only Scan", "Bitmap Index Scan", "Bitmap Heap Scan"}
        used = {index for _, index in scans if index}
        assert used == {"order_unconfirmed", "order_to_ship", "order_to_deliver", "order_to_refund"}
        found = {each.stage: each for each in database.read().waiting}
    finally:
        connection.close()
    assert {stage: each.orders for stage, each in found.items()} == {
        "stock": 1, "bank": 1, "shipping": 1, "delivery": 1, "refund": 1,
    }  # fmt: skip
    assert found["shipping"].sentence.startswith("1 paid order waits for shipping, for ")
    assert 40 <= found["shipping"].oldest_seconds < 300
    assert found["delivery"].sentence == "1 shipped order waits for delivery, for 3 h"
    assert waiting_orders.sentence("shipping", 17, 42.4) == "17 paid orders wait for shipping, the oldest for 42 s"
    assert waiting_orders.sentence("refund", waiting_orders.COUNT_MAX, 300).startswith("more than 10,000 cancelled")
    assert found["bank"].group == found["delivery"].group == ""


def _another(model: Order, **fields: Any) -> Order:
    own = {each.attname: getattr(model, each.attname) for each in Order._meta.concrete_fields if each.attname != "id"}
    reference = uuid.uuid4().hex[:16]
    return Order(**own | {"reference": reference, "idempotency_key": uuid.uuid4()} | fields)


def change(order_id: uuid.UUID, **fields: Any) -> None:
    """Put an order where the test wants it, past its state machine."""
    Order.objects.filter(pk=order_id).update(**fields)


def _scans(plan: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if plan["Node Type"].endswith("Scan") and plan["Node Type"] != "Subquery Scan":
        yield plan["Node Type"], plan.get("Index Name", "")
    for below in plan.get("Plans", ()):
        yield from _scans(below)


def test_the_alive_file_is_as_old_as_the_loops_last_turn(tmp_path: Path, settings: Any, monkeypatch: Any) -> None:
    alive, current = tmp_path / "alive", activity.Activity()
    monkeypatch.setattr(activity, "current", current)
    settings.KAFKA_BRIDGE = dataclasses.replace(settings.KAFKA_BRIDGE, alive_file=str(alive))
    reporter = reporting.Reporter("orders", [])
    reporter.start()
    try:
        current.turn()
        waiting.until(alive.exists, what="the file", timeout_seconds=60)
        waiting.until(lambda: mtime(alive) == current.turned_at, what="the time of the turn", timeout_seconds=60)
        # Another loop goes on; this one hangs.
        hangs_since = current.turned_at
        first = os.stat(alive).st_ctime_ns
        current.turn("retries")
        waiting.until(lambda: os.stat(alive).st_ctime_ns > first, what="another look", timeout_seconds=60)
        assert mtime(alive) == hangs_since
    finally:
        reporter.stop()


def mtime(file: Path) -> Any:
    """Its modification time, as near as a float comes."""
    return pytest.approx(file.stat().st_mtime, abs=1e-3) if file.exists() else None


@pytest.mark.django_db(transaction=True)
def test_charts_of_a_process_that_has_just_begun_show_what_was_stored() -> None:
    start = moment(30)
    OverviewSample.objects.bulk_create(
        OverviewSample(
            resolution=60,
            at=start + timedelta(minutes=number),
            averages={"group.orders.age_seconds": number, "outbox.rows": 1, "redis.memory_bytes": 7},
            maxima={"outbox.rows": 2},
        )
        for number in range(20)
    )
    read = {(each.figure, each.name): each.points for each in stored.read()}
    assert read.keys() == {("lag_seconds", "orders"), ("outbox_rows", "outbox")}
    assert read["lag_seconds", "orders"] == [
        ((start + timedelta(minutes=number)).timestamp(), number) for number in range(20)
    ]
    assert {value for _, value in read["outbox_rows", "outbox"]} == {2}
    reader = Reader(
        Sources(
            overview=lambda: overviews.overview(
                at=datetime.now(UTC), kafka=overviews.kafka(overviews.group(name="orders", messages=3, seconds=99.0))
            )
        )
    )
    reader._recent.put_before(stored.read())
    [shown] = [each for each in reader.read().recent if (each.figure, each.name) == ("lag_seconds", "orders")]
    assert [value for _, value in shown.points] == [*range(20), 99.0]
    reader._recent.put_before(stored.read())  # again, as after a look
    [shown] = [each for each in reader.read().recent if (each.figure, each.name) == ("lag_seconds", "orders")]
    assert len(shown.points) == 21
