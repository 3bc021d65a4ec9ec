"""The drills: which outage each causes, and what must hold."""

from devtools.drills import outages, random_kills
from devtools.drills.plans import BadPlan, Drill
from devtools.local.roles import GATEWAY

_ALL_ACCEPTED = "every order is accepted"
DRILLS = (
    Drill(
        name="postgres-outage",
        takes_away="PostgreSQL, by kill -9",
        must_hold="orders are refused with a clean 503, and accepted under the same key afterwards",
        act=outages.postgres_outage,
        orders_meanwhile=False,
    ),
    Drill(
        name="redis-outage",
        takes_away="Redis, by kill -9; it comes back empty",
        must_hold=f"{_ALL_ACCEPTED}, and completes during the outage",
        act=outages.redis_outage,
    ),
    Drill(
        name="kafka-outage",
        takes_away="Kafka's only broker, by kill -9",
        must_hold=f"{_ALL_ACCEPTED}; events wait in the outbox",
        act=outages.kafka_outage,
    ),
    Drill(
        name="gateway-outage",
        takes_away="the sandbox gateway, by kill -9: connections are refused",
        must_hold=f"{_ALL_ACCEPTED}; charges wait",
        act=outages.gateway_outage,
        kills_roles=frozenset({GATEWAY}),
    ),
    Drill(
        name="broker-kills",
        takes_away="each of three brokers in turn, then two at once, by kill -9",
        must_hold=f"{_ALL_ACCEPTED}; with one broker down orders continue, with two they wait",
        act=outages.broker_kills,
        brokers=3,
    ),
    Drill(
        name="leader-kills",
        takes_away=f"the leader of {outages.ORDERS_TOPIC} among three, every {outages.TURN_SECONDS:g} s, by kill -9",
        must_hold=f"{_ALL_ACCEPTED}; nothing acknowledged is lost",
        act=outages.leader_kills,
        brokers=3,
    ),
    Drill(
        name="random-kills",
        takes_away="any process, server or role, at random, by kill -9; with --freeze, half of them by SIGSTOP",
        must_hold="orders that get no answer, or a clean 503, are accepted under the same key",
        act=random_kills.strike,
        orders_meanwhile=False,
        strikes_at_random=True,
    ),
)
"""In all of them every order must complete in the end, once and in order, and nothing must be left for a person."""


def find(name: str) -> Drill:
    """The drill with this name.

    Raises:
        BadPlan: there is none.
    """
    for drill in DRILLS:
        if drill.name == name:
            return drill
    raise BadPlan(f"There is no drill {name!r}; there are: {', '.join(drill.name for drill in DRILLS)}.")
