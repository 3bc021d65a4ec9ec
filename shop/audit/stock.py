"""Invariants of stock: within inventory, and between inventory and orders."""

from shop.audit.invariants import Invariant

LEDGER = Invariant(
    name="ledger adds up",
    sentence="The movements of a stock pool add up to its stock row: received, held and sold.",
    sql="""
        WITH noted AS (
            SELECT bin, sum(received) AS received, sum(held) AS held, sum(sold) AS sold
            FROM inventory_movement GROUP BY bin
        ), both_ AS (
            SELECT bin, coalesce(n.received, 0) AS nr, coalesce(n.held, 0) AS nh, coalesce(n.sold, 0) AS ns,
                coalesce(s.received, 0) AS sr, coalesce(s.held, 0) AS sh, coalesce(s.sold, 0) AS ss
            FROM inventory_stock s FULL JOIN noted n USING (bin)
        )
        SELECT concat('pool ', bin, ': the ledger has ', nr, ' received, ', nh, ' held, ', ns, ' sold; the stock row ',
            sr, ', ', sh, ', ', ss) AS example
        FROM both_ WHERE (nr, nh, ns) <> (sr, sh, ss)
    """,
    remedy="manage.py audit --repair corrects held and sold from the holds. If received differs, count the units on "
    "the shelf, and find out who changed the table directly.",
)
OVERSOLD = Invariant(
    name="nothing oversold",
    sentence="No stock pool has held and sold more than it received.",
    sql="""
        SELECT concat('pool ', bin, ': ', received, ' received, but ', held, ' held and ', sold, ' sold') AS example
        FROM inventory_stock WHERE received < held::bigint + sold OR least(received, held, sold) < 0
    """,
    remedy="The constraint stock_never_oversold must be missing: restore it. Then order more units, or cancel orders.",
)
HOLDS = Invariant(
    name="holds add up",
    sentence="The units held and sold of a stock pool are those of the orders that hold and bought them.",
    sql="""
        WITH units AS (
            SELECT h.bin, coalesce(sum(h.quantity - h.given_back) FILTER (WHERE r.state = 'held'), 0) AS held,
                coalesce(sum(h.quantity - h.given_back) FILTER (WHERE r.state = 'sold'), 0) AS sold
            FROM inventory_hold h JOIN inventory_reservation r ON r.order_id = h.reservation_id
            WHERE r.state IN ('held', 'sold') GROUP BY h.bin
        ), both_ AS (
            SELECT bin, coalesce(u.held, 0) AS uh, coalesce(u.sold, 0) AS us,
                coalesce(s.held, 0) AS sh, coalesce(s.sold, 0) AS ss
            FROM inventory_stock s FULL JOIN units u USING (bin)
        )
        SELECT concat('pool ', bin, ': orders hold ', uh, ' and bought ', us, '; the stock row says ', sh, ' and ', ss)
            AS example
        FROM both_ WHERE (uh, us) <> (sh, ss)
    """,
    remedy="manage.py audit --repair sets the stock row to what its orders have, with a correction in the ledger.",
)
POOLS = Invariant(
    name="a sku's stock pools add up",
    sentence="Setting units aside for a sale moves them between two pools of a sku; none appear or disappear.",
    sql="""
        SELECT concat('book ', sku, ': setting units aside changed their number by ', sum(received)) AS example
        FROM inventory_movement WHERE kind = 'set aside' GROUP BY sku HAVING sum(received) <> 0
        UNION ALL
        SELECT concat('pool ', bin, ' counts as book ', sku) FROM inventory_stock WHERE sku <> split_part(bin, '@', 1)
    """,
    remedy="Count the units on the shelf and correct the stock, with the reason.",
)
LIVE = Invariant(
    name="holds belong to live orders",
    sentence="Only orders that are not cancelled hold units, and every confirmed order has bought its units.",
    # One pass over both tables. An order that just began or ended is under way.
    sql="""
        SELECT concat('order ', coalesce(reference, id::text), ' (', id, ') ', what) AS example
        FROM (
            SELECT coalesce(o.id, r.order_id) AS id, o.reference, CASE
                WHEN r.state IN ('held', 'sold') AND o.id IS NULL AND r.updated_at <= quiet
                    THEN concat('has units ', r.state, ', but there is no such order')
                WHEN r.state IN ('held', 'sold') AND o.status = 'CANCELLED'
                    AND greatest(o.cancelled_at, r.updated_at) <= quiet
                    THEN concat('is cancelled, but its units are ', r.state)
                WHEN r.state NOT IN ('held', 'sold') AND o.status <> 'CANCELLED' AND r.updated_at <= quiet
                    THEN concat('is ', lower(o.status), ', but inventory has its units as ', r.state)
                WHEN o.confirmed_at <= quiet AND o.status <> 'CANCELLED' AND r.state IS DISTINCT FROM 'sold'
                    AND (r.state IS NULL OR r.state = 'held' AND r.updated_at <= quiet)
                    THEN concat('is confirmed, but its units are ', coalesce(r.state, 'not even held'))
                END AS what
            FROM orders_order o FULL JOIN inventory_reservation r ON r.order_id = o.id,
                LATERAL (SELECT now() - %(grace)s * interval '1 second' AS quiet) AS limits
        ) AS orders WHERE what IS NOT NULL
    """,
    remedy="manage.py audit --repair releases what cancelled orders hold. If an open order has no units, cancel it or "
    "find units for it; if units have no order, correct the stock.",
)
LINES = Invariant(
    name="order lines and holds agree",
    sentence="A confirmed order has bought exactly the units on its lines, from the pool they were sold from.",
    sql="""
        SELECT concat('order ', o.reference, ' (', o.id, '), book ', coalesce(l.sku, h.sku), ': ',
            coalesce(l.units, 0), ' ordered', ' from pool ' || l.bin, ', ', coalesce(h.units, 0), ' bought',
            ' from pool ' || h.bin) AS example
        FROM (
            SELECT order_id, sku, quantity - cancelled AS units, concat_ws('@', sku, sale_id) AS bin
            FROM orders_orderline
        ) AS l FULL JOIN (
            SELECT reservation_id AS order_id, sku, quantity - given_back AS units, bin FROM inventory_hold
        ) AS h ON h.order_id = l.order_id AND h.sku = l.sku
        JOIN orders_order o ON o.id = coalesce(l.order_id, h.order_id)
        JOIN inventory_reservation r ON r.order_id = o.id
        WHERE (l.units IS DISTINCT FROM h.units OR l.bin IS DISTINCT FROM h.bin)
            AND o.confirmed_at IS NOT NULL AND o.status <> 'CANCELLED' AND r.state = 'sold'
            AND coalesce((SELECT max(t.at) FROM orders_trailentry t WHERE t.order_id = o.id), o.placed_at)
                <= now() - %(grace)s * interval '1 second'
    """,
    remedy="Compare the order's timeline with its movements in the ledger, and send what was paid for.",
)
SALES = Invariant(
    name="sales within their units and limits",
    sentence="No sale has held and sold more than was set aside for it, and no customer has more than the limit.",
    sql="""
        SELECT concat('sale ', fb.sale_id, ' (', f.name, '), book ', b.isbn, ': ', s.held, ' held and ', s.sold,
            ' sold of ', fb.units) AS example
        FROM shop_flashsalebook fb JOIN shop_flashsale f ON f.id = fb.sale_id JOIN shop_book b ON b.id = fb.book_id
        JOIN inventory_stock s ON s.bin = concat(b.isbn, '@', fb.sale_id)
        WHERE s.held + s.sold > fb.units
        UNION ALL
        SELECT concat('customer ', m.who, ' has ', sum(h.quantity - h.given_back), ' units of pool ', s.bin,
            ', where the limit is ', s.customer_limit)
        FROM (
            SELECT id, customer AS who FROM inventory_hold WHERE customer <> ''
            UNION
            SELECT id, contact FROM inventory_hold WHERE contact <> ''
        ) m JOIN inventory_hold h ON h.id = m.id
        JOIN inventory_reservation r ON r.order_id = h.reservation_id
        JOIN inventory_stock s ON s.bin = h.bin
        WHERE r.state IN ('held', 'sold') AND s.customer_limit IS NOT NULL
        GROUP BY m.who, s.bin, s.customer_limit HAVING sum(h.quantity - h.given_back) > s.customer_limit
    """,
    remedy="Set more units aside, raise the limit, or cancel orders.",
)
LEFTOVERS = Invariant(
    name="what a sale leaves goes back",
    sentence="When a sale is over, its free units return to normal sale.",
    sql="""
        SELECT concat('pool ', bin, ': ', received - held - sold, ' units are left since ',
            to_char(closes_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'), ' UTC') AS example
        FROM inventory_stock
        WHERE closes_at < now() - (%(grace)s + %(clock)s) * interval '1 second' AND received > held + sold
    """,
    remedy="manage.py audit --repair moves them to the ordinary pool. The timekeeper does it as well, so check that it "
    "is running.",
)
EXPIRED = Invariant(
    name="no hold past its expiry",
    sentence="A hold that was not paid in time is released, unless its payment is being captured.",
    # Until then a charge can be barred; see Note [The way of a charge].
    sql="""
        SELECT concat('order ', r.order_id, ': held until ',
            to_char(r.expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'), ' UTC') AS example
        FROM inventory_reservation r
        WHERE r.state = 'held' AND r.expires_at < now() - (%(grace)s + %(clock)s) * interval '1 second' AND NOT EXISTS (
            SELECT FROM payments_charge c WHERE c.order_id = r.order_id AND c.state IN ('capturing', 'succeeded')
        )
    """,
    remedy="manage.py audit --repair releases them. The timekeeper does it as well, so check that it is running.",
)
INVARIANTS = (LEDGER, OVERSOLD, HOLDS, POOLS, LIVE, LINES, SALES, LEFTOVERS, EXPIRED)
