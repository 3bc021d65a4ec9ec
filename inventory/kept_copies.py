"""Single copies that are kept for somebody for a while.

# Note [A pool for one copy]
A copy that is kept is set aside like those of a sale: in a stock pool of its own, named by a number below 0 where a
sale has its id. So nothing else can order it, Redis counts it, orders hold and sell it as they do any pool, and what is
not taken goes back by the same way. PostgreSQL decides all of it under the locks of the pools.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from inventory import ledger, stock_adjustments
from inventory.models import pool_name


def sale_id_of(number: int) -> int:
    """What stands in an order's line in the place of a sale: see Note [A pool for one copy]."""
    return -number


def pool_of(sku: str, number: int) -> str:
    """The stock pool of this copy."""
    return pool_name(sku, sale_id_of(number))


def keep(*, sku: str, numbers: Sequence[int], closes_at: datetime, reason: str, by: str) -> list[int]:
    """Keep a copy for each of these numbers (above 0), as far as copies are free. Returns those that got one.

    `closes_at` is when a copy goes back by itself, if nobody does so before. Needs a transaction.
    """
    locked = ledger.lock([sku])
    served = list(numbers[: locked[sku].free if sku in locked else 0])
    stock_adjustments.set_aside(
        allotments=[
            stock_adjustments.Allotment(
                sale_id=sale_id_of(number),
                sku=sku,
                units=1,
                customer_limit=None,
                hold_seconds=None,
                closes_at=closes_at,
            )
            for number in served
        ],
        reason=reason,
        by=by,
    )
    return served


def give_back(*, copies: Mapping[int, str], reason: str, by: str) -> int:
    """These copies (sku by number) are kept no longer; returns how many nobody had ordered. Needs a transaction.

    One that an order holds comes back as soon as that order gives it up.
    """
    pools = {pool_of(sku, number): sku for number, sku in copies.items()}
    return stock_adjustments.close(pools=pools, reason=reason, by=by)
