"""Metrics for Prometheus: declared here and in the modules that count, exposed by `metrics_server.py`.

# Note [The prefix]
Metrics are made when modules are imported, and what they are prefixed with is a setting of the project. So they are
made without it, in a registry of our own, and get it when they are read.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import prometheus_client
from prometheus_client import CollectorRegistry, multiprocess, values
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from kafka_bridge.runtime import conf
from kafka_bridge.telemetry import activity, buckets, partition_counts


@dataclass(frozen=True)
class Declared:
    """A metric as the documentation tells of it; its name without the prefix, as it is exposed."""

    name: str
    kind: str
    labels: tuple[str, ...]
    help: str
    by: str
    """Which processes count it."""


REGISTRY = CollectorRegistry()
_declared: list[Declared] = []


def counter(name: str, documentation: str, labels: Sequence[str] = (), *, by: str) -> prometheus_client.Counter:
    """A number that only grows; it is exposed as `<prefix>_<name>_total`."""
    _declared.append(Declared(f"{name}_total", "counter", tuple(labels), documentation, by))
    return prometheus_client.Counter(name, documentation, labels, registry=REGISTRY)


def gauge(name: str, documentation: str, labels: Sequence[str] = (), *, by: str) -> prometheus_client.Gauge:
    """A number that goes up and down; of several processes that are read as one it is the sum."""
    _declared.append(Declared(name, "gauge", tuple(labels), documentation, by))
    return prometheus_client.Gauge(name, documentation, labels, registry=REGISTRY, multiprocess_mode="livesum")


def histogram(name: str, documentation: str, labels: Sequence[str] = (), *, by: str) -> prometheus_client.Histogram:
    """Durations in seconds, by `buckets.BUCKET_SECONDS`."""
    _declared.append(Declared(name, "histogram", tuple(labels), documentation, by))
    return prometheus_client.Histogram(name, documentation, labels, registry=REGISTRY, buckets=buckets.BUCKET_SECONDS)


def declared() -> list[Declared]:
    """Every metric there is, by name."""
    return sorted(_declared, key=lambda metric: metric.name)


# -- What consumers have counted --------------------------------------------------------------------------
PLACE = ("group", "topic", "partition")
CONSUMERS, ALL = "consumers", "every process"
_OUTCOMES: dict[partition_counts.Outcome, str] = {
    "handled": "Messages that a group has handled",
    "seen_before": "Messages that a group had had before, and passed over",
    "failed": "Attempts to handle a message that raised an error",
    "retried": "Attempts to handle a message that were not the first",
    "parked": "Messages that were put aside to be tried again, or behind one that was",
    "dead": "Messages that were given up to the dead letters",
}
_HANDLING = "consumer_handling_seconds"
_HANDLING_HELP = "How long it took to handle a message, with the transaction in which it was handled"
_USE = "dependency_up"
_USE_HELP = "Whether what is outside worked when this process used it last: 1, or 0"
_PROCESS = "process_info"
_PROCESS_HELP = "Which process this is, as its heartbeats name it: always 1"
_TURN = "loop_turned_timestamp_seconds"
_TURN_HELP = "When the process's loop came round last; one that falls behind hangs"

_declared += [
    *(
        Declared(f"consumer_messages_{name}_total", "counter", PLACE, words, CONSUMERS)
        for name, words in _OUTCOMES.items()
    ),
    Declared(_HANDLING, "histogram", PLACE, _HANDLING_HELP, CONSUMERS),
    Declared(_USE, "gauge", ("dependency",), _USE_HELP, ALL),
    Declared(_PROCESS, "gauge", ("role", "instance"), _PROCESS_HELP, ALL),
    Declared(_TURN, "gauge", (), _TURN_HELP, ALL),
]  # fmt: skip


class _NotedElsewhere:
    """What `partition_counts` and `activity` have, read only when somebody asks."""

    def collect(self) -> Iterator[Metric]:
        """In prometheus_client's terms."""
        found = partition_counts.current.snapshot()
        for outcome, words in _OUTCOMES.items():
            family = CounterMetricFamily(f"consumer_messages_{outcome}", words, labels=PLACE)
            for place, counts in found.items():
                family.add_metric([*map(str, place)], getattr(counts, outcome))
            yield family
        times = HistogramMetricFamily(_HANDLING, _HANDLING_HELP, labels=PLACE)
        for place, counts in found.items():
            times.add_metric([*map(str, place)], _cumulative(counts.times), counts.seconds)
        yield times
        uses = GaugeMetricFamily(_USE, _USE_HELP, labels=["dependency"])
        for name, use in activity.current.uses.items():
            uses.add_metric([name], int(use.is_ok))
        yield uses
        process = GaugeMetricFamily(_PROCESS, _PROCESS_HELP, labels=["role", "instance"])
        process.add_metric([activity.current.role, activity.current.instance], 1)
        yield process
        if (turned_at := activity.current.turned_at) is not None:
            yield GaugeMetricFamily(_TURN, _TURN_HELP, value=turned_at)


def _cumulative(times: Sequence[int]) -> list[tuple[str, float]]:
    limits, sums, so_far = [*map(str, buckets.BUCKET_SECONDS), "+Inf"], list[tuple[str, float]](), 0
    for limit, count in zip(limits, times, strict=True):
        so_far += count
        sums.append((limit, so_far))
    return sums


REGISTRY.register(_NotedElsewhere())
prometheus_client.ProcessCollector(registry=REGISTRY)
_SHARED = tuple(f"process_{what}_" for what in ("cpu", "max", "open", "resident", "start", "virtual"))
"""How names begin that clients of Prometheus have in common; they get no prefix."""
_COUNTS_TOGETHER = values.ValueClass is not values.MutexValue
"""Whether prometheus_client was imported with `PROMETHEUS_MULTIPROC_DIR` set: then it counts in files there."""


def _all_workers() -> Iterator[Metric]:
    """What the processes of one server have counted in their common folder, and what only this one knows."""
    _forget_the_dead(Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]))
    together = CollectorRegistry()
    multiprocess.MultiProcessCollector(together)  # type: ignore[no-untyped-call]
    yield from together.collect()
    yield from _NotedElsewhere().collect()


def _forget_the_dead(folder: Path) -> None:
    """What a worker that was killed had under way is not under way any more; what it has counted stays."""
    for file in folder.glob("gauge_live*_*.db"):
        number = int(file.stem.rpartition("_")[2])
        try:
            os.kill(number, 0)
        except ProcessLookupError:
            multiprocess.mark_process_dead(number)  # type: ignore[no-untyped-call]


class Prefixed:
    """All metrics of this process under the project's prefix; see Note [The prefix]."""

    def collect(self) -> Iterator[Metric]:
        """What is exposed; of processes that count together (`PROMETHEUS_MULTIPROC_DIR`), of all of them."""
        prefix = f"{conf.current().metrics_prefix}_"
        for family in _all_workers() if _COUNTS_TOGETHER else REGISTRY.collect():
            if not family.name.startswith(_SHARED):
                family.name = prefix + family.name
                family.samples = [sample._replace(name=prefix + sample.name) for sample in family.samples]
            yield family
