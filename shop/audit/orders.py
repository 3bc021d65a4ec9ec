"""Invariants of orders and of the events that they state; those of their money are in `money.py`."""

from shop.audit import money
from shop.audit.invariants import Invariant

DEADLINE = Invariant(
    name="no order past its deadline without an end",
    sentence="An order is confirmed before its deadline, or cancelled.",
    sql="""
        SELECT concat('order ', reference, ' (', id, ') is ', lower(status), '; its deadline was ',
            to_char(deadline_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'), ' UTC') AS example
        FROM orders_order
        WHERE confirmed_at IS NULL AND NOT status = 'CANCELLED'
            AND deadline_at < now() - (%(grace)s + %(clock)s) * interval '1 second'
    """,
    remedy="manage.py audit --repair cancels them. The timekeeper does it as well, so check that it is running.",
)
REASON = Invariant(
    name="every cancelled order has a reason",
    sentence="Every cancelled order says why it was cancelled.",
    sql="""
        SELECT concat('order ', reference, ' (', id, ')') AS example
        FROM orders_order WHERE status = 'CANCELLED' AND cancel_reason = ''
    """,
    remedy="See the order's timeline: it shows what was done, and by whom.",
)
OUTBOX = Invariant(
    name="outbox age",
    sentence="An event is in Kafka within a minute (or the grace period, if that is longer).",
    sql="""
        SELECT concat(type, ' of ', key, ' waits since ',
            to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'), ' UTC') AS example
        FROM kafka_bridge_outboxrow
        WHERE published_at IS NULL AND created_at < now() - greatest(60, %(grace)s) * interval '1 second'
    """,
    remedy="Check that a relay is running (manage.py run_relay), and that it reaches Kafka.",
)
MAILS_DUE = Invariant(
    name="mails that are due are sent",
    sentence="A mail is with the mail server an hour after it was owed, or it has failed and a person knows.",
    sql="""
        SELECT concat('mail ', m.kind, ' of order ', o.reference, ' is owed since ',
            to_char(m.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'), ' UTC (', m.attempts, ' attempts)')
            AS example
        FROM orders_ordermail m JOIN orders_order o ON o.id = m.order_id
        WHERE m.sent_at IS NULL AND m.failed_at IS NULL
            AND m.created_at < now() - greatest(3600, %(grace)s) * interval '1 second'
    """,
    remedy="Check that notifications is running and reaches the mail server (EMAIL_URL); the admin shows the reasons.",
)
MAILS_FAILED = Invariant(
    name="no mail failed for good",
    sentence="Every mail can be sent, or a person has given it up.",
    sql="""
        SELECT concat('mail ', m.kind, ' of order ', o.reference) AS example
        FROM orders_ordermail m JOIN orders_order o ON o.id = m.order_id
        WHERE m.failed_at IS NOT NULL AND m.closed_at IS NULL
    """,
    remedy="Open it in the admin (Mails, Failed): try again, correct the address, or give up.",
)
INVARIANTS = (DEADLINE, REASON, *money.INVARIANTS, OUTBOX, MAILS_DUE, MAILS_FAILED)
