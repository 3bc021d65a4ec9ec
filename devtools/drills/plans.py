"""The drills there are: what each takes away, and what must hold."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from devtools.local.apache_kafka import ApacheKafka
from devtools.local.postgres import Postgres
from devtools.local.roles import GATEWAY
from devtools.testing.processes import Shop

SECONDS_MAX, RATE_MAX = 7200, 200
LEADER_KILLED_EVERY_SECONDS = 20.0
_ORDERS = "orders.events"
Wait = Callable[[str, float], None]
"""Says what is going on, and lets so many seconds pass."""


class BadPlan(ValueError):
    """The drill cannot be played like that; the message says what to change."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """The shop that is drilled, and what can be taken away from it. All of it is called from one thread."""

    shop: Shop
    postgres: Postgres
    kafka: ApacheKafka


@dataclass(frozen=True, kw_only=True)
class Drill:
    """One way of taking something away."""

    name: str
    takes_away: str
    must_hold: str
    act: Callable[[Place, Wait, float], None]
    """Takes it away for so many seconds; when this returns, it is back, also where it raises."""
    brokers: int = 1
    kills_roles: frozenset[str] = frozenset()
    orders_meanwhile: bool = True
    """Whether every order is accepted at the first try; else it may be refused with a 503 while PostgreSQL is away."""


@dataclass(frozen=True, kw_only=True)
class DrillPlan:
    """How a drill is to be played."""

    drill: Drill
    seconds: float = 600.0
    """For so long is it taken away."""
    rate: float = 5.0
    """Buyers who come in a second."""
    seed: int = 1

    def check(self) -> None:
        """Refuse what makes no sense.

        Raises:
            BadPlan: see its message.
        """
        for option, value, most in (("--seconds", self.seconds, SECONDS_MAX), ("--rate", self.rate, RATE_MAX)):
            if not 0 < value <= most:
                raise BadPlan(f"{option} takes a number above 0, {most:,} at most, not {value:g}.")


def find(name: str) -> Drill:
    """The drill of that name.

    Raises:
        BadPlan: there is none.
    """
    for drill in DRILLS:
        if drill.name == name:
            return drill
    raise BadPlan(f"There is no drill {name!r}; there are: {', '.join(drill.name for drill in DRILLS)}.")


def _postgres_outage(place: Place, wait: Wait, seconds: float) -> None:
    with _ending_with(place.postgres.start):
        place.postgres.kill()
        wait("PostgreSQL is away", seconds)


def _redis_outage(place: Place, wait: Wait, seconds: float) -> None:
    with _ending_with(place.shop.redis.start):
        place.shop.redis.kill()
        wait("Redis is away", seconds)


def _kafka_outage(place: Place, wait: Wait, seconds: float) -> None:
    with _ending_with(place.kafka.start):
        place.kafka.kill()
        wait("Kafka is away", seconds)


def _gateway_outage(place: Place, wait: Wait, seconds: float) -> None:
    with _ending_with(lambda: place.shop.start(GATEWAY)):
        place.shop.kill(GATEWAY)
        wait("the gateway is away", seconds)


def _broker_kills(place: Place, wait: Wait, seconds: float) -> None:
    """Half of the time one after the other is away, the other half two at once."""
    share = seconds / 2 / len(place.kafka.brokers)
    with _ending_with(place.kafka.start):
        for broker in place.kafka.brokers:
            place.kafka.kill(broker)
            wait(f"broker {broker} is away", share)
            place.kafka.start(broker)
        two = list(place.kafka.brokers)[:2]
        place.kafka.kill(*two)
        wait(f"brokers {two[0]} and {two[1]} are away", seconds / 2)


def _leader_kills(place: Place, wait: Wait, seconds: float) -> None:
    """Who leads the orders' partitions in turn, one after the other, is killed and comes back half a turn later."""
    turn = min(LEADER_KILLED_EVERY_SECONDS, seconds / 2)
    partitions = cycle(range(3))
    with _ending_with(place.kafka.start):
        for number in range(1, int(seconds / turn) + 1):
            leader = _leader(place, next(partitions))
            place.kafka.kill(leader)
            wait(f"leader {leader} was killed, the {number}. time", turn / 2)
            place.kafka.start(leader)
            wait(f"broker {leader} is back", turn / 2)


def _leader(place: Place, partition: int) -> int:
    """The broker that leads a partition of the orders' topic; any that there is, while nobody leads it."""
    topic = place.shop.environment["KAFKA_TOPIC_PREFIX"] + _ORDERS
    client = AdminClient({"bootstrap.servers": place.kafka.bootstrap_servers, "log_level": 0})
    try:
        leader = client.list_topics(topic, timeout=10).topics[topic].partitions[partition].leader
    except (KafkaException, KeyError):
        leader = -1
    return leader if leader in place.kafka.brokers else next(iter(place.kafka.brokers))


@contextmanager
def _ending_with(bring_back: Callable[[], object]) -> Iterator[None]:
    try:
        yield
    finally:
        bring_back()


_ALL_ACCEPTED = "every order is accepted"
DRILLS = (
    Drill(
        name="postgres-outage",
        takes_away="PostgreSQL, by kill -9",
        must_hold="orders are refused with a clean 503, and accepted under the same key afterwards",
        act=_postgres_outage,
        orders_meanwhile=False,
    ),
    Drill(
        name="redis-outage",
        takes_away="Redis, by kill -9; it comes back empty",
        must_hold=f"{_ALL_ACCEPTED}, and comes to its end meanwhile",
        act=_redis_outage,
    ),
    Drill(
        name="kafka-outage",
        takes_away="Kafka's only broker, by kill -9",
        must_hold=f"{_ALL_ACCEPTED}; events wait in the outbox",
        act=_kafka_outage,
    ),
    Drill(
        name="gateway-outage",
        takes_away="the sandbox gateway, by kill -9: connections are refused",
        must_hold=f"{_ALL_ACCEPTED}; charges wait",
        act=_gateway_outage,
        kills_roles=frozenset({GATEWAY}),
    ),
    Drill(
        name="broker-kills",
        takes_away="each of three brokers in turn, then two at once, by kill -9",
        must_hold=f"{_ALL_ACCEPTED}; with one broker away orders go on, with two they wait",
        act=_broker_kills,
        brokers=3,
    ),
    Drill(
        name="leader-kills",
        takes_away=f"the leader of {_ORDERS} among three brokers, every {LEADER_KILLED_EVERY_SECONDS:g} s, by kill -9",
        must_hold=f"{_ALL_ACCEPTED}; nothing acknowledged is lost",
        act=_leader_kills,
        brokers=3,
    ),
)
"""In every one of them, in the end: each order has its end, once and in order, and nothing waits for a person."""
