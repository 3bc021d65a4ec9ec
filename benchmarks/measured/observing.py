"""What it costs that the shop is watched: heartbeats, samples, alerts and metrics, against the shop without them.

The same shop runs with and without, in turn: at rest, and with as many orders as it takes. In each round the two follow
upon each other, and the other one comes first in the next, so what else the machine does falls on both. A single round
is no more than a sign: the first to run also warms the broker up.
"""

import time

import psycopg

from benchmarks.environment import BenchmarkEnvironment
from benchmarks.measured import cost
from benchmarks.profile import BenchmarkOutcome, Profile

SETTLED_SECONDS = 35.0
"""After its start a shop begins to look at itself, which is done once, and no part of its rest."""
UNOBSERVED = {"DJANGO_SETTINGS_MODULE": "benchmarks.unobserved.settings"}


def measure(bench: BenchmarkEnvironment, profile: Profile) -> BenchmarkOutcome:
    """The rate of whole orders, and the processor time at rest, of both."""
    outcome = BenchmarkOutcome()
    rounds = []
    for number in range(profile.rounds):
        order = (True, False) if number % 2 == 0 else (False, True)
        found = {watched: _measure(bench, profile, number, is_watched=watched) for watched in order}
        (rate, rest), (plain_rate, plain_rest) = found[True], found[False]
        outcome.note("watched_orders_per_s", rate)
        outcome.note("unwatched_orders_per_s", plain_rate)
        outcome.note("observing_rate_percent", 100 * (1 - rate / plain_rate))
        outcome.note("observing_rest_ms", sum(rest.values()) - sum(plain_rest.values()))
        rounds.append({name: [round(each, 1), round(plain_rest.get(name, 0.0), 1)] for name, each in rest.items()})
    outcome.details = {"ms_per_second_at_rest": rounds}
    return outcome


def _measure(
    bench: BenchmarkEnvironment, profile: Profile, number: int, *, is_watched: bool
) -> tuple[float, dict[str, float]]:
    """Orders a second, from the first click to the last mail; at rest, ms of a core a second, by process."""
    name = f"{'watched' if is_watched else 'unwatched'}{number}"
    environment = bench.process_environment(name) | cost.NO_DELAYS | ({} if is_watched else UNOBSERVED)
    roles, port = bench.roles(environment)
    started = time.monotonic()
    roles.start()
    try:
        roles.wait_ready()
        with psycopg.connect(environment["DATABASE_URL"], autocommit=True) as connection:
            cost.finish_orders(bench, connection, cost.load_plan(bench, port, rate=10.0, seconds=4.0))
            time.sleep(max(0.0, started + SETTLED_SECONDS - time.monotonic()))
            at_rest = cost.rest(bench.pids(roles), profile.rest_seconds)
            began = time.monotonic()
            plan = cost.load_plan(bench, port, rate=None, seconds=profile.busy_seconds)
            orders = cost.finish_orders(bench, connection, plan)
            rate = orders / (time.monotonic() - began)
            return rate, {name: 1000 * each for name, each in at_rest.items()}
    finally:
        roles.stop()
