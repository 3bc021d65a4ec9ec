"""Who waits, is admitted and buys: in Redis, changed by scripts alone, each of which is one atomic step.

# Note [What a waiting room has in Redis]
Each place is in one of four: `waiting` (sorted by its number), `admitted` (sorted by until when), `undecided` (it has
clicked; PostgreSQL does not say yet whether its order has a copy), `ended` (with the reason). `numbers` has what a
place's token says, `owners` and `whose` tie accounts and sessions to places, `meta` is about all of them. Nothing here
decides stock: all of it may be lost, and is put together again from the tokens that buyers hold.

While copies are counted, orders are under way. So a turn reads which orders are undecided *before* it reads
PostgreSQL's free copies, and the script subtracts whoever is undecided *now*: an order is counted twice for a moment,
never not at all. A turn that was overtaken by another one changes nothing (`turn`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import msgspec
from django_redis import get_redis_connection

from shop.waiting_room import draw
from shop.waiting_room.rooms import Room

_NAMES = ("meta", "waiting", "admitted", "undecided", "ended", "numbers", "owners", "whose")
MEND_SECONDS = 10
"""After Redis has lost the queue, nobody is admitted for so long: all come back first."""
_KEPT_SECONDS = 2 * 24 * 3600
_ADMITTED_AT_ONCE = 2000

# ARGV of every script: a new epoch, whether places were given before, start and end of the sale and the time for which
# nobody is admitted after a loss (milliseconds), when the keys go (seconds).
_COMMON = """
local META, WAITING, ADMITTED, UNDECIDED, ENDED, NUMBERS, OWNERS, WHOSE = unpack(KEYS)
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local opens, ends = tonumber(ARGV[3]), tonumber(ARGV[4])
if redis.call('EXISTS', META) == 0 then
    redis.call('HSET', META, 'epoch', ARGV[1], 'turn', 0)
    if ARGV[2] == '1' then redis.call('HSET', META, 'mended', now + ARGV[5]) end
end
-- Until then they have no expiry: a Redis that is full would evict some of them.
local function keep()
    if now < ends then return end
    for _, key in ipairs(KEYS) do redis.call('EXPIREAT', key, ARGV[6]) end
end
local function is_over() return redis.call('HEXISTS', META, 'over') == 1 end
local function state_of(place)
    local till = redis.call('ZSCORE', ADMITTED, place)
    if till then return 'admitted', till end
    if redis.call('HEXISTS', UNDECIDED, place) == 1 then return 'buying', '' end
    local why = redis.call('HGET', ENDED, place)
    if why then return why, '' end
    local rank = redis.call('ZRANK', WAITING, place)
    if rank then return 'waiting', tostring(rank) end
    return '', ''
end
"""
# ARGV, more: the owner ("" for none, accounts begin with "a:"), whether a place is given to who has none, its id and
# its number in the draw; the place that was shown ("" for none), its number, its sequence number, until when it was
# admitted, and the number from which those count that come after the start. Returns place, sequence number, state,
# detail, and what the queue says.
_TAKE = (
    _COMMON
    + """
local owner, gives, fresh, drawn = ARGV[7], ARGV[8] == '1', ARGV[9], ARGV[10]
local shown, shown_number, shown_count, shown_until, base = ARGV[11], ARGV[12], ARGV[13], tonumber(ARGV[14]), ARGV[15]
local function restore()
    redis.call('HSET', NUMBERS, shown, shown_count)
    if shown_count ~= '0' and tonumber(shown_count) > tonumber(redis.call('HGET', META, 'last') or '0') then
        redis.call('HSET', META, 'last', shown_count)
    end
    redis.call('HINCRBY', META, 'restored', 1)
    if shown_until > now then
        redis.call('ZADD', ADMITTED, shown_until, shown)
    elseif shown_until > 0 then
        redis.call('HSET', ENDED, shown, 'passed')
    else
        redis.call('ZADD', WAITING, shown_number, shown)
    end
end
local function is_account(whom) return whom and string.sub(whom, 1, 2) == 'a:' end
local function bind(place)
    if owner == '' then return end
    redis.call('HSET', OWNERS, owner, place)
    if is_account(owner) or not is_account(redis.call('HGET', WHOSE, place)) then
        redis.call('HSET', WHOSE, place, owner)
    end
end
local function is_usable(place)
    local state = state_of(place)
    return state ~= '' and state ~= 'passed' and state ~= 'failed'
end
local place = ''
if shown ~= '' then
    if state_of(shown) == '' then restore() end
    local other = redis.call('HGET', WHOSE, shown)
    if is_account(owner) and is_account(other) and other ~= owner then shown = '' end
end
local own = owner ~= '' and redis.call('HGET', OWNERS, owner) or ''
if own ~= '' and state_of(own) ~= '' and (is_usable(own) or not gives) then
    place = own
elseif shown ~= '' and (is_usable(shown) or not gives) then
    place = shown
    bind(place)
elseif gives and not is_over() and now < ends then
    place = fresh
    if now < opens then
        redis.call('HSET', NUMBERS, place, 0)
        redis.call('ZADD', WAITING, drawn, place)
    else
        local count = redis.call('HINCRBY', META, 'last', 1)
        redis.call('HSET', NUMBERS, place, count)
        redis.call('ZADD', WAITING, base + count, place)
    end
    bind(place)
end
keep()
local state, detail = '', ''
if place ~= '' then state, detail = state_of(place) end
local known = redis.call('HMGET', META, 'served', 'restored', 'epoch')
return {place, redis.call('HGET', NUMBERS, place) or '0', state, detail, known[1] or '0', known[2] or '0', known[3]}
"""
)
# ARGV, more: the turn on which it is based, what was decided as [[place, key, outcome], ...], units free, held and
# sold, how long an admission lasts (ms), whether it is paused, whether it is automatic, how many are admitted at once.
_TURN = (
    _COMMON
    + """
if redis.call('HGET', META, 'turn') ~= ARGV[7] then return 0 end
local free, held, sold, lasts = tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11]), tonumber(ARGV[12])
redis.call('HINCRBY', META, 'turn', 1)
for _, decided in ipairs(cjson.decode(ARGV[8])) do
    local place, key, outcome = decided[1], decided[2], decided[3]
    local value = redis.call('HGET', UNDECIDED, place)
    if value and string.sub(value, 1, #key) == key then
        redis.call('HDEL', UNDECIDED, place)
        if outcome == 'back' then
            redis.call('ZADD', ADMITTED, now + lasts, place)
        else
            redis.call('HSET', ENDED, place, outcome)
            redis.call('HINCRBY', META, outcome, 1)
        end
    end
end
for _, place in ipairs(redis.call('ZRANGEBYSCORE', ADMITTED, '-inf', now, 'LIMIT', 0, ARGV[15])) do
    redis.call('ZREM', ADMITTED, place)
    redis.call('HSET', ENDED, place, 'passed')
    redis.call('HINCRBY', META, 'passed', 1)
end
local waiting, inside = redis.call('ZCARD', WAITING), redis.call('ZCARD', ADMITTED)
local buying = redis.call('HLEN', UNDECIDED)
local is_open = now >= opens and now < ends and not is_over()
if is_open and ARGV[14] == '1' and redis.call('HEXISTS', META, 'active') == 0 and waiting > free then
    redis.call('HSET', META, 'active', now)
end
local is_active = ARGV[14] == '0' or redis.call('HEXISTS', META, 'active') == 1
if is_open and free + held <= 0 and buying == 0 then
    redis.call('HSET', META, 'over', now, 'told', waiting + inside)
elseif is_open and is_active and ARGV[13] == '0' and now >= tonumber(redis.call('HGET', META, 'mended') or '0') then
    local chances = math.min(free - inside - buying, waiting, tonumber(ARGV[15]))
    if chances > 0 then
        local next = redis.call('ZRANGE', WAITING, 0, chances - 1, 'WITHSCORES')
        for index = 1, #next, 2 do
            redis.call('ZADD', ADMITTED, now + lasts, next[index])
            redis.call('ZREM', WAITING, next[index])
        end
        redis.call('HSET', META, 'served_to', next[#next])
        local served = redis.call('HINCRBY', META, 'served', chances)
        redis.call('HSET', META, 'served_at', now)
        -- Those who came first came all at once; what follows says how fast it goes.
        if redis.call('HEXISTS', META, 'since') == 0 then redis.call('HSET', META, 'since', now, 'before', served) end
    end
    local since = tonumber(redis.call('HGET', META, 'since') or now)
    if now - since >= 60000 then
        local served = tonumber(redis.call('HGET', META, 'served'))
        local gone = served - tonumber(redis.call('HGET', META, 'before'))
        redis.call('HSET', META, 'rate', tostring(gone * 60000 / (now - since)), 'since', now, 'before', served)
    end
end
redis.call('HSET', META, 'free', free, 'held', held, 'sold', sold, 'at', now)
keep()
return 1
"""
)
# ARGV, more: the place and the key of its order. Returns what stands in the way; "" for nothing.
_ENTER = (
    _COMMON
    + """
local place, key = ARGV[7], ARGV[8]
local till = redis.call('ZSCORE', ADMITTED, place)
if till then
    if tonumber(till) <= now then return 'passed' end
    redis.call('ZREM', ADMITTED, place)
    redis.call('HSET', UNDECIDED, place, key .. ' ' .. now .. ' ' .. till)
    keep()
    return ''
end
local value = redis.call('HGET', UNDECIDED, place)
if value and string.sub(value, 1, #key) == key then return '' end
local state = state_of(place)
return state == '' and 'unknown' or state
"""
)
# The same. It was admitted until then, and is again.
_LEAVE = (
    _COMMON
    + """
local value = redis.call('HGET', UNDECIDED, ARGV[7])
if value and string.sub(value, 1, #ARGV[8]) == ARGV[8] then
    redis.call('HDEL', UNDECIDED, ARGV[7])
    redis.call('ZADD', ADMITTED, string.match(value, '([0-9]+)$'), ARGV[7])
end
"""
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """A place as Redis has it, and how far the queue has come at that moment."""

    place: str
    """Empty: there is none."""
    number: int
    state: str
    """waiting, admitted, buying, bought, failed (its order got no copy) or passed (it did not order in time)."""
    ahead: int
    """How many are before it, while it waits."""
    until_ms: int
    served: int
    restored: int
    epoch: str


def take(room: Room, *, owner: str, gives: bool, fresh: str, shown: tuple[str, int, int] | None, epoch: str) -> Held:
    """The place of this owner, or of the token that was shown (place, sequence number, until when in ms).

    A place that Redis does not know is put where it was; who has none is given one, if `gives`.

    Raises:
        redis.RedisError, OSError: Redis cannot be reached.
    """
    place, count, until_ms = shown or ("", 0, 0)
    number = draw.SERVED_AFTER_DRAWN + count if count else (draw.number(room.seed, place) if place else 0)
    answer = _run(
        _TAKE, room, epoch, owner, int(gives), fresh, draw.number(room.seed, fresh), place, number, count, until_ms,
        draw.SERVED_AFTER_DRAWN,
    )  # fmt: skip
    found, sequence, state, detail, served, restored, epoch = (part.decode() for part in answer)
    return Held(
        place=found,
        number=int(sequence),
        state=state,
        ahead=int(detail) if state == "waiting" else 0,
        until_ms=int(float(detail)) if state == "admitted" else 0,
        served=int(served),
        restored=int(restored),
        epoch=epoch,
    )


def turn(
    room: Room, *, based_on: str, decided: Sequence[tuple[str, str, str]], units: tuple[int, int, int], epoch: str
) -> bool:
    """Let in whom the free copies reach, and end what has ended; false where another turn came first.

    `decided` are place, key and outcome (bought, failed, back); `units` are free, held and sold.

    Raises:
        redis.RedisError, OSError: Redis cannot be reached.
    """
    decided_json = msgspec.json.encode(decided) if decided else b"[]"
    lasts, is_auto = room.pass_seconds * 1000, room.mode == "auto"
    more = (based_on, decided_json, *units, lasts, int(room.is_paused), int(is_auto), _ADMITTED_AT_ONCE)
    return bool(_run(_TURN, room, epoch, *more))


def enter(room: Room, *, place: str, key: str, epoch: str) -> str:
    """Note that the place orders with this key; what stands in the way, or "".

    Raises:
        redis.RedisError, OSError: Redis cannot be reached.
    """
    return str(_run(_ENTER, room, epoch, place, key).decode())


def leave(room: Room, *, place: str, key: str, epoch: str) -> None:
    """Take `enter` back: nothing was ordered.

    Raises:
        redis.RedisError, OSError: Redis cannot be reached.
    """
    _run(_LEAVE, room, epoch, place, key)


def read(sale_id: int) -> tuple[Mapping[str, str], Mapping[str, str], int, int]:
    """What is known of the queue, the undecided places, how many wait and how many are admitted.

    Raises:
        redis.RedisError, OSError: Redis cannot be reached.
    """
    keys = keys_of(sale_id)
    pipeline = get_redis_connection("default").pipeline(transaction=True)
    pipeline.hgetall(keys[0])
    pipeline.hgetall(keys[3])
    pipeline.zcard(keys[1])
    pipeline.zcard(keys[2])
    meta, undecided, waiting, admitted = pipeline.execute()
    return _texts(meta), _texts(undecided), int(waiting), int(admitted)


def drawn_places(sale_id: int) -> list[str]:
    """The places that were given before the start, of those that Redis knows.

    Raises:
        redis.RedisError, OSError: Redis cannot be reached.
    """
    numbers = _texts(get_redis_connection("default").hgetall(keys_of(sale_id)[5]))
    return [place for place, number in numbers.items() if number == "0"]


def is_my_turn(sale_id: int, *, milliseconds: int) -> bool:
    """Whether this process works the queue now; for so long no other one does.

    Raises:
        redis.RedisError, OSError: Redis cannot be reached.
    """
    connection = get_redis_connection("default")
    return bool(connection.set(f"{{room}}:{sale_id}:working", "1", nx=True, px=milliseconds))


@cache
def keys_of(sale_id: int) -> tuple[str, ...]:
    """The keys of a waiting room, as scripts have them; one slot of a cluster has all of them."""
    return tuple(f"{{room}}:{sale_id}:{name}" for name in _NAMES)


def _run(script: str, room: Room, epoch: str, *arguments: Any) -> Any:
    moments = (room.starts_at, room.ends_at)
    common = (
        epoch,
        int(room.has_places),
        *(int(at.timestamp() * 1000) for at in moments),
        MEND_SECONDS * 1000,
        int(room.ends_at.timestamp()) + _KEPT_SECONDS,
    )
    registered = get_redis_connection("default").register_script(script)
    return registered(keys=keys_of(room.sale_id), args=(*common, *arguments))


def _texts(table: Mapping[bytes, bytes]) -> dict[str, str]:
    return {key.decode(): value.decode() for key, value in table.items()}
