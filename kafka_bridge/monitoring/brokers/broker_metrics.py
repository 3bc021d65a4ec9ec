"""What brokers say by JMX, as an agent beside each shows it to Prometheus: `parse` has the names that its rules give.

None of it is needed to run: a broker that shows nothing, or hangs there, has None for these figures.
"""

import contextlib
import dataclasses
import http.client
import math
import os
import re
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from prometheus_client.parser import text_string_to_metric_families

from kafka_bridge.consuming.offset_tracker import PartitionId
from kafka_bridge.monitoring.brokers.questions import Questions
from kafka_bridge.monitoring.cluster_figures import BrokerFigures
from kafka_bridge.runtime import conf

ANSWER_SECONDS = 2.0
RATE_SECONDS = 30.0
"""Rates are those of so long a time."""
MAX_BYTES = 4 * 1024 * 1024
"""Of an answer; some 40,000 partitions."""
_ENTRY = re.compile(r"(\d{1,9})=(http://[^/\s]+(?:/\S*)?)")
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True, kw_only=True, slots=True)
class BrokerMetrics:
    """One answer; None for what is not in it. Counters are since the broker's start."""

    at: float = field(default_factory=time.monotonic)
    heap_bytes: int | None = None
    heap_max_bytes: int | None = None
    is_controller: bool | None = None
    requests: float | None = None
    bytes_in: float | None = None
    bytes_out: float | None = None
    sizes: Mapping[PartitionId, int] = field(default_factory=dict)
    """In bytes, by partition, with the topic as the cluster calls it."""
    page_cache_bytes: int | None = None
    disk_free_bytes: int | None = None


# -- Where ----------------------------------------------------------------------------------------------
def addresses(entries: Iterable[str]) -> dict[int, str]:
    """By broker, where it shows its metrics; entries that make no sense are left out, for a system check tells them."""
    found: dict[int, str] = {}
    for entry in entries:
        with contextlib.suppress(ValueError):
            number, url = read_entry(entry)
            found[number] = url
    return found


def read_entry(entry: str) -> tuple[int, str]:
    """A broker's number and its URL, from `1=http://host:port/metrics`.

    Raises:
        ValueError: it is written in another way.
    """
    match = _ENTRY.fullmatch(entry.strip())
    if match is None or not urlsplit(match[2]).hostname or urlsplit(match[2]).port == 0:
        raise ValueError(f"{entry!r} is not of the form 1=http://host:port/metrics")
    return int(match[1]), match[2]


# -- One answer -----------------------------------------------------------------------------------------
def fetch(url: str) -> BrokerMetrics:
    """Ask one broker's agent; bounded in time and size.

    Raises:
        OSError, http.client.HTTPException: it does not answer, or not with metrics.
        ValueError: these are no metrics.
    """
    until = time.monotonic() + ANSWER_SECONDS
    parts = urlsplit(url)
    target = parts._replace(scheme="", netloc="", path=parts.path or "/metrics", fragment="").geturl()
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=ANSWER_SECONDS)
    with contextlib.closing(connection):
        connection.request("GET", target)
        answer = connection.getresponse()
        if answer.status != http.HTTPStatus.OK:
            raise OSError(f"{url} answers with status {answer.status}")
        text = _read(answer, until).decode()
    return parse(text, is_here=parts.hostname in _LOOPBACK)


def _read(answer: http.client.HTTPResponse, until: float) -> bytes:
    body = bytearray()
    while chunk := answer.read1(64 * 1024):
        body += chunk
        if len(body) > MAX_BYTES:
            raise ValueError(f"more than {MAX_BYTES:,} bytes")
        if time.monotonic() > until:
            raise TimeoutError("it answers too slowly")
    return bytes(body)


def parse(text: str, *, is_here: bool = False) -> BrokerMetrics:
    """Metrics in Prometheus' text format; `is_here`: the broker may run on this machine, whose figures are added.

    Raises:
        ValueError: it is none.
    """
    samples: dict[str, list[tuple[Mapping[str, str], float]]] = defaultdict(list)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            samples[sample.name].append((sample.labels, _checked(sample.name, sample.value)))
    heap, heap_max = (
        next((value for labels, value in samples[name] if labels.get("area") == "heap"), None)
        for name in ("jvm_memory_used_bytes", "jvm_memory_max_bytes")
    )
    controller = _total(samples["kafka_controller_active"])
    folders = [Path(labels["directory"]) for labels, _ in samples["kafka_log_directory_offline"]]
    # An address of loopback may be the end of a tunnel; whose folders are here is here.
    is_here = is_here and bool(folders) and all(folder.is_dir() for folder in folders)
    return BrokerMetrics(
        heap_bytes=None if heap is None else int(heap),
        heap_max_bytes=int(heap_max) if heap_max is not None and heap_max > 0 else None,
        is_controller=None if controller is None else controller > 0,
        requests=_total(samples["kafka_broker_requests_total"]),
        bytes_in=_total(samples["kafka_broker_bytes_in_total"]),
        bytes_out=_total(samples["kafka_broker_bytes_out_total"]),
        sizes={
            (labels["topic"], int(labels["partition"])): int(value) for labels, value in samples["kafka_log_size_bytes"]
        },
        page_cache_bytes=_page_cache_bytes() if is_here else None,
        disk_free_bytes=_disk_free_bytes(folders) if is_here else None,
    )


def _checked(name: str, value: float) -> float:
    if name.startswith(("kafka_", "jvm_memory_used")) and not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{name} is {value}")
    return value


def _total(samples: list[tuple[Mapping[str, str], float]]) -> float | None:
    return sum(value for _, value in samples) if samples else None


def _page_cache_bytes() -> int | None:
    with contextlib.suppress(OSError, StopIteration, ValueError):
        line = next(each for each in Path("/proc/meminfo").read_text().splitlines() if each.startswith("Cached:"))
        return int(line.split()[1]) * 1024
    return None


def _disk_free_bytes(folders: Iterable[Path]) -> int | None:
    """Of the fullest disk: the first partition that cannot be written ends a broker's work."""
    with contextlib.suppress(OSError):
        found = [os.statvfs(folder) for folder in folders]
        return min(each.f_bavail * each.f_frsize for each in found)
    return None


# -- Again and again ------------------------------------------------------------------------------------
class BrokerMetricsReader:
    """Asks all brokers at the same time. Rates are there from the second look on."""

    def __init__(self, *, every_seconds: float = 0.0) -> None:
        """What was answered serves for `every_seconds`; who has not answered is asked again at the next look."""
        self._every_seconds = every_seconds
        self._ask_at = 0.0
        self._is_asking = False
        self._questions: Questions[str, BrokerMetrics] = Questions("JMX")
        self._looks: dict[int, deque[BrokerMetrics]] = {}
        self._until = 0.0

    def ask(self) -> None:
        """Begin to ask, where that is due; returns at once."""
        now = time.monotonic()
        if now < self._ask_at:
            return
        self._is_asking, self._ask_at, self._until = True, now + self._every_seconds, now + ANSWER_SECONDS
        known = addresses(conf.current().broker_metrics_urls)
        self._questions.ask({f"broker {number} at {url}": partial(fetch, url) for number, url in known.items()})

    def wait(self) -> None:
        """Until all have answered that were asked, `ANSWER_SECONDS` since `ask` at the most."""
        if not self._is_asking:
            return
        self._is_asking = False
        known = addresses(conf.current().broker_metrics_urls)
        answers = self._questions.answers(until=self._until)
        found = {number: answers.get(f"broker {number} at {url}") for number, url in known.items()}
        # Who does not answer may have been restarted, and counts from nothing then.
        self._looks = {
            number: _looks_with(self._looks.get(number, deque()), metrics)
            for number, metrics in found.items()
            if metrics is not None
        }
        if len(self._looks) < len(known):
            self._ask_at = 0.0

    def complete(self, broker: BrokerFigures) -> BrokerFigures:
        """The figures of a broker with what it says by JMX; as they are where it does not."""
        looks = self._looks.get(broker.id)
        if not looks:
            return broker
        first, last = looks[0], looks[-1]
        seconds = last.at - first.at
        return dataclasses.replace(
            broker,
            is_controller=broker.is_controller if last.is_controller is None else last.is_controller,
            heap_bytes=last.heap_bytes,
            heap_max_bytes=last.heap_max_bytes,
            page_cache_bytes=last.page_cache_bytes,
            log_bytes=sum(last.sizes.values()) if last.sizes else None,
            disk_free_bytes=last.disk_free_bytes,
            requests_per_second=_rate(first.requests, last.requests, seconds),
            bytes_in_per_second=_rate(first.bytes_in, last.bytes_in, seconds),
            bytes_out_per_second=_rate(first.bytes_out, last.bytes_out, seconds),
        )

    def size_of(self, partition: PartitionId, leader: int) -> int | None:
        """Bytes of one copy: the leader's, or the largest of the others where it does not say."""
        sizes = {number: looks[-1].sizes[partition] for number, looks in self._with(partition)}
        return sizes.get(leader, max(sizes.values(), default=None))

    def _with(self, partition: PartitionId) -> Iterator[tuple[int, deque[BrokerMetrics]]]:
        return (each for each in self._looks.items() if partition in each[1][-1].sizes)


def _looks_with(looks: deque[BrokerMetrics], new: BrokerMetrics) -> deque[BrokerMetrics]:
    """The looks of the last half minute, of one life of the broker."""
    if looks and (new.requests or 0) < (looks[-1].requests or 0):
        looks.clear()
    while len(looks) > 1 and looks[1].at <= new.at - RATE_SECONDS:
        looks.popleft()
    looks.append(new)
    return looks


def _rate(first: float | None, last: float | None, seconds: float) -> float | None:
    if first is None or last is None or seconds <= 0:
        return None
    return max(0.0, last - first) / seconds
