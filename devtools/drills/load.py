"""A constant load of buyers who retry until their order is accepted."""

import heapq
import json
import random
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection
from typing import Any

from shop.simulation import load

THREADS = 12
# A buyer who is told to come back retries after one second, then after two, and so on.
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 15.0
_LOOK_SECONDS = 0.05
CARDS = {
    "pm_success": 82,
    "pm_slow": 4,
    "pm_hooks_twice": 4,
    "pm_hooks_shuffled": 4,
    "pm_charges_then_times_out": 1,
    "pm_times_out_before": 1,
    "pm_declined": 4,
}
"""The share of buyers that pays with each, in percent."""


@dataclass(order=True, slots=True)
class Buyer:
    """A buyer with a basket, who retries until it is bought."""

    due_at: float
    """When they try (again); all times are those of `time.monotonic()`."""
    number: int
    came_at: float = field(compare=False)
    body: dict[str, Any] = field(compare=False)
    tries: int = field(compare=False, default=0)


@dataclass(frozen=True, slots=True)
class Bought:
    """An order that was accepted."""

    order_id: str
    card: str
    came_at: float
    accepted_at: float
    tries: int


class OrderLoad:
    """Buyers at one shop. Its results may be read at any time; they only grow."""

    def __init__(self, url: str, skus: Sequence[str], *, rate: float, seed: int, buyers: float = float("inf")) -> None:
        """Bring `rate` buyers a second, until so many have come; the same seed gives the same buyers."""
        self.bought: list[Bought] = []
        self.refused_at: list[float] = []
        """When a buyer got a clean 503."""
        self.failures: list[str] = []
        """All other answers; these buyers retried as well."""
        self.unanswered: list[str] = []
        """What went wrong where there was no answer; these, too."""
        self._buyers = buyers
        self._url, self._skus, self._pause = url, list(skus), 1 / rate
        self._picker = random.Random(seed)  # noqa: S311 - to be repeatable, not secret
        self._turn = threading.Lock()
        self._stop = threading.Event()
        self._waiting: list[Buyer] = []
        self._come = 0
        self._next_at = float("inf")
        self._threads = [
            threading.Thread(target=self._serve, name=f"buyers-{number}", daemon=True) for number in range(THREADS)
        ]

    @property
    def come(self) -> int:
        """The number of buyers so far."""
        return self._come

    @property
    def has_everybody_come(self) -> bool:
        """Whether no new buyer is expected."""
        return self._come >= self._buyers

    @property
    def asking(self) -> int:
        """The number of buyers whose order is not accepted yet."""
        return self._come - len(self.bought)

    def open(self) -> None:
        """Start the load."""
        self._next_at = time.monotonic()
        for thread in self._threads:
            thread.start()

    def close_door(self) -> None:
        """No new buyers; those who are waiting go on retrying."""
        self._next_at = float("inf")

    def stop(self) -> None:
        """Stop all buyers; waits for the answers under way."""
        self.close_door()
        self._stop.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(20)

    def _serve(self) -> None:
        client = load.connection_to(self._url)
        try:
            while not self._stop.is_set():
                buyer = self._next()
                if buyer is None:
                    self._stop.wait(_LOOK_SECONDS)
                else:
                    self._ask(client, buyer)
        finally:
            client.close()

    def _next(self) -> Buyer | None:
        """The waiting buyer who is most overdue, else a new one if it is time for one."""
        with self._turn:
            now = time.monotonic()
            if self._waiting and self._waiting[0].due_at <= now:
                return heapq.heappop(self._waiting)
            if self._next_at > now or self._come >= self._buyers:
                return None
            came_at, self._next_at = self._next_at, self._next_at + self._pause
            self._come += 1
            return Buyer(came_at, self._come, came_at, self._body(self._come))

    def _body(self, number: int) -> dict[str, Any]:
        [card] = self._picker.choices(list(CARDS), weights=list(CARDS.values()))
        skus = self._picker.sample(self._skus, self._picker.randint(1, 2))
        return {
            "name": f"Buyer {number}",
            "email": f"buyer-{number}@drill.example",
            "address_line1": f"{number} Queue Street",
            "city": "Rushville",
            "postcode": "12345",
            "country": "US",
            "idempotency_key": str(uuid.uuid4()),
            "lines": [{"sku": sku, "quantity": 1} for sku in skus],
            "payment_method": card,
        }

    def _ask(self, client: HTTPConnection, buyer: Buyer) -> None:
        buyer.tries += 1
        try:
            status, text = load.post_order(client, buyer.body)
        except load.NoAnswer as error:
            self.unanswered.append(str(error))
            self._come_back_later(buyer)
            return
        # A persistent connection may be closed just as the next request is sent, which is not the shop's fault.
        client.close()
        now = time.monotonic()
        if status in (200, 201):
            order_id, card = str(json.loads(text)["order"]), str(buyer.body["payment_method"])
            self.bought.append(Bought(order_id, card, buyer.came_at, now, buyer.tries))
            return
        if status == 503 and _says_when_to_come_back(text):
            self.refused_at.append(now)
        else:
            self.failures.append(f"{status}: {text[:200]}")
        self._come_back_later(buyer)

    def _come_back_later(self, buyer: Buyer) -> None:
        with self._turn:
            pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** (buyer.tries - 1))
            buyer.due_at = time.monotonic() + pause * self._picker.uniform(0.75, 1.25)
            heapq.heappush(self._waiting, buyer)


def _says_when_to_come_back(text: str) -> bool:
    try:
        return bool(json.loads(text)["error"]["code"] == "unavailable")
    except (ValueError, LookupError, TypeError):
        return False
