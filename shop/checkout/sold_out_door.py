"""Orders of books that are sold out, refused before they cost anything: most of what comes in a flash sale.

# Note [The sold-out door]
Once Django has refused an order because its books are sold out, the same lines get the same answer for a moment, from
the loop of the web process: no thread, no Redis, no page of Django. Two things stay as they are. An idempotency key
that has its order already gives that order: keys are looked up in PostgreSQL, those of some milliseconds in one
question. And a copy that comes back can be ordered within a second: the answer is kept as briefly as a page is
(`shared_answers`), and made from counts of at most half a second. What else is wrong with such an order is not looked
at, and it counts for no limit: those guard what an order costs, and this one costs nothing.
"""

import asyncio
import logging
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

from django.db import Error, close_old_connections

from orders import queries
from shop.checkout import api, ordering
from shop.site import shared_answers

log = logging.getLogger(__name__)
TOGETHER_SECONDS = 0.003
KEYS_MAX = 500
"""In one question."""
_SOLD_OUT = 422
Placed = Callable[[Collection[UUID]], set[UUID]]


class SoldOutDoor:
    """Answers what can be answered without Django. Used from the loop of the web process, `keep` from its threads."""

    def __init__(self, placed: Placed = queries.placed) -> None:
        self._answers = shared_answers.Answers()
        self._keys = _PlacedKeys(placed)
        self._paths = api.paths()

    async def refusal(self, scope: Any, body: bytes) -> shared_answers.Answer | None:
        """The answer to this order; None where only Django can tell."""
        if scope.method != "POST" or scope.path not in self._paths:
            return None
        order = api.read(scope.headers.get("content-type"), body)
        if order is None:
            return None
        answer = self._answers.find(_address(order))
        if answer is None or await self._keys.is_placed(order.idempotency_key):
            return None
        ordering.REFUSED.labels("sold_out").inc()
        return answer

    def keep(self, scope: Any, body: bytes, status: int, headers: list[shared_answers.Header], answer: bytes) -> None:
        """Keep what Django answered, if it may be said to others who want the same; the header that says so goes."""
        if shared_answers.MARK not in headers or status != _SOLD_OUT or scope.path not in self._paths:
            return
        headers.remove(shared_answers.MARK)
        if order := api.read(scope.headers.get("content-type"), body):
            self._answers.keep(_address(order), headers, answer)


class _PlacedKeys:
    """Which idempotency keys have an order: all that are asked about within some milliseconds, in one question."""

    def __init__(self, placed: Placed) -> None:
        self._placed = placed
        self._asked: list[tuple[UUID, asyncio.Future[bool]]] = []
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="sold-out-door")
        self._task: asyncio.Task[None] | None = None

    async def is_placed(self, key: UUID) -> bool:
        """Whether there is an order under this key, or may be: PostgreSQL does not say."""
        answered: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._asked.append((key, answered))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._answer())
        return await answered

    async def _answer(self) -> None:
        while self._asked:
            await asyncio.sleep(TOGETHER_SECONDS)
            asked, self._asked = self._asked[:KEYS_MAX], self._asked[KEYS_MAX:]
            found = await asyncio.get_running_loop().run_in_executor(self._executor, self._look, [k for k, _ in asked])
            for key, answered in asked:
                if not answered.done():
                    answered.set_result(found is None or key in found)

    def _look(self, keys: list[UUID]) -> set[UUID] | None:
        try:
            close_old_connections()
            return self._placed(keys)
        except Error as error:
            log.debug("the sold-out door asks Django: %s", error)
        except Exception:  # whatever it is, those who wait get an answer
            log.exception("the sold-out door asks Django")
        return None


def _address(order: api.OrderRequest) -> shared_answers.Address:
    lines = ((line.sku, str(line.quantity), str(line.expected_price_minor)) for line in order.lines)
    return tuple(part for line in lines for part in line)
