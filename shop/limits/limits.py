"""How often a visitor may do what costs the shop, or tries to break in: all limits, each with its reason.

# Note [Limits]
Each limit lets so many through at once and then one after each interval (the generic cell rate algorithm). One script
in Redis checks all limits of a request, and counts it only where none refuses. Who is refused gets a 429, the time to
wait, and words. No limit counts by something that a stranger can name: wrong passwords are counted for a user name
*and* a network together, so that nobody can lock out somebody else. The one exception is `ADDRESS_MAILS`, which says
why. A network is an IPv4 address or a /64 of IPv6.

Behind one address there may be a whole company, and in a flash sale all of it at once. So what counts by network lets
through what hundreds of people do in a minute, and the narrow limits count by account or session.
"""

import logging
import math
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import Any

import redis
from django.conf import settings
from django.http import HttpRequest
from django_redis import get_redis_connection

from kafka_bridge.telemetry import metrics
from shop.limits import visitors
from shop.site.pseudonyms import pseudonym

REFUSALS = metrics.counter("limit_refusals", "Requests that a limit refused (429)", ["limit"], by="web")
log = logging.getLogger(__name__)


class WithoutRedis(StrEnum):
    """What a limit does while Redis cannot be asked."""

    OPEN = "lets through"
    CLOSED = "refuses"


@dataclass(frozen=True, kw_only=True)
class Limit:
    """So many at once, then one each interval."""

    name: str
    by: str
    """What is counted by, for people."""
    burst: int
    each_seconds: float
    sentence: str
    """What the visitor is told, before the time to wait."""
    without_redis: WithoutRedis
    why: str
    """Why so many, by that, and open or closed."""
    counts_load_tests: bool = True
    """Whether it counts requests from `settings.LOAD_TEST_NETWORKS` too."""

    @property
    def rate(self) -> str:
        """The rate in words."""
        if self.each_seconds < 1:
            return f"{self.burst} at once, then {1 / self.each_seconds:g} a second"
        return f"{self.burst} at once, then one each {self.each_seconds:g} s"


SIGN_IN_NAME = Limit(
    name="sign-in-name",
    by="user name and network",
    burst=5,
    each_seconds=180,
    sentence="There were too many wrong passwords for this user name.",
    without_redis=WithoutRedis.OPEN,
    why="Five slips are human; 20 guesses an hour find no password that passed the checks at sign-up. By the pair, so "
    "that a stranger elsewhere cannot lock the owner out. Open: staff must get in while Redis is away.",
)
SIGN_IN_NETWORK = Limit(
    name="sign-in-network",
    by="network",
    burst=60,
    each_seconds=10,
    sentence="There were too many wrong passwords from your network.",
    without_redis=WithoutRedis.OPEN,
    why="Stops one address from trying a common password on every account. Only wrong passwords count, so a company "
    "that signs in together is not stopped. Open: as above.",
)
SIGN_UP = Limit(
    name="sign-up",
    by="network",
    burst=10,
    each_seconds=120,
    sentence="Many accounts were made from your network.",
    without_redis=WithoutRedis.CLOSED,
    why="Accounts are made once, and a machine that makes hundreds wants to get around a limit per customer or to find "
    "out which names exist. Closed: ordering works without an account.",
)
ACCOUNT_MAILS = Limit(
    name="account-mails",
    by="network",
    burst=10,
    each_seconds=60,
    sentence="Many mails were asked for from your network.",
    without_redis=WithoutRedis.CLOSED,
    why="A new password, or the link to an order, is asked for once. A machine that asks for hundreds fills strangers' "
    "mailboxes, or tries references of orders. Closed: links in mails that were sent go on working.",
)
ADDRESS_MAILS = Limit(
    name="address-mails",
    by="mail address",
    burst=4,
    each_seconds=900,
    sentence="This address has got many mails.",
    without_redis=WithoutRedis.OPEN,
    why="From many networks one mailbox could be filled all the same. Nobody is told and nobody is locked out: what is "
    "left out is one more mail like those that have just come, and their links hold. Open: the limit by network is "
    "closed.",
)
ACCOUNT_DATA = Limit(
    name="account-data",
    by="account",
    burst=5,
    each_seconds=300,
    sentence="You have just downloaded your data several times.",
    without_redis=WithoutRedis.OPEN,
    why="To gather all that there is about a person reads many tables. Open: everybody has a right to it.",
)
ORDERS_VISITOR = Limit(
    name="orders-visitor",
    by="account, or session of a guest",
    burst=12,
    each_seconds=10,
    sentence="You have placed many orders in a short time.",
    without_redis=WithoutRedis.OPEN,
    why="No person fills in a checkout more often. Open: stock and money are decided elsewhere, and a sale must go on.",
)
ORDERS_NETWORK = Limit(
    name="orders-network",
    by="network",
    burst=600,
    each_seconds=0.05,
    sentence="Many orders were placed from your network.",
    without_redis=WithoutRedis.OPEN,
    why="A company of hundreds behind one address can order in the same moment when a sale starts. More is a program: "
    "it may not take the shop's whole rate. Open: as above.",
    counts_load_tests=False,
)
SEARCH = Limit(
    name="search",
    by="network",
    burst=300,
    each_seconds=0.1,
    sentence="There were many searches from your network.",
    without_redis=WithoutRedis.OPEN,
    why="A search is the most expensive page there is without an account. Open: a slow page is better than none.",
)
WITHDRAWAL = Limit(
    name="withdrawal",
    by="network",
    burst=20,
    each_seconds=30,
    sentence="Many orders were looked up from your network.",
    without_redis=WithoutRedis.OPEN,
    why="A buyer mistypes a reference a few times; who tries thousands guesses. A reference has more possibilities "
    "than can be tried, so it is open: the right to withdraw does not wait for Redis.",
)
WAITLIST = Limit(
    name="waitlist",
    by="network",
    burst=10,
    each_seconds=120,
    sentence="Many mails about books were asked for from your network.",
    without_redis=WithoutRedis.CLOSED,
    why="Each sends a mail to an address that somebody typed. A reader waits for a few books; more is somebody who "
    "fills other people's mailboxes. Closed: it can wait.",
)
COUPONS = Limit(
    name="coupons",
    by="network",
    burst=20,
    each_seconds=30,
    sentence="Too many coupons that there are not were tried from your network.",
    without_redis=WithoutRedis.OPEN,
    why="Nobody mistypes a code so often; who does is guessing, and gets two tries a minute. Codes that there are "
    "do not count. Open: an order with a good coupon must not fail because Redis is away.",
)
WAITING_PLACES = Limit(
    name="waiting-places",
    by="network",
    burst=300,
    each_seconds=1,
    sentence="Many places in the waiting room were taken from your network.",
    without_redis=WithoutRedis.OPEN,
    why="Hundreds of a company or a school may wait together. A machine that throws its cookies away and asks for "
    "thousands would wait thousands of times. Only new places count, so reloading costs nothing. Open: without Redis "
    "there are no new places anyway.",
    counts_load_tests=False,
)
LIMITS = (
    SIGN_IN_NAME,
    SIGN_IN_NETWORK,
    SIGN_UP,
    ACCOUNT_MAILS,
    ADDRESS_MAILS,
    ACCOUNT_DATA,
    ORDERS_VISITOR,
    ORDERS_NETWORK,
    SEARCH,
    WITHDRAWAL,
    WAITLIST,
    COUPONS,
    WAITING_PLACES,
)


class Refused(Exception):
    """A limit is reached. Nothing was done; try again after `retry_after_seconds`."""

    def __init__(self, limit: Limit, retry_after_seconds: int) -> None:
        REFUSALS.labels(limit.name).inc()
        super().__init__(f"{limit.sentence} Please try again in {_duration(retry_after_seconds)}.")
        self.limit = limit
        self.retry_after_seconds = retry_after_seconds


# KEYS: a key for each limit, and the day's count of refusals. ARGV: for each limit microseconds between two, and
# microseconds that may be used ahead; then the names. Returns the number of the limit that refuses longest (0: none)
# and for how many microseconds.
_TAKE = """
local clock = redis.call('TIME')
local now, limits = clock[1] * 1000000 + clock[2], #KEYS - 1
local next_at, refuses, longest = {}, 0, 0
for number = 1, limits do
    local each, ahead = tonumber(ARGV[2 * number - 1]), tonumber(ARGV[2 * number])
    local due = math.max(tonumber(redis.call('GET', KEYS[number]) or '0'), now)
    if due - ahead - now > longest then refuses, longest = number, due - ahead - now end
    next_at[number] = due + each
end
if refuses > 0 then
    redis.call('HINCRBY', KEYS[limits + 1], ARGV[2 * limits + refuses], 1)
    redis.call('EXPIRE', KEYS[limits + 1], 691200)
    return {refuses, string.format('%.0f', longest)}
end
for number = 1, limits do
    local lasts = math.ceil((next_at[number] - now) / 1000) + 1
    redis.call('SET', KEYS[number], string.format('%.0f', next_at[number]), 'PX', lasts)
end
return {0, '0'}
"""
# KEYS: a key for each limit. ARGV: microseconds between two, for each.
_GIVE_BACK = """
for number, key in ipairs(KEYS) do
    local due = redis.call('GET', key)
    if due then redis.call('SET', key, string.format('%.0f', due - ARGV[number]), 'KEEPTTL') end
end
"""
Count = tuple[Limit, str]
"""A limit, and whom it counts: what must not be readable in Redis is hashed in the key."""
_BACKOFF_SECONDS = 2.0
_backoff_until = 0.0


def take(request: HttpRequest, *counts: Count) -> None:
    """Count this request for these limits.

    Raises:
        Refused: one of them is reached; then it is counted for none.
    """
    global _backoff_until
    counted = [(limit, _key(limit, whom)) for limit, whom in counts if _applies(limit, request)]
    if not counted:
        return
    answer = None
    if time.monotonic() >= _backoff_until:
        try:
            answer = _take(counted)
        except (redis.RedisError, OSError) as error:
            _backoff_until = time.monotonic() + _BACKOFF_SECONDS
            log.warning("limits cannot be counted, Redis is unavailable: %s", type(error).__name__)
    if answer is None:
        for limit, _ in counted:
            if limit.without_redis is WithoutRedis.CLOSED:
                raise Refused(limit, 60)
        return
    number, microseconds = int(answer[0]), int(answer[1])
    if number:
        limit = counted[number - 1][0]
        log.warning("limit %s reached from %s", limit.name, visitors.network_of(request))
        raise Refused(limit, math.ceil(microseconds / 1_000_000))


def give_back(*counts: Count) -> None:
    """Take back what `take` counted: it was no attempt of the kind that is limited."""
    if time.monotonic() < _backoff_until:
        return
    try:
        keys = [_key(limit, whom) for limit, whom in counts]
        each = [_microseconds(limit) for limit, _ in counts]
        get_redis_connection("default").register_script(_GIVE_BACK)(keys=keys, args=each)
    except (redis.RedisError, OSError) as error:
        log.warning("limits cannot be counted, Redis is unavailable: %s", type(error).__name__)


def refusals(*, days: int = 7) -> dict[str, int]:
    """How many requests each limit refused, today and on the days before, all together.

    Raises:
        redis.RedisError, OSError: Redis cannot be reached.
    """
    today = datetime.now(UTC).date()
    pipeline = get_redis_connection("default").pipeline()
    for back in range(days):
        pipeline.hgetall(_refusals_key(today - timedelta(days=back)))
    found = dict.fromkeys((limit.name for limit in LIMITS), 0)
    for day in pipeline.execute():
        for name, number in day.items():
            found[name.decode()] = found.get(name.decode(), 0) + int(number)
    return found


def _applies(limit: Limit, request: HttpRequest) -> bool:
    return limit.counts_load_tests or not visitors.is_in(visitors.network_of(request), settings.LOAD_TEST_NETWORKS)


def _take(counted: list[tuple[Limit, str]]) -> Any:
    keys = [*(key for _, key in counted), _refusals_key(datetime.now(UTC).date())]
    rates = [
        number for limit, _ in counted for number in (_microseconds(limit), _microseconds(limit) * (limit.burst - 1))
    ]
    names = [limit.name for limit, _ in counted]
    return get_redis_connection("default").register_script(_TAKE)(keys=keys, args=[*rates, *names])


def _microseconds(limit: Limit) -> int:
    return round(limit.each_seconds * 1_000_000)


def _key(limit: Limit, whom: str) -> str:
    return f"{{limits}}:{limit.name}:{pseudonym('shop.site.limits', whom)}"


@cache
def _refusals_key(day: date) -> str:
    return f"{{limits}}:refused:{day.isoformat()}"


def _duration(seconds: int) -> str:
    if seconds < 100:
        return "1 second" if seconds == 1 else f"{seconds} seconds"
    return f"{math.ceil(seconds / 60)} minutes"
