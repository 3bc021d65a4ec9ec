"""What there is to see while the sale runs."""

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from shop.simulation import formatting
from shop.simulation.playing import Moment
from shop.simulation.watching import State
from shop.terminal import LiveScreen

# Where there is no terminal, so often is a line printed.
_LINE_EVERY_SECONDS = 2.0


class Screen(LiveScreen):
    """Shows the sale while it runs."""

    def __init__(self, console: Console) -> None:
        super().__init__(console, line_every_seconds=_LINE_EVERY_SECONDS)

    def show(self, moment: Moment) -> None:
        """The saga at this moment."""
        self.update(_live_table(moment), _live_line(moment))

    def show_naive(self, sold: int, seconds: float) -> None:
        """The naive shop at this moment."""
        line = f"{seconds:5.1f} s  naive shop: {sold:,} units sold"
        self.update(Text(line), line)


def _live_table(moment: Moment) -> Group:
    table = Table(box=box.SIMPLE, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", min_width=22)
    for name, value in [*_live_figures(moment), ("time", f"{moment.seconds:.1f} s")]:
        table.add_row(name, value)
    return Group(Text(formatting.headline(moment.plan), style="bold"), table)


def _live_line(moment: Moment) -> str:
    figures = ", ".join(f"{name} {value}" for name, value in _live_figures(moment))
    return f"{moment.seconds:5.1f} s  {figures}"


def _live_figures(moment: Moment) -> list[tuple[str, str]]:
    state, clicks = moment.state, moment.clicks
    answered = clicks.latencies_ms
    return [
        ("accepted", formatting.number(len(clicks.accepted_ms))),
        ("turned away", formatting.number(len(clicks.turned_away))),
        ("held", formatting.number(state.held)),
        ("confirmed", formatting.number(state.confirmed)),
        *((f"cancelled ({reason})", formatting.number(count)) for reason, count in state.cancelled.items()),
        ("left (gate / PostgreSQL)", f"{_gate(state)} / {formatting.number(state.left)}"),
        ("click p50 / p99", formatting.pair(formatting.percentile(answered, 50), formatting.percentile(answered, 99))),
        ("outcome p50 / p99", formatting.pair(state.outcome_p50_ms, state.outcome_p99_ms)),
    ]


def _gate(state: State) -> str:
    return "unknown" if state.left_by_gate is None else formatting.number(state.left_by_gate)
