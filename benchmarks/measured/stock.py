"""Eight competitors for one book: holds in batches, as in inventory, compared with one UPDATE per order."""

import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from django.db import connection, transaction
from django_redis import get_redis_connection
from uuid_utils.compat import uuid7

from inventory import stock_adjustments
from inventory.models import Stock
from inventory.redis_counters import counter_sync
from inventory.reservations import holds

COMPETITORS = 8
BATCH = 500
SKU = "9790000000001"
# The minimum that a shop without batches must write: the guarded counter, and who holds what.
_TAKE_ONE = """
UPDATE inventory_stock SET held = held + 1, version = version + 1, updated_at = now()
WHERE bin = %s AND received - held - sold >= 1
"""
_INSERT_HOLD = """
WITH made AS (
    INSERT INTO inventory_reservation (order_id, flow, state) VALUES (%(order)s, 'reserve_first', 'held')
    RETURNING order_id
)
INSERT INTO inventory_hold (reservation_id, sku, bin, quantity, given_back, customer)
SELECT order_id, %(bin)s, %(bin)s, 1, 0, '' FROM made
"""
Hold = Callable[[], int]


def measure(*, rounds: int, seconds: float) -> dict[str, Any]:
    """Orders held per second in both variants, in turn; and the number of calls per batch."""
    with transaction.atomic():
        stock_adjustments.receive(quantities={SKU: stock_adjustments.MOST_AT_ONCE}, reason="benchmark")
    counter_sync.sync()
    runs: dict[str, list[float]] = {"stock_batched_per_s": [], "stock_single_per_s": [], "stock_batched_vs_single": []}
    calls: list[float] = []
    updates: list[float] = []
    for variant in (_hold_batch, _hold_alone):
        _run(variant, seconds=0.3)
    for _ in range(rounds):
        scripts, versions = _scripts(), _version()
        batched, batches = _run(_hold_batch, seconds=seconds)
        calls.append(round((_scripts() - scripts) / batches, 2))
        updates.append(round((_version() - versions) / batches, 2))
        single, _ = _run(_hold_alone, seconds=seconds)
        runs["stock_batched_per_s"].append(batched)
        runs["stock_single_per_s"].append(single)
        runs["stock_batched_vs_single"].append(batched / single)
    return {"runs": runs, "details": {"scripts_per_batch": calls, "updates_of_the_hot_row_per_batch": updates}}


def _hold_batch() -> int:
    requests = [holds.ReservationRequest(order_id=uuid7(), units={SKU: 1}) for _ in range(BATCH)]
    with transaction.atomic(durable=True):
        outcomes = holds.hold(requests=requests)
    return sum(outcome.held for outcome in outcomes.values())


def _hold_alone() -> int:
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute(_TAKE_ONE, [SKU])
        if not cursor.rowcount:
            return 0
        cursor.execute(_INSERT_HOLD, {"order": uuid.UUID(int=uuid7().int), "bin": SKU})
    return 1


def _run(hold: Hold, *, seconds: float) -> tuple[float, int]:
    """Orders held per second, and the number of transactions.

    Raises:
        RuntimeError: a competitor failed.
    """
    held, turns = [0] * COMPETITORS, [0] * COMPETITORS
    errors: list[Exception] = []
    start = threading.Barrier(COMPETITORS + 1)

    def compete(number: int) -> None:
        connection.ensure_connection()
        start.wait()
        until = time.monotonic() + seconds
        try:
            while time.monotonic() < until:
                held[number] += hold()
                turns[number] += 1
        except Exception as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=compete, args=(number,)) for number in range(COMPETITORS)]
    for thread in threads:
        thread.start()
    start.wait()
    started = time.monotonic()
    for thread in threads:
        thread.join()
    if errors:
        raise RuntimeError(f"{len(errors)} of {COMPETITORS} competitors failed: {errors[0]!r}") from errors[0]
    return sum(held) / (time.monotonic() - started), sum(turns)


def _scripts() -> int:
    """Calls of Lua scripts that Redis has counted."""
    counted = get_redis_connection("stock").info("commandstats")
    return sum(int(counted.get(f"cmdstat_{name}", {"calls": 0})["calls"]) for name in ("eval", "evalsha"))


def _version() -> int:
    """How often the hot row was written."""
    return Stock.objects.values_list("version", flat=True).get(pk=SKU)
