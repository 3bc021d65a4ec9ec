"""The state of a shop while a drill runs."""

import dataclasses
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import psycopg
from confluent_kafka import KafkaException
from django.conf import settings

from devtools.drills.load import OrderLoad
from devtools.testing.processes import Shop
from kafka_bridge.monitoring.groups import lag
from orders.models import MOVES, Status

LOOK_EVERY_SECONDS = 3.0


@dataclass(frozen=True, kw_only=True)
class ShopState:
    """Figures; None if the service that knows one is down."""

    ended: int | None = None
    waiting: int | None = None
    """Events in the outbox."""
    behind: int | None = None
    """The lag: messages in Kafka that a group has still to read."""
    dead: int | None = None
    """Dead letters."""

    @property
    def is_at_rest(self) -> bool:
        """Whether no event is under way."""
        return self.waiting == 0 and self.behind == 0


class Watcher:
    """Reads the state every few seconds, in a thread, because services that are down block until a timeout."""

    def __init__(self, shop: Shop, load: OrderLoad) -> None:
        self.state = ShopState()
        self._shop, self._load = shop, load
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)

    def start(self) -> None:
        """Start reading."""
        self._thread.start()

    def stop(self) -> None:
        """Stop reading."""
        self._stop.set()
        self._thread.join(30)

    def _run(self) -> None:
        while not self._stop.is_set():
            self.state = read_state(self._shop, [bought.order_id for bought in list(self._load.bought)])
            self._stop.wait(LOOK_EVERY_SECONDS)


def read_state(shop: Shop, orders: Sequence[str]) -> ShopState:
    """The state of these orders and of all events; blocks for some seconds if Kafka is down."""
    state = ShopState()
    try:
        [(ended, waiting, dead)] = shop.query(
            "SELECT (SELECT count(*) FROM orders_order WHERE id = ANY(%s::uuid[]) "
            "AND status IN ('DELIVERED', 'CANCELLED')), "
            "(SELECT count(*) FROM kafka_bridge_outboxrow WHERE published_at IS NULL), "
            "(SELECT count(*) FROM kafka_bridge_deadletter WHERE state = 'parked')",
            list(orders),
        )
    except psycopg.Error:
        pass
    else:
        state = ShopState(ended=int(ended), waiting=int(waiting), dead=int(dead))
    try:
        behind = sum(row.messages for row in lag.read_lag(with_age=False))
    except KafkaException:
        return state
    return dataclasses.replace(state, behind=behind)


def open_orders(shop: Shop, orders: Sequence[str]) -> int:
    """How many of these orders are not complete, or do not exist."""
    [(ended,)] = shop.query(
        "SELECT count(*) FROM orders_order WHERE id = ANY(%s::uuid[]) AND status IN ('DELIVERED', 'CANCELLED')",
        list(orders),
    )
    return len(orders) - int(ended)


def ends(shop: Shop, orders: Sequence[str]) -> dict[str, int]:
    """The number of these orders by status; cancelled orders by their reason."""
    rows = shop.query(
        "SELECT CASE status WHEN 'CANCELLED' THEN cancel_reason ELSE status END, count(*) FROM orders_order "
        "WHERE id = ANY(%s::uuid[]) GROUP BY 1 ORDER BY 2 DESC",
        list(orders),
    )
    return {end: int(count) for end, count in rows}


def illegal_moves(shop: Shop, orders: Sequence[str]) -> list[str]:
    """Status changes of these orders that the state machine does not allow."""
    rows = shop.query(
        "SELECT order_id::text, array_agg(status ORDER BY id) FROM orders_trailentry "
        "WHERE order_id = ANY(%s::uuid[]) GROUP BY 1",
        list(orders),
    )
    return [
        f"{order} went from {before} to {after}"
        for order, statuses in rows
        for before, after in pairwise([Status.PENDING.value, *statuses])
        if before != after and Status(after) not in MOVES[Status(before)]
    ]


@contextmanager
def asking_kafka_of(shop: Shop) -> Iterator[None]:
    """Inside, this process uses the Kafka of that shop."""
    before = settings.KAFKA_BRIDGE
    settings.KAFKA_BRIDGE = dataclasses.replace(
        before,
        bootstrap_servers=shop.environment["KAFKA_BOOTSTRAP_SERVERS"],
        topic_prefix=shop.environment["KAFKA_TOPIC_PREFIX"],
        group_prefix=shop.environment["KAFKA_GROUP_PREFIX"],
        security_protocol="PLAINTEXT",
        sasl_mechanism="",
        ssl_ca_location="",
    )
    try:
        yield
    finally:
        settings.KAFKA_BRIDGE = before
