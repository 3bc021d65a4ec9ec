"""One sale from its opening to its verdict."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException

from kafka_bridge.runtime import waiting
from shop import audit
from shop.simulation import buyers, load, naive, sale_fixture, verdict, watching
from shop.simulation.buyers import SalePlan
from shop.simulation.load import Clicks, Rush
from shop.simulation.sale_fixture import SaleFixture
from shop.simulation.verdict import Verdict
from shop.simulation.watching import State

BY = "simulation"
LOOK_EVERY_SECONDS = 0.25
# Mails, parcels and figures of the last orders follow within this time, and the timekeeper mends the gate.
REST_WITHIN_SECONDS = 30.0
_SHOP_KNOWS_WITHIN_SECONDS = 15.0
_ROLES_OF_THE_SAGA = frozenset({"relay", "inventory", "payments", "orders"})


class NoOutcome(Exception):
    """Orders wait, and nothing happens to them. The message says which roles seem not to run: start them."""


@dataclass(frozen=True, kw_only=True)
class Moment:
    """What there is to see right now."""

    plan: SalePlan
    seconds: float
    clicks: Clicks
    state: State


Show = Callable[[Moment], None]


def play(
    plan: SalePlan,
    *,
    url: str | None,
    patience_seconds: float,
    show: Show,
    rest_within_seconds: float = REST_WITHIN_SECONDS,
) -> Verdict:
    """Let the buyers order at the shop that the settings point to, and judge what came of it.

    With a `url` they order over HTTP there, else through the checkout in this process. `show` is called a few times a
    second. Blocks until every order has its end, and then until the audit is clean, for `rest_within_seconds` at most.

    Raises:
        NoOutcome: for `patience_seconds` nothing happened although orders wait, or nobody answers at the url.
        shop.simulation.sale_fixture.EmptyShop: see there.
    """
    crowd = buyers.crowd(plan)
    with sale_fixture.opened(plan) as place:
        if url is not None:
            _await_shop(url, place)
        door = load.through_checkout(place, plan) if url is None else load.over_http(place, url)
        rush = Rush(crowd, door, plan)
        started = time.monotonic()
        rush.start()
        try:
            state = _watch(plan, place, rush, patience_seconds=patience_seconds, show=show)
            seconds = time.monotonic() - started
        finally:
            rush.stop()
        report = _audit(place, rest_within_seconds)
        return verdict.reach(plan=plan, stall=place, clicks=rush.clicks, state=state, report=report, seconds=seconds)


def play_naive(plan: SalePlan, *, show: Callable[[int, float], None]) -> naive.Sold:
    """Let the same buyers order at the naive shop; `show` gets the units sold and the seconds so far."""
    with naive.opened(plan) as shop:
        shop.open(buyers.crowd(plan))
        started = time.monotonic()
        try:
            while not shop.rush.is_over:
                show(shop.sold(), time.monotonic() - started)
                _pause()
        finally:
            shop.rush.stop()
        return shop.result()


def _watch(plan: SalePlan, place: SaleFixture, rush: Rush, *, patience_seconds: float, show: Show) -> State:
    started = moved = time.monotonic()
    before: tuple[int, int, int] | None = None
    while True:
        over = rush.is_over  # asked first: whatever was clicked by then is in the tables
        state, now = watching.state(place), time.monotonic()
        show(Moment(plan=plan, seconds=now - started, clicks=rush.clicks, state=state))
        if over and not state.open and not state.unrefunded:
            return state
        mark = (len(rush.clicks.latencies_ms), state.ended, state.unrefunded)
        if mark != before:
            before, moved = mark, now
        elif now - moved > patience_seconds:
            raise NoOutcome(_why(place, rush, state, patience_seconds))
        _pause()


def _why(place: SaleFixture, rush: Rush, state: State, patience_seconds: float) -> str:
    waits = {role: count for role, count in watching.waiting_for(place).items() if role in _ROLES_OF_THE_SAGA}
    reasons = [
        f"{count:,} events wait in the outbox: no relay seems to run."
        if role == "relay"
        else f"{count:,} events wait for {role}: no consumer `{role}` seems to run."
        for role, count in waits.items()
    ] or [f"Nobody is behind, so far as can be seen. Clicks without an answer: {len(rush.clicks.failures)}."]
    return (
        f"For {patience_seconds:g} s nothing has happened, and {state.open:,} of {state.orders:,} orders have no "
        f"outcome. {' '.join(reasons)} Start the shop with `make demo`, or see its logs."
    )


def _await_shop(url: str, place: SaleFixture) -> None:
    """Wait until the shop at that address offers the last of the books; what it knows is a second old at most."""
    path = place.books[-1].get_absolute_url()

    def offers_it() -> bool:
        client = load.connection_to(url)
        try:
            client.request("GET", path)
            return client.getresponse().status == 200
        finally:
            client.close()

    try:
        waiting.until(offers_it, what="the book's page", timeout_seconds=_SHOP_KNOWS_WITHIN_SECONDS)
    except TimeoutError as error:
        raise NoOutcome(
            f"The shop at {url} does not offer the simulation's books: does it run on the same database?"
        ) from error
    except (OSError, HTTPException) as error:
        raise NoOutcome(f"Nobody answers at {url} ({error}). Start the shop with `make demo`.") from error


def _audit(place: SaleFixture, within_seconds: float) -> audit.AuditReport:
    """The audit of a shop that has come to rest, with no grace; what is still under way is waited for."""
    deadline = time.monotonic() + within_seconds
    with suppress(TimeoutError):
        waiting.until(lambda: not watching.waiting_for(place), what="coming to rest", timeout_seconds=within_seconds)
    while time.monotonic() < deadline and not audit.run(grace_seconds=0, by=BY, record=False).is_clean:
        _pause()
    return audit.run(grace_seconds=0, by=BY)


def _pause() -> None:
    # On the main thread a wait is ended early by Ctrl-C.
    threading.Event().wait(LOOK_EVERY_SECONDS)
