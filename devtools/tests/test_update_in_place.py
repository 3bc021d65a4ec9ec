"""A shop of version 0.1 is updated in place: its database is migrated, and its orders go on to their ends."""

import gzip
import io
import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import connection
from django.db.models.functions import Now

from devtools.testing.payments import worker_runs
from devtools.testing.payments.sandbox_bank import InProcessGateway
from devtools.testing.services import Services
from devtools.testing.shop import shop_at_rest
from inventory.models import Stock
from inventory.redis_counters import counter_sync
from kafka_bridge import testing
from kafka_bridge.dead_letters import redriving
from kafka_bridge.models import DeadLetter, OutboxRow, ParkedMessage
from orders.models import Order, OrderMail, Shipment
from payments.gateways import PaymentStatus
from payments.models import Charge, Refund
from shop import audit
from shop.books import pricing
from shop.models import Book

DATA = Path(__file__).parent / "data"
DATABASE = "shop_0_1"
NAMES = "shop_0_1"
"""A table of the dump that says which order is which; no part of a shop."""
ENDS = {
    "confirmed": "DELIVERED",
    "confirmed_payment_first": "DELIVERED",
    "of_an_account": "DELIVERED",
    "in_sale": "DELIVERED",
    "shipped": "DELIVERED",
    "delivered": "DELIVERED",
    "returned": "DELIVERED",
    "reduced": "DELIVERED",
    "cancelled": "CANCELLED",
    "declined": "CANCELLED",
    "sold_out_winner": "DELIVERED",
    "sold_out": "CANCELLED",
    "refund_due": "CANCELLED",
    "unknown": "DELIVERED",
    "asked": "DELIVERED",
    "paid_unheld": "DELIVERED",
    "parked": "CANCELLED",
    "dead": "DELIVERED",
    "held": "DELIVERED",
    "just_placed": "DELIVERED",
}
"""Where each order of the old shop ends; data/README.md says where it was."""

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def old_shop(transactional_db: None, services: Services, settings: Any, tmp_path: Path) -> Iterator[str]:
    """The database of this test is the old shop's, not yet migrated; the name of the one it has otherwise."""
    settings.CARRIER_SHIP_DELAY_SECONDS = settings.CARRIER_DELIVER_DELAY_SECONDS = 0
    services.postgres.drop_database(DATABASE)
    services.postgres.ensure_database(DATABASE)
    # psql's own commands are none of the server's.
    dump = "\n".join(line for line in _unpacked("shop-0.1.sql.gz").splitlines() if not line.startswith("\\"))
    with psycopg.connect(services.postgres.url(DATABASE), autocommit=True) as database:
        database.execute(dump.encode())
    ours = _move_to(services, DATABASE)
    yield ours
    _move_to(services, ours)
    services.postgres.drop_database(DATABASE)


@pytest.fixture
def old_bank(sandbox_gateway: InProcessGateway, settings: Any) -> InProcessGateway:
    """The sandbox's bank, with the ledger that the old shop's had."""
    with sqlite3.connect(settings.SANDBOX_LEDGER_PATH) as ledger:
        ledger.executescript(_unpacked("shop-0.1-bank.sql.gz"))
    ledger.close()
    return sandbox_gateway


def _unpacked(name: str) -> str:
    return gzip.decompress((DATA / name).read_bytes()).decode()


def _move_to(services: Services, database: str) -> str:
    """Let this process work in another database, its threads too; returns the name of the one before."""
    before = str(connection.settings_dict["NAME"])
    connection.close()
    # The thread that commits orders keeps its connection, and opens another one only when that has died.
    services.postgres.end_sessions()
    connection.settings_dict["NAME"] = database
    ContentType.objects.clear_cache()
    pricing.forget()
    return before


def test_the_migrated_tables_are_those_of_a_new_shop(old_shop: str, services: Services) -> None:
    call_command("migrate", interactive=False, verbosity=0)
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)
    migrated = _tables()
    _move_to(services, old_shop)
    try:
        assert migrated == _tables()
    finally:
        _move_to(services, DATABASE)


def test_people_keep_what_they_were_allowed_to_do(old_shop: str) -> None:
    call_command("migrate", interactive=False, verbosity=0)
    clerk = User.objects.get(username="clerk")
    for permission in ("kafka_bridge.view_deadletter", "kafka_bridge.change_deadletter", "payments.view_gatewaynotice"):
        assert clerk.has_perm(permission), permission
    assert not clerk.has_perm("orders.view_order")


def test_its_orders_go_on_to_their_ends(old_shop: str, old_bank: InProcessGateway) -> None:
    call_command("migrate", interactive=False, verbosity=0)
    names = _names()
    assert set(names) == set(ENDS)
    # The brokers are new: what some group had not heard when the old shop stopped is sent again.
    said = io.StringIO()
    call_command("prepare", "republish", stdout=said)
    assert "events published again" in said.getvalue()
    counter_sync.sync()
    # The buyer confirms the payment at the bank; the carrier comes.
    old_bank.bank.confirm(Charge.objects.get(order_id=names["asked"]).transaction_id)
    Shipment.objects.update(due_at=Now() - timedelta(seconds=1))
    _run_to_rest()

    assert [letter.handler for letter in DeadLetter.objects.filter(state=DeadLetter.State.PARKED)] == [
        "orders.shipping.pack"
    ]
    assert _statuses(names) == ENDS | {"dead": "PAID"}, "what is behind a dead letter waits for a person"
    outcome = redriving.redrive(redriving.choose(group="shipping"), by="ada", reason="mended", cap=10)
    assert len(outcome.done) == 1
    # Its copy in the retry topic is only the clock: as if it had come.
    ParkedMessage.objects.filter(state=ParkedMessage.State.RETRYING).update(attempts=1, due_at=Now() - timedelta(1))
    _run_to_rest()

    assert _statuses(names) == ENDS
    assert not ParkedMessage.objects.exists()
    assert not DeadLetter.objects.exclude(state=DeadLetter.State.RESOLVED).exists()
    assert not OutboxRow.objects.filter(published_at=None).exists()
    assert not OrderMail.objects.filter(sent_at=None).exists()
    assert not Refund.objects.exclude(state=Refund.State.SUCCEEDED).exists()
    counter_sync.sync()
    report = audit.run(grace_seconds=0, by="test")
    assert {finding.name: finding.examples for finding in report.broken} == {}


def test_the_bank_has_taken_for_each_order_what_it_came_to(old_shop: str, old_bank: InProcessGateway) -> None:
    call_command("migrate", interactive=False, verbosity=0)
    call_command("prepare", "republish", stdout=io.StringIO())
    _run_to_rest()
    charges = {str(charge.pk): charge for charge in Charge.objects.all()}
    known = {payment.key: payment for payment in old_bank.bank.statement()}
    assert set(known) <= set(charges)
    assert {charges[key].state for key in set(charges) - set(known)} <= {Charge.State.CANCELLED}
    for key, payment in known.items():
        order = Order.objects.get(pk=charges[key].order_id)
        kept = payment.captured_minor - payment.refunded_minor
        if payment.standing is PaymentStatus.ACTION:
            assert (order.status, kept) == ("PENDING", 0)
        elif order.status == "CANCELLED":
            assert kept == 0, order
        else:
            returned = sum(line.returned * line.unit_price_minor for line in order.lines.all())
            assert kept == order.total_minor - returned, order


def test_new_orders_are_taken_beside_the_old_ones(old_shop: str, old_bank: InProcessGateway) -> None:
    call_command("migrate", interactive=False, verbosity=0)
    counter_sync.sync()
    book = Book.objects.order_by("pk").first()
    assert book is not None
    before = Stock.objects.get(pk=book.isbn)
    order = Order.objects.get(pk=shop_at_rest.place(book, quantity=2))
    _run_to_rest()
    order.refresh_from_db()
    assert order.status == "DELIVERED"
    after = Stock.objects.get(pk=book.isbn)
    assert after.received == before.received
    assert after.sold - before.sold >= 2


def _run_to_rest() -> None:
    """Let all groups work, with all leases and pauses over at once, until nothing waits but buyers and people."""
    for _ in range(6):
        testing.MemoryBroker().drain()
        worker_runs.make_due()
    testing.MemoryBroker().drain()


def _names() -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, order_id FROM shop_0_1")
        return dict(cursor.fetchall())


def _statuses(names: dict[str, Any]) -> dict[str, str]:
    statuses = dict(Order.objects.values_list("pk", "status"))
    return {name: statuses[order_id] for name, order_id in names.items()}


def _tables() -> set[tuple[Any, ...]]:
    """Columns, and the names of indexes, constraints and triggers: a dump writes conditions in other words."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name::text, column_name::text, data_type::text, character_maximum_length, is_nullable::text, "
            "column_default FROM information_schema.columns WHERE table_schema = 'public' "
            "UNION ALL SELECT tablename, indexname, 'index', NULL, NULL, NULL FROM pg_indexes "
            "WHERE schemaname = 'public' "
            "UNION ALL SELECT conrelid::regclass::text, conname, 'constraint', NULL, NULL, NULL FROM pg_constraint "
            "WHERE connamespace = 'public'::regnamespace "
            "UNION ALL SELECT tgrelid::regclass::text, tgname, 'trigger', NULL, NULL, NULL FROM pg_trigger "
            "WHERE NOT tgisinternal"
        )
        return {row for row in cursor.fetchall() if row[0] != NAMES}
