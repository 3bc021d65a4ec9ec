"""The output of a simulation: the verdict, the comparison, the JSON object."""

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from shop import audit
from shop.simulation import formatting
from shop.simulation.buyers import SalePlan
from shop.simulation.naive import NaiveResult
from shop.simulation.verdict import SaleVerdict


def print_verdict(verdict: SaleVerdict, console: Console) -> None:
    """Print the figures of the sale, the audit, and whether everything is exact."""
    console.print(formatting.headline(verdict.plan), style="bold", highlight=False)
    table = Table(box=box.SIMPLE, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(justify="right")
    for name, value in _figures(verdict):
        table.add_row(name, value)
    console.print(table)
    if not verdict.audit.is_clean:
        audit.print_report(verdict.audit, console)
    for problem in verdict.problems:
        console.print(f"• {problem}", style="red", markup=False, highlight=False)
    console.print(_sentence(verdict), style="bold green" if verdict.is_exact else "bold red", highlight=False)


def print_naive(naive_result: NaiveResult, console: Console) -> None:
    """Print what the naive shop did."""
    console.print(f"Naive shop: {formatting.headline(naive_result.plan)}", highlight=False)
    console.print(naive_result.sentence, style="bold red" if naive_result.oversold else "bold", highlight=False)


def print_comparison(verdict: SaleVerdict, naive_result: NaiveResult, console: Console) -> None:
    """Print both shops side by side."""
    console.print(formatting.headline(verdict.plan), style="bold", highlight=False)
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("")
    table.add_column("Bookrush", justify="right", no_wrap=True)
    table.add_column("check-then-act", justify="right", no_wrap=True)
    told_no = verdict.clicks.turned_away
    units = formatting.number(verdict.plan.units * verdict.plan.books)
    refused = sum(verdict.state.cancelled.values()) + len(told_no)
    rows: list[tuple[str, str, str]] = [
        ("buyers", formatting.number(verdict.plan.buyers), formatting.number(naive_result.plan.buyers)),
        ("units available", units, units),
        ("units sold", formatting.number(verdict.units_sold), formatting.number(naive_result.units_sold)),
        ("units oversold", formatting.number(verdict.oversold), formatting.number(naive_result.oversold)),
        ("buyers told “yours”", formatting.number(verdict.state.confirmed), formatting.number(naive_result.confirmed)),
        (
            "charged for a book that does not exist",
            formatting.number(_in_vain(verdict)),
            formatting.number(naive_result.charged_in_vain),
        ),
        ("buyers told “sold out”", formatting.number(refused), formatting.number(naive_result.told_no)),
        (
            "units left, as its own table says",
            formatting.number(verdict.units_left),
            formatting.number(naive_result.units_left),
        ),
        (
            "told the truth",
            formatting.number(verdict.plan.buyers - _in_vain(verdict)),
            formatting.number(naive_result.plan.buyers - naive_result.charged_in_vain),
        ),
        (
            "click p99",
            formatting.ms(formatting.percentile(verdict.clicks.latencies_ms, 99)),
            formatting.ms(formatting.percentile(naive_result.latencies_ms, 99)),
        ),
    ]
    for row in rows:
        table.add_row(*row)
    console.print(table)
    console.print(f"Bookrush: {_sentence(verdict)}", highlight=False)
    console.print(f"Check-then-act: {naive_result.sentence}", highlight=False)


def as_json(verdict: SaleVerdict, *, over_http: bool) -> dict[str, Any]:
    """The sale as one object; times in milliseconds where they say `_ms`, in seconds where they say `_s`."""
    state = verdict.state
    return {
        **_plan_as_json(verdict.plan, mode="saga"),
        "http": over_http,
        "accepted": len(verdict.clicks.accepted_ms),
        "turned_away": len(verdict.clicks.turned_away),
        "confirmed": state.confirmed,
        "cancelled": state.cancelled,
        "units_sold": verdict.units_sold,
        "units_left": verdict.units_left,
        "oversold": verdict.oversold,
        **_percentiles("click", verdict.clicks.latencies_ms),
        "outcome_p50_ms": _rounded(state.outcome_p50_ms),
        "outcome_p99_ms": _rounded(state.outcome_p99_ms),
        "last_outcome_after_s": _rounded(state.last_outcome_after_s),
        "seconds": round(verdict.seconds, 3),
        "sale": verdict.sale,
        "audit": verdict.audit.as_json(),
        "problems": list(verdict.problems),
        "verdict": "exact" if verdict.is_exact else "; ".join(verdict.problems),
    }


def naive_as_json(naive_result: NaiveResult) -> dict[str, Any]:
    """The naive sale as one object."""
    return {
        **_plan_as_json(naive_result.plan, mode="naive"),
        "confirmed": naive_result.confirmed,
        "turned_away": naive_result.told_no,
        "units_sold": naive_result.units_sold,
        "units_left": naive_result.units_left,
        "oversold": naive_result.oversold,
        "charged_in_vain": naive_result.charged_in_vain,
        "sold_twice": None
        if naive_result.twice is None
        else dict(zip(("buyer", "and_buyer", "copy"), naive_result.twice, strict=True)),
        **_percentiles("click", naive_result.latencies_ms),
        "seconds": round(naive_result.seconds, 3),
        "failures": list(naive_result.failures),
        "verdict": naive_result.sentence,
    }


def _plan_as_json(plan: SalePlan, *, mode: str) -> dict[str, Any]:
    return {
        "mode": mode,
        "flow": plan.flow,
        "seed": plan.seed,
        "buyers": plan.buyers,
        "units": plan.units,
        "books": plan.books,
        "basket": plan.basket,
        "threads": plan.threads,
    }


def _percentiles(name: str, values: Sequence[float]) -> dict[str, float | None]:
    return {f"{name}_p{percent}_ms": _rounded(formatting.percentile(values, percent)) for percent in (50, 99)}


def _figures(verdict: SaleVerdict) -> list[tuple[str, str]]:
    state, clicks, plan = verdict.state, verdict.clicks, verdict.plan
    return [
        ("clicks accepted", formatting.number(len(clicks.accepted_ms))),
        ("turned away, sold out", formatting.number(len(clicks.turned_away))),
        ("confirmed", formatting.number(state.confirmed)),
        *((f"cancelled: {reason}", formatting.number(count)) for reason, count in state.cancelled.items()),
        ("units set aside", formatting.number(plan.units * plan.books)),
        ("units sold", formatting.number(verdict.units_sold)),
        ("units left", formatting.number(verdict.units_left)),
        (
            "click p50 / p99",
            formatting.pair(
                formatting.percentile(clicks.latencies_ms, 50), formatting.percentile(clicks.latencies_ms, 99)
            ),
        ),
        ("outcome p50 / p99", formatting.pair(state.outcome_p50_ms, state.outcome_p99_ms)),
        ("last outcome after the last click", f"{state.last_outcome_after_s or 0:.2f} s"),
        ("audit", f"{len(verdict.audit.findings)} invariants, {'clean' if verdict.audit.is_clean else 'not clean'}"),
    ]


def _sentence(verdict: SaleVerdict) -> str:
    if not verdict.is_exact:
        return f"Something is off: {formatting.many(len(verdict.problems), 'problem')}."
    left = verdict.units_left
    rest = "" if not left else f", {formatting.many(left, 'unit')} left that no other buyer could use"
    winners = (
        f"{formatting.many(verdict.units_sold, 'unit')} sold to {formatting.many(verdict.state.confirmed, 'buyer')}"
    )
    return f"Exact: {winners}{rest}; everyone else was told the truth."


def _in_vain(verdict: SaleVerdict) -> int:
    """Buyers who were charged and have neither their books nor their money."""
    return verdict.oversold + verdict.state.unrefunded


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
