"""The output of a drill: live while it runs, then its verdict."""

from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from devtools.drills.catalogue import DRILLS
from devtools.drills.runner import DrillSnapshot
from devtools.drills.verdict import DrillVerdict
from shop.site.terminal import LiveScreen

# Without a terminal a line is printed this often.
_LINE_EVERY_SECONDS = 10.0


class Screen(LiveScreen):
    """Shows a drill while it runs."""

    def __init__(self, console: Console) -> None:
        super().__init__(console, line_every_seconds=_LINE_EVERY_SECONDS)
        self._phase = ""

    def show(self, snapshot: DrillSnapshot) -> None:
        """The drill at this moment."""
        told = ", ".join(f"{name} {value}" for name, value in _figures(snapshot))
        line = f"{snapshot.seconds:6.1f} s  {snapshot.phase}{_left(snapshot)}: {told}"
        self.update(_table(snapshot), line, at_once=snapshot.phase != self._phase)
        self._phase = snapshot.phase


def print_list(console: Console) -> None:
    """Print a table of all drills."""
    table = Table("drill", "outage of", "what must hold", "brokers", box=box.SIMPLE)
    for drill in DRILLS:
        table.add_row(drill.name, drill.takes_away, drill.must_hold, str(drill.brokers))
    console.print(table)
    console.print(
        "In all drills: every accepted order completes, once and in order; no dead letters; no role ends; no lag is "
        "left; one capture per order; the audit is clean.",
        soft_wrap=True,
    )


def print_verdict(verdict: DrillVerdict, console: Console) -> None:
    """Print all findings, and the result."""
    table = Table(box=box.SIMPLE, show_header=False)
    for finding in verdict.findings:
        mark = Text("does not hold", style="bold red") if finding.problems else Text("holds", style="green")
        table.add_row(finding.name, Text("\n".join([finding.figure, *finding.problems])), mark)
    console.print(table)
    plan = verdict.plan
    said = [f"{verdict.timeline.away_seconds:.0f} s", f"{plan.rate:g} buyers/s"]
    if plan.drill.strikes_at_random:
        said += [f"{plan.orders:,} orders", f"{plan.kills:,} {'kills and freezes' if plan.freeze else 'kills'}"]
    console.print(
        f"{plan.drill.name}, {', '.join(said)}, seed {plan.seed}: "
        f"{'the shop held.' if verdict.has_held else 'the shop did not hold.'}",
        highlight=False,
    )


def as_json(verdict: DrillVerdict) -> dict[str, Any]:
    """The verdict as one JSON object."""
    plan, timeline = verdict.plan, verdict.timeline
    return {
        "drill": plan.drill.name,
        **{name: getattr(plan, name) for name in plan.options},
        "held": verdict.has_held,
        "away_seconds": round(timeline.away_seconds, 1),
        "drain_seconds": None if timeline.drain_seconds is None else round(timeline.drain_seconds, 1),
        "findings": [
            {"name": each.name, "figure": each.figure, "problems": list(each.problems)} for each in verdict.findings
        ],
    }


def _table(snapshot: DrillSnapshot) -> Table:
    table = Table(
        title=f"{snapshot.plan.drill.name}: {snapshot.phase}{_left(snapshot)}", box=box.SIMPLE, show_header=False
    )
    table.add_column(no_wrap=True, min_width=24)
    table.add_column(justify="right", min_width=16)
    for name, value in [*_figures(snapshot), ("time", f"{snapshot.seconds:.0f} s")]:
        table.add_row(name, value)
    return table


def _left(snapshot: DrillSnapshot) -> str:
    return "" if snapshot.left is None else f" (for {snapshot.left:.0f} s)"


def _figures(snapshot: DrillSnapshot) -> list[tuple[str, str]]:
    load, state = snapshot.load, snapshot.state
    return [
        ("accepted", f"{len(load.bought):,}"),
        ("refused", f"{len(load.refused_at) + len(load.failures) + len(load.unanswered):,}"),
        ("in the outbox", _number(state.waiting)),
        ("messages behind", _number(state.behind)),
        ("dead letters", _number(state.dead)),
        ("orders complete", _number(state.ended)),
    ]


def _number(value: int | None) -> str:
    return "unknown" if value is None else f"{value:,}"
