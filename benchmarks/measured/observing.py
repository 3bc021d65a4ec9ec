"""What it costs that the shop is watched: heartbeats, samples, alerts and metrics, against the shop without them.

The same shop runs with and without, in turn: at rest, and with as many orders as it takes. In each round the two follow
upon each other, and the other one comes first in the next, so what else the machine does falls on both. A single round
is no more than a sign: the first to run also warms the broker up.

The rate of one burst varies by more than what is looked for here. When the cores are the limit, what watching takes of
the rate is what it takes of an order's processor time, and that varies less: so both are told.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import psycopg

from benchmarks.environment import BenchmarkEnvironment
from benchmarks.measured import cost
from benchmarks.profile import BenchmarkOutcome, Profile

SETTLED_SECONDS = 35.0
"""After its start a shop begins to look at itself, which is done once, and no part of its rest."""
UNOBSERVED = {"DJANGO_SETTINGS_MODULE": "benchmarks.unobserved.settings"}


@dataclass(frozen=True, kw_only=True)
class _Watched:
    """What was measured of a shop, watched or not."""

    orders_per_s: float
    """From the first click to the last mail."""
    cpu_ms_per_order: dict[str, float]
    """Meanwhile, by process."""
    at_rest: dict[str, float]
    """Milliseconds of a core a second, by process."""


def measure(bench: BenchmarkEnvironment, profile: Profile) -> BenchmarkOutcome:
    """The rate of whole orders, their processor time, and that at rest, of both."""
    outcome = BenchmarkOutcome()
    rounds = []
    for number in range(profile.rounds):
        order = (True, False) if number % 2 == 0 else (False, True)
        found = {watched: _measure(bench, profile, number, is_watched=watched) for watched in order}
        watched, plain = found[True], found[False]
        outcome.note("watched_orders_per_s", watched.orders_per_s)
        outcome.note("unwatched_orders_per_s", plain.orders_per_s)
        outcome.note("observing_rate_percent", 100 * (1 - watched.orders_per_s / plain.orders_per_s))
        outcome.note("observing_cpu_percent", 100 * (_sum(watched.cpu_ms_per_order) / _sum(plain.cpu_ms_per_order) - 1))
        outcome.note("observing_rest_ms", _sum(watched.at_rest) - _sum(plain.at_rest))
        rounds.append(
            {
                "cpu_ms_per_order": _side_by_side(watched.cpu_ms_per_order, plain.cpu_ms_per_order),
                "ms_per_second_at_rest": _side_by_side(watched.at_rest, plain.at_rest),
            }
        )
    outcome.details = {"watched_and_not": rounds}
    return outcome


def _sum(milliseconds: Mapping[str, float]) -> float:
    return sum(milliseconds.values())


def _side_by_side(watched: Mapping[str, float], plain: Mapping[str, float]) -> dict[str, list[float]]:
    return {name: [round(each, 2), round(plain.get(name, 0.0), 2)] for name, each in watched.items()}


def _measure(bench: BenchmarkEnvironment, profile: Profile, number: int, *, is_watched: bool) -> _Watched:
    name = f"{'watched' if is_watched else 'unwatched'}{number}"
    environment = bench.process_environment(name) | cost.NO_DELAYS | ({} if is_watched else UNOBSERVED)
    roles, port = bench.roles(environment)
    started = time.monotonic()
    roles.start()
    try:
        roles.wait_ready()
        with psycopg.connect(environment["DATABASE_URL"], autocommit=True) as connection:
            cost.finish_orders(bench, connection, cost.load_plan(bench, port, rate=10.0, seconds=4.0))
            # Autovacuum may come to one of them earlier, and plans for empty tables cost twice as much.
            connection.execute("ANALYZE")
            time.sleep(max(0.0, started + SETTLED_SECONDS - time.monotonic()))
            at_rest = cost.rest(bench.pids(roles), profile.rest_seconds)
            meter = cost.Meter(bench.pids(roles))
            plan = cost.load_plan(bench, port, rate=None, seconds=profile.busy_seconds)
            orders = cost.finish_orders(bench, connection, plan)
            spent, seconds = meter.spent()
            return _Watched(
                orders_per_s=orders / seconds,
                cpu_ms_per_order={name: 1000 * each / orders for name, each in spent.items()},
                at_rest={name: 1000 * each for name, each in at_rest.items()},
            )
    finally:
        roles.stop()
