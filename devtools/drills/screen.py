"""A drill on the screen: while it runs, and its verdict."""

from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from devtools.drills.plans import DRILLS
from devtools.drills.playing import Moment
from devtools.drills.verdict import Verdict
from shop.terminal import LiveScreen

# Where there is no terminal, so often is a line printed.
_LINE_EVERY_SECONDS = 10.0


class Screen(LiveScreen):
    """Shows a drill while it runs."""

    def __init__(self, console: Console) -> None:
        super().__init__(console, line_every_seconds=_LINE_EVERY_SECONDS)
        self._phase = ""

    def show(self, moment: Moment) -> None:
        """The drill at this moment."""
        told = ", ".join(f"{name} {value}" for name, value in _figures(moment))
        line = f"{moment.seconds:6.1f} s  {moment.phase}{_left(moment)}: {told}"
        self.update(_table(moment), line, at_once=moment.phase != self._phase)
        self._phase = moment.phase


def print_list(console: Console) -> None:
    """All drills."""
    table = Table("drill", "what is taken away", "what must hold besides", "brokers", box=box.SIMPLE)
    for drill in DRILLS:
        table.add_row(drill.name, drill.takes_away, drill.must_hold, str(drill.brokers))
    console.print(table)
    console.print(
        "In every one: each accepted order comes to its end, once and in order; no dead letters; no role ends; nothing "
        "is left unread; one capture for each order; the audit is clean.",
        soft_wrap=True,
    )


def print_verdict(verdict: Verdict, console: Console) -> None:
    """All findings, and the sentence."""
    table = Table(box=box.SIMPLE, show_header=False)
    for finding in verdict.findings:
        mark = Text("does not hold", style="bold red") if finding.problems else Text("holds", style="green")
        table.add_row(finding.name, Text("\n".join([finding.figure, *finding.problems])), mark)
    console.print(table)
    plan = verdict.plan
    console.print(
        f"{plan.drill.name}, {verdict.course.away_seconds:.0f} s, {plan.rate:g} buyers/s, seed {plan.seed}: "
        f"{'the shop held.' if verdict.has_held else 'the shop did not hold.'}",
        highlight=False,
    )


def as_json(verdict: Verdict) -> dict[str, Any]:
    """The verdict for a program."""
    plan, course = verdict.plan, verdict.course
    return {
        "drill": plan.drill.name,
        "seconds": plan.seconds,
        "rate": plan.rate,
        "seed": plan.seed,
        "held": verdict.has_held,
        "away_seconds": round(course.away_seconds, 1),
        "drain_seconds": None if course.drain_seconds is None else round(course.drain_seconds, 1),
        "findings": [
            {"name": each.name, "figure": each.figure, "problems": list(each.problems)} for each in verdict.findings
        ],
    }


def _table(moment: Moment) -> Table:
    table = Table(title=f"{moment.plan.drill.name}: {moment.phase}{_left(moment)}", box=box.SIMPLE, show_header=False)
    table.add_column(no_wrap=True, min_width=24)
    table.add_column(justify="right", min_width=16)
    for name, value in [*_figures(moment), ("time", f"{moment.seconds:.0f} s")]:
        table.add_row(name, value)
    return table


def _left(moment: Moment) -> str:
    return "" if moment.left is None else f" (for {moment.left:.0f} s)"


def _figures(moment: Moment) -> list[tuple[str, str]]:
    crowd, state = moment.crowd, moment.state
    return [
        ("accepted", f"{len(crowd.bought):,}"),
        ("refused", f"{len(crowd.refused_at) + len(crowd.failures):,}"),
        ("in the outbox", _number(state.waiting)),
        ("messages behind", _number(state.behind)),
        ("dead letters", _number(state.dead)),
        ("at their end", _number(state.ended)),
    ]


def _number(value: int | None) -> str:
    return "unknown" if value is None else f"{value:,}"
