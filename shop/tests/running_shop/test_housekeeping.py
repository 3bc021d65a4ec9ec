"""Pruning beside a whole shop: its books are exact before, while and after, also when the pruning is killed."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.conf import settings as django_settings
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.utils import timezone

from devtools.testing.shop import shop_at_rest
from devtools.testing.shop.shop_at_rest import Shop, broken
from inventory.models import Movement
from kafka_bridge.runtime import housekeeping
from kafka_bridge.testing import wait_until
from shop.models import AuditEntry

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.stock]
LEDGER = "inventory_movement"


def make_old(days: float) -> None:
    """All movements so far, and the reservations that they are of, were so much earlier."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE inventory_movement DISABLE TRIGGER USER")
        cursor.execute("UPDATE inventory_movement SET at = at - %s * interval '1 day'", [days])
        cursor.execute("ALTER TABLE inventory_movement ENABLE TRIGGER USER")
        cursor.execute("UPDATE inventory_reservation SET updated_at = updated_at - %s * interval '1 day'", [days])


@contextmanager
def pruning() -> Iterator["subprocess.Popen[str]"]:
    """`manage.py prune_tables` against the database of the tests."""
    database = urlsplit(os.environ["DATABASE_URL"])
    ours = urlunsplit(database._replace(path=f"/{connection.settings_dict['NAME']}"))
    process = subprocess.Popen(
        [sys.executable, "manage.py", "prune_tables", "--json"],
        env={**os.environ, "DATABASE_URL": ours},
        cwd=django_settings.BASE_DIR,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(30)


# -- The ledger ---------------------------------------------------------------------------------------------
def test_a_shop_whose_past_is_folded_is_clean(shop: Shop, admin_client: Client) -> None:
    make_old(500)
    lines = Movement.objects.count()
    folded = housekeeping.prune()[LEDGER]
    assert 0 < folded < lines, "the pending order keeps its own"
    assert Movement.objects.filter(order_id=shop.pending).count() == 1
    assert broken() == {}
    response = admin_client.get(f"/admin/inventory/stock/{shop.book.isbn}/change/")
    page = response.content.decode()
    assert "until then, carried forward: +50 received" in page
    assert f"{timezone.now() - timedelta(days=500):%Y}" in page
    newest, *past = response.context["page"].entries
    assert (newest.words, newest.free_after) == ("1 held for an order", 45), "what is young reads as before"
    assert {entry.free_after for entry in past} == {None}


def test_the_books_are_exact_while_the_past_of_a_busy_shop_is_folded(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Orders for the same books are held, sold and released all the time, and every audit in between is clean."""
    monkeypatch.setattr(housekeeping, "BATCH", 5)
    with shop_at_rest.busy(shop.book.isbn, writers=2) as rounds:
        wait_until(lambda: len(rounds) > 20, what="a past")
    make_old(500)
    old = housekeeping.prune(dry_run=True)[LEDGER]
    with shop_at_rest.busy(shop.book.isbn, writers=2) as rounds:
        folded = 0
        while folded < old:
            before = len(rounds)
            folded += housekeeping.prune(limit_seconds=0.1)[LEDGER]
            assert broken(grace_seconds=60) == {}
            wait_until(lambda before=before: len(rounds) > before, what="the orders to go on")
    assert folded == old
    assert broken() == {}


def test_a_fold_that_is_killed_leaves_everything_as_it_was(shop: Shop) -> None:
    make_old(500)
    before = list(Movement.objects.order_by("id").values())
    with pruning() as process:
        with transaction.atomic(), connection.cursor() as cursor:
            # Another session is writing the line that it would carry forward, so it waits in the middle:
            # the old lines are out, the new ones are not in.
            cursor.execute(
                "INSERT INTO inventory_movement (bin, sku, kind, carried, received, held, sold, by, reason) "
                "VALUES (%s, %s, 'held', 1, 0, 0, 0, 'test', 'test')",
                [shop.book.isbn, shop.book.isbn],
            )
            wait_until(_waits_for_us, what="the fold to wait")
            process.kill()
            process.wait(30)
            transaction.set_rollback(True)
        wait_until(lambda: not _others(), what="its transaction to be over")
    assert list(Movement.objects.order_by("id").values()) == before
    assert broken() == {}
    with pruning() as process:
        out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out
    assert Movement.objects.exclude(carried=0).exists()
    assert broken() == {}


def _waits_for_us() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"
        )
        [(count,)] = cursor.fetchall()
        return bool(count)


def _others() -> int:
    """Sessions of others in this database that are in a transaction."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND xact_start IS NOT NULL "
            "AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        [(count,)] = cursor.fetchall()
        return int(count)


# -- Who did what -------------------------------------------------------------------------------------------
def entries(*days: float) -> None:
    """Deeds of so many days ago."""
    for number, age in enumerate(days):
        AuditEntry.objects.create(
            who="ada", what="order cancelled", subject=str(number), at=timezone.now() - timedelta(days=age)
        )


def test_who_did_what_is_kept_for_three_years(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "BATCH", 2)
    entries(1200, 1101, 1150, 1099, 1)
    assert housekeeping.prune(dry_run=True)["shop_auditentry"] == 3
    assert housekeeping.prune()["shop_auditentry"] == 3
    assert set(AuditEntry.objects.values_list("subject", flat=True)) == {"3", "4"}


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE shop_auditentry SET who = 'eve'",
        "DELETE FROM shop_auditentry WHERE at > now() - interval '365 days'",
        "DELETE FROM shop_auditentry",
    ],
)
def test_even_pruning_may_not_touch_a_year_of_it(change: str) -> None:
    entries(1200, 364)
    with pytest.raises(DatabaseError, match="the audit log is"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL bookrush.pruning = 'on'")
        cursor.execute(change)
    assert AuditEntry.objects.filter(who="ada").count() == 2


def test_the_permission_to_prune_ends_with_its_transaction() -> None:
    entries(1200)
    housekeeping.prune(limit_seconds=0)
    AuditEntry.objects.create(who="ada", what="order cancelled", subject="x", at=timezone.now() - timedelta(days=1200))
    housekeeping.prune()
    entries(1200)
    with pytest.raises(DatabaseError, match="never changed or deleted"):
        AuditEntry.objects.all().delete()


@pytest.mark.parametrize(("days", "found"), [(365, []), (364, ["kafka_bridge.E004"])])
def test_a_setting_below_a_year_is_found(days: int, found: list[str], settings: Any) -> None:
    settings.KEEP_AUDIT_LOG_DAYS = days
    assert [message.id for message in housekeeping.check_retention()] == found
