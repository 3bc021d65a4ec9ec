"""Heartbeats in Redis: a few seconds old, and gone by themselves a minute after a process has fallen silent.

# Note [Keys]
`heartbeat:<role>:<instance>` is what a process said last, and `heartbeats` an index of these keys by the time when that
was. A role may write keys of its own name only (deploy/redis/users.acl), so it cannot speak for another one; the index
says nothing but where to look.

# Note [Emptied]
The index also says since when it has been written without a break: a Redis that has just been started or emptied knows
nobody, and that is no reason to miss everybody. Its score lies far ahead, so that it does not go with what is old.
"""

import functools
import time
from typing import cast

import msgspec
import redis
from django.conf import settings

from kafka_bridge.monitoring.heartbeats import heartbeat_table
from kafka_bridge.monitoring.heartbeats.heartbeat import EVERY_SECONDS, Heartbeat
from kafka_bridge.telemetry import activity
from shop.site import redis_urls

INDEX = "heartbeats"
SINCE = "since"
_SINCE_FACTOR = 1000.0
KEPT_SECONDS = 60
"""So long one that has fallen silent is still shown, as missing."""
ANSWER_SECONDS = 1.0
READ_MAX = 500
"""So many processes are looked at; more than a shop has."""
BYTES_MAX = 256 * 1024
"""What is longer is no heartbeat."""
_read_last: dict[tuple[bytes, bytes], Heartbeat | None] = {}
"""By key and text. Most have not changed when they are read again."""


class RedisHeartbeats:
    """The shop's store of heartbeats, for one thread."""

    every_seconds = EVERY_SECONDS

    def __init__(self) -> None:
        self._client = _client()

    def write(self, heartbeat: Heartbeat) -> None:
        """Keep it for a minute."""
        key, began = _key(heartbeat), time.monotonic()
        try:
            with self._client.pipeline(transaction=False) as pipeline:
                pipeline.set(key, msgspec.json.encode(heartbeat), ex=KEPT_SECONDS)
                pipeline.zadd(INDEX, {key: heartbeat.beat_at})
                pipeline.zadd(INDEX, {SINCE: heartbeat.beat_at * _SINCE_FACTOR}, nx=True)  # see Note [Emptied]
                pipeline.zremrangebyscore(INDEX, "-inf", heartbeat.beat_at - KEPT_SECONDS)
                pipeline.execute()
        except redis.RedisError as error:
            activity.current.note_use("redis", error=type(error).__name__)
            # It may be a replica by now; another connection may lead to the one that took over.
            self._client.connection_pool.disconnect(inuse_connections=False)
            raise
        activity.current.note_use("redis", answer_seconds=time.monotonic() - began)

    def end(self, heartbeat: Heartbeat) -> None:
        """Nobody is to miss it."""
        with self._client.pipeline(transaction=False) as pipeline:
            pipeline.delete(_key(heartbeat))
            pipeline.zrem(INDEX, _key(heartbeat))
            pipeline.execute()


def read() -> list[Heartbeat]:
    """What the processes have said last, those included that have been silent for less than a minute.

    Raises:
        redis.RedisError: Redis cannot be asked.
    """
    global _read_last
    client = _client()
    found = cast(list[bytes], client.zrevrange(INDEX, 0, READ_MAX - 1))
    keys = [key for key in found if key.startswith(b"heartbeat:")]
    with client.pipeline(transaction=False) as pipeline:
        for key in keys:
            pipeline.getrange(key, 0, BYTES_MAX)
        texts = cast(list[bytes], pipeline.execute())
    before = _read_last
    now = {each: before[each] if each in before else _decode(*each) for each in zip(keys, texts, strict=True)}
    _read_last = now
    return [heartbeat for heartbeat in now.values() if heartbeat is not None]


def written_since() -> float | None:
    """Unix time since when heartbeats have been kept without a break; None where there is none yet.

    Raises:
        redis.RedisError: Redis cannot be asked.
    """
    score = _client().zscore(INDEX, SINCE)
    return None if score is None else score / _SINCE_FACTOR


def _decode(key: bytes, text: bytes) -> Heartbeat | None:
    """None where it has expired meanwhile, or is no heartbeat of who may write there."""
    heartbeat = heartbeat_table.decode(text) if len(text) <= BYTES_MAX else None
    return heartbeat if heartbeat is not None and _key(heartbeat).encode() == key else None


def _key(heartbeat: Heartbeat) -> str:
    return f"heartbeat:{heartbeat.role}:{heartbeat.instance}"


def _client() -> redis.Redis:
    return _client_of(redis_urls.with_database(settings.REDIS_URL, 3))


@functools.lru_cache(maxsize=1)
def _client_of(url: str) -> redis.Redis:
    """It stays connected; threads may share it."""
    return redis.Redis.from_url(
        url,
        socket_timeout=ANSWER_SECONDS,
        socket_connect_timeout=ANSWER_SECONDS,
        retry=None,
    )
