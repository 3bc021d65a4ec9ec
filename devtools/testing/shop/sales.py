"""Simulated flash sales beside a test: the command as a process, what it is doing, and what it said in the end."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis

from devtools.local.roles import PROJECT
from devtools.testing.processes import Shop
from kafka_bridge.runtime import waiting
from shop.site.redis_urls import with_database

# Longer than its own patience, so that it says itself what is wrong.
_ENDS_WITHIN_SECONDS = 300.0
Result = dict[str, Any]


class Sale:
    """One `manage.py simulate_flash_sale` that is running."""

    def __init__(self, shop: Shop, process: "subprocess.Popen[str]", *, last_sale_id: int) -> None:
        self.shop = shop
        self.process = process
        self.last_sale_id = last_sale_id

    @property
    def is_running(self) -> bool:
        """Whether the simulation has not ended."""
        return self.process.poll() is None

    @property
    def id(self) -> int:
        """Of the flash sale; 0 until there is one."""
        [(number,)] = self.shop.query(
            "SELECT coalesce(min(id), 0) FROM shop_flashsale WHERE id > %s", self.last_sale_id
        )
        return int(number)

    def pools(self) -> list[str]:
        """The stock pools of the sale."""
        return [name for (name,) in self.shop.query("SELECT bin FROM inventory_stock WHERE sale_id = %s", self.id)]

    def free(self) -> int:
        """Units nobody has, by PostgreSQL."""
        [(units,)] = self.shop.query(
            "SELECT coalesce(sum(received - held - sold), 0) FROM inventory_stock WHERE sale_id = %s", self.id
        )
        return int(units)

    def decided(self) -> int:
        """Orders that inventory has held or refused."""
        [(orders,)] = self.shop.query(
            "SELECT count(*) FROM inventory_reservation WHERE order_id IN "
            "(SELECT order_id FROM orders_orderline WHERE sale_id = %s)",
            self.id,
        )
        return int(orders)

    def wait_until_decided(self, orders: int) -> None:
        """Wait until inventory has decided about so many orders, and see that the sale is still under way."""
        waiting.until(
            lambda: self.decided() >= orders or not self.is_running,
            what=f"deciding {orders} orders",
            timeout_seconds=60,
        )
        assert self.is_running, self.finish()

    def wait_for_more(self, orders: int) -> None:
        """Wait until inventory has decided about so many more orders, and see that the sale is still under way."""
        self.wait_until_decided(self.decided() + orders)

    def finish(self) -> Result:
        """Wait for the end; what the command said as JSON, its exit code as `exit_code`.

        Raises:
            AssertionError: it said nothing; the message has its complaint.
        """
        output, complaint = self.process.communicate(timeout=_ENDS_WITHIN_SECONDS)
        if not output:
            raise AssertionError(f"exit code {self.process.returncode}: {complaint}")
        return {**json.loads(output), "exit_code": self.process.returncode}


@contextmanager
def started(shop: Shop, *arguments: object) -> Iterator[Sale]:
    """A simulation against this shop; on leaving it has ended."""
    [(last_sale_id,)] = shop.query("SELECT coalesce(max(id), 0) FROM shop_flashsale")
    process = subprocess.Popen(  # noqa: S603 - our own command line
        [sys.executable, "manage.py", "simulate_flash_sale", "--json", *map(str, arguments)],
        env={**os.environ, **shop.environment},
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield Sale(shop, process, last_sale_id=int(last_sale_id))
    finally:
        if process.poll() is None:
            process.terminate()
            process.communicate(timeout=60)


def play(shop: Shop, *arguments: object) -> Result:
    """A whole simulation against this shop; returns as `Sale.finish`."""
    with started(shop, *arguments) as sale:
        return sale.finish()


def counters_of(shop: Shop) -> redis.Redis:
    """The Redis database with the stock counters of the shop."""
    return redis.Redis.from_url(with_database(shop.redis.url(), 2))
