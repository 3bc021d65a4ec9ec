"""What there is to see while the sale runs."""

import time
from types import TracebackType
from typing import Self

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from shop.simulation import figures
from shop.simulation.playing import Moment
from shop.simulation.watching import State

# Where there is no terminal, so often is a line printed.
_LINE_EVERY_SECONDS = 2.0


class Screen:
    """Shows the sale while it runs: a table that changes on a terminal, a line now and then elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
        self._next_line = 0.0
        self._unsaid = ""

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()
        self._say_last()

    def show(self, moment: Moment) -> None:
        """The saga at this moment."""
        self._update(_live_table(moment), _live_line(moment))

    def show_naive(self, sold: int, seconds: float) -> None:
        """The naive shop at this moment."""
        line = f"{seconds:5.1f} s  naive shop: {sold:,} units sold"
        self._update(Text(line), line)

    def _update(self, table: RenderableType, line: str) -> None:
        if self._live is not None:
            self._live.update(table, refresh=True)
        elif time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + _LINE_EVERY_SECONDS
            self._say(line)
        else:
            self._unsaid = line

    def _say_last(self) -> None:
        """How it ended, if that was not said."""
        if self._unsaid:
            self._say(self._unsaid)

    def _say(self, line: str) -> None:
        self._unsaid = ""
        self._console.print(line, highlight=False, soft_wrap=True)


def _live_table(moment: Moment) -> Group:
    table = Table(box=box.SIMPLE, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", min_width=22)
    for name, value in [*_live_figures(moment), ("time", f"{moment.seconds:.1f} s")]:
        table.add_row(name, value)
    return Group(Text(figures.headline(moment.plan), style="bold"), table)


def _live_line(moment: Moment) -> str:
    figures = ", ".join(f"{name} {value}" for name, value in _live_figures(moment))
    return f"{moment.seconds:5.1f} s  {figures}"


def _live_figures(moment: Moment) -> list[tuple[str, str]]:
    state, clicks = moment.state, moment.clicks
    answered = clicks.latencies_ms
    return [
        ("accepted", figures.number(len(clicks.accepted_ms))),
        ("turned away", figures.number(len(clicks.turned_away))),
        ("held", figures.number(state.held)),
        ("confirmed", figures.number(state.confirmed)),
        *((f"cancelled ({reason})", figures.number(count)) for reason, count in state.cancelled.items()),
        ("left (gate / PostgreSQL)", f"{_gate(state)} / {figures.number(state.left)}"),
        ("click p50 / p99", figures.pair(figures.percentile(answered, 50), figures.percentile(answered, 99))),
        ("outcome p50 / p99", figures.pair(state.outcome_p50_ms, state.outcome_p99_ms)),
    ]


def _gate(state: State) -> str:
    return "unknown" if state.left_by_gate is None else figures.number(state.left_by_gate)
