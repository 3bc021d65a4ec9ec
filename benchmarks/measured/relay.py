"""The relay alone: it publishes a full outbox to Kafka."""

from typing import Any

import psycopg

from benchmarks.environment import BenchmarkEnvironment
from benchmarks.profile import BenchmarkOutcome, Profile
from devtools.local.roles import RELAY
from kafka_bridge.runtime import waiting

PATIENCE_SECONDS = 90.0
_UNSENT = "SELECT count(*) FROM kafka_bridge_outboxrow WHERE published_at IS NULL"
_SENT_AT = "SELECT extract(epoch FROM published_at)::float8 FROM kafka_bridge_outboxrow ORDER BY published_at"


def measure(bench: BenchmarkEnvironment, profile: Profile) -> BenchmarkOutcome:
    """Fill an outbox, start the relay, wait until every row is marked as published."""
    outcome = BenchmarkOutcome()
    for _ in range(profile.rounds):
        environment = bench.process_environment("relay")
        bench.task("fill-outbox", environment, timeout_seconds=120, count=profile.relay_rows)
        roles, _ = bench.roles(environment)
        with psycopg.connect(environment["DATABASE_URL"], autocommit=True) as connection:
            roles.start(RELAY)
            try:
                waiting.until(
                    lambda own=connection: _moments(own, _UNSENT) == [0],  # type: ignore[misc]
                    what="bringing the outbox to Kafka",
                    timeout_seconds=PATIENCE_SECONDS,
                )
            finally:
                roles.stop(RELAY)
            outcome.note("relay_events_per_s", rate(_moments(connection, _SENT_AT)))
    return outcome


def rate(moments: list[float]) -> float:
    """Rows per second from the end of the first thousand to the last row, so that the start-up does not count."""
    first = min(1000, len(moments) // 2)
    return (len(moments) - first) / (moments[-1] - moments[first - 1])


def _moments(connection: "psycopg.Connection[Any]", query: str) -> list[float]:
    return [row[0] for row in connection.execute(query.encode())]
