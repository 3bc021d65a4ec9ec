"""Admission control: Redis counters of the free units of each stock pool, less the units being decided right now.

# Note [Redis admits, PostgreSQL decides]
For each pool Redis has PostgreSQL's latest count (`free`, and the `version` it has) and the units of orders that were
admitted and that PostgreSQL has not committed yet (`taken`). One script admits a whole batch; after the commit another
script stores the new counts and settles those orders. Each count carries its version, so updates may arrive late, twice
or in any sequence; the newest one stays.

The counters err on one side only. They *refuse* an order only if PostgreSQL's latest count was too low, and that is
looked up again before the buyer hears of it (`allocation.confirm_refusals`). If they *admit* an order, PostgreSQL still
has to accept it. So counters that are lost, stale, flushed, full or unreachable cost speed and nothing else:

- a pool without a counter is "unknown", never 0;
- the counters are valid only on the Redis process on which they were built: `verified` holds that process's `run_id`,
  so after a restart from an old snapshot or a failover all of them are unknown until `counter_sync` rebuilds them;
- an order whose consumer was killed between admission and commit is delivered again and finds itself admitted; if it
  never comes again, `counter_sync` settles it.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import IntEnum
from typing import Any, TypeVar
from uuid import UUID

import msgspec
import redis
from django_redis import get_redis_connection

from inventory.models import UNITS_MAX

log = logging.getLogger(__name__)
T = TypeVar("T")
OrderDemand = tuple[UUID, Mapping[str, int]]
"""An order and the units it needs, by pool."""
Count = tuple[str, int, int]
"""A pool, its free units, and the version of that count."""

# The hash tag keeps all keys in one slot of a Redis cluster: a script may touch only one.
VERIFIED, FREE, VERSION, TAKEN, ADMITTED = KEYS = tuple(
    f"{{stock}}:{name}" for name in ("verified", "free", "version", "taken", "admitted")
)
# After a failure Redis is not asked for so long, so that not every batch waits for a timeout.
_BACKOFF_SECONDS = 2.0
_backoff_until = 0.0


class AdmissionDecision(IntEnum):
    """What the counters say about an order; the numbers are those of the script."""

    ADMITTED = 1
    REFUSED = 0
    """By PostgreSQL's latest count there are too few units of something."""
    UNKNOWN = -1
    """The counters cannot tell; PostgreSQL decides."""
    INVALID = -2
    """A quantity is below 1, above the maximum, or not a whole number."""


# KEYS as above in every script. Whether this is the Redis process on which the counters were built:
_IS_VERIFIED = """
local function is_verified()
    local run_id = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
    return redis.call('GET', KEYS[1]) == run_id
end
"""
# ARGV: orders as [[order, [[pool, units], ...]], ...], the most units of a line, the time. Returns a decision for each.
_ADMIT = (
    _IS_VERIFIED
    + """
local orders, most, now = cjson.decode(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local verified, decisions, free, taken, changed = is_verified(), {}, {}, {}, {}
local function read_counter(pool)
    if free[pool] == nil then
        free[pool] = tonumber(redis.call('HGET', KEYS[2], pool) or '') or false
        taken[pool] = tonumber(redis.call('HGET', KEYS[4], pool) or '0')
    end
    return free[pool]
end
local function decide(lines)
    for _, line in ipairs(lines) do
        local units = line[2]
        if type(units) ~= 'number' or units < 1 or units > most or units % 1 ~= 0 then return -2 end
    end
    if not verified then return -1 end
    local decision = 1
    for _, line in ipairs(lines) do
        local pool, units = line[1], line[2]
        if not read_counter(pool) then
            decision = -1
        elseif free[pool] < units then
            return 0
        elseif free[pool] - taken[pool] < units then
            decision = -1  -- orders under way have the rest, and may yet be rolled back
        end
    end
    return decision
end
for number, order in ipairs(orders) do
    local id, lines = order[1], order[2]
    local decision = decide(lines)
    if decision ~= -2 and verified and redis.call('HEXISTS', KEYS[5], id) == 1 then
        decision = 1  -- delivered again: its units are counted already
    elseif decision == 1 then
        for _, line in ipairs(lines) do
            taken[line[1]] = taken[line[1]] + line[2]
            changed[line[1]] = true
        end
        redis.call('HSET', KEYS[5], id, now .. ' ' .. cjson.encode(lines))
    end
    decisions[number] = decision
end
for pool in pairs(changed) do redis.call('HSET', KEYS[4], pool, taken[pool]) end
return decisions
"""
)
# ARGV: orders as [order, ...], counts as [[pool, free, version], ...].
_SETTLE = """
for _, id in ipairs(cjson.decode(ARGV[1])) do
    local admitted = redis.call('HGET', KEYS[5], id)
    if admitted then
        for _, line in ipairs(cjson.decode(string.match(admitted, ' (.*)'))) do
            if redis.call('HINCRBY', KEYS[4], line[1], -line[2]) <= 0 then redis.call('HDEL', KEYS[4], line[1]) end
        end
        redis.call('HDEL', KEYS[5], id)
    end
end
for _, count in ipairs(cjson.decode(ARGV[2])) do
    local known = tonumber(redis.call('HGET', KEYS[3], count[1]) or '-1')
    if count[3] > known then
        redis.call('HSET', KEYS[2], count[1], count[2])
        redis.call('HSET', KEYS[3], count[1], count[3])
    end
end
"""
# ARGV: pools. Returns free minus taken for each, or false if unknown. In pieces, since Lua's unpack() takes few values.
_READ_AVAILABLE = (
    _IS_VERIFIED
    + """
local found = {}
if not is_verified() then return found end
for first = 1, #ARGV, 1000 do
    local last = math.min(first + 999, #ARGV)
    local free = redis.call('HMGET', KEYS[2], unpack(ARGV, first, last))
    local taken = redis.call('HMGET', KEYS[4], unpack(ARGV, first, last))
    for number = 1, last - first + 1 do
        found[first + number - 1] = free[number] and tonumber(free[number]) - tonumber(taken[number] or '0')
    end
end
return found
"""
)
# Marks the counters as built on this Redis process.
_MARK_VERIFIED = "redis.call('SET', KEYS[1], string.match(redis.call('INFO', 'server'), 'run_id:(%x+)'))"
_CHECK_VERIFIED = _IS_VERIFIED + "return is_verified() and 1 or 0"


def admit(orders: Sequence[OrderDemand]) -> list[AdmissionDecision]:
    """Decide about a batch by the counters, first come, first served, in one round trip; safe to repeat.

    Without Redis every decision is UNKNOWN.
    """
    if not orders:
        return []
    batch = [(str(order_id), list(units.items())) for order_id, units in orders]
    answers = _ask(lambda: _run(_ADMIT, _json(batch), UNITS_MAX, f"{time.time():.3f}"))
    if answers is None:
        return [AdmissionDecision.UNKNOWN] * len(orders)
    return [AdmissionDecision(answer) for answer in answers]


def settle(*, orders: Iterable[UUID | str] = (), counts: Sequence[Count] = ()) -> None:
    """Store PostgreSQL's new counts and let go of orders that are decided (or abandoned); call it after the commit."""
    ids = [str(order_id) for order_id in orders]
    _ask(lambda: _run(_SETTLE, _json(ids), _json(counts)), else_forget=[name for name, _, _ in counts])


def read_available(pools: Sequence[str]) -> dict[str, int]:
    """Units that can be ordered right now, by pool; pools without a valid counter are missing."""
    if not pools:
        return {}
    found = _ask(lambda: _run(_READ_AVAILABLE, *pools)) or []
    return {name: max(0, int(free)) for name, free in zip(pools, found, strict=False) if free is not None}


class StockCounter(msgspec.Struct, frozen=True):
    """The counter of one pool."""

    free: int
    version: int
    """The version of PostgreSQL's count that `free` is."""
    taken: int
    """Units of orders that are admitted and not committed yet."""


def read_counters(pools: Sequence[str]) -> dict[str, StockCounter]:
    """The counters of these pools, in one round trip; pools without a valid counter are missing."""

    def ask() -> Any:
        pipeline = get_redis_connection("stock").pipeline()
        pipeline.eval(_CHECK_VERIFIED, len(KEYS), *KEYS)
        for key in (FREE, VERSION, TAKEN):
            pipeline.hmget(key, pools)
        return pipeline.execute()

    answer = _ask(ask) if pools else None
    if answer is None or not answer[0]:
        return {}
    return {
        name: StockCounter(free=int(free), version=int(version), taken=int(taken or 0))
        for name, free, version, taken in zip(pools, *answer[1:], strict=True)
        if free is not None and version is not None
    }


class CounterMirror(msgspec.Struct, frozen=True):
    """All counters, read at one moment."""

    verified: bool
    free: dict[str, int]
    version: dict[str, int]
    taken: dict[str, int]
    admitted: dict[UUID, float]
    """When each unsettled order was admitted, in seconds since 1970."""
    promised: dict[str, int]
    """The units of those orders by pool; equal to `taken` unless something is wrong."""


def read_mirror() -> CounterMirror:
    """Read all counters.

    Raises:
        redis.RedisError, OSError: Redis cannot be reached.
    """
    client = get_redis_connection("stock")
    pipeline = client.pipeline()
    pipeline.eval(_CHECK_VERIFIED, len(KEYS), *KEYS)
    for key in (FREE, VERSION, TAKEN, ADMITTED):
        pipeline.hgetall(key)
    verified, free, version, taken, admitted = pipeline.execute()
    promised: Counter[str] = Counter()
    admitted_at: dict[UUID, float] = {}
    for order_id, value in admitted.items():
        at, _, lines = value.partition(b" ")
        admitted_at[UUID(order_id.decode())] = float(at)
        promised.update(dict(msgspec.json.decode(lines, type=list[tuple[str, int]])))
    return CounterMirror(
        verified=bool(verified),
        free=_numbers(free),
        version=_numbers(version),
        taken=_numbers(taken),
        admitted=admitted_at,
        promised=dict(promised),
    )


def forget() -> None:
    """Delete all counters: every pool is unknown, and PostgreSQL decides, until `rebuild`.

    Raises:
        redis.RedisError, OSError: Redis cannot be reached.
    """
    get_redis_connection("stock").delete(*KEYS)


def rebuild(read_counts: Callable[[], Sequence[Count]]) -> None:
    """Build all counters again; call it from one process at a time.

    The counts are read after the old counters are gone: an update that arrives meanwhile is newer, and stays.

    Raises:
        redis.RedisError, OSError: Redis cannot be reached.
    """
    forget()
    counts = read_counts()
    for start in range(0, len(counts), 1000):
        _run(_SETTLE, "[]", _json(counts[start : start + 1000]))
    # Last, so that nobody believes a half-built mirror.
    _run(_MARK_VERIFIED)


def _ask(call: Callable[[], T], *, else_forget: Sequence[str] = ()) -> T | None:
    """Ask Redis; None if it is unavailable, or was within the last `_BACKOFF_SECONDS`.

    `else_forget` are pools whose counter is better unknown than wrong. Deleting works in a full Redis, too.
    """
    global _backoff_until
    if time.monotonic() < _backoff_until:
        return None
    try:
        try:
            return call()
        except redis.ResponseError as error:
            if "OOM" not in str(error):
                raise
            log.warning("Redis is out of memory, stock counters are not updated; PostgreSQL decides alone: %s", error)
            if else_forget:
                get_redis_connection("stock").hdel(FREE, *else_forget)
    except (redis.RedisError, OSError) as error:
        _backoff_until = time.monotonic() + _BACKOFF_SECONDS
        log.warning("Redis is unavailable, no stock counters; PostgreSQL decides alone: %s", error)
    return None


def _run(script: str, *arguments: object) -> Any:
    client = get_redis_connection("stock")
    # Sent by its hash; the text goes only once, to a server that does not have it.
    return client.register_script(script)(keys=KEYS, args=arguments)


def _json(value: object) -> bytes:
    return msgspec.json.encode(value)


def _numbers(table: Mapping[bytes, bytes]) -> dict[str, int]:
    return {key.decode(): int(value) for key, value in table.items()}
