"""Heartbeats in PostgreSQL: a row for each process that has run, so that it is known since when one is gone."""

import time
from collections.abc import Mapping
from datetime import datetime

import msgspec
from django.db import connection

from kafka_bridge.monitoring.heartbeats.heartbeat import Heartbeat
from kafka_bridge.telemetry import activity

ROWS_MAX = 1000
_WRITE = """
INSERT INTO kafka_bridge_processheartbeat (instance, role, started_at, beat_at, body)
VALUES (%s, %s, to_timestamp(%s), clock_timestamp(), %s)
ON CONFLICT (instance) DO UPDATE SET beat_at = clock_timestamp(), body = excluded.body
"""
_END = "UPDATE kafka_bridge_processheartbeat SET beat_at = clock_timestamp(), ended_at = clock_timestamp()"
_READ = """
SELECT body FROM kafka_bridge_processheartbeat
WHERE ended_at IS NULL AND beat_at > clock_timestamp() - make_interval(secs => %s)
ORDER BY beat_at DESC LIMIT %s
"""
_decoder = msgspec.json.Decoder(Heartbeat)


class HeartbeatTable:
    """The bridge's own store."""

    def __init__(self, every_seconds: float) -> None:
        self.every_seconds = every_seconds

    def write(self, heartbeat: Heartbeat) -> None:
        """Write its row."""
        body = msgspec.json.encode(heartbeat).decode()
        self._execute(_WRITE, [heartbeat.instance, heartbeat.role, heartbeat.started_at, body])

    def end(self, heartbeat: Heartbeat) -> None:
        """The row stays, and says when that was."""
        self._execute(f"{_END} WHERE instance = %s", [heartbeat.instance])

    def _execute(self, statement: str, parameters: list[str | float]) -> None:
        began = time.monotonic()
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement, parameters)
        except Exception as error:
            activity.current.note_use("postgresql", error=type(error).__name__)
            raise
        else:
            activity.current.note_use("postgresql", answer_seconds=time.monotonic() - began)
        finally:
            # A connection for a statement a minute is not worth a place of the server's.
            connection.close()


def read(*, within_seconds: float) -> list[Heartbeat]:
    """Of the processes that have not ended, the last heartbeats, if they are not older than that."""
    with connection.cursor() as cursor:
        cursor.execute(_READ, [within_seconds, ROWS_MAX])
        return [heartbeat for (body,) in cursor.fetchall() if (heartbeat := decode(body)) is not None]


def last_seen() -> Mapping[str, datetime]:
    """By role, when one of its processes said something last, or ended."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT role, max(beat_at) FROM kafka_bridge_processheartbeat GROUP BY role")
        return dict(cursor.fetchall())


def decode(text: str | bytes) -> Heartbeat | None:
    """None where that is no heartbeat: whoever can write where it is kept may have put there what he likes."""
    try:
        return _decoder.decode(text)
    except msgspec.DecodeError:
        return None
