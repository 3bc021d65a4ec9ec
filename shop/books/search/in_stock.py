"""Which books have copies, for counting and filtering hundreds of thousands of them.

# Note [In stock]
To look up the stock of each book that is counted took longer than all the rest of it, and inventory's transactions are
not to write books. So a book has a copy of whether its ordinary pool has a free unit. Triggers set it whenever the book
is written; inventory notes which pools turned, and the timekeeper writes those books (`follow`). Until it has, whoever
asks takes these pools from the stock itself (`overrides`), as well as those of running sales: the answer is true at any
time, and only slower where many turned at once.
"""

from typing import Any

from django.db import connection, transaction

from inventory import queries as inventory_queries
from inventory.models import pool_name
from shop.flashsales import flash_sales

AT_ONCE = 500
_FOLLOW = """
WITH turned AS (
    SELECT b.id FROM shop_book b JOIN inventory_stock s ON s.bin = b.isbn
    WHERE b.isbn = ANY(%s) AND b.is_in_stock <> (s.received > s.held + s.sold) ORDER BY b.isbn FOR UPDATE OF b
)
UPDATE shop_book SET is_in_stock = NOT is_in_stock FROM turned WHERE turned.id = shop_book.id
"""


def follow() -> int:
    """Write the books of some pools that turned; returns of how many."""
    with transaction.atomic():
        pools = inventory_queries.take_turns(AT_ONCE)
        with connection.cursor() as cursor:
            cursor.execute(_FOLLOW, [pools])
    return len(pools)


def overrides() -> dict[str, list[Any]]:
    """What differs from the books' rows right now, by column: ISBN, price or None, whether there are copies."""
    calendar = flash_sales.calendar()
    running = {
        sku: terms for sku, terms in calendar.by_sku.items() if terms.phase(calendar.at) is flash_sales.Phase.RUNNING
    }
    pools = {sku: pool_name(sku, terms.sale_id) for sku, terms in running.items()}
    free = inventory_queries.free_by_pool(pools.values()) if pools else {}
    found: dict[str, tuple[int | None, bool]] = {
        pool: (None, is_free) for pool, is_free in inventory_queries.turned().items()
    }
    found |= {sku: (terms.price_minor, free.get(pools[sku], 0) > 0) for sku, terms in running.items()}
    return {
        "now_isbns": list(found),
        "now_prices": [price for price, _ in found.values()],
        "now_free": [is_free for _, is_free in found.values()],
    }
