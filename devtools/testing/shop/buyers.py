"""Buyers who order over HTTP, for tests of the running shop."""

import time
import uuid
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import httpx

from devtools.testing.processes import Shop

CONTACT = {
    "name": "Ada Reader",
    "email": "ada@example.com",
    "address_line1": "1 Shelf Lane",
    "city": "Booktown",
    "postcode": "12345",
    "country": "US",
}


def most_of(shop: Shop) -> str:
    """The book for sale of which there are most copies, whatever tests have bought before."""
    [(sku,)] = shop.query(
        "SELECT isbn FROM shop_book JOIN inventory_stock ON bin = isbn WHERE is_listed "
        "ORDER BY received - held - sold DESC, isbn LIMIT 1"
    )
    return str(sku)


@dataclass
class Buyers:
    """Orders placed at one shop, and what became of them."""

    shop: Shop
    sku: str
    placed: list[str] = field(default_factory=list)
    """Ids of the orders that were accepted."""

    def order(self, count: int, *, at_once: int = 8, card: str = "pm_success") -> None:
        """Click so many times, `at_once` buyers beside each other.

        Raises:
            AssertionError: a click was not accepted.
        """
        self.click([uuid.uuid4() for _ in range(count)], at_once=at_once, card=card)

    def click(
        self, keys: Iterable[uuid.UUID], *, at_once: int = 8, card: str = "pm_success", patience_seconds: float = 0
    ) -> None:
        """Place one order for each key; a click that fails is repeated with the same key until patience ends.

        Raises:
            AssertionError: a click was not accepted by then.
        """
        with httpx.Client(base_url=self.shop.url, timeout=15) as http, ThreadPoolExecutor(at_once) as pool:
            self.placed += pool.map(lambda key: self._click(http, key, card, patience_seconds), keys)

    def _click(self, http: httpx.Client, key: uuid.UUID, card: str, patience_seconds: float) -> str:
        body = CONTACT | {
            "idempotency_key": str(key),
            "lines": [{"sku": self.sku, "quantity": 1}],
            "payment_method": card,
        }
        deadline = time.monotonic() + patience_seconds
        while True:
            try:
                response = http.post("/api/orders/", json=body)
            except httpx.TransportError as error:
                answer = str(error)
            else:
                if response.status_code in (200, 201):
                    return str(response.json()["order"])
                answer = f"{response.status_code} {response.text}"
            if time.monotonic() >= deadline:
                raise AssertionError(f"the click was not accepted: {answer}")
            time.sleep(0.1)  # a buyer's finger

    def statuses(self) -> dict[str, int]:
        """How many of the placed orders have which status."""
        rows = self.shop.query(
            "SELECT status, count(*) FROM orders_order WHERE id = ANY(%s::uuid[]) GROUP BY status", self.placed
        )
        return {status: int(count) for status, count in rows}

    def wait_for(self, status: str, *, timeout_seconds: float = 60) -> None:
        """Wait until every placed order has this status."""
        self.shop.wait_until(
            lambda: self.statuses() == {status: len(self.placed)},
            what=f"{len(self.placed)} orders {status}",
            timeout_seconds=timeout_seconds,
        )
