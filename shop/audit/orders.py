"""Invariants of orders, of their money, and of the events that they state."""

import json

import money
from shop.audit.invariants import Invariant

_EXPONENTS = f"'{json.dumps(money.EXPONENTS)}'::jsonb"


def _major(amount: str, currency: str) -> str:
    """SQL for an amount of minor units in major ones, with as many decimals as the currency has."""
    decimals = f"coalesce(({_EXPONENTS} -> {currency})::int, 2)"
    return f"round(({amount}) / power(10::numeric, {decimals}), {decimals})"


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
    remedy="manage.py audit --repair cancels them; otherwise the timekeeper does, so see whether it runs.",
)
REASON = Invariant(
    name="every cancelled order has a reason",
    sentence="Whoever asks why an order was cancelled gets an answer.",
    sql="""
        SELECT concat('order ', reference, ' (', id, ')') AS example
        FROM orders_order WHERE status = 'CANCELLED' AND cancel_reason = ''
    """,
    remedy="Somebody has to look at the order's trail; it says what was done, and by whom.",
)
TOTALS = Invariant(
    name="order totals add up",
    sentence="What an order costs is the sum of its lines, without the units that were cancelled.",
    sql=f"""
        SELECT concat('order ', reference, ' (', id, '): ', {_major("total_minor", "currency")}, ' ', currency,
            ' in all, its lines ', {_major("coalesce(lines, 0)", "currency")}) AS example
        FROM orders_order o LEFT JOIN (
            SELECT order_id, sum((quantity - cancelled) * unit_price_minor::bigint) AS lines
            FROM orders_orderline GROUP BY order_id
        ) AS l ON l.order_id = o.id
        WHERE total_minor <> coalesce(lines, 0)
    """,  # noqa: S608 - made of column names
    remedy="Somebody has to compare the order with its charge, and settle the difference with the buyer.",
)
KEPT = Invariant(
    name="captured - refunded = kept orders",
    sentence="The money that was taken and not given back is that of the orders that are paid and not cancelled, "
    "without the copies that were returned.",
    # A refund that is asked for counts as going back.
    sql=f"""
        SELECT concat('order ', coalesce(reference, order_id::text), ' (', order_id, ') ', what) AS example
        FROM (
            SELECT coalesce(o.id, c.order_id) AS order_id, o.reference, CASE
                WHEN r.amount > c.amount_minor THEN concat('was charged ', {_major("c.amount_minor", "c.currency")},
                    ' and gets back ', {_major("r.amount", "c.currency")})
                WHEN o.id IS NULL THEN concat('does not exist, but was charged ',
                    {_major("c.amount_minor", "c.currency")})
                WHEN o.status = 'PENDING' AND c.settled_at <= quiet
                    THEN 'is charged, but does not know that it is paid'
                WHEN o.status IN ('PAID', 'SHIPPED', 'DELIVERED') AND c.id IS NULL
                    THEN concat('is ', lower(o.status), ', but no money was taken')
                WHEN o.status IN ('PAID', 'SHIPPED', 'DELIVERED')
                    AND c.amount_minor - coalesce(r.amount, 0) <> o.total_minor - coalesce(l.returned, 0)
                    AND coalesce(r.at, c.settled_at) <= quiet
                    AND coalesce((SELECT max(t.at) FROM orders_trailentry t WHERE t.order_id = o.id), o.placed_at)
                        <= quiet
                    THEN concat('costs ', {_major("o.total_minor - coalesce(l.returned, 0)", "o.currency")}, ', but ',
                        {_major("c.amount_minor - coalesce(r.amount, 0)", "c.currency")}, ' is kept of its money')
                END AS what
            FROM orders_order o
            FULL JOIN (SELECT * FROM payments_charge WHERE state = 'succeeded') AS c ON c.order_id = o.id
            LEFT JOIN (
                SELECT charge_id, sum(amount_minor) AS amount, max(created_at) AS at
                FROM payments_refund GROUP BY charge_id
            ) AS r ON r.charge_id = c.id
            LEFT JOIN (
                SELECT order_id, sum(returned * unit_price_minor::bigint) AS returned
                FROM orders_orderline WHERE returned > 0 GROUP BY order_id
            ) AS l ON l.order_id = o.id,
                LATERAL (SELECT now() - %(grace)s * interval '1 second' AS quiet) AS limits
        ) AS orders WHERE what IS NOT NULL
    """,  # noqa: S608 - made of column names
    remedy="Somebody has to compare our charges and refunds with the gateway's, and settle the difference.",
)
RETURNED = Invariant(
    name="money of cancelled orders goes back",
    sentence="Nothing is kept of the money of an order that was cancelled.",
    sql=f"""
        SELECT concat('order ', o.reference, ' (', o.id, '): ',
            {_major("c.amount_minor - coalesce(r.amount, 0)", "c.currency")}, ' ', c.currency, ' of transaction ',
            c.transaction_id, ' is kept') AS example
        FROM orders_order o JOIN payments_charge c ON c.order_id = o.id AND c.state = 'succeeded'
        LEFT JOIN (SELECT charge_id, sum(amount_minor) AS amount FROM payments_refund GROUP BY charge_id) AS r
            ON r.charge_id = c.id
        WHERE o.status = 'CANCELLED' AND c.amount_minor > coalesce(r.amount, 0)
            AND greatest(o.cancelled_at, c.settled_at) <= now() - %(grace)s * interval '1 second'
    """,  # noqa: S608 - made of column names
    remedy="See whether the payments group runs and has heard of the cancellation; if it has, somebody has to give the "
    "money back at the gateway.",
)
ONCE = Invariant(
    name="an order is charged once",
    sentence="There is one charge for an order, and a transaction at the gateway stands for one charge or refund.",
    sql="""
        SELECT concat('order ', order_id, ' has ', count(*), ' charges') AS example
        FROM payments_charge GROUP BY order_id HAVING count(*) > 1
        UNION ALL
        SELECT concat('transaction ', transaction_id, ' stands for ', count(*), ' charges')
        FROM payments_charge WHERE transaction_id <> '' GROUP BY transaction_id HAVING count(*) > 1
        UNION ALL
        SELECT concat('transaction ', transaction_id, ' stands for ', count(*), ' refunds')
        FROM payments_refund WHERE transaction_id <> '' GROUP BY transaction_id HAVING count(*) > 1
    """,
    remedy="Somebody has to look the transactions up at the gateway, and give back what was taken twice.",
)
REFUNDED = Invariant(
    name="what a charge gave back are its refunds",
    sentence="What a charge says went back is the sum of its refunds, and only money that was taken goes back.",
    sql=f"""
        SELECT concat('charge ', c.id, ' of order ', c.order_id, ': ', what) AS example
        FROM (
            SELECT c.id, c.order_id, CASE
                WHEN c.refunded_minor <> coalesce(r.amount, 0) THEN concat({_major("c.refunded_minor", "c.currency")},
                    ' went back by its own account, ', {_major("coalesce(r.amount, 0)", "c.currency")},
                    ' by its refunds')
                WHEN c.state <> 'succeeded' AND r.amount > 0
                    THEN concat('is ', c.state, ', but ', {_major("r.amount", "c.currency")}, ' is to go back')
                END AS what
            FROM payments_charge c LEFT JOIN (
                SELECT charge_id, sum(amount_minor) AS amount FROM payments_refund GROUP BY charge_id
            ) AS r ON r.charge_id = c.id
        ) AS c WHERE what IS NOT NULL
    """,  # noqa: S608 - made of column names
    remedy="Somebody changed the tables past the shop: compare the charge, its refunds and its history with the "
    "gateway's own pages.",
)
SETTLED = Invariant(
    name="no charge is left open",
    sentence="A charge is captured, refused or given up in the end: none waits for the gateway or the buyer for ever.",
    # One of which nobody knows the outcome may stay so for a while, as long as somebody goes on asking; after that it
    # is also open as money that needs a person.
    sql="""
        SELECT concat('charge ', id, ' of order ', order_id, ' is ', replace(state, '_', ' '), '; ', what, ' ',
            date_trunc('second', since AT TIME ZONE 'UTC'), ' UTC') AS example
        FROM (
            SELECT id, order_id, state, last, act_by, next_attempt_at, unknown_since, CASE
                WHEN state = 'action_required' AND act_by < soon THEN 'the buyer had time until'
                WHEN unknown_since IS NULL AND next_attempt_at < soon THEN 'the gateway was to be asked'
                WHEN unknown_since < late THEN 'nobody knows the outcome since'
                WHEN state <> 'action_required' AND last < late THEN 'nothing has happened since'
                END AS what
            FROM payments_charge c, LATERAL (
                SELECT now() - greatest(60, %(grace)s) * interval '1 second' AS soon,
                    now() - greatest(%(unknown)s, %(grace)s + %(clock)s) * interval '1 second' AS late,
                    coalesce((SELECT max(at) FROM payments_chargeentry WHERE charge_id = c.id), c.created_at) AS last
            ) AS limits
            WHERE state IN ('requested', 'action_required', 'authorized', 'capturing', 'voiding')
        ) AS c, LATERAL (
            SELECT CASE what WHEN 'the buyer had time until' THEN act_by
                WHEN 'the gateway was to be asked' THEN next_attempt_at
                WHEN 'nobody knows the outcome since' THEN unknown_since ELSE last END AS since
        ) AS times
        WHERE what IS NOT NULL
    """,
    remedy="See whether the payments group runs and reaches the gateway. On the page of the charge in the admin, “Ask "
    "the gateway now” has it looked at within moments, with the same key.",
)
REVIEWS = Invariant(
    name="money that needs a person",
    sentence="No review is open: nobody has to look at somebody's money.",
    sql="""
        SELECT concat(detail, ' (', replace(kind, '_', ' '), ' ', subject, ', open since ',
            to_char(opened_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'), ' UTC)') AS example
        FROM payments_review WHERE closed_at IS NULL
    """,
    remedy="Open each in the admin (Payments, Needs a person): its page says what to do. Some close by themselves once "
    "the matter is settled; the others somebody closes with a note.",
)
OUTBOX = Invariant(
    name="outbox age",
    sentence="What was stated is in Kafka within a minute (or the grace, if that is longer).",
    sql="""
        SELECT concat(type, ' of ', key, ' waits since ',
            to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'), ' UTC') AS example
        FROM kafka_bridge_outboxrow
        WHERE published_at IS NULL AND created_at < now() - greatest(60, %(grace)s) * interval '1 second'
    """,
    remedy="See whether a relay runs (manage.py run_relay), and whether it reaches Kafka.",
)
INVARIANTS = (DEADLINE, REASON, TOTALS, KEPT, RETURNED, ONCE, REFUNDED, SETTLED, REVIEWS, OUTBOX)
