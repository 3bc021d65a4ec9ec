"""What PostgreSQL knows: three round trips, each figure by an index or out of a small table, none without end."""

import time
from datetime import UTC, datetime
from typing import Any

from django.db import connection

from kafka_bridge.consuming import controls
from kafka_bridge.runtime.postgresql import database_bounds
from shop.operations.overview import waiting_orders
from shop.operations.overview.figures import AuditFigures, DatabaseFigures, OutboxFigures

STATEMENT_SECONDS = 5.0
"""What takes longer is given up, so that looking never becomes a load of its own."""
_SERVER = """
SELECT extract(epoch FROM clock_timestamp())::float8, current_setting('transaction_read_only') = 'on'
"""
_QUERY = f"""
SELECT
    (SELECT count(*) FROM kafka_bridge_outboxrow WHERE published_at IS NULL),
    (SELECT greatest(0, extract(epoch FROM now() - created_at))::float8 FROM kafka_bridge_outboxrow
        WHERE published_at IS NULL ORDER BY id LIMIT 1),
    (SELECT json_agg(w) FROM ({waiting_orders.QUERY}) AS w (stage, orders, seconds)),
    (SELECT count(*) FROM (SELECT FROM kafka_bridge_deadletter WHERE state = 'parked' LIMIT %(most)s) AS l),
    (SELECT count(*) FROM (SELECT FROM kafka_bridge_refusedmessage WHERE closed_at IS NULL LIMIT %(most)s) AS r),
    (SELECT count(*) FROM payments_review WHERE closed_at IS NULL),
    (SELECT extract(epoch FROM now() - min(opened_at))::float8 FROM payments_review WHERE closed_at IS NULL),
    (SELECT count(*) FROM (
        SELECT FROM orders_ordermail WHERE sent_at IS NULL AND failed_at IS NULL LIMIT %(most)s) AS m),
    (SELECT greatest(0, extract(epoch FROM now() - min(next_attempt_at)))::float8 FROM orders_ordermail
        WHERE sent_at IS NULL AND failed_at IS NULL),
    (SELECT count(*) FROM (
        SELECT FROM orders_ordermail WHERE failed_at IS NOT NULL AND closed_at IS NULL LIMIT %(most)s) AS f),
    (SELECT row_to_json(a) FROM (
        SELECT extract(epoch FROM started_at)::float8 AS at, is_clean, findings FROM shop_auditrun
        ORDER BY started_at DESC LIMIT 1) AS a),
    (SELECT json_object_agg("group", messages) FROM (
        SELECT "group", count(*) AS messages FROM (
            SELECT "group" FROM kafka_bridge_parkedmessage WHERE state IN ('retrying', 'waiting', 'released')
            LIMIT %(most)s) AS p
        GROUP BY "group") AS g),
    (SELECT sum(numbackends) FROM pg_stat_database),
    current_setting('max_connections')::int,
    pg_database_size(current_database())
"""  # noqa: S608 - made of constants


def read() -> DatabaseFigures:
    """Ask it once, with a connection that this thread keeps.

    Raises:
        django.db.Error: it cannot be asked, or takes longer than it may.
    """
    try:
        return _read()
    except Exception:
        connection.close()
        raise


def _read() -> DatabaseFigures:
    if connection.connection is None:
        connection.ensure_connection()
        database_bounds.bound(connection, STATEMENT_SECONDS)
    with connection.cursor() as cursor:
        began, ours = time.monotonic(), time.time()
        cursor.execute(_SERVER)
        [(theirs, is_read_only)] = cursor.fetchall()
        answer_seconds = time.monotonic() - began
        cursor.execute(_QUERY, waiting_orders.PARAMETERS)
        [row] = cursor.fetchall()
    return _figures(
        row,
        pauses=tuple(controls.current()),
        answer_seconds=answer_seconds,
        # It looked at its clock in the middle, as far as we know.
        clock_ahead_seconds=theirs - (ours + answer_seconds / 2),
        is_read_only=is_read_only,
    )


def _figures(row: tuple[Any, ...], **server: Any) -> DatabaseFigures:
    (outbox_rows, outbox_seconds, waiting, dead_letters, refused, reviews, review_seconds, mails, mail_seconds,
     given_up, last_audit, parked, connections, connections_max, size) = row  # fmt: skip
    counts = {each["stage"]: (each["orders"], max(0.0, each["seconds"])) for each in waiting or ()}
    return DatabaseFigures(
        outbox=OutboxFigures(rows=outbox_rows, oldest_seconds=outbox_seconds or 0.0),
        waiting=waiting_orders.told(counts),
        dead_letters=dead_letters,
        refused_messages=refused,
        reviews=reviews,
        oldest_review_seconds=review_seconds or 0.0,
        mails_unsent=mails,
        oldest_mail_seconds=mail_seconds or 0.0,
        mails_given_up=given_up,
        audit=_audit(last_audit),
        parked=parked or {},
        connections=int(connections or 0),
        connections_max=connections_max,
        size_bytes=size,
        **server,
    )


def _audit(found: dict[str, Any] | None) -> AuditFigures | None:
    if found is None:
        return None
    wrong = [finding for finding in found["findings"] if finding["count"]]
    return AuditFigures(
        at=datetime.fromtimestamp(found["at"], UTC),
        is_clean=found["is_clean"],
        wrong=sum(finding["count"] for finding in wrong),
        names=tuple(finding["name"] for finding in wrong),
    )
