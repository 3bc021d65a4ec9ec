"""The drills: which outage each causes, and what must hold."""

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
"""Shows what is going on, and waits so many seconds."""


class BadPlan(ValueError):
    """The drill cannot be run with these options; the message says what to change."""


@dataclass(frozen=True, kw_only=True)
class DrilledShop:
    """The shop of a drill, and the parts whose outage can be caused. Call all of it from one thread."""

    shop: Shop
    postgres: Postgres
    kafka: ApacheKafka


@dataclass(frozen=True, kw_only=True)
class Drill:
    """One kind of outage."""

    name: str
    takes_away: str
    must_hold: str
    act: Callable[[DrilledShop, Wait, float], None]
    """Causes the outage for so many seconds; it is over when this returns or raises."""
    brokers: int = 1
    kills_roles: frozenset[str] = frozenset()
    orders_meanwhile: bool = True
    """Whether every order must be accepted at the first try; else it may get a 503 during the outage."""


@dataclass(frozen=True, kw_only=True)
class DrillPlan:
    """The options of a drill."""

    drill: Drill
    seconds: float = 600.0
    """How long the outage lasts."""
    rate: float = 5.0
    """New buyers a second."""
    seed: int = 1

    def check(self) -> None:
        """Refuse impossible values.

        Raises:
            BadPlan: see its message.
        """
        for option, value, most in (("--seconds", self.seconds, SECONDS_MAX), ("--rate", self.rate, RATE_MAX)):
            if not 0 < value <= most:
                raise BadPlan(f"{option} takes a number above 0, {most:,} at most, not {value:g}.")


def find(name: str) -> Drill:
    """The drill with this name.

    Raises:
        BadPlan: there is none.
    """
    for drill in DRILLS:
        if drill.name == name:
            return drill
    raise BadPlan(f"There is no drill {name!r}; there are: {', '.join(drill.name for drill in DRILLS)}.")


def _postgres_outage(drilled: DrilledShop, wait: Wait, seconds: float) -> None:
    with _ending_with(drilled.postgres.start):
        drilled.postgres.kill()
        wait("PostgreSQL is down", seconds)


def _redis_outage(drilled: DrilledShop, wait: Wait, seconds: float) -> None:
    with _ending_with(drilled.shop.redis.start):
        drilled.shop.redis.kill()
        wait("Redis is down", seconds)


def _kafka_outage(drilled: DrilledShop, wait: Wait, seconds: float) -> None:
    with _ending_with(drilled.kafka.start):
        drilled.kafka.kill()
        wait("Kafka is down", seconds)


def _gateway_outage(drilled: DrilledShop, wait: Wait, seconds: float) -> None:
    with _ending_with(lambda: drilled.shop.start(GATEWAY)):
        drilled.shop.kill(GATEWAY)
        wait("the gateway is down", seconds)


def _broker_kills(drilled: DrilledShop, wait: Wait, seconds: float) -> None:
    """Half of the time one broker after the other is down, the other half two at once."""
    share = seconds / 2 / len(drilled.kafka.brokers)
    with _ending_with(drilled.kafka.start):
        for broker in drilled.kafka.brokers:
            drilled.kafka.kill(broker)
            wait(f"broker {broker} is down", share)
            drilled.kafka.start(broker)
        two = list(drilled.kafka.brokers)[:2]
        drilled.kafka.kill(*two)
        wait(f"brokers {two[0]} and {two[1]} are down", seconds / 2)


def _leader_kills(drilled: DrilledShop, wait: Wait, seconds: float) -> None:
    """Kill the leader of one partition of the orders' topic after the other; each comes back half a turn later."""
    turn = min(LEADER_KILLED_EVERY_SECONDS, seconds / 2)
    partitions = cycle(range(3))
    with _ending_with(drilled.kafka.start):
        for number in range(1, int(seconds / turn) + 1):
            leader = _leader(drilled, next(partitions))
            drilled.kafka.kill(leader)
            wait(f"leader {leader} was killed (kill {number})", turn / 2)
            drilled.kafka.start(leader)
            wait(f"broker {leader} is back", turn / 2)


def _leader(drilled: DrilledShop, partition: int) -> int:
    """The broker that leads a partition of the orders' topic; any broker while there is no leader."""
    topic = drilled.shop.environment["KAFKA_TOPIC_PREFIX"] + _ORDERS
    client = AdminClient({"bootstrap.servers": drilled.kafka.bootstrap_servers, "log_level": 0})
    try:
        leader = client.list_topics(topic, timeout=10).topics[topic].partitions[partition].leader
    except (KafkaException, KeyError):
        leader = -1
    return leader if leader in drilled.kafka.brokers else next(iter(drilled.kafka.brokers))


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
        must_hold=f"{_ALL_ACCEPTED}, and completes during the outage",
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
        must_hold=f"{_ALL_ACCEPTED}; with one broker down orders continue, with two they wait",
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
"""In all of them every order must complete in the end, once and in order, and nothing must be left for a person."""
