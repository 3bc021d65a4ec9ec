"""The results as people read them."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import stats
from benchmarks.results import Measured, Results


def print_tables(results: Results, console: Console) -> None:
    """Figures and aims, where the time goes, and what each process takes."""
    facts = results.machine
    console.print(", ".join(f"{name} {value}" for name, value in facts.items()), style="dim")
    if results.measured:
        console.print(_figures(results.measured))
    saga = results.details.get("saga", {})
    if saga:
        console.print(_hops(saga["hops_ms"]))
        console.print(_processes(saga["memory_mib"], saga["processor_percent"]))


def _figures(measured: list[Measured]) -> Table:
    table = Table(title="Benchmarks (medians)")
    table.add_column("what")
    table.add_column("value", justify="right")
    table.add_column("aim", justify="right")
    table.add_column("met")
    table.add_column("spread", justify="right")
    for each in measured:
        metric = each.metric
        aim = "" if metric.aim is None else f"{metric.better.value} {_number(metric.aim, metric.unit)}"
        spread = f"{stats.spread_percent(each.runs):.0f} % of {len(each.runs)}" if len(each.runs) > 1 else "1 run"
        met = {None: "", True: "[green]yes[/]", False: "[bold red]no[/]"}[each.met]
        table.add_row(metric.title, _number(each.value, metric.unit), aim, met, spread)
    return table


def _hops(hops: Mapping[str, Mapping[str, float]]) -> Table:
    table = Table(title="Where the time goes (ms)")
    table.add_column("hop")
    for heading in ("p50", "p99"):
        table.add_column(heading, justify="right")
    for name, figures in hops.items():
        table.add_row(name, f"{figures['p50']:.1f}", f"{figures['p99']:.1f}")
    return table


def _processes(memory: Mapping[str, Any], processor: Mapping[str, Any]) -> Table:
    table = Table(title="What each process takes (processor: of one core, at the steady rate)")
    table.add_column("process")
    table.add_column("MiB", justify="right")
    table.add_column("processor", justify="right")
    for name, mib in memory.items():
        table.add_row(name, f"{mib:.0f}", f"{processor[name]:.1f} %")
    return table


def _number(value: float, unit: str) -> str:
    figure = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{figure} {unit}".rstrip()
