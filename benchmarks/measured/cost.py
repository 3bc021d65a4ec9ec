"""What an order costs: processor time of each process, bytes, messages and connections.

`manage.py plan_capacity` plans with it.

# Note [Processor time, not latency]
How long an order takes depends on what else the machine does; how much processor time it takes hardly does. So these
figures can be taken on a machine that is not idle. What a process takes at rest is measured first and taken off.
"""

import http.client
import itertools
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from benchmarks import load, machine
from benchmarks.environment import BenchmarkEnvironment, TaskFailed
from benchmarks.measured import checkout
from benchmarks.profile import BenchmarkOutcome, Profile
from kafka_bridge.runtime import waiting

PATIENCE_SECONDS = 180.0
# A parcel is on its way at once, so that an order's whole story is over soon.
NO_DELAYS = {"CARRIER_SHIP_DELAY_SECONDS": "0", "CARRIER_DELIVER_DELAY_SECONDS": "0"}
_UNFINISHED = "SELECT count(*) FROM orders_order WHERE status NOT IN ('DELIVERED', 'CANCELLED')"
_UNSENT = "SELECT count(*) FROM orders_ordermail WHERE sent_at IS NULL"
_TABLES = """
SELECT relname, pg_total_relation_size(oid) FROM pg_class
WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
"""
_WAL = "SELECT pg_current_wal_lsn() - '0/0'::pg_lsn"
_MESSAGES = "SELECT topic, count(*) FROM kafka_bridge_outboxrow GROUP BY topic"
_HANDLED = 'SELECT "group", count(*) FROM kafka_bridge_inboxrow GROUP BY "group"'
_CONNECTIONS = """
SELECT application_name, count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name <> '' GROUP BY application_name
"""
Connection = psycopg.Connection[Any]


class Meter:
    """Reads what the processes have taken so far."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = pids
        self._before = self._now()
        self._began = time.monotonic()

    def _now(self) -> dict[str, float]:
        return machine.processor_seconds(self._pids)

    def spent(self, *, at_rest: Mapping[str, float] | None = None) -> tuple[dict[str, float], float]:
        """Processor seconds of each process since the start, less what it takes at rest; and the seconds gone by."""
        seconds = time.monotonic() - self._began
        rest = at_rest or {}
        now = self._now()
        return {n: max(0.0, now[n] - self._before[n] - rest.get(n, 0.0) * seconds) for n in now}, seconds


def measure(bench: BenchmarkEnvironment, profile: Profile) -> BenchmarkOutcome:
    """Nothing at all for a while; orders at a steady rate; orders as fast as they are taken; pages."""
    outcome = BenchmarkOutcome()
    environment = bench.process_environment("cost") | NO_DELAYS
    roles, port = bench.roles(environment)
    roles.start()
    try:
        roles.wait_ready()
        with psycopg.connect(environment["DATABASE_URL"], autocommit=True) as connection:
            # What is done once, such as imports and plans, is no order's cost.
            finish_orders(bench, connection, load_plan(bench, port, rate=10.0, seconds=4.0))
            at_rest = rest(bench.pids(roles), profile.rest_seconds)
            sizes = _sizes(connection, bench.folder)
            plan = load_plan(bench, port, rate=profile.cost_rate, seconds=profile.cost_seconds)
            steady = _cost(bench, connection, bench.pids(roles), at_rest, plan)
            grown = _sizes(connection, bench.folder)
            plan = load_plan(bench, port, rate=None, seconds=profile.busy_seconds)
            busy = _cost(bench, connection, bench.pids(roles), at_rest, plan)
            pages = _pages(bench.pids(roles), at_rest, port, profile.pages)
    finally:
        roles.stop()
    outcome.note("cost_steady_ms", sum(steady["ms_per_order"].values()))
    outcome.note("cost_busy_ms", sum(busy["ms_per_order"].values()))
    outcome.details = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": machine.commit(),
        "ms_per_second_at_rest": {name: round(1000 * each, 2) for name, each in at_rest.items()},
        "steady": steady,
        "busy": busy,
        "ms_per_page": pages,
        **per_order(sizes, grown, steady["orders"]),
    }
    return outcome


def load_plan(bench: BenchmarkEnvironment, port: int, *, rate: float | None, seconds: float) -> load.LoadPlan:
    path = checkout.PATHS["checkout_per_s"]
    return load.LoadPlan(
        port=port, path=path, skus=bench.skus, seconds=seconds, rate=rate, connections=16, keep_orders=True
    )


def finish_orders(bench: BenchmarkEnvironment, connection: Connection, plan: load.LoadPlan) -> int:
    """Send orders, and wait until all are delivered and every mail is sent; returns how many."""
    report = bench.send_orders(plan)
    checkout.refuse_errors(report)
    for question in (_UNFINISHED, _UNSENT):
        waiting.until(
            lambda question=question: connection.execute(question).fetchone() == (0,),  # type: ignore[misc]
            what="the end of every order",
            timeout_seconds=PATIENCE_SECONDS,
        )
    return len(report.orders)


def rest(pids: Mapping[str, int], seconds: float) -> dict[str, float]:
    """Processor seconds that each process takes in a second in which nobody wants anything."""
    meter = Meter(pids)
    time.sleep(seconds)
    spent, passed = meter.spent()
    return {name: each / passed for name, each in spent.items()}


def _cost(
    bench: BenchmarkEnvironment,
    connection: Connection,
    pids: Mapping[str, int],
    at_rest: Mapping[str, float],
    plan: load.LoadPlan,
) -> dict[str, Any]:
    """What orders sent by this plan cost, until the last is delivered and its mails are sent."""
    meter = Meter(pids)
    orders = finish_orders(bench, connection, plan)
    spent, seconds = meter.spent(at_rest=at_rest)
    return {
        "rate": plan.rate,
        "orders": orders,
        "seconds": round(seconds, 1),
        "ms_per_order": {name: round(1000 * each / orders, 3) for name, each in spent.items()},
        "connections": dict(connection.execute(_CONNECTIONS).fetchall()),
    }


def _sizes(connection: Connection, folder: Path) -> dict[str, dict[str, int]]:
    """Bytes on the broker, in PostgreSQL's tables and in its log, messages by topic, and handled ones by group."""
    logs = [file for file in folder.rglob("*.log") if file.parent.name.startswith("cost.")]
    wal = connection.execute(_WAL).fetchone()
    return {
        "kafka_bytes": {"all": sum(file.stat().st_size for file in logs)},
        "table_bytes": dict(connection.execute(_TABLES).fetchall()),
        "wal_bytes": {"all": int(wal[0]) if wal else 0},
        "messages": dict(connection.execute(_MESSAGES).fetchall()),
        "handled": dict(connection.execute(_HANDLED).fetchall()),
    }


def per_order(
    before: Mapping[str, Mapping[str, int]], after: Mapping[str, Mapping[str, int]], orders: int
) -> dict[str, dict[str, float]]:
    """By what was counted and its name, how much more there is, divided by the orders; nothing where nothing came."""
    return {
        f"{what}_per_order": {
            name: round((count - before[what].get(name, 0)) / orders, 2)
            for name, count in after[what].items()
            if count > before[what].get(name, 0)
        }
        for what in after
    }


def _pages(pids: Mapping[str, int], at_rest: Mapping[str, float], port: int, count: int) -> dict[str, float]:
    """Processor time of the front page and a book's page in equal parts, as a visitor without a session gets them."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=load.ANSWER_SECONDS)
    book = _first_book(_get(connection, "/"))
    meter = Meter(pids)
    for _, path in zip(range(count), itertools.cycle(("/", book)), strict=False):
        _get(connection, path)
    spent, _ = meter.spent(at_rest=at_rest)
    return {name: round(1000 * each / count, 3) for name, each in spent.items() if each > 0}


def _first_book(front_page: str) -> str:
    found = re.search(r'href="(/books/[^"]+)"', front_page)
    if found is None:
        raise TaskFailed("the front page leads to no book")
    return found[1]


def _get(connection: http.client.HTTPConnection, path: str) -> str:
    connection.request("GET", path)
    answer = connection.getresponse()
    text = answer.read().decode()
    if answer.status != 200:
        raise TaskFailed(f"{path} was answered with {answer.status}")
    return text
