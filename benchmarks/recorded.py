"""The recorded runs of the whole shop, as README shows them: `python -m benchmarks.recorded` writes its table anew.

A run is recorded by `python -m benchmarks --only sustained --json > docs/measured/now-1.json`, on a quiet machine;
`before-1.json` and so on are runs of the state to compare with, in turn on the same machine.
"""

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.results import METRICS, Metric

PROJECT = Path(__file__).parents[1]
FOLDER, README = PROJECT / "docs" / "measured", PROJECT / "README.md"
BEGIN, END = "<!-- python -m benchmarks.recorded -->\n", "<!-- end -->\n"
SHOWN = (
    "saga_orders_per_s",
    "cpu_ms_per_order_saturated",
    "cpu_ms_per_order_at_50",
    "confirmed_p50_ms",
    "confirmed_p99_ms",
    "clicks_per_s",
    "door_answers_per_s",
    "pages_per_s",
)
NONE = "No runs on a quiet machine are recorded yet.\n"
Runs = Sequence[Mapping[str, Any]]


def runs(state: str) -> Runs:
    """The recorded runs of a state, `before` or `now`."""
    return [json.loads(file.read_text()) for file in sorted(FOLDER.glob(f"{state}-*.json"))]


def table() -> str:
    """Medians with their ranges, the ratio to the state before, and what was measured where and when."""
    before, now = runs("before"), runs("now")
    if not (before and now):
        return NONE
    metrics = {metric.name: metric for metric in METRICS}
    lines = ["| what | before | now | now / before | aim |", "|---|---|---|---|---|"]
    lines += [_line(metrics[name], _values(before, name), _values(now, name)) for name in SHOWN]
    return "\n".join([*lines, "", _where("Before", before), _where("Now", now), ""])


def write() -> None:
    """Put the table into README."""
    head, _, rest = README.read_text().partition(BEGIN)
    README.write_text(f"{head}{BEGIN}{table()}{END}{rest.partition(END)[2]}")


def _values(found: Runs, name: str) -> list[float]:
    return [run[name] for run in found]


def _line(metric: Metric, before: Sequence[float], now: Sequence[float]) -> str:
    ratio = f"{statistics.median(now) / statistics.median(before):.2g}"
    title = metric.title.removeprefix("… ")
    aim = "" if metric.aim is None else f"{metric.better.value} {metric.aim:,.0f} {metric.unit}"
    return f"| {title} | {_figure(before, metric.unit)} | {_figure(now, metric.unit)} | {ratio} | {aim} |"


def _figure(values: Sequence[float], unit: str) -> str:
    whole = _number(statistics.median(values))
    spread = f" ({_number(min(values))} to {_number(max(values))})" if len(values) > 1 else ""
    return f"{whole}{spread} {unit}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _where(state: str, found: Runs) -> str:
    machine = found[-1]["machine"]
    number = f"{len(found)} runs" if len(found) > 1 else "one run"
    return (
        f"{state}: {number}, commit `{machine['commit']}`, {machine['date'][:10]}, {machine['cores']} cores of "
        f"{machine['processor']}, load before the run {machine['load']}.  "
    )


if __name__ == "__main__":
    write()
