"""How long and how often benchmarks run, and the form of their results."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Profile:
    """The size of the benchmarks; times in seconds, rates per second."""

    rounds: int = 3
    checkout_seconds: float = 4.0
    commit_seconds: float = 2.0
    runner_orders: int = 9000
    single_orders: int = 600
    scaling_orders: int = 10_000
    poison_rate: float = 300.0
    poison_seconds: float = 8.0
    relay_rows: int = 50_000
    saga_rate: float = 50.0
    saga_seconds: float = 30.0
    click_rate: float = 100.0
    click_seconds: float = 10.0
    stock_seconds: float = 4.0
    rest_seconds: float = 20.0
    cost_rate: float = 20.0
    cost_seconds: float = 60.0
    busy_seconds: float = 10.0
    pages: int = 300
    search_titles: int = 200_000
    search_questions: int = 100
    sale_buyers: int = 5000
    sale_units: int = 100
    sustained_warm_up_seconds: float = 4.0
    sustained_rest_seconds: float = 6.0
    sustained_seconds: float = 15.0
    sustained_burst_seconds: float = 10.0
    sustained_statement_seconds: float = 6.0
    sustained_page_seconds: float = 4.0
    profiles: str = ""
    """The folder for profiles; empty: none are made."""


QUICK = Profile(
    rounds=1,
    checkout_seconds=3.0,
    commit_seconds=1.0,
    runner_orders=8000,
    single_orders=400,
    poison_seconds=5.0,
    relay_rows=20_000,
    saga_seconds=12.0,
    click_seconds=6.0,
    rest_seconds=8.0,
    cost_seconds=15.0,
    busy_seconds=3.0,
    pages=60,
    search_titles=20_000,
    search_questions=40,
    stock_seconds=2.0,
    sustained_seconds=8.0,
    sustained_burst_seconds=4.0,
    sustained_page_seconds=2.0,
)


@dataclass
class BenchmarkOutcome:
    """The result of one benchmark: the runs of each metric by name, and details."""

    runs: dict[str, list[float]] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)

    def note(self, name: str, value: float) -> None:
        """Add a run of a metric."""
        self.runs.setdefault(name, []).append(value)
