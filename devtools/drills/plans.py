"""What a drill is, and the options of one run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from devtools.local.kafka.apache_kafka import ApacheKafka
from devtools.local.postgres import Postgres
from devtools.testing.processes import Shop

SECONDS_MAX, RATE_MAX, ORDERS_MAX, KILLS_MAX = 7200, 200, 100_000, 10_000
AT_RANDOM = frozenset({"orders", "kills", "freeze", "brokers"})
"""The options that only drills that strike at random have."""
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
    act: Callable[[DrilledShop, Wait, "DrillPlan"], None]
    """Causes the outage; it is over when this returns or raises."""
    brokers: int = 1
    kills_roles: frozenset[str] = frozenset()
    orders_meanwhile: bool = True
    """Whether every order must be accepted at the first try; else it may get a 503 during the outage."""
    strikes_at_random: bool = False
    """Whether it may take any process, and is over after so many orders and kills, not after so many seconds."""

    def may_kill(self, role: str) -> bool:
        """Whether this role need not run all the time."""
        return self.strikes_at_random or role in self.kills_roles


@dataclass(frozen=True, kw_only=True)
class DrillPlan:
    """The options of a drill."""

    drill: Drill
    seconds: float = 600.0
    """How long the outage lasts; of no drill that strikes at random."""
    rate: float = 5.0
    """New buyers a second."""
    seed: int = 1
    orders: int = 2000
    """How many buyers come; only of a drill that strikes at random, as the rest."""
    kills: int = 200
    freeze: bool = False
    """Whether half of them are frozen for a while (SIGSTOP, SIGCONT) and not killed."""
    brokers: int = 1

    @classmethod
    def of(cls, drill: Drill, options: Mapping[str, Any]) -> "DrillPlan":
        """A plan with the options that were given.

        Raises:
            BadPlan: this drill has no such option, or the value is impossible.
        """
        plan = cls(drill=drill, **{"brokers": drill.brokers, **options})
        for name in options.keys() - plan.options:
            raise BadPlan(f"{drill.name} takes no --{name}; see `manage.py run_drill --help`.")
        plan.check()
        return plan

    @property
    def options(self) -> list[str]:
        """The options that this drill has."""
        return [*(sorted(AT_RANDOM) if self.drill.strikes_at_random else ["seconds"]), "rate", "seed"]

    @property
    def buyers(self) -> float:
        """How many come at most."""
        return self.orders if self.drill.strikes_at_random else float("inf")

    def check(self) -> None:
        """Refuse impossible values.

        Raises:
            BadPlan: see its message.
        """
        for option, value, most in (
            ("--seconds", self.seconds, SECONDS_MAX),
            ("--rate", self.rate, RATE_MAX),
            ("--orders", self.orders, ORDERS_MAX),
            ("--kills", self.kills, KILLS_MAX),
        ):
            if not 0 < value <= most:
                raise BadPlan(f"{option} takes a number above 0, {most:,} at most, not {value:g}.")
