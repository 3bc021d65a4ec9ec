"""What Redis says of itself."""

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
    client = redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=ANSWER_SECONDS, socket_connect_timeout=ANSWER_SECONDS, retry=None
    )
    with client:
        client.ping()  # connects
        began = time.monotonic()
        client.ping()
        answer_seconds = time.monotonic() - began
        info: dict[str, Any] = {}
        for section in ("memory", "clients", "stats", "replication"):
            info |= client.info(section)
    if info["role"] == "slave":
        raise redis.ReadOnlyError("read-only, as a replica is")
    return RedisFigures(
        answer_seconds=answer_seconds,
        memory_bytes=int(info["used_memory"]),
        memory_max_bytes=int(info["maxmemory"]) or None,
        clients=int(info["connected_clients"]),
        evicted=int(info["evicted_keys"]),
    )
