"""The live display while the sale runs."""

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from shop.simulation import formatting
from shop.simulation.runner import SaleSnapshot
from shop.simulation.sale_state import SaleState
from shop.site.terminal import LiveScreen

# Without a terminal a line is printed this often.
_LINE_EVERY_SECONDS = 2.0


class Screen(LiveScreen):
    """Shows the sale while it runs."""

    def __init__(self, console: Console) -> None:
        super().__init__(console, line_every_seconds=_LINE_EVERY_SECONDS)

    def show(self, snapshot: SaleSnapshot) -> None:
        """The saga at this moment."""
        self.update(_live_table(snapshot), _live_line(snapshot))

    def show_naive(self, sold: int, seconds: float) -> None:
        """The naive shop at this moment."""
        line = f"{seconds:5.1f} s  naive shop: {sold:,} units sold"
        self.update(Text(line), line)


def _live_table(snapshot: SaleSnapshot) -> Group:
    table = Table(box=box.SIMPLE, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", min_width=22)
    for name, value in [*_live_figures(snapshot), ("time", f"{snapshot.seconds:.1f} s")]:
        table.add_row(name, value)
    return Group(Text(formatting.headline(snapshot.plan), style="bold"), table)


def _live_line(snapshot: SaleSnapshot) -> str:
    figures = ", ".join(f"{name} {value}" for name, value in _live_figures(snapshot))
    return f"{snapshot.seconds:5.1f} s  {figures}"


def _live_figures(snapshot: SaleSnapshot) -> list[tuple[str, str]]:
    state, clicks = snapshot.state, snapshot.clicks
    answered = clicks.latencies_ms
    return [
        ("accepted", formatting.number(len(clicks.accepted_ms))),
        ("turned away", formatting.number(len(clicks.turned_away))),
        ("held", formatting.number(state.held)),
        ("confirmed", formatting.number(state.confirmed)),
        *((f"cancelled ({reason})", formatting.number(count)) for reason, count in state.cancelled.items()),
        ("left (Redis / PostgreSQL)", f"{_counters(state)} / {formatting.number(state.left)}"),
        ("click p50 / p99", formatting.pair(formatting.percentile(answered, 50), formatting.percentile(answered, 99))),
        ("outcome p50 / p99", formatting.pair(state.outcome_p50_ms, state.outcome_p99_ms)),
    ]


def _counters(state: SaleState) -> str:
    return "unknown" if state.left_by_counters is None else formatting.number(state.left_by_counters)
