"""Pushes to open order pages: best effort, after commit, and only for orders whose page is open.

A push is only a hint: the socket then reads the order and sends a whole snapshot, which carries a version. So a lost
push costs nothing that the next snapshot does not bring, and Redis being away costs nobody their order.
"""

import asyncio
import logging
import re
import time
from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType
from uuid import UUID

import redis
from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.conf import settings
from django.db import transaction
from django.utils.crypto import salted_hmac
from django_redis import get_redis_connection

from kafka_bridge.publishing import outbox
from kafka_bridge.telemetry import tracing

log = logging.getLogger(__name__)
_QUIET_SECONDS = 5.0
_SPAN_ID = re.compile(r"[0-9a-f]{16}", re.ASCII)
# Also what Redis answers that it will not do now: it loads its data, is busy with a script, has lost its master.
_UNREACHABLE = (redis.RedisError, OSError)
_quiet_until = 0.0


def order_group(order_id: UUID | str) -> str:
    """The channel group of all open pages of this order."""
    return f"order.{order_id}"


def session_group(session_key: str) -> str:
    """The channel group of one session's sockets; the key itself goes nowhere."""
    return f"session.{salted_hmac('orders.live', session_key).hexdigest()[:32]}"


def _watch_key(order_id: UUID | str) -> str:
    return f"watched:{order_id}"


def watch(order_id: UUID | str) -> bool:
    """A page of this order is open for the next while; the socket repeats it as long as it is open.

    Returns whether Redis still knew; if not (it was restarted or flushed), pushes may have been lost meanwhile.

    Raises:
        redis.RedisError: Redis cannot be reached.
    """
    known = get_redis_connection("live").set(_watch_key(order_id), 1, ex=settings.LIVE_WATCH_SECONDS, get=True)
    return known is not None


def push_after_commit(order_ids: Sequence[UUID]) -> None:
    """Tell the open pages of these orders to look again, once the transaction is committed."""
    if order_ids:
        parents = _parents(order_ids) if tracing.is_on() else {}
        transaction.on_commit(partial(push, list(order_ids), parents), robust=True)


def _parents(order_ids: Sequence[UUID]) -> dict[UUID, int]:
    """The spans in which these orders changed."""
    return {order_id: tracing.parent_of(order_id, outbox.cause_of(str(order_id))) for order_id in order_ids}


def push(order_ids: Sequence[UUID], parents: Mapping[UUID, int] = MappingProxyType({})) -> None:
    """Tell the open pages of these orders to look again. One round trip asks who is watched; Redis away is no error.

    `parents` are the spans in which they changed, for traces.
    """
    global _quiet_until
    if time.monotonic() < _quiet_until:
        return
    try:
        flags = get_redis_connection("live").mget([_watch_key(order_id) for order_id in order_ids])
        watched = [order_id for order_id, flag in zip(order_ids, flags, strict=True) if flag]
        if watched:
            async_to_sync(_send)({order_group(order_id): _changed(parents.get(order_id)) for order_id in watched})
    except _UNREACHABLE as error:
        # A consumer must not wait for Redis batch after batch: pages catch up by themselves.
        _quiet_until = time.monotonic() + _QUIET_SECONDS
        log.warning("no live pushes for %.0f s: %s", _QUIET_SECONDS, error)


def close_session(session_key: str) -> None:
    """Close the sockets of a session that has just ended."""
    try:
        async_to_sync(_send)({session_group(session_key): {"type": "session.ended"}})
    except _UNREACHABLE as error:
        log.warning("sockets of an ended session stay open until their next check: %s", error)


def _changed(parent: int | None) -> dict[str, str]:
    return {"type": "order.changed", **({"parent": f"{parent:016x}"} if parent else {})}


def parent_in(message: Mapping[str, object]) -> int:
    """The span in which the order changed, by what the push says; 0 where it says none. Redis is not to be believed."""
    said = message.get("parent")
    return int(said, 16) if isinstance(said, str) and _SPAN_ID.fullmatch(said) else tracing.NO_PARENT


async def _send(messages: Mapping[str, dict[str, str]]) -> None:
    layer = get_channel_layer()
    async with asyncio.timeout(1):
        for group, message in messages.items():
            await layer.group_send(group, message)
