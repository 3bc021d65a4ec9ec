"""The whole shop under load: every process of the demo, from the click until each order is delivered and mailed.

# Note [What sustained means]
More orders are sent than the saga can take, and the time runs until the last of them is delivered and its mails are
sent. So the rate is that of the slowest part, with all others busy beside it. At 80 % of it orders are sent once more:
if that rate could not be sustained, the latencies there would say so.

The gateway answers at once, for its time is not the shop's; the carrier comes at once, so that a story is over soon.
Processor times are all that was taken meanwhile, also by what goes on without any order.
"""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.request import urlopen

import psycopg

from benchmarks import load, machine, profiling, stats
from benchmarks.environment import BenchmarkEnvironment, TaskFailed
from benchmarks.measured import checkout
from benchmarks.postgres_counters import PostgresCounters, StatementCount
from benchmarks.profile import BenchmarkOutcome, Profile
from devtools.local.roles import WEB
from kafka_bridge.runtime import waiting

# As long as a machine with other work to do may take to start a dozen processes.
START_SECONDS = 240.0
PATIENCE_SECONDS = 240.0
SLOW_RATE, STEADY_RATE = 5.0, 50.0
SUSTAINED_SHARE = 0.8
SOLD_OUT = 422
_NO_DELAYS = {"CARRIER_SHIP_DELAY_SECONDS": "0", "CARRIER_DELIVER_DELAY_SECONDS": "0"}
# Zero once every order is delivered, its three mails are sent, and the figures have heard of all four facts.
_LEFT = """
SELECT 3 * placed.orders - mails.sent + 4 * placed.orders - counted.facts
FROM (SELECT count(*) AS orders FROM orders_order) placed,
    (SELECT count(*) AS sent FROM orders_ordermail WHERE sent_at IS NOT NULL) mails,
    (SELECT count(*) AS facts FROM kafka_bridge_inboxrow
        WHERE "group" = 'analytics' AND right(topic, 13) = 'orders.events') counted
"""
_CONFIRMED = """
SELECT id::text, extract(epoch FROM confirmed_at)::float8 FROM orders_order WHERE id = ANY(%s::uuid[])
"""
Connection = psycopg.Connection[Any]


@dataclass(frozen=True, kw_only=True)
class RunningShop:
    """A shop that is at work, and where its figures are read."""

    bench: BenchmarkEnvironment
    connection: Connection
    pids: Mapping[str, int]
    port: int

    def plan(self, *, rate: float | None, seconds: float) -> load.LoadPlan:
        """Orders at this rate; without one, as fast as sixteen connections get their answers."""
        return load.LoadPlan(
            port=self.port,
            path=checkout.PATHS["checkout_per_s"],
            skus=self.bench.skus,
            seconds=seconds,
            rate=rate,
            connections=16,
            keep_orders=True,
        )


@dataclass(frozen=True, kw_only=True)
class LoadResult:
    """What one load has come to."""

    orders: int
    seconds: float
    """From the first click until the last mail."""
    cpu_ms_per_order: dict[str, float]
    transactions_per_order: float
    wal_bytes_per_order: float
    clicks_ms: list[float]
    confirmed_ms: list[float]
    """From each click until its order was confirmed."""

    @property
    def cpu_ms(self) -> float:
        """Of all processes, an order."""
        return sum(self.cpu_ms_per_order.values())

    def as_details(self) -> dict[str, Any]:
        """For the JSON."""
        return {
            "orders": self.orders,
            "orders_per_s": round(self.orders / self.seconds, 1),
            "cpu_ms_per_order": {"all": round(self.cpu_ms, 2), **self.cpu_ms_per_order},
            "transactions_per_order": round(self.transactions_per_order, 2),
            "wal_bytes_per_order": round(self.wal_bytes_per_order),
            "click_ms": _percentiles(self.clicks_ms),
            "confirmed_ms": _percentiles(self.confirmed_ms),
        }


def measure(bench: BenchmarkEnvironment, profile: Profile) -> BenchmarkOutcome:
    """Few orders, 50 a second, as many as can be, 80 % of that; then pages; then clicks with only web running."""
    outcome = BenchmarkOutcome()
    environment = bench.process_environment("sustained") | _NO_DELAYS
    roles, port = bench.roles(environment)
    roles.start()
    try:
        roles.wait_ready(timeout_seconds=START_SECONDS)
        with psycopg.connect(environment["DATABASE_URL"], autocommit=True) as connection:
            shop = RunningShop(bench=bench, connection=connection, pids=bench.pids(roles), port=port)
            _measure_orders(shop, profile, outcome)
            _measure_pages(shop, profile, outcome)
        roles.stop(*(name for name in roles.names if name != WEB))
        _measure_web_alone(shop, environment, profile, outcome)
    finally:
        roles.stop()
    return outcome


def _measure_orders(shop: RunningShop, profile: Profile, outcome: BenchmarkOutcome) -> None:
    send(shop, shop.plan(rate=10.0, seconds=profile.sustained_warm_up_seconds))
    # As autovacuum does in the first minutes of a shop: until then plans are made for empty tables.
    shop.connection.execute("ANALYZE")
    loads: dict[str, LoadResult] = {}
    rest = machine.processor_seconds(shop.pids)
    time.sleep(profile.sustained_rest_seconds)
    at_rest = machine.processor_seconds(shop.pids)
    loads["5/s"] = send(shop, shop.plan(rate=SLOW_RATE, seconds=profile.sustained_seconds))
    loads["50/s"] = steady = send(shop, shop.plan(rate=STEADY_RATE, seconds=profile.sustained_seconds))
    statements = _statements(shop, profile)
    loads["saturated"] = saturated = send(shop, shop.plan(rate=None, seconds=profile.sustained_burst_seconds))
    sustained = saturated.orders / saturated.seconds
    loads["80 %"] = send(shop, shop.plan(rate=SUSTAINED_SHARE * sustained, seconds=profile.sustained_seconds))
    outcome.note("saga_orders_per_s", sustained)
    outcome.note("cpu_ms_per_order_saturated", saturated.cpu_ms)
    outcome.note("cpu_ms_per_order_at_50", steady.cpu_ms)
    for percent in (50, 99):
        outcome.note(f"confirmed_p{percent}_ms", stats.percentile(steady.confirmed_ms, percent))
    outcome.details = {
        "cpu_ms_per_s_at_rest": {
            name: round(1000 * (at_rest[name] - rest[name]) / profile.sustained_rest_seconds, 2) for name in at_rest
        },
        "loads": {name: each.as_details() for name, each in loads.items()},
        "at_50": statements,
    }


def send(shop: RunningShop, plan: load.LoadPlan) -> LoadResult:
    """Send orders, and wait until the last one is delivered and mailed.

    Raises:
        TaskFailed: not every order was placed.
        TimeoutError: not every order came to its end.
    """
    counters = PostgresCounters(shop.connection)
    before, began = machine.processor_seconds(shop.pids), time.time()
    report = shop.bench.send_orders(plan)
    checkout.refuse_errors(report)
    wait_for_the_last(shop.connection)
    after, seconds = machine.processor_seconds(shop.pids), time.time() - min(report.orders.values(), default=began)
    transactions, wal_bytes = counters.spent()
    orders = len(report.orders)
    confirmed = dict(shop.connection.execute(_CONFIRMED, [list(report.orders)]).fetchall())
    return LoadResult(
        orders=orders,
        seconds=seconds,
        cpu_ms_per_order={name: round(1000 * (after[name] - before[name]) / orders, 3) for name in after},
        transactions_per_order=transactions / orders,
        wal_bytes_per_order=wal_bytes / orders,
        clicks_ms=report.latencies_ms,
        confirmed_ms=[(confirmed[order] - click) * 1000 for order, click in report.orders.items()],
    )


def wait_for_the_last(connection: Connection) -> None:
    """Until every order is delivered, mailed and counted.

    Raises:
        TimeoutError: some were not.
    """
    waiting.until(
        lambda: connection.execute(_LEFT).fetchone() == (0,),
        what="the end of every order",
        timeout_seconds=PATIENCE_SECONDS,
        every_seconds=0.1,
    )


def _statements(shop: RunningShop, profile: Profile) -> dict[str, Any]:
    """How many statements each process makes for an order at 50/s; with profiles, if they are wanted.

    A run of its own: the log that they are counted in, and the profiler, cost more than they.
    """
    plan = shop.plan(rate=STEADY_RATE, seconds=profile.sustained_statement_seconds)
    python = {name: pid for name, pid in shop.pids.items() if name in shop.bench.python_roles}
    with (
        StatementCount(shop.connection, shop.bench.postgres_log) as count,
        profiling.recorded(python, profile.profiles, seconds=plan.seconds),
    ):
        orders = send(shop, plan).orders
    made = {name: round(number / orders, 2) for name, number in sorted(count.by_process.items())}
    return {"statements_per_order": {"all": round(sum(made.values()), 2), **made}}


def _measure_pages(shop: RunningShop, profile: Profile, outcome: BenchmarkOutcome) -> None:
    """The front page and a book's page, as a visitor without a session gets them; the slower one counts."""
    rates: dict[str, float] = {}
    for name, path in (("front", "/"), ("book", _first_book(shop.port))):
        plan = load.LoadPlan(
            port=shop.port, path=path, skus=(), seconds=profile.sustained_page_seconds, warm_up_seconds=0.5,
            is_read=True, expects=200,
        )  # fmt: skip
        report = shop.bench.send_orders(plan)
        rates[name] = len(report.latencies_ms) / report.seconds
        outcome.details.setdefault("pages", {})[name] = {
            "per_s": round(rates[name], 1),
            "ms": _percentiles(report.latencies_ms),
        }
    outcome.note("pages_per_s", min(rates.values()))


def _measure_web_alone(
    shop: RunningShop, environment: Mapping[str, str], profile: Profile, outcome: BenchmarkOutcome
) -> None:
    """Clicks that make orders, and clicks on a book that is sold out; PostgreSQL and Redis are all that runs beside."""
    plan = load.LoadPlan(
        port=shop.port,
        path=checkout.PATHS["checkout_per_s"],
        skus=shop.bench.skus,
        seconds=profile.sustained_page_seconds,
        warm_up_seconds=0.5,
    )
    clicks = shop.bench.send_orders(plan)
    checkout.refuse_errors(clicks)
    gone = shop.bench.task("sell_out", environment, timeout_seconds=60)
    door = shop.bench.send_orders(load.LoadPlan(**{**vars(plan), "skus": [gone["sku"]], "expects": SOLD_OUT}))
    if set(door.statuses) != {SOLD_OUT}:
        raise TaskFailed(f"not every order of a book that is sold out was refused: {door.statuses} {door.first_error}")
    outcome.note("clicks_per_s", len(clicks.latencies_ms) / clicks.seconds)
    outcome.note("door_answers_per_s", sum(door.statuses.values()) / door.seconds)
    outcome.details["clicks_ms"] = _percentiles(clicks.latencies_ms)


def _first_book(port: int) -> str:
    with urlopen(f"http://127.0.0.1:{port}/", timeout=load.ANSWER_SECONDS) as answer:
        found = re.search(r'href="(/books/[^"]+)"', answer.read().decode())
    if found is None:
        raise TaskFailed("the front page leads to no book")
    return found[1]


def _percentiles(values: list[float]) -> dict[str, float]:
    return {f"p{percent}": round(stats.percentile(values, percent), 1) for percent in (50, 99)}
