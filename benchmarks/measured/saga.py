"""The whole saga, from the click to the confirmed order, with every role in a separate process."""

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import psycopg

from benchmarks import load, machine, stats
from benchmarks.environment import BenchmarkEnvironment
from benchmarks.measured import checkout
from benchmarks.profile import BenchmarkOutcome, Profile
from kafka_bridge.runtime import waiting

PATIENCE_SECONDS = 60.0
STEPS = (
    "clicked",
    "order written",
    "order.created acknowledged by Kafka",
    "heard by inventory",
    "inventory.reserved acknowledged by Kafka",
    "heard by payments",
    "charged",
    "payment.confirmed acknowledged by Kafka",
    "heard by orders",
    "confirmed",
)
# One row per order: when it reached each of the steps, in seconds since 1970. What a transaction writes carries the
# moment at which that transaction began; only `published_at` and `confirmed_at` are taken later.
_TIMELINE = """
SELECT placed.id::text, extract(epoch FROM placed.placed_at)::float8,
    extract(epoch FROM created.published_at)::float8, extract(epoch FROM inventory.handled_at)::float8,
    extract(epoch FROM reserved.published_at)::float8, extract(epoch FROM payments.handled_at)::float8,
    extract(epoch FROM charged.created_at)::float8, extract(epoch FROM charged.published_at)::float8,
    extract(epoch FROM orders.handled_at)::float8, extract(epoch FROM placed.confirmed_at)::float8
FROM orders_order placed
JOIN kafka_bridge_outboxrow created ON created.key = placed.id::text AND created.type = 'order.created'
JOIN kafka_bridge_outboxrow reserved ON reserved.key = placed.id::text AND reserved.type = 'inventory.reserved'
JOIN kafka_bridge_outboxrow charged ON charged.key = placed.id::text AND charged.type = 'payment.confirmed'
JOIN kafka_bridge_inboxrow inventory ON inventory.event_id = created.event_id AND inventory."group" = 'inventory'
JOIN kafka_bridge_inboxrow payments ON payments.event_id = reserved.event_id AND payments."group" = 'payments'
JOIN kafka_bridge_inboxrow orders ON orders.event_id = charged.event_id AND orders."group" = 'orders'
WHERE placed.id = ANY(%s::uuid[])
"""
_OPEN = "SELECT count(*) FROM orders_order WHERE id = ANY(%s::uuid[]) AND confirmed_at IS NULL"
Connection = psycopg.Connection[Any]


def measure(bench: BenchmarkEnvironment, profile: Profile) -> BenchmarkOutcome:
    """Orders at a steady rate until each is confirmed, clicks at twice that rate, then the memory of all processes."""
    outcome = BenchmarkOutcome()
    hops: list[dict[str, dict[str, float]]] = []
    processor: list[dict[str, float]] = []
    environment = bench.process_environment("saga")
    roles, port = bench.roles(environment)
    roles.start()
    try:
        roles.wait_ready()
        with psycopg.connect(environment["DATABASE_URL"], autocommit=True) as connection:
            for number in range(profile.rounds):
                plan = load.LoadPlan(
                    port=port,
                    path=checkout.PATHS["checkout_per_s"],
                    skus=bench.skus,
                    seconds=profile.saga_seconds,
                    rate=profile.saga_rate,
                    warm_up_seconds=3.0,
                    seed=number,
                    keep_orders=True,
                )
                before = machine.processor_seconds(bench.pids(roles))
                timelines = _timelines(connection, _send(bench, plan).orders)
                spent = machine.processor_seconds(bench.pids(roles))
                processor.append({name: spent[name] - before.get(name, 0.0) for name in spent})
                note_latencies(outcome, timelines)
                hops.append(hop_latencies(timelines))
                clicks = _send(bench, dataclasses.replace(plan, rate=profile.click_rate, seconds=profile.click_seconds))
                for percent in (50, 99):
                    outcome.note(f"click_p{percent}_ms", stats.percentile(clicks.latencies_ms, percent))
                _wait_until_confirmed(connection, list(clicks.orders))
        memory = machine.memory_mib(bench.pids(roles))
    finally:
        roles.stop()
    outcome.note("memory_mib", sum(memory.values()))
    busy_seconds = plan.warm_up_seconds + plan.seconds
    outcome.details = {
        "hops_ms": medians(hops),
        "memory_mib": {name: round(mib, 1) for name, mib in memory.items()},
        "processor_percent": {
            name: round(100 * statistics.median(each.get(name, 0.0) for each in processor) / busy_seconds, 1)
            for name in memory
        },
        "orders_per_round": len(timelines),
    }
    return outcome


def note_latencies(outcome: BenchmarkOutcome, timelines: list[list[float]]) -> None:
    """From the click, and from the moment at which the order was written, to its confirmation."""
    for name, start in (("confirmed", 0), ("placed_confirmed", 1)):
        latencies = [(moments[-1] - moments[start]) * 1000 for moments in timelines]
        for percent in (50, 99):
            outcome.note(f"{name}_p{percent}_ms", stats.percentile(latencies, percent))


def hop_latencies(timelines: list[list[float]]) -> dict[str, dict[str, float]]:
    """How long each step took after the one before, in ms; negative where the later one overtook the earlier one."""
    return {
        f"{before} → {after}": {
            f"p{percent}": stats.percentile([(m[at + 1] - m[at]) * 1000 for m in timelines], percent)
            for percent in (50, 99)
        }
        for at, (before, after) in enumerate(pairwise(STEPS))
    }


def medians(rounds: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """The same figures, as medians over the rounds."""
    return {
        hop: {name: round(statistics.median(each[hop][name] for each in rounds), 2) for name in figures}
        for hop, figures in rounds[0].items()
    }


def _send(bench: BenchmarkEnvironment, plan: load.LoadPlan) -> load.LoadReport:
    report = bench.send_orders(plan)
    checkout.refuse_errors(report)
    return report


def _timelines(connection: Connection, clicks: Mapping[str, float]) -> list[list[float]]:
    """The moments of each order, in the sequence of `STEPS`.

    Raises:
        TimeoutError: an order was not confirmed.
    """
    _wait_until_confirmed(connection, list(clicks))
    rows = connection.execute(_TIMELINE, [list(clicks)]).fetchall()
    return [[clicks[order_id], *moments] for order_id, *moments in rows]


def _wait_until_confirmed(connection: Connection, order_ids: Sequence[str]) -> None:
    waiting.until(
        lambda: connection.execute(_OPEN, [order_ids]).fetchone() == (0,),
        what="confirming every order",
        timeout_seconds=PATIENCE_SECONDS,
    )
