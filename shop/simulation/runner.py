"""Runs one simulated sale, from opening it to the verdict."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from typing import Protocol

from kafka_bridge.runtime import waiting
from shop import audit
from shop.simulation import buyers, load, naive, sale_fixture, sale_state, verdict
from shop.simulation.buyers import SalePlan
from shop.simulation.load import Clicks, Rush
from shop.simulation.sale_fixture import SaleFixture
from shop.simulation.sale_state import SaleState
from shop.simulation.verdict import SaleVerdict

BY = "simulation"
LOOK_EVERY_SECONDS = 0.25
# Within this time the last orders' mails, parcels and sales figures follow, and the stock counters are in step.
REST_WITHIN_SECONDS = 30.0
_SHOP_KNOWS_WITHIN_SECONDS = 15.0
_ROLES_OF_THE_SAGA = frozenset({"relay", "inventory", "payments", "orders"})


class NoOutcome(Exception):
    """Orders are waiting and nothing happens to them. The message names the roles that seem not to run: start them."""


@dataclass(frozen=True, kw_only=True)
class SaleSnapshot:
    """The state of the sale at one moment."""

    plan: SalePlan
    seconds: float
    clicks: Clicks
    state: SaleState


class Crowd(Protocol):
    """Buyers who click."""

    clicks: Clicks

    @property
    def is_over(self) -> bool:
        """Whether the last click is answered."""


Show = Callable[[SaleSnapshot], None]


def play(
    plan: SalePlan,
    *,
    url: str | None,
    patience_seconds: float,
    show: Show,
    rest_within_seconds: float = REST_WITHIN_SECONDS,
) -> SaleVerdict:
    """Let the buyers order at the shop of these settings, and judge the result.

    With a `url` they order over HTTP, else through the checkout in this process. `show` is called a few times a
    second. Blocks until every order has an outcome, and then until the audit is clean, at most `rest_within_seconds`.

    Raises:
        NoOutcome: nothing happened for `patience_seconds` although orders wait, or the url does not answer.
        shop.simulation.sale_fixture.EmptyShop: see there.
    """
    everyone = buyers.generate(plan)
    with sale_fixture.opened(plan) as fixture:
        if url is not None:
            await_shop(url, fixture)
        open_client = load.through_checkout(fixture, plan) if url is None else load.over_http(fixture, url)
        rush = Rush(everyone, open_client, plan)
        started = time.monotonic()
        rush.start()
        try:
            state = watch(plan, fixture, rush, patience_seconds=patience_seconds, show=show)
            seconds = time.monotonic() - started
        finally:
            rush.stop()
        report = audit_at_rest(fixture, rest_within_seconds)
        return verdict.judge(
            plan=plan, fixture=fixture, clicks=rush.clicks, state=state, report=report, seconds=seconds
        )


def play_naive(plan: SalePlan, *, show: Callable[[int, float], None]) -> naive.NaiveResult:
    """Let the same buyers order at the naive shop; `show` gets the units sold and the seconds elapsed."""
    with naive.opened(plan) as shop:
        shop.open(buyers.generate(plan))
        started = time.monotonic()
        try:
            while not shop.rush.is_over:
                show(shop.sold(), time.monotonic() - started)
                _pause()
        finally:
            shop.rush.stop()
        return shop.result()


def watch(plan: SalePlan, fixture: SaleFixture, rush: Crowd, *, patience_seconds: float, show: Show) -> SaleState:
    """Wait until everybody has clicked and every order has an outcome.

    Raises:
        NoOutcome: nothing happened for `patience_seconds` although orders wait.
    """
    started = moved = time.monotonic()
    before: tuple[int, int, int] | None = None
    while True:
        over = rush.is_over  # read first: then every accepted click is in the tables
        state, now = sale_state.read_state(fixture), time.monotonic()
        show(SaleSnapshot(plan=plan, seconds=now - started, clicks=rush.clicks, state=state))
        if over and not state.open and not state.unrefunded:
            return state
        mark = (len(rush.clicks.latencies_ms), state.ended, state.unrefunded)
        if mark != before:
            before, moved = mark, now
        elif now - moved > patience_seconds:
            raise NoOutcome(_why(fixture, rush, state, patience_seconds))
        _pause()


def _why(fixture: SaleFixture, rush: Crowd, state: SaleState, patience_seconds: float) -> str:
    waits = {role: count for role, count in sale_state.waiting_for(fixture).items() if role in _ROLES_OF_THE_SAGA}
    reasons = [
        f"{count:,} events wait in the outbox: no relay seems to run."
        if role == "relay"
        else f"{count:,} events wait for {role}: no consumer `{role}` seems to run."
        for role, count in waits.items()
    ] or [f"No role seems to be behind. Clicks without an answer: {len(rush.clicks.failures)}."]
    if rush.clicks.failures:
        reasons.append(f"The first of them: {rush.clicks.failures[0]}.")
    return (
        f"Nothing has happened for {patience_seconds:g} s, and {state.open:,} of {state.orders:,} orders have no "
        f"outcome. {' '.join(reasons)} Start the shop with `make demo`, or see its logs."
    )


def await_shop(url: str, fixture: SaleFixture) -> None:
    """Wait until the shop at that address offers the last of the books; its price cache is up to a second old."""
    path = fixture.books[-1].get_absolute_url()

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
        raise NoOutcome(f"No answer from {url} ({error}). Start the shop with `make demo`.") from error


def audit_at_rest(fixture: SaleFixture, within_seconds: float) -> audit.AuditReport:
    """The audit without a grace period, once nothing is under way."""
    deadline = time.monotonic() + within_seconds
    with suppress(TimeoutError):
        waiting.until(
            lambda: not sale_state.waiting_for(fixture), what="coming to rest", timeout_seconds=within_seconds
        )
    while time.monotonic() < deadline and not audit.run(grace_seconds=0, by=BY, record=False).is_clean:
        _pause()
    return audit.run(grace_seconds=0, by=BY)


def _pause() -> None:
    # Unlike time.sleep() this wait ends at once when the handler of Ctrl-C raises.
    threading.Event().wait(LOOK_EVERY_SECONDS)
