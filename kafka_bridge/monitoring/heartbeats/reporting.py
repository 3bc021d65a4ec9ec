"""A process says that it lives: threads of its own write its heartbeat into every store there is.

# Note [A thread for each store]
A PostgreSQL that is frozen must not keep a heartbeat from Redis, or every process would seem to be missing. And none of
this may disturb the process: the threads hold nothing that others wait for, and what a store raises is logged once.

# Note [What a heartbeat does not show]
The threads go on when the process's own loop hangs; only a process that is frozen as a whole falls silent. So the loops
note each of their turns (`Activity.turn`), and the heartbeat says when the last one was.
"""

import logging
import os
import resource
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from django.utils.module_loading import import_string

import kafka_bridge
from kafka_bridge.monitoring.heartbeats.heartbeat import EVERY_SECONDS, Dependency, Heartbeat, PartitionCounters
from kafka_bridge.monitoring.heartbeats.heartbeat_table import HeartbeatTable
from kafka_bridge.runtime import conf, error_classes
from kafka_bridge.telemetry import activity, metrics_server, partition_counts

log = logging.getLogger(__name__)
ALIVE_SECONDS = 1.0
STOP_SECONDS = 2.0
"""A store that does not answer does not hold up the end of a process for longer."""
PARTITIONS_MAX = 500
"""Heartbeats have an end, however many partitions a process has had."""


class HeartbeatStore(Protocol):
    """Where heartbeats are kept. Each is used by one thread; what it raises is logged, and it is tried again."""

    every_seconds: float
    """How often it wants to hear."""

    def write(self, heartbeat: Heartbeat) -> None:
        """Keep it, in place of the one before of the same instance. Returns or raises within seconds."""
        ...

    def end(self, heartbeat: Heartbeat) -> None:
        """The process ends as it should: nobody is to miss it."""
        ...


class Reporter:
    """Writes the heartbeats of one process from `start` to `stop`."""

    def __init__(self, role: str, stores: Sequence[HeartbeatStore]) -> None:
        self._role = role
        self._host = socket.gethostname()[:100]
        self._started_at = time.time()
        self._instance = f"{role}-{self._host}-{os.getpid()}-{int(self._started_at * 1000):x}"
        activity.current.role, activity.current.instance = role, self._instance
        self._stop = threading.Event()
        self._metrics_url = ""
        self._threads = [
            threading.Thread(target=self._report, args=[store], name=f"heartbeats-{number}", daemon=True)
            for number, store in enumerate(stores)
        ]
        if alive_file := conf.current().alive_file:
            touching = threading.Thread(target=self._touch, args=[Path(alive_file)], name="alive", daemon=True)
            self._threads.append(touching)

    def start(self, *, metrics_url: str = "") -> None:
        """Say so now, and again and again."""
        self._metrics_url = metrics_url
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Say that the process ends."""
        activity.current.say("stopping")
        self._stop.set()
        until = time.monotonic() + STOP_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def heartbeat(self) -> Heartbeat:
        """What there is to say now."""
        now = activity.current
        return Heartbeat(
            role=self._role,
            instance=self._instance,
            host=self._host,
            pid=os.getpid(),
            version=conf.current().version or kafka_bridge.__version__,
            started_at=self._started_at,
            beat_at=time.time(),
            state=now.state,
            doing=now.doing[:200],
            progressed_at=now.progressed_at,
            turned_at=now.turned_at,
            memory_bytes=_memory_bytes(),
            cpu_seconds=time.process_time(),
            metrics_url=self._metrics_url,
            member_ids=tuple(now.member_ids.values()),
            counters=tuple(_counters()),
            dependencies=tuple(
                Dependency(
                    name=name,
                    is_ok=use.is_ok,
                    since=use.since,
                    error=use.error[:200],
                    answer_seconds=use.answer_seconds,
                )
                for name, use in now.uses.items()
            ),
        )

    def _report(self, store: HeartbeatStore) -> None:
        failures = 0
        while not self._stop.is_set():
            failures = 0 if self._write(store, failures) else failures + 1
            # One that hears rarely is tried again soon.
            self._stop.wait(min(store.every_seconds, EVERY_SECONDS * 2**failures) if failures else store.every_seconds)
        if not failures:
            _end(store, self.heartbeat())

    def _touch(self, alive_file: Path) -> None:
        """Give the file the time of the loop's last turn, not of this thread's: that one hangs with nothing."""
        while not self._stop.wait(ALIVE_SECONDS):
            if (turned_at := activity.current.turned_at) is not None:
                try:
                    _date(alive_file, turned_at)
                except OSError as error:
                    log.warning("the alive file cannot be touched: %s", error_classes.describe(error))
                    return

    def _write(self, store: HeartbeatStore, failures: int) -> bool:
        name = type(store).__name__
        try:
            store.write(self.heartbeat())
        except Exception as error:
            if not failures:
                log.warning("%s takes no heartbeats: %s", name, error_classes.describe(error))
            return False
        if failures:
            log.info("%s takes heartbeats again", name)
        return True


def _date(alive_file: Path, at: float) -> None:
    try:
        os.utime(alive_file, (at, at))
    except FileNotFoundError:
        alive_file.touch()
        os.utime(alive_file, (at, at))


def _end(store: HeartbeatStore, heartbeat: Heartbeat) -> None:
    try:
        store.end(heartbeat)
    except Exception as error:
        log.warning("%s was not told of the end: %s", type(store).__name__, error_classes.describe(error))


def start(role: str) -> Reporter:
    """Begin to write this process's heartbeats, and to show its metrics where there is a port for them."""
    options = conf.current()
    stores: list[HeartbeatStore] = [import_string(path)() for path in options.heartbeat_stores]
    reporter = Reporter(role, [*stores, HeartbeatTable(options.heartbeat_table_seconds)])
    reporter.start(metrics_url=metrics_server.start(options.metrics_host, options.metrics_port))
    return reporter


@contextmanager
def reporting(role: str) -> Iterator[Reporter]:
    """Heartbeats for as long as the block runs."""
    reporter = start(role)
    try:
        yield reporter
    finally:
        reporter.stop()


def _counters() -> Iterator[PartitionCounters]:
    for place, counts in list(partition_counts.current.snapshot().items())[:PARTITIONS_MAX]:
        yield PartitionCounters(
            group=place.group,
            topic=place.topic,
            partition=place.partition,
            handled=counts.handled,
            failed=counts.failed,
            retried=counts.retried,
            parked=counts.parked,
            dead=counts.dead,
            buckets=tuple(counts.times),
        )


def _memory_bytes() -> int:
    """What the process holds in memory now; where the system does not tell that, at the most so far."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except (OSError, IndexError, ValueError):
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024
