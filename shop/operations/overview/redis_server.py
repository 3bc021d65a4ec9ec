"""What Redis says of itself."""

import functools
import time
from typing import Any

import redis
from django.conf import settings

from shop.operations.overview.figures import RedisFigures

ANSWER_SECONDS = 1.0


def read() -> RedisFigures:
    """Ask it once.

    Raises:
        redis.RedisError: it cannot be asked, or takes no writes.
    """
    client = _client(settings.REDIS_URL)
    client.ping()  # connects, where it is not
    began = time.monotonic()
    client.ping()
    answer_seconds = time.monotonic() - began
    info: dict[str, Any] = {}
    for section in ("memory", "clients", "stats", "replication"):
        info |= client.info(section)
    if info["role"] == "slave":
        client.connection_pool.disconnect()  # another connection may lead to the one that took over
        raise redis.ReadOnlyError("read-only, as a replica is")
    return RedisFigures(
        answer_seconds=answer_seconds,
        memory_bytes=int(info["used_memory"]),
        memory_max_bytes=int(info["maxmemory"]) or None,
        clients=int(info["connected_clients"]),
        evicted=int(info["evicted_keys"]),
    )


@functools.lru_cache(maxsize=1)
def _client(url: str) -> redis.Redis:
    """It stays connected."""
    return redis.Redis.from_url(url, socket_timeout=ANSWER_SECONDS, socket_connect_timeout=ANSWER_SECONDS, retry=None)
