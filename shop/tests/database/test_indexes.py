"""Every index is used for something, and the database itself refuses states that the code does not know. XC8."""

import re
from typing import Any

import pytest
from django.apps import apps
from django.db import connection

pytestmark = [pytest.mark.django_db, pytest.mark.security]
OURS = "('orders', 'inventory', 'payments', 'shop', 'kafka_bridge')"
# Another index of the table begins with the same columns in the same way, and is not partial.
REDUNDANT = """
    WITH one AS (
        SELECT i.indexrelid AS id, i.indrelid AS tab, c.relname AS name, i.indisunique AS is_unique,
            concat(i.indkey, ' ') AS cols, concat(i.indclass, ' ') AS how
        FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
        JOIN pg_am a ON a.oid = c.relam
        WHERE a.amname = 'btree' AND i.indpred IS NULL AND i.indexprs IS NULL
            AND t.relname ~ '^(orders|inventory|payments|shop|kafka_bridge)_'
    )
    SELECT a.name, b.name FROM one a JOIN one b ON a.tab = b.tab AND a.id <> b.id
    WHERE NOT a.is_unique AND starts_with(b.cols, a.cols) AND starts_with(b.how, a.how)
        AND (a.cols <> b.cols OR b.is_unique OR a.id > b.id)
    ORDER BY 1
"""


def test_no_index_is_the_beginning_of_another() -> None:
    with connection.cursor() as cursor:
        cursor.execute(REDUNDANT)
        assert cursor.fetchall() == []


@pytest.mark.parametrize(
    ("table", "name"),
    [
        ("payments_charge", "charge_state_known"),
        ("payments_refund", "refund_state_known"),
        ("inventory_reservation", "reservation_state_known"),
        ("orders_shipment", "shipment_state_known"),
    ],
)
def test_states_that_the_code_does_not_know_are_refused(table: str, name: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT convalidated FROM pg_constraint WHERE conname = %s", [name])
        assert cursor.fetchall() == [(True,)]
        model = next(model for model in apps.get_models() if model._meta.db_table == table)
        field: Any = model._meta.get_field("state")
        cursor.execute("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = %s", [name])
        [(words,)] = cursor.fetchall()
        assert set(re.findall(r"'(\w+)'", words)) == {state for state, _ in field.choices}


def test_no_index_is_half_made() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid")
        assert cursor.fetchall() == []
