"""Runs one simulated sale with a waiting room, from the first place to the verdict; and what is printed of it."""

import json
import random
import time
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from shop import audit
from shop.simulation import buyers, formatting, load, runner, sale_fixture
from shop.simulation.buyers import SalePlan
from shop.simulation.queueing import judging
from shop.simulation.queueing.crowd import Crowd, Waiter
from shop.simulation.queueing.judging import QueueVerdict
from shop.simulation.sale_fixture import SaleFixture

_KNOWN_WITHIN_SECONDS = 15.0


def play(plan: SalePlan, *, url: str, patience_seconds: float, slack: float, show: runner.Show) -> QueueVerdict:
    """Let people wait for the copies of a sale at the shop at this address, and judge what they were told.

    Raises:
        shop.simulation.runner.NoOutcome: the address does not answer, or nothing happened for `patience_seconds`.
        shop.simulation.sale_fixture.EmptyShop: see there.
    """
    picker = random.Random(plan.seed)  # noqa: S311 - to be repeatable, not secret
    waiters = [
        Waiter(buyer=buyer, is_idle=picker.random() * 100 < plan.idle_percent) for buyer in buyers.generate(plan)
    ]
    with sale_fixture.opened(plan) as fixture:
        runner.await_shop(url, fixture)
        crowd = Crowd(waiters, fixture, url, _live_url(url, fixture), plan)
        started = time.monotonic()
        crowd.start()
        try:
            state = runner.watch(plan, fixture, crowd, patience_seconds=patience_seconds, show=show)
            seconds = time.monotonic() - started
        finally:
            crowd.stop()
        report = runner.audit_at_rest(fixture, runner.REST_WITHIN_SECONDS)
        return judging.judge(
            plan=plan, fixture=fixture, crowd=crowd, state=state, report=report, seconds=seconds, slack=slack
        )


def _live_url(url: str, fixture: SaleFixture) -> str:
    client, deadline = load.connection_to(url), time.monotonic() + _KNOWN_WITHIN_SECONDS
    while True:
        status, text = load.ask(client, "GET", f"/api/sales/{fixture.sale.pk}/place/", headers={})
        if status == 200:
            client.close()
            return str(json.loads(text)["live_url"])
        if time.monotonic() > deadline:
            raise runner.NoOutcome(f"The shop at {url} does not know the waiting room: {status} {text[:200]}")
        time.sleep(0.2)


def as_json(found: QueueVerdict) -> dict[str, Any]:
    """The sale as one object; times in milliseconds where they say `_ms`, in seconds where they say `_s`."""
    plan = found.plan
    return {
        "mode": "queue",
        "seed": plan.seed,
        "buyers": plan.buyers,
        "units": plan.units,
        "sockets": plan.sockets,
        "admitted": found.admitted,
        "accepted": len(found.clicks.accepted_ms),
        "confirmed": found.state.confirmed,
        "cancelled": found.state.cancelled,
        "promises": found.promises,
        "estimates": len(found.estimate_errors),
        **judging.figures(found),
        "seconds": round(found.seconds, 3),
        "sale": found.sale,
        "audit": found.audit.as_json(),
        "problems": list(found.problems),
        "verdict": "kept" if found.is_kept else "; ".join(found.problems),
    }


def print_verdict(found: QueueVerdict, console: Console) -> None:
    """Print the figures of the queue, the audit, and whether every promise was kept."""
    console.print(f"Waiting room: {formatting.headline(found.plan)}", style="bold", highlight=False)
    table = Table(box=box.SIMPLE, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(justify="right")
    for name, value in _lines(found):
        table.add_row(name, value)
    console.print(table)
    if not found.audit.is_clean:
        audit.print_report(found.audit, console)
    for problem in found.problems:
        console.print(f"• {problem}", style="red", markup=False, highlight=False)
    sentence = "Kept: everybody was told the truth." if found.is_kept else "Promises were broken."
    console.print(sentence, style="bold green" if found.is_kept else "bold red", highlight=False)


def _lines(found: QueueVerdict) -> list[tuple[str, str]]:
    figures = judging.figures(found)
    return [
        ("admitted", formatting.number(found.admitted)),
        ("confirmed", formatting.number(found.state.confirmed)),
        ("asking for a place p50 / p99", formatting.pair(figures["place_p50_ms"], figures["place_p99_ms"])),
        ("last copy sold → told p50 / most", _pair(figures["told_p50_s"], figures["told_most_s"])),
        ("copy back → next admitted p50 / most", _pair(figures["next_p50_s"], figures["next_most_s"])),
        ("told how many are before, and admitted then", formatting.number(found.promises)),
        ("estimates, and p50 of their errors", f"{len(found.estimate_errors)}, {_s(figures['estimate_error_p50_s'])}"),
        ("audit", f"{len(found.audit.findings)} invariants, {'clean' if found.audit.is_clean else 'not clean'}"),
    ]


def _pair(first: float | None, second: float | None) -> str:
    return f"{_s(first)} / {_s(second)}"


def _s(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.2f} s"
