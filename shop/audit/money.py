"""Invariants of money: what orders come to, what was captured and refunded for them, and charges that are left open."""

import json

import money
from orders.order_line import AMOUNT_SQL
from shop.audit.invariants import Invariant

_EXPONENTS = f"'{json.dumps(money.EXPONENTS)}'::jsonb"


def _major(amount: str, currency: str) -> str:
    """SQL for an amount of minor units in major ones, with as many decimals as the currency has."""
    decimals = f"coalesce(({_EXPONENTS} -> {currency})::int, 2)"
    return f"round(({amount}) / power(10::numeric, {decimals}), {decimals})"


BACK_SQL = f"{AMOUNT_SQL} * (cancelled + returned) / quantity - {AMOUNT_SQL} * cancelled / quantity"
"""What the returned units of a line cost; see Note [Parts] in `money/breakdown.py`."""
TOTALS = Invariant(
    name="order totals add up",
    sentence="The total of an order is the sum of its lines and its shipping, less the units that were cancelled.",
    sql=f"""
        SELECT concat('order ', reference, ' (', id, '): ', {_major("total_minor", "currency")}, ' ', currency,
            ' in all, its lines and shipping ', {_major("coalesce(lines, 0) + shipping_minor", "currency")}) AS example
        FROM orders_order o LEFT JOIN (
            SELECT order_id, sum({AMOUNT_SQL} - {AMOUNT_SQL} * cancelled / quantity) AS lines
            FROM orders_orderline GROUP BY order_id
        ) AS l ON l.order_id = o.id
        WHERE total_minor <> coalesce(lines, 0) + shipping_minor
    """,  # noqa: S608 - made of column names
    remedy="Compare the order with its charge, and settle the difference with the buyer.",
)
PARTS = Invariant(
    name="parts of orders add up",
    sentence="A line costs its price, less its share of the discount, with tax where it is added, at the order's rate.",
    sql=f"""
        SELECT concat('order ', o.reference, ' (', o.id, '), ', l.sku, ': ', {_major("paid", "o.currency")}, ' ',
            o.currency, ' for a line of ', {_major("price", "o.currency")}, ', less ',
            {_major("l.discount_minor", "o.currency")}, ', tax ', {_major("l.tax_minor", "o.currency")}) AS example
        FROM orders_orderline l JOIN orders_order o ON o.id = l.order_id, LATERAL (
            SELECT {AMOUNT_SQL} AS paid, l.unit_price_minor::bigint * l.quantity AS price
        ) AS sums, LATERAL (
            SELECT price - l.discount_minor AS base,
                1000000 + CASE WHEN o.is_tax_added THEN 0 ELSE o.books_tax_ppm END AS whole
        ) AS rate
        WHERE paid <> base + CASE WHEN o.is_tax_added THEN l.tax_minor ELSE 0 END
            OR l.tax_minor <> (2 * base * o.books_tax_ppm + whole) / (2 * whole)
        UNION ALL
        SELECT concat('order ', reference, ' (', id, ') has a discount and no coupon') FROM orders_order o
        WHERE coupon_code = '' AND EXISTS (
            SELECT FROM orders_orderline l WHERE l.order_id = o.id AND l.discount_minor > 0
        )
    """,  # noqa: S608 - made of column names
    remedy="The tables were changed directly, not by the shop. Compare the order with its events and its charge.",
)
COUPONS_COUNTED = Invariant(
    name="coupons count their uses",
    sentence="A coupon was used as often as its count says.",
    # Whoever lowers a limit below what was used breaks nothing, so limits are not compared here.
    sql="""
        SELECT concat('coupon ', code, ' counts ', used, ', its orders are ', uses) AS example
        FROM orders_coupon c, LATERAL (
            SELECT count(*) AS uses FROM orders_couponuse u WHERE u.coupon_id = c.id AND u.given_back_at IS NULL
        ) AS counted WHERE used <> uses
    """,
    remedy="The tables were changed directly, not by the shop. Set the coupon's count to the number of its uses that "
    "were not given back.",
)
COUPONS_USED = Invariant(
    name="orders and coupons agree",
    sentence="An order with a coupon has used it once, and has given that back exactly if it is cancelled.",
    sql="""
        SELECT concat('order ', o.reference, ' (', o.id, ') is ', lower(o.status), ', its coupon ', o.coupon_code,
            ' is ', CASE WHEN u.id IS NULL THEN 'not used' WHEN u.given_back_at IS NULL THEN 'used' ELSE 'back' END
            ) AS example
        FROM orders_order o LEFT JOIN orders_couponuse u ON u.order_id = o.id
        WHERE o.coupon_code <> '' AND (u.id IS NULL OR (o.status = 'CANCELLED') <> (u.given_back_at IS NOT NULL))
    """,
    remedy="The tables were changed directly, not by the shop. Compare the order with its events.",
)
KEPT = Invariant(
    name="captured - refunded = kept orders",
    sentence="The money that was captured and not refunded is that of the orders that are paid and not cancelled, less "
    "the copies that were returned.",
    # A refund that is requested counts as refunded: its money is about to go back.
    sql=f"""
        SELECT concat('order ', coalesce(reference, order_id::text), ' (', order_id, ') ', what) AS example
        FROM (
            SELECT coalesce(o.id, c.order_id) AS order_id, o.reference, CASE
                WHEN r.amount > c.amount_minor THEN concat('was charged ', {_major("c.amount_minor", "c.currency")},
                    ' and gets back ', {_major("r.amount", "c.currency")})
                WHEN o.id IS NULL AND c.amount_minor > coalesce(r.amount, 0)
                    THEN concat('does not exist, but was charged ', {_major("c.amount_minor", "c.currency")})
                WHEN o.status = 'PENDING' AND c.settled_at <= quiet
                    THEN 'is charged, but does not know that it is paid'
                WHEN o.status IN ('PAID', 'SHIPPED', 'DELIVERED') AND c.id IS NULL
                    THEN concat('is ', lower(o.status), ', but no money was taken')
                WHEN o.status IN ('PAID', 'SHIPPED', 'DELIVERED')
                    AND c.amount_minor - coalesce(r.amount, 0) <> due
                    AND coalesce(r.at, c.settled_at) <= quiet
                    AND coalesce((SELECT max(t.at) FROM orders_trailentry t WHERE t.order_id = o.id), o.placed_at)
                        <= quiet
                    THEN concat('costs ', {_major("due", "o.currency")}, ', but ',
                        {_major("c.amount_minor - coalesce(r.amount, 0)", "c.currency")}, ' is kept of its money')
                END AS what
            FROM orders_order o
            FULL JOIN (SELECT * FROM payments_charge WHERE state = 'succeeded') AS c ON c.order_id = o.id
            LEFT JOIN (
                SELECT charge_id, sum(amount_minor) AS amount, max(created_at) AS at
                FROM payments_refund GROUP BY charge_id
            ) AS r ON r.charge_id = c.id
            LEFT JOIN (
                SELECT order_id, sum({BACK_SQL}) AS returned, bool_and(cancelled + returned = quantity) AS is_all
                FROM orders_orderline WHERE order_id IN (SELECT order_id FROM orders_orderline WHERE returned > 0)
                GROUP BY order_id
            ) AS l ON l.order_id = o.id,
                LATERAL (
                    SELECT now() - %(grace)s * interval '1 second' AS quiet, o.total_minor - coalesce(l.returned, 0)
                        - CASE WHEN l.is_all THEN o.shipping_minor ELSE 0 END AS due
                ) AS limits
        ) AS orders WHERE what IS NOT NULL
    """,  # noqa: S608 - made of column names
    remedy="What is kept in excess is in the admin (Payments, Needs a person), with a button on the charge's page that "
    "refunds it. Where too little is kept, compare our charges and refunds with the gateway's.",
)
RETURNED = Invariant(
    name="money of cancelled orders goes back",
    sentence="The money of a cancelled order is refunded in full.",
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
    remedy="Check that the payments group is running and has handled the cancellation. If it has, open the review in "
    "the admin (Payments, Needs a person), and refund the money on the charge's page.",
)
ONCE = Invariant(
    name="an order is charged once",
    sentence="An order has one charge, and a transaction at the gateway belongs to one charge or refund.",
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
    scoped_sql="""
        SELECT concat('order ', order_id, ' has ', count(*), ' charges') AS example
        FROM payments_charge GROUP BY order_id HAVING count(*) > 1
        UNION ALL
        SELECT DISTINCT concat('transaction ', transaction_id, ' stands for ', 1 + (
            SELECT count(*) FROM public.payments_charge b WHERE b.transaction_id = a.transaction_id AND b.id <> a.id
        ), ' charges, one of them of order ', order_id)
        FROM payments_charge a WHERE transaction_id <> '' AND EXISTS (
            SELECT FROM public.payments_charge b WHERE b.transaction_id = a.transaction_id AND b.id <> a.id
        )
        UNION ALL
        SELECT concat('transaction ', transaction_id, ' stands for ', count(*), ' refunds')
        FROM payments_refund WHERE transaction_id <> '' GROUP BY transaction_id HAVING count(*) > 1
    """,
    remedy="Look up the transactions at the gateway, and refund what was taken twice.",
)
REFUNDED = Invariant(
    name="what a charge gave back are its refunds",
    sentence="The refunded amount of a charge is the sum of its refunds, and only captured money is refunded.",
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
    remedy="The tables were changed directly, not by the shop. Compare the charge, its refunds and its history with "
    "the gateway's dashboard.",
)
SETTLED = Invariant(
    name="no charge is left open",
    sentence="Every charge is captured, refused or cancelled in the end; none waits for the gateway or the buyer for "
    "ever.",
    # An unknown outcome is allowed for a while, as long as the gateway is asked again; after that a review is opened
    # as well.
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
    remedy="Check that the payments group is running and reaches the gateway. “Ask the gateway now” on the charge's "
    "page in the admin asks at once, with the same key.",
)
REVIEWS = Invariant(
    name="money that needs a person",
    sentence="No payment review is open.",
    sql="""
        SELECT concat(detail, ' (', replace(kind, '_', ' '), ' ', subject, ', open since ',
            to_char(opened_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'), ' UTC)') AS example
        FROM payments_review WHERE closed_at IS NULL
    """,
    remedy="Open each one in the admin (Payments, Needs a person): its page says what to do. Some close by themselves "
    "when the matter is settled; close the others with a note.",
)
INVARIANTS = (
    TOTALS, PARTS, COUPONS_COUNTED, COUPONS_USED, KEPT, RETURNED, ONCE, REFUNDED, SETTLED, REVIEWS,
)  # fmt: skip
