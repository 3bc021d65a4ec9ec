"""The drill that takes any process, at any moment, again and again: what nobody thought of happens then."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from devtools.drills.plans import DrilledShop, DrillPlan, Wait

# How long a process is away, at most, in seconds. Longer than a session's timeout (10) now and then, when it is frozen:
# then others take over while it still believes that all is its own.
DOWN_SECONDS, FROZEN_SECONDS = 2.0, 14.0
_TICK_SECONDS = 0.2


@dataclass(frozen=True, kw_only=True)
class Victim:
    """One process of the shop, or a server with all of its processes."""

    name: str
    is_running: Callable[[], bool]
    kill: Callable[[], None]
    start: Callable[[], None]
    pause: Callable[[], None]
    resume: Callable[[], None]


def strike(drilled: DrilledShop, wait: Wait, plan: DrillPlan) -> None:
    """Take so many processes away while so many buyers come; all are back and ready when this returns."""
    with _all_back(drilled):
        _Strikes(list(_victims(drilled)), wait, plan).run()


def _victims(drilled: DrilledShop) -> Iterator[Victim]:
    shop, redis, postgres, kafka = drilled.shop, drilled.shop.redis, drilled.postgres, drilled.kafka
    for role in shop.roles.names:
        yield Victim(
            name=role,
            is_running=partial(shop.is_running, role),
            kill=partial(shop.kill, role),
            start=partial(shop.roles.start, role),
            pause=partial(shop.pause, role),
            resume=partial(shop.resume, role),
        )
    for name, server in (("Redis", redis), ("PostgreSQL", postgres)):
        yield Victim(
            name=name,
            is_running=server.is_running,
            kill=server.kill,
            start=server.start,
            pause=server.pause,
            resume=server.resume,
        )
    for number in kafka.brokers:
        yield Victim(
            name=f"Kafka {number}",
            is_running=partial(kafka.is_running, number),
            kill=partial(kafka.kill, number),
            start=partial(kafka.launch, number),
            pause=partial(kafka.pause, number),
            resume=partial(kafka.resume, number),
        )


class _Strikes:
    """One run. It has one thread, which also brings back what was taken away."""

    def __init__(self, victims: list[Victim], wait: Wait, plan: DrillPlan) -> None:
        self._victims, self._wait, self._plan = victims, wait, plan
        self._picker = random.Random(plan.seed)  # noqa: S311 - to be repeatable, not secret
        self._away: dict[str, tuple[float, Callable[[], None]]] = {}
        """By name: when it comes back, and how."""

    def run(self) -> None:
        """Strike at even intervals, for as long as buyers come; then bring everybody back."""
        pause = self._plan.orders / self._plan.rate / self._plan.kills
        due_at = time.monotonic()
        try:
            for number in range(1, self._plan.kills + 1):
                phase = f"{self._strike()} (strike {number} of {self._plan.kills})"
                due_at += pause
                self._wait_until(due_at, phase)
        finally:
            self._bring_back(until=float("inf"))

    def _strike(self) -> str:
        victim = self._picker.choice(self._there())
        now = time.monotonic()
        if self._plan.freeze and self._picker.random() < 0.5:
            victim.pause()
            self._away[victim.name] = (now + self._picker.uniform(0, FROZEN_SECONDS), victim.resume)
            return f"{victim.name} is frozen"
        victim.kill()
        self._away[victim.name] = (now + self._picker.uniform(0, DOWN_SECONDS), victim.start)
        return f"{victim.name} was killed"

    def _there(self) -> list[Victim]:
        """Who can be taken away; waits while that is nobody."""
        while True:
            there = [each for each in self._victims if each.name not in self._away and each.is_running()]
            if there:
                return there
            self._wait_until(time.monotonic() + _TICK_SECONDS, "everybody is away")

    def _wait_until(self, due_at: float, phase: str) -> None:
        while (left := due_at - time.monotonic()) > 0:
            self._wait(phase, min(_TICK_SECONDS, left))
            self._bring_back(until=time.monotonic())

    def _bring_back(self, *, until: float) -> None:
        for name, (back_at, bring_back) in list(self._away.items()):
            if back_at <= until:
                del self._away[name]
                bring_back()


@contextmanager
def _all_back(drilled: DrilledShop) -> Iterator[None]:
    try:
        yield
    finally:
        drilled.kafka.start()
        drilled.shop.ensure_running()
