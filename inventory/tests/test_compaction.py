"""Compaction of old movements: sums stay, recent and open ones stay, and nothing waits for it."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import DatabaseError, connection, transaction
from django.db.models import Sum
from django.utils import timezone

from inventory import compaction, stock_adjustments
from inventory.models import Movement, Reservation, Stock
from inventory.reservations import holds
from kafka_bridge.runtime import housekeeping
from kafka_bridge.testing import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.stock]
TABLE = "inventory_movement"


def days_ago(days: float) -> datetime:
    """That moment."""
    return timezone.now() - timedelta(days=days)


def receive(units: int, *, sku: str = "a") -> None:
    """Units arrive."""
    with transaction.atomic():
        stock_adjustments.receive(quantities={sku: units}, reason="delivery", by="ada")


def order(units: int = 1, *, sku: str = "a", sells: bool = True) -> UUID:
    """An order that holds, and buys, so many units."""
    order_id = uuid4()
    with transaction.atomic():
        holds.hold(requests=[holds.ReservationRequest(order_id=order_id, units={sku: units})])
    if sells:
        with transaction.atomic():
            holds.sell(order_ids=[order_id])
    return order_id


def age(days: float, **which: Any) -> None:
    """These movements, and the reservations that they are of, are so old from now on; the triggers look away."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE inventory_movement DISABLE TRIGGER USER")
        try:
            rows = Movement.objects.filter(**which)
            ids = [order_id for order_id in rows.values_list("order_id", flat=True) if order_id]
            rows.update(at=days_ago(days))
            Reservation.objects.filter(pk__in=ids).update(updated_at=days_ago(days))
        finally:
            cursor.execute("ALTER TABLE inventory_movement ENABLE TRIGGER USER")


def sums() -> dict[str, tuple[int, int, int]]:
    """What the movements of each pool add up to."""
    rows = Movement.objects.order_by().values("bin").annotate(r=Sum("received"), h=Sum("held"), s=Sum("sold"))
    return {row["bin"]: (row["r"], row["h"], row["s"]) for row in rows}


def stock() -> dict[str, tuple[int, int, int]]:
    """What the stock rows say."""
    return {row.bin: (row.received, row.held, row.sold) for row in Stock.objects.all()}


def lines() -> list[tuple[str, str, int, int, int, int]]:
    """The ledger, oldest first: pool, kind, received, held, sold, and how many a line stands for."""
    rows = Movement.objects.order_by("id")
    return list(rows.values_list("bin", "kind", "received", "held", "sold", "carried"))


@pytest.fixture
def history() -> None:
    """Two pools of one sku, deliveries, sales and a release, all five hundred days ago."""
    receive(20)
    receive(5)
    with transaction.atomic():
        aside = stock_adjustments.Allotment(
            sale_id=7, sku="a", units=4, customer_limit=None, hold_seconds=None, closes_at=days_ago(-1)
        )
        stock_adjustments.set_aside(allotments=[aside], reason="the sale", by="ada")
    order(2)
    order(3)
    order(1, sku="a@7")
    with transaction.atomic():
        holds.release(order_ids=[order(2)])
    age(500)


def fold() -> int:
    """Fold what is old; how many lines."""
    return housekeeping.prune()[TABLE]


@pytest.mark.usefixtures("history")
def test_old_movements_become_one_line_for_each_bin_and_kind() -> None:
    before, newest = sums(), Movement.objects.latest("id")
    assert housekeeping.prune(dry_run=True)[TABLE] == fold() == 13
    assert lines() == [
        ("a", "received", 25, 0, 0, 2),
        ("a", "set aside", -4, 0, 0, 1),
        ("a@7", "set aside", 4, 0, 0, 1),
        ("a@7", "held", 0, 1, 0, 1),
        ("a@7", "sold", 0, -1, 1, 1),
        ("a", "held", 0, 7, 0, 3),
        ("a", "sold", 0, -7, 7, 3),
        ("a", "released", 0, 0, -2, 1),
    ]
    assert sums() == before == stock() == {"a": (21, 0, 5), "a@7": (4, 0, 1)}
    last = Movement.objects.latest("id")
    assert (last.pk, last.at, last.sku, last.order_id, last.by) == (newest.pk, newest.at, "a", None, "housekeeping")
    assert fold() == 0


@pytest.mark.usefixtures("history")
def test_what_is_folded_is_folded_again_with_what_came_since(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "BATCH", 3)
    assert fold() == 13
    assert sum(line[-1] for line in lines()) == 13
    receive(1)
    order(1)
    age(450, carried=0)
    assert fold() == 3
    assert sums() == stock() == {"a": (22, 0, 6), "a@7": (4, 0, 1)}
    assert ("a", "received", 26, 0, 0, 3) in lines()
    assert len(lines()) == 8


@pytest.mark.usefixtures("history")
def test_only_what_is_older_than_the_setting(settings: Any) -> None:
    settings.KEEP_MOVEMENTS_DAYS = 501
    assert fold() == 0
    settings.KEEP_MOVEMENTS_DAYS = 499
    receive(1)
    assert fold() == 13
    assert lines()[-1] == ("a", "received", 1, 0, 0, 0)


def test_an_order_that_is_not_over_keeps_its_movements() -> None:
    receive(10)
    under_way, touched, over = order(sells=False), order(), order()
    age(500)
    Reservation.objects.filter(pk=touched).update(updated_at=days_ago(399))
    assert fold() == 3
    kept = Movement.objects.exclude(order_id=None).order_by("id").values_list("order_id", "kind")
    assert list(kept) == [(under_way, "held"), (touched, "held"), (touched, "sold")]
    assert not Movement.objects.filter(order_id=over).exists()
    assert sums() == stock()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE inventory_movement SET received = 9",
        "UPDATE inventory_movement SET carried = 9",
        "DELETE FROM inventory_movement WHERE at > now() - interval '90 days'",
    ],
)
@pytest.mark.usefixtures("history")
def test_even_pruning_may_neither_change_a_line_nor_delete_a_young_one(change: str) -> None:
    receive(1)
    before = lines()
    with pytest.raises(DatabaseError, match="movements are"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL bookrush.pruning = 'on'")
        cursor.execute(change)
    assert lines() == before


@pytest.mark.usefixtures("history")
def test_old_lines_cannot_be_deleted_by_others() -> None:
    fold()
    with pytest.raises(DatabaseError, match="never changed or deleted"):
        Movement.objects.all().delete()


def test_a_setting_that_is_too_short_is_found_before_the_database_refuses(settings: Any) -> None:
    settings.KEEP_MOVEMENTS_DAYS = compaction.LEAST_DAYS - 1
    assert [message.id for message in housekeeping.check_retention()] == ["kafka_bridge.E004"]
    settings.KEEP_MOVEMENTS_DAYS = compaction.LEAST_DAYS
    assert housekeeping.check_retention() == []


# -- Beside a shop at work ----------------------------------------------------------------------------
@contextmanager
def a_fold_under_way(lines: int) -> Iterator[None]:
    """A fold of so many lines that has taken them out, put its own in, and commits only in the end."""
    begun, may_end = threading.Event(), threading.Event()

    def work() -> None:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SET LOCAL bookrush.pruning = 'on'")
                names: housekeeping.Names = {"before": days_ago(400), "limit": lines}
                assert compaction.compact(cursor, compaction.MOVEMENTS, names) == lines
                begun.set()
                assert may_end.wait(60)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(work)
        try:
            wait_until(lambda: begun.is_set() or under_way.done(), what="the fold")
            yield
        finally:
            may_end.set()
    under_way.result()


@pytest.mark.usefixtures("history")
def test_nobody_waits_for_a_fold() -> None:
    with a_fold_under_way(13), connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '5s'")
        try:
            receive(3)
            bought = order(2)
            with transaction.atomic():
                holds.release(order_ids=[bought])
            order(1, sku="a@7", sells=False)
        finally:
            cursor.execute("RESET lock_timeout")
        assert sums() == stock() == {"a": (24, 0, 5), "a@7": (4, 1, 1)}
        assert len(lines()) == 13 + 5, "other transactions see nothing of it before the commit"
    assert len(lines()) == 8 + 5
    assert sums() == stock()


def test_two_folds_at_a_time_make_one_line() -> None:
    for _ in range(4):
        receive(5)
    age(500)
    with ThreadPoolExecutor(1) as pool:
        with a_fold_under_way(3):
            second = pool.submit(_fold_and_hang_up)
            wait_until(_somebody_waits, what="the second fold to wait")
        assert second.result(timeout=60) == 1
    assert lines() == [("a", "received", 20, 0, 0, 4)]


def _fold_and_hang_up() -> int:
    try:
        return fold()
    finally:
        connection.close()


def _somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) "
            "WHERE l.locktype = 'advisory' AND NOT l.granted AND a.datname = current_database()"
        )
        [(count,)] = cursor.fetchall()
        return bool(count)
