"""One drill from its first buyer to its verdict."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from devtools.drills import verdict, watching
from devtools.drills.load import OrderLoad
from devtools.drills.plans import DrillPlan, Place
from devtools.drills.verdict import Timeline, Verdict
from devtools.drills.watching import State, Watcher
from devtools.testing.processes import Shop

CALM_SECONDS = 10.0
"""So long do buyers come before anything is taken away."""
_TICK_SECONDS = 0.2
_UNITS = 1_000_000
_BOOKS = 20
_RECEIVE = """
from django.db import transaction
from inventory import shelving
with transaction.atomic():
    shelving.receive(quantities=dict.fromkeys({skus}, {units}), reason="for a drill", by="drill")
"""


@dataclass(frozen=True, kw_only=True)
class Moment:
    """What there is to see right now."""

    plan: DrillPlan
    phase: str
    seconds: float
    """Since the first buyer came."""
    left: float | None
    """Seconds until the next phase; None where that depends on the shop."""
    crowd: OrderLoad
    state: State


Show = Callable[[Moment], None]


class TooSlow(Exception):
    """The shop did not come to rest in time."""


def play(plan: DrillPlan, place: Place, *, show: Show, drain_within_seconds: float) -> Verdict:
    """Drill a shop whose roles all run, and judge it. `show` is called a few times a second.

    When this returns, also by an exception, all that was taken away is back.
    """
    with watching.asking_kafka_of(place.shop):
        return _Drill(plan, place, show, drain_within_seconds).run()


class _Drill:
    """One run."""

    def __init__(self, plan: DrillPlan, place: Place, show: Show, drain_within_seconds: float) -> None:
        self._plan, self._place, self._show = plan, place, show
        self._shop = place.shop
        self._drain_within_seconds = drain_within_seconds
        self._crowd = OrderLoad(self._shop.url, _stock_up(self._shop), rate=plan.rate, seed=plan.seed)
        self._watcher = Watcher(self._shop, self._crowd)
        self._started = 0.0

    def run(self) -> Verdict:
        dead_before = verdict.dead_letters(self._shop)
        with self._buyers_coming():
            process_ids = self._process_ids()
            self._wait("before", min(CALM_SECONDS, self._plan.seconds))
            away_at = time.monotonic()
            self._plan.drill.act(self._place, self._wait, self._plan.seconds)
            back_at = time.monotonic()
            drained_at = self._until_drained(back_at)
            self._crowd.close_door()
            self._until_at_rest()
        course = Timeline(
            away_at=away_at,
            back_at=back_at,
            drained_at=drained_at,
            process_ids=process_ids,
            dead_before=dead_before,
        )
        return verdict.reach(self._plan, self._shop, self._crowd, course)

    @contextmanager
    def _buyers_coming(self) -> Iterator[None]:
        self._started = time.monotonic()
        self._crowd.open()
        self._watcher.start()
        try:
            yield
        finally:
            self._crowd.stop()
            self._watcher.stop()

    def _process_ids(self) -> dict[str, int]:
        found = self._shop.process_ids()
        return {role: pid for role, pid in found.items() if role not in self._plan.drill.kills_roles}

    def _until_drained(self, back_at: float) -> float | None:
        """Wait for the orders of all buyers who had come by then; when that was so, or None."""
        come = self._crowd.come

        def is_drained() -> bool:
            backlog = [each.order_id for each in list(self._crowd.bought) if each.came_at <= back_at]
            return len(backlog) >= come and not watching.open_orders(self._shop, backlog)

        with suppress(TooSlow):
            self._until(is_drained, "draining")
            return time.monotonic()
        return None

    def _until_at_rest(self) -> None:
        """Wait for the orders of those who came later."""

        def rests() -> bool:
            orders = [each.order_id for each in list(self._crowd.bought)]
            return not self._crowd.asking and not watching.open_orders(self._shop, orders)

        with suppress(TooSlow):  # the verdict says what has not come to its end
            self._until(rests, "the last orders")

    def _until(self, condition: Callable[[], bool], phase: str) -> None:
        deadline = time.monotonic() + self._drain_within_seconds
        while not condition():
            if time.monotonic() > deadline:
                raise TooSlow(phase)
            self._wait(phase, 0.5, left=None)

    def _wait(self, phase: str, seconds: float, left: float | None = 0.0) -> None:
        deadline = time.monotonic() + seconds
        while (now := time.monotonic()) < deadline:
            self._show(
                Moment(
                    plan=self._plan,
                    phase=phase,
                    seconds=now - self._started,
                    left=None if left is None else deadline - now,
                    crowd=self._crowd,
                    state=self._watcher.state,
                )
            )
            time.sleep(min(_TICK_SECONDS, deadline - now))


def _stock_up(shop: Shop) -> list[str]:
    """Receive more copies of some books than all buyers can want; returns what they may order."""
    rows = shop.query("SELECT isbn FROM shop_book WHERE is_listed ORDER BY isbn LIMIT %s", _BOOKS)
    skus = [str(sku) for (sku,) in rows]
    shop.manage("shell", "--no-imports", "-c", _RECEIVE.format(skus=skus, units=_UNITS))
    # Its snapshot of the catalogue may be of a moment at which a book was sold out.
    shop.restart("web")
    return skus
