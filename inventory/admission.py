"""The gate: a mirror of the free units in Redis, with what is being admitted right now taken off.

# Note [Redis admits, PostgreSQL decides]
For each bin the gate keeps PostgreSQL's last word (`free`, with the `version` it had) and the units of orders that it
has admitted and PostgreSQL has not yet written down (`taken`). One script admits a whole batch; when the batch is
committed, another tells the gate the new counts and that those orders are settled. As each count carries its version,
tellings may come late, twice or in any sequence; the youngest stays.

The gate errs on one side only. It *refuses* no order unless PostgreSQL's own last word was too little, and even that
is looked up again before the buyer hears of it (`services.hold`). Whom it *admits*, PostgreSQL still has to accept.
So a gate that is lost, stale, flushed, full or away costs speed and nothing else:

- a bin it does not know is "unknown", never 0;
- the mirror is valid only on the very server process that it was made on: `verified` holds that process's `run_id`, so
  after a restart from an old snapshot or a failover everything is unknown until the timekeeper has made it anew;
- an order whose consumer was killed between admission and commit is delivered again and finds itself admitted; one
  that never comes again is let go by the timekeeper.
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
Wanted = tuple[UUID, Mapping[str, int]]
"""An order and the units that it wants, by bin."""
Count = tuple[str, int, int]
"""A bin, its free units, and the version that they are of."""

# In one slot, should somebody run this on a Redis cluster.
VERIFIED, FREE, VERSION, TAKEN, ADMITTED = KEYS = tuple(
    f"{{stock}}:{name}" for name in ("verified", "free", "version", "taken", "admitted")
)
_QUIET_SECONDS = 2.0
_quiet_until = 0.0


class Verdict(IntEnum):
    """What the gate says about an order."""

    ADMITTED = 1
    REFUSED = 0
    """By PostgreSQL's last word there is too little of something."""
    UNKNOWN = -1
    """The gate cannot tell; PostgreSQL decides."""
    NONSENSE = -2
    """A quantity is below 1, absurdly high, or no whole number."""


# KEYS as above in every script. Whether this is the server on which the mirror was made:
_IS_VERIFIED = """
local function is_verified()
    local run_id = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
    return redis.call('GET', KEYS[1]) == run_id
end
"""
# ARGV: orders as [[order, [[bin, units], ...]], ...], the most units of a line, the time. Returns a verdict for each.
_ADMIT = (
    _IS_VERIFIED
    + """
local orders, most, now = cjson.decode(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local verified, verdicts, free, taken, change = is_verified(), {}, {}, {}, {}
local function look(bin)
    if free[bin] == nil then
        free[bin] = tonumber(redis.call('HGET', KEYS[2], bin) or '') or false
        taken[bin] = tonumber(redis.call('HGET', KEYS[4], bin) or '0')
    end
    return free[bin]
end
local function verdict(lines)
    for _, line in ipairs(lines) do
        local units = line[2]
        if type(units) ~= 'number' or units < 1 or units > most or units % 1 ~= 0 then return -2 end
    end
    if not verified then return -1 end
    local found = 1
    for _, line in ipairs(lines) do
        local bin, units = line[1], line[2]
        if not look(bin) then
            found = -1
        elseif free[bin] < units then
            return 0
        elseif free[bin] - taken[bin] < units then
            found = -1
        end
    end
    return found
end
for number, order in ipairs(orders) do
    local id, lines = order[1], order[2]
    local found = verdict(lines)
    if found ~= -2 and verified and redis.call('HEXISTS', KEYS[5], id) == 1 then
        found = 1
    elseif found == 1 then
        for _, line in ipairs(lines) do
            taken[line[1]] = taken[line[1]] + line[2]
            change[line[1]] = true
        end
        redis.call('HSET', KEYS[5], id, now .. ' ' .. cjson.encode(lines))
    end
    verdicts[number] = found
end
for bin in pairs(change) do redis.call('HSET', KEYS[4], bin, taken[bin]) end
return verdicts
"""
)
# ARGV: orders as [order, ...], counts as [[bin, free, version], ...].
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
# ARGV: bins. Returns free minus taken for each, or false where that is unknown.
_LOOK = (
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
# Says that the mirror was made on this server.
_VERIFY = "redis.call('SET', KEYS[1], string.match(redis.call('INFO', 'server'), 'run_id:(%x+)'))"
_IS_IT = _IS_VERIFIED + "return is_verified() and 1 or 0"


def admit(orders: Sequence[Wanted]) -> list[Verdict]:
    """Ask the gate about a batch, first come first served, in one round trip; safe to repeat.

    Without Redis every answer is UNKNOWN.
    """
    if not orders:
        return []
    batch = [(str(order_id), list(units.items())) for order_id, units in orders]
    answers = _ask(lambda: _run(_ADMIT, _json(batch), UNITS_MAX, f"{time.time():.3f}"))
    return [Verdict.UNKNOWN] * len(orders) if answers is None else [Verdict(answer) for answer in answers]


def settle(*, orders: Iterable[UUID | str] = (), counts: Sequence[Count] = ()) -> None:
    """These orders are written down (or given up), and these are PostgreSQL's counts; call it after the commit."""
    ids = [str(order_id) for order_id in orders]
    _ask(lambda: _run(_SETTLE, _json(ids), _json(counts)), else_forget=[name for name, _, _ in counts])


def read_counters(bins: Sequence[str]) -> dict[str, int]:
    """Units that can be ordered right now, by bin; a bin that the gate cannot vouch for is absent."""
    if not bins:
        return {}
    found = _ask(lambda: _run(_LOOK, *bins)) or []
    return {name: max(0, int(free)) for name, free in zip(bins, found, strict=False) if free is not None}


class InFlight(msgspec.Struct, frozen=True):
    """What the gate has of one bin."""

    free: int
    version: int
    """Of PostgreSQL's count that this is."""
    taken: int
    """Units of orders that are admitted and not written down yet."""


def inspect(bins: Sequence[str]) -> dict[str, InFlight]:
    """What the gate has of these bins, in one round trip; one that it cannot vouch for is absent."""

    def ask() -> Any:
        pipeline = get_redis_connection("stock").pipeline()
        pipeline.eval(_IS_IT, len(KEYS), *KEYS)
        for key in (FREE, VERSION, TAKEN):
            pipeline.hmget(key, bins)
        return pipeline.execute()

    answer = _ask(ask) if bins else None
    if answer is None or not answer[0]:
        return {}
    return {
        name: InFlight(free=int(free), version=int(version), taken=int(taken or 0))
        for name, free, version, taken in zip(bins, *answer[1:], strict=True)
        if free is not None and version is not None
    }


class CounterMirror(msgspec.Struct, frozen=True):
    """Everything that the gate has, read at one moment."""

    verified: bool
    free: dict[str, int]
    version: dict[str, int]
    taken: dict[str, int]
    admitted: dict[UUID, float]
    """When each order was admitted that is not settled yet, in seconds since 1970."""
    promised: dict[str, int]
    """The units of those orders by bin; `taken` says the same unless something is wrong."""


def read() -> CounterMirror:
    """All of the gate.

    Raises:
        redis.RedisError, OSError: Redis cannot be reached.
    """
    client = get_redis_connection("stock")
    pipeline = client.pipeline()
    pipeline.eval(_IS_IT, len(KEYS), *KEYS)
    for key in (FREE, VERSION, TAKEN, ADMITTED):
        pipeline.hgetall(key)
    verified, free, version, taken, admitted = pipeline.execute()
    promised: Counter[str] = Counter()
    moments: dict[UUID, float] = {}
    for order_id, value in admitted.items():
        at, _, lines = value.partition(b" ")
        moments[UUID(order_id.decode())] = float(at)
        promised.update(dict(msgspec.json.decode(lines, type=list[tuple[str, int]])))
    return CounterMirror(
        verified=bool(verified),
        free=_numbers(free),
        version=_numbers(version),
        taken=_numbers(taken),
        admitted=moments,
        promised=dict(promised),
    )


def forget() -> None:
    """Empty the gate: everything is unknown, and PostgreSQL decides, until `rebuild`.

    Raises:
        redis.RedisError, OSError: Redis cannot be reached.
    """
    get_redis_connection("stock").delete(*KEYS)


def rebuild(read_counts: Callable[[], Sequence[Count]]) -> None:
    """Make the mirror anew; call it from one process at a time.

    The counts are read after the old mirror is gone: whatever is told meanwhile is younger than they are, and stays.

    Raises:
        redis.RedisError, OSError: Redis cannot be reached.
    """
    forget()
    counts = read_counts()
    for start in range(0, len(counts), 1000):
        _run(_SETTLE, "[]", _json(counts[start : start + 1000]))
    _run(_VERIFY)


def _ask(call: Callable[[], T], *, else_forget: Sequence[str] = ()) -> T | None:
    """Ask Redis, or None: while it is away nobody waits for it again and again.

    `else_forget` are bins whose count is better unknown than wrong; deleting works in a full Redis too.
    """
    global _quiet_until
    if time.monotonic() < _quiet_until:
        return None
    try:
        try:
            return call()
        except redis.ResponseError as error:
            if "OOM" not in str(error):
                raise
            log.warning("the gate is full; PostgreSQL decides alone: %s", error)
            if else_forget:
                get_redis_connection("stock").hdel(FREE, *else_forget)
    except (redis.RedisError, OSError) as error:
        _quiet_until = time.monotonic() + _QUIET_SECONDS
        log.warning("the gate is away; PostgreSQL decides alone: %s", error)
    return None


def _run(script: str, *arguments: object) -> Any:
    client = get_redis_connection("stock")
    # Goes by the script's hash, and sends the text once to a server that does not have it.
    return client.register_script(script)(keys=KEYS, args=arguments)


def _json(value: object) -> bytes:
    return msgspec.json.encode(value)


def _numbers(table: Mapping[bytes, bytes]) -> dict[str, int]:
    return {key.decode(): int(value) for key, value in table.items()}
