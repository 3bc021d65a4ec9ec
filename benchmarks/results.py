"""What was measured, against what it should be."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from benchmarks import stats


class Better(Enum):
    """In which direction a figure improves; the value is how an aim is written."""

    HIGHER = "≥"
    LOWER = "≤"


@dataclass(frozen=True, kw_only=True)
class Metric:
    """Something that can be measured; `aim` is on the reference machine: 2 cores with everything on them."""

    name: str
    title: str
    unit: str = ""
    better: Better = Better.HIGHER
    aim: float | None = None


METRICS = (
    Metric(name="checkout_per_s", title="Checkout: orders accepted over HTTP", unit="/s"),
    Metric(name="checkout_orm_per_s", title="… one transaction per order, ORM", unit="/s"),
    Metric(name="checkout_parse_per_s", title="… the body parsed and nothing else", unit="/s"),
    Metric(name="checkout_vs_orm", title="Checkout against the ORM way", unit="x", aim=4.0),
    Metric(name="checkout_vs_parse", title="Checkout against parsing alone", unit="x", aim=0.4),
    Metric(name="group_commit_per_s", title="Orders placed without HTTP, 16 threads", unit="/s"),
    Metric(name="single_commit_per_s", title="… the same statements, a transaction each", unit="/s"),
    Metric(name="orm_commit_per_s", title="… ORM, a transaction each", unit="/s"),
    Metric(name="group_commit_vs_single", title="Group commit against a transaction each", unit="x"),
    Metric(name="runner_inventory_per_s", title="Runner: order.created in inventory, batches of 500", unit="/s"),
    Metric(name="single_inventory_per_s", title="… message by message", unit="/s"),
    Metric(name="runner_orders_per_s", title="Runner: payment.confirmed in orders, batches of 500", unit="/s"),
    Metric(name="single_orders_per_s", title="… message by message", unit="/s"),
    Metric(name="runner_vs_single", title="Batches against message by message (lower of the two)", unit="x", aim=15.0),
    Metric(name="runner_vs_plain", title="Runner against one without retries, parking and inbox", unit="x", aim=0.9),
    Metric(name="single_vs_plain", title="… message by message", unit="x", aim=0.9),
    Metric(name="runner_vs_trusting", title="Runner against one that believes whatever comes", unit="x", aim=0.9),
    Metric(name="single_vs_trusting", title="… message by message", unit="x", aim=0.9),
    Metric(
        name="poison_p99_ratio",
        title="Healthy messages' p99 with 1 % poison, against none",
        unit="x",
        better=Better.LOWER,
        aim=2.0,
    ),
    Metric(name="one_member_per_s", title="Group of one member: facts of orders, three partitions a topic", unit="/s"),
    Metric(name="three_members_per_s", title="… of three members, each a process", unit="/s"),
    Metric(name="three_vs_one", title="Three members against one, on two cores", unit="x", aim=1.6),
    Metric(
        name="restart_consumer_s",
        title="Consumer started to first message handled, new group protocol",
        unit="s",
        better=Better.LOWER,
        aim=3.0,
    ),
    Metric(name="restart_classic_s", title="… classic group protocol", unit="s", better=Better.LOWER, aim=3.0),
    Metric(name="decode_per_s", title="Messages decoded", unit="/s"),
    Metric(name="relay_events_per_s", title="Relay: outbox to acknowledged", unit="/s", aim=20_000.0),
    Metric(name="confirmed_p50_ms", title="Click to confirmed, median", unit="ms", better=Better.LOWER, aim=100.0),
    Metric(name="confirmed_p99_ms", title="Click to confirmed, p99", unit="ms", better=Better.LOWER, aim=300.0),
    Metric(name="placed_confirmed_p50_ms", title="… placed to confirmed, median", unit="ms", better=Better.LOWER),
    Metric(name="placed_confirmed_p99_ms", title="… placed to confirmed, p99", unit="ms", better=Better.LOWER),
    Metric(name="click_p50_ms", title="The click itself, median", unit="ms", better=Better.LOWER),
    Metric(name="click_p99_ms", title="The click itself, p99", unit="ms", better=Better.LOWER, aim=100.0),
    Metric(name="stock_batched_per_s", title="Stock: orders held in batches of 500, 8 competitors, one sku", unit="/s"),
    Metric(name="stock_single_per_s", title="… one guarded UPDATE and its rows per order", unit="/s"),
    Metric(name="stock_batched_vs_single", title="Batches against an UPDATE per order", unit="x", aim=10.0),
    Metric(name="sale_click_p99_ms", title="Flash sale: the click, p99", unit="ms", better=Better.LOWER),
    Metric(name="sale_outcome_p99_ms", title="… click to outcome, p99", unit="ms", better=Better.LOWER),
    Metric(
        name="sale_last_outcome_s",
        title="… last outcome after the last click",
        unit="s",
        better=Better.LOWER,
        aim=60.0,
    ),
    Metric(
        name="sale_memory_growth_percent",
        title="… memory of the role that grew most, from sale to sale",
        unit="%",
        better=Better.LOWER,
        aim=10.0,
    ),
    Metric(
        name="cost_steady_ms", title="Processor time of an order, all processes, 20/s", unit="ms", better=Better.LOWER
    ),
    Metric(name="cost_busy_ms", title="… as fast as orders are taken", unit="ms", better=Better.LOWER),
    Metric(name="watched_orders_per_s", title="Orders to the last mail, all at once, watched", unit="/s"),
    Metric(name="unwatched_orders_per_s", title="… without heartbeats, samples, alerts and metrics", unit="/s"),
    Metric(
        name="observing_rate_percent",
        title="… so much of the rate it costs to be watched",
        unit="%",
        better=Better.LOWER,
        aim=3.0,
    ),
    Metric(
        name="observing_cpu_percent",
        title="… and of an order's processor time",
        unit="%",
        better=Better.LOWER,
        aim=3.0,
    ),
    Metric(
        name="observing_rest_ms",
        title="… and of a core at rest, all processes",
        unit="ms/s",
        better=Better.LOWER,
        aim=20.0,
    ),
    Metric(name="saga_orders_per_s", title="Whole saga, saturated: orders to the last mail", unit="/s", aim=400.0),
    Metric(
        name="cpu_ms_per_order_saturated",
        title="… processor time of an order, all processes",
        unit="ms",
        better=Better.LOWER,
        aim=5.0,
    ),
    Metric(name="cpu_ms_per_order_at_50", title="… the same at 50/s", unit="ms", better=Better.LOWER, aim=12.0),
    Metric(name="clicks_per_s", title="Durable clicks over HTTP, nothing else running", unit="/s", aim=1500.0),
    Metric(name="door_answers_per_s", title="Answers at the sold-out door", unit="/s", aim=8000.0),
    Metric(name="pages_per_s", title="Front or book page, 64 connections, the slower one", unit="/s", aim=2000.0),
    Metric(
        name="search_p95_ms",
        title="Search of a big catalogue: what a page asks PostgreSQL, p95",
        unit="ms",
        better=Better.LOWER,
        aim=50.0,
    ),
    Metric(
        name="list_p95_ms",
        title="… lists and filters with their counts, p95",
        unit="ms",
        better=Better.LOWER,
        aim=50.0,
    ),
    Metric(name="suggest_p95_ms", title="… suggestions, p95", unit="ms", better=Better.LOWER, aim=50.0),
    Metric(name="memory_mib", title="Memory of all processes", unit="MiB", better=Better.LOWER),
)
_BY_NAME = {metric.name: metric for metric in METRICS}


@dataclass(frozen=True)
class Measured:
    """A metric's value in each run."""

    metric: Metric
    runs: tuple[float, ...]

    @property
    def value(self) -> float:
        """The median of the runs."""
        return statistics.median(self.runs)

    @property
    def met(self) -> bool | None:
        """Whether the aim is met; None without an aim."""
        if self.metric.aim is None:
            return None
        if self.metric.better is Better.HIGHER:
            return self.value >= self.metric.aim
        return self.value <= self.metric.aim


@dataclass
class Results:
    """Everything one call of the benchmark found out."""

    machine: dict[str, Any]
    measured: list[Measured] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)
    """Raw figures by part: hops, memory by role, what the load generator saw."""
    problems: list[str] = field(default_factory=list)
    """What could not be measured, and why."""

    def add(self, runs: Mapping[str, Sequence[float]]) -> None:
        """Note the runs of some metrics; where two benchmarks measure the same, the later one counts.

        Raises:
            KeyError: `METRICS` does not list one of them.
        """
        self.measured = [each for each in self.measured if each.metric.name not in runs]
        self.measured += [Measured(_BY_NAME[name], tuple(values)) for name, values in runs.items()]

    def as_dict(self) -> dict[str, Any]:
        """For JSON: each metric's median under its name, then runs, aims and details."""
        return {
            **{measured.metric.name: _rounded(measured.value) for measured in self.measured},
            "runs": {measured.metric.name: list(map(_rounded, measured.runs)) for measured in self.measured},
            "spread_percent": {m.metric.name: _rounded(stats.spread_percent(m.runs)) for m in self.measured},
            "aims": {
                measured.metric.name: {
                    "aim": measured.metric.aim, "better": measured.metric.better.name.lower(), "met": measured.met,
                }
                for measured in self.measured
                if measured.metric.aim is not None
            },
            "machine": self.machine,
            "details": self.details,
            "problems": self.problems,
        }  # fmt: skip


def _rounded(value: float) -> float:
    """Four significant places say all that a benchmark knows; thousands keep their units."""
    return round(value) if abs(value) >= 1000 else float(f"{value:.4g}")
