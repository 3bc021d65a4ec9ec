"""The relay alone: a full outbox brought to Kafka by the relay's own process."""

from typing import Any

import psycopg

from benchmarks.environment import Environment
from benchmarks.profile import BenchmarkOutcome, Profile
from devtools.local.roles import RELAY
from kafka_bridge.runtime import waiting

PATIENCE_SECONDS = 90.0
_UNSENT = "SELECT count(*) FROM kafka_bridge_outboxrow WHERE published_at IS NULL"
_SENT_AT = "SELECT extract(epoch FROM published_at)::float8 FROM kafka_bridge_outboxrow ORDER BY published_at"


def measure(stage: Environment, effort: Profile) -> BenchmarkOutcome:
    """Fill an outbox, start the relay, wait until all is noted as delivered."""
    outcome = BenchmarkOutcome()
    for _ in range(effort.rounds):
        environment = stage.environment("relay")
        stage.task("fill-outbox", environment, timeout_seconds=120, count=effort.relay_rows)
        roles, _ = stage.roles(environment)
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
    """Rows per second between the end of the first thousand and the last row: starting the process is not counted."""
    first = min(1000, len(moments) // 2)
    return (len(moments) - first) / (moments[-1] - moments[first - 1])


def _moments(connection: "psycopg.Connection[Any]", query: str) -> list[float]:
    return [row[0] for row in connection.execute(query.encode())]
