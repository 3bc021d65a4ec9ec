"""Runs one drill, from the first buyer to the verdict."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from devtools.drills import shop_state, verdict
from devtools.drills.load import OrderLoad
from devtools.drills.plans import DrilledShop, DrillPlan
from devtools.drills.shop_state import ShopState, Watcher
from devtools.drills.verdict import DrillVerdict, Timeline
from devtools.testing.processes import Shop

CALM_SECONDS = 10.0
"""How long the shop is under load before the outage."""
TICK_SECONDS = 0.2
_UNITS = 1_000_000
_BOOKS = 20
_RECEIVE = """
from django.db import transaction
from inventory import stock_adjustments
with transaction.atomic():
    stock_adjustments.receive(quantities=dict.fromkeys({skus}, {units}), reason="for a drill", by="drill")
"""


@dataclass(frozen=True, kw_only=True)
class DrillSnapshot:
    """The state of a drill at one moment."""

    plan: DrillPlan
    phase: str
    seconds: float
    """Since the first buyer."""
    left: float | None
    """Seconds until the next phase; None if that depends on the shop."""
    load: OrderLoad
    state: ShopState


Show = Callable[[DrillSnapshot], None]


class TooSlow(Exception):
    """The shop did not finish its work in time."""


def play(plan: DrillPlan, drilled: DrilledShop, *, show: Show, drain_within_seconds: float) -> DrillVerdict:
    """Drill a shop whose roles are all running, and judge it. `show` is called a few times a second.

    The outage is over when this returns or raises.
    """
    with shop_state.asking_kafka_of(drilled.shop):
        return _Drill(plan, drilled, show, drain_within_seconds).run()


class _Drill:
    """One run."""

    def __init__(self, plan: DrillPlan, drilled: DrilledShop, show: Show, drain_within_seconds: float) -> None:
        self._plan, self._drilled, self._show = plan, drilled, show
        self._shop = drilled.shop
        self._drain_within_seconds = drain_within_seconds
        self._load = OrderLoad(
            self._shop.url, _stock_up(self._shop), rate=plan.rate, seed=plan.seed, buyers=plan.buyers
        )
        self._watcher = Watcher(self._shop, self._load)
        self._started = 0.0

    def run(self) -> DrillVerdict:
        dead_before = verdict.dead_letters(self._shop)
        with self._buyers_coming():
            process_ids = self._shop.process_ids()
            self._wait("before", min(CALM_SECONDS, self._plan.seconds))
            away_at = time.monotonic()
            self._plan.drill.act(self._drilled, self._wait, self._plan)
            back_at = time.monotonic()
            may_have_ended = filter(self._plan.drill.may_kill, process_ids)
            process_ids |= {role: self._shop.process_ids()[role] for role in may_have_ended}
            while not self._load.has_everybody_come and self._plan.drill.strikes_at_random:
                self._wait("the last buyers", TICK_SECONDS, left=None)
            drained_at = self._until_drained(back_at)
            self._load.close_door()
            self._until_at_rest()
        timeline = Timeline(
            away_at=away_at,
            back_at=back_at,
            drained_at=drained_at,
            process_ids=process_ids,
            dead_before=dead_before,
        )
        return verdict.judge(self._plan, self._shop, self._load, timeline)

    @contextmanager
    def _buyers_coming(self) -> Iterator[None]:
        self._started = time.monotonic()
        self._load.open()
        self._watcher.start()
        try:
            yield
        finally:
            self._load.stop()
            self._watcher.stop()

    def _until_drained(self, back_at: float) -> float | None:
        """Wait until the orders of all buyers who came before `back_at` are complete; when that was, or None."""
        come = self._load.come

        def is_drained() -> bool:
            backlog = [each.order_id for each in list(self._load.bought) if each.came_at <= back_at]
            return len(backlog) >= come and not shop_state.open_orders(self._shop, backlog)

        with suppress(TooSlow):
            self._until(is_drained, "draining")
            return time.monotonic()
        return None

    def _until_at_rest(self) -> None:
        """Wait until the orders of the later buyers are complete, too."""

        def rests() -> bool:
            orders = [each.order_id for each in list(self._load.bought)]
            return not self._load.asking and not shop_state.open_orders(self._shop, orders)

        with suppress(TooSlow):  # the verdict says what is not complete
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
                DrillSnapshot(
                    plan=self._plan,
                    phase=phase,
                    seconds=now - self._started,
                    left=None if left is None else deadline - now,
                    load=self._load,
                    state=self._watcher.state,
                )
            )
            self._shop.look_after()
            time.sleep(max(0.0, min(TICK_SECONDS, deadline - time.monotonic())))


def _stock_up(shop: Shop) -> list[str]:
    """Receive more copies of some books than the buyers can order; returns their skus."""
    rows = shop.query("SELECT isbn FROM shop_book WHERE is_listed ORDER BY isbn LIMIT %s", _BOOKS)
    skus = [str(sku) for (sku,) in rows]
    shop.manage("shell", "--no-imports", "-c", _RECEIVE.format(skus=skus, units=_UNITS))
    # Its cached catalogue may be from a moment when a book was sold out.
    shop.restart("web")
    return skus
