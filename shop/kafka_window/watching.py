"""Keeps the window's state fresh, and only while somebody looks.

# Note [Costs nothing when closed]
The first who looks starts three threads: one reads the last messages, one asks the brokers, one asks PostgreSQL. Some
seconds after the last one has left they end, with all of their clients and connections.

# Note [Counted, not read]
Beyond `READ_MAX_PER_SECOND` nobody could follow single messages, and reading them would take from the shop what it
needs for them. Then the clients of the tail and of the groups' news are closed, and the figures come from the brokers
alone; when it is quieter the last messages are read again. In the same way the brokers are asked less often while there
is much to do.

# Note [Asked when something happens]
To ask the brokers is what costs most of all, and mostly they have nothing new to say. The tail costs next to nothing
and hears of a message at once: so it wakes those who ask, and they ask quickly for as long as what follows from it may
take (the groups' commits), then slowly. What moves without a message, such as a partition's owner, the brokers note in
a topic of their own, and that something was noted there wakes them just as well. Where that may not be read, it is seen
a little later.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from operator import itemgetter
from typing import Any

from django.db import connection

from kafka_bridge.consuming.offset_tracker import PartitionId
from kafka_bridge.monitoring.cluster_figures import KafkaFigures
from kafka_bridge.monitoring.cluster_reader import ClusterReader
from kafka_bridge.monitoring.group_news import GroupNews
from kafka_bridge.monitoring.log_tail import LogEntry, LogTail
from kafka_bridge.runtime import clients
from shop.kafka_window import stores
from shop.kafka_window.state import Window
from shop.operations.overview import outage_words

log = logging.getLogger(__name__)
KEPT = 24
"""Messages of each partition."""
READ_MAX_PER_SECOND = 400.0
CALM_PER_SECOND = 50.0
CALM_SECONDS = 0.15
BUSY_SECONDS = 1.0
QUIET_SECONDS = 0.75
QUIET_AFTER_SECONDS = 5.0
AWAY_SECONDS = 2.0
TAIL_SECONDS = 0.1
LINGER_SECONDS = 5.0


class Watcher:
    """The window of this process. Any thread may call it."""

    def __init__(self) -> None:
        self._run: _Run | None = None
        self._looked_at = 0.0
        self._window = Window(version=0)
        self._changed = threading.Condition()

    @property
    def is_running(self) -> bool:
        """Whether anything is being read."""
        return self._run is not None

    def look(self) -> Window:
        """What is known now, which is kept fresh for some seconds from now on; never waits."""
        with self._changed:
            self._looked_at = time.monotonic()
            if self._run is None:
                self._window = Window(version=self._window.version + 1)
                self._run = _Run(self)
                self._run.start()
            return self._window

    def wait_complete(self, seconds: float) -> Window:
        """What is known as soon as brokers and PostgreSQL have answered or failed, or after so many seconds."""
        self.look()
        with self._changed:
            self._changed.wait_for(lambda: _is_complete(self._window), seconds)
            return self._window

    def is_wanted(self, run: "_Run") -> bool:
        """Whether this run goes on: one that ends is never taken up again."""
        with self._changed:
            if self._run is run and time.monotonic() - self._looked_at > LINGER_SECONDS:
                self._run = None
            return self._run is run

    def note(self, run: "_Run", **changes: Any) -> None:
        """This is how it is now, as the run that is in force has seen it."""
        with self._changed:
            if self._run is not run:
                return
            fresh = replace(self._window, **changes)
            if fresh != self._window:
                self._window = replace(fresh, version=self._window.version + 1)
            self._changed.notify_all()

    def end(self, run: "_Run") -> None:
        """The run cannot go on; the next look begins another one."""
        with self._changed:
            if self._run is run:
                self._run = None


class _Run:
    """Three threads that read until nobody looks any more; see Note [Costs nothing when closed]."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self._tail = LogTail(kept=KEPT)
        self._news = GroupNews()
        self._rate = _Rate()
        self._lock = threading.Lock()
        self._window = Window(version=0)
        self._moved_at = time.monotonic()
        # For each of the two who ask, so that none takes the other's.
        self._is_new = {loop: threading.Event() for loop in ("brokers", "stores")}

    def start(self) -> None:
        """Begin to read."""
        for loop in (self._follow, self._ask_brokers, self._ask_stores):
            threading.Thread(target=self._go, args=[loop], name=f"window{loop.__name__}", daemon=True).start()

    def _go(self, loop: Callable[[], None]) -> None:
        try:
            loop()
        except Exception:
            log.exception("the window on Kafka has lost a reader; the next who looks begins anew")
        finally:
            self._watcher.end(self)

    def _goes_on(self) -> bool:
        return self._watcher.is_wanted(self)

    def _note(self, **changes: Any) -> None:
        with self._lock:
            self._window = replace(self._window, **changes)
        self._watcher.note(self, **changes)

    def _follow(self) -> None:
        """Read the last messages."""
        prefix = clients.conf().topic_prefix
        try:
            while self._goes_on():
                window = self._window
                if window.kafka is None or window.is_counting or window.kafka_error:
                    self._tail.close()
                    self._news.close()
                    time.sleep(TAIL_SECONDS)
                    continue
                is_new = self._tail.follow(_ends(window.kafka))
                is_moved = bool(self._tail.poll(TAIL_SECONDS))
                if self._news.poll() or is_moved:
                    self._wake()
                if is_moved or is_new:
                    tails = {(name.removeprefix(prefix), n): kept for (name, n), kept in self._tail.entries().items()}
                    self._note(tails=tails)
        finally:
            self._tail.close()
            self._news.close()

    def _ask_brokers(self) -> None:
        reader = ClusterReader(with_age=False)
        try:
            while self._goes_on():
                try:
                    self._note_figures(reader.read())
                except Exception as error:
                    self._note(kafka_error=outage_words.describe(error))
                    time.sleep(AWAY_SECONDS)
                else:
                    self._wait("brokers", self._pace())
        finally:
            reader.close()

    def _note_figures(self, figures: KafkaFigures) -> None:
        per_second = self._rate.update(figures)
        is_counting = per_second > READ_MAX_PER_SECOND * (0.7 if self._window.is_counting else 1.0)
        changes: dict[str, Any] = {"tails": {}} if is_counting else {}
        # How long the answer took is of no interest here, and would make each look another one.
        self._note(
            kafka=replace(figures, answer_seconds=0.0), kafka_error="", is_counting=is_counting,
            written_per_second=per_second, **changes,
        )  # fmt: skip

    def _pace(self) -> float:
        """See Note [Counted, not read] and Note [Asked when something happens]."""
        if self._window.written_per_second >= CALM_PER_SECOND:
            return BUSY_SECONDS
        return CALM_SECONDS if time.monotonic() - self._moved_at < QUIET_AFTER_SECONDS else QUIET_SECONDS

    def _wake(self) -> None:
        """A message was written, or something has moved in a group."""
        was_quiet, self._moved_at = self._pace() == QUIET_SECONDS, time.monotonic()
        if was_quiet:
            for event in self._is_new.values():
                event.set()

    def _wait(self, loop: str, seconds: float) -> None:
        """Wait so long, or until something happens after a quiet time."""
        self._is_new[loop].wait(seconds)
        self._is_new[loop].clear()

    def _ask_stores(self) -> None:
        try:
            while self._goes_on():
                try:
                    stores.connect()
                    self._note(stores=stores.read(_newest(self._window.tails)), stores_error="")
                except Exception as error:
                    self._note(stores_error=outage_words.describe(error))
                    connection.close()
                    time.sleep(AWAY_SECONDS)
                else:
                    self._wait("stores", 2 * self._pace())
        finally:
            connection.close()


class _Rate:
    """Messages a second over the last two seconds, from where the topics end."""

    def __init__(self) -> None:
        self._looks: list[tuple[float, int]] = []

    def update(self, figures: KafkaFigures) -> float:
        """The rate with this look."""
        now, total = time.monotonic(), sum(each.end for topic in figures.topics for each in topic.partitions)
        self._looks = [look for look in self._looks if now - look[0] <= 2.0]
        self._looks.append((now, total))
        (since, before) = self._looks[0]
        return max(0.0, round((total - before) / (now - since), 1)) if now - since > 0.5 else 0.0


def _is_complete(window: Window) -> bool:
    has_kafka = bool(window.kafka_error) or (window.kafka is not None and (bool(window.tails) or window.is_counting))
    return has_kafka and (window.stores is not None or bool(window.stores_error))


def _ends(figures: KafkaFigures) -> Mapping[PartitionId, tuple[int, int]]:
    return {
        (clients.topic_name(topic.name), each.number): (each.start, each.end)
        for topic in figures.topics
        for each in topic.partitions
    }


def _newest(tails: Mapping[PartitionId, Sequence[LogEntry]]) -> list[LogEntry]:
    dated = [(entry.at, entry) for entries in tails.values() for entry in entries[-stores.SHOWN :] if entry.at]
    return [entry for _, entry in sorted(dated, key=itemgetter(0), reverse=True)[: stores.SHOWN]]


watcher = Watcher()
