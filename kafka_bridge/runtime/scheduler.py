"""Work that the clock starts: deadlines, sweeps, samples. One leader, any number of standbys.

An app's `jobs.py` decorates plain functions with `@scheduler.every(seconds=…)`.

# Note [In the background]
Deadlines and holds are looked after every second or two, and must not wait for a job that asks Kafka or adds up
whole tables. Such a job runs in the background, in a thread of its own; while it is under way it is not started again.
One that comes often keeps its thread, and with it its connection to PostgreSQL: to make one takes as much processor
time, here and there, as most jobs do.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from django.db import close_old_connections, connection

from kafka_bridge.runtime import error_classes, processes
from kafka_bridge.runtime.postgresql import database_bounds, leadership
from kafka_bridge.runtime.postgresql.leadership import Connection
from kafka_bridge.telemetry import activity, metrics

log = logging.getLogger(__name__)
RUNS = metrics.counter("job_runs", "How often the timekeeper has run a job", ["job"], by="timekeeper")
FAILURES = metrics.counter(
    "job_failures", "How often a job of the timekeeper's has raised an error", ["job"], by="timekeeper"
)
SECONDS = metrics.histogram("job_seconds", "How long a run of a job took", ["job"], by="timekeeper")
LEADER_LOCK = 0x626F6F6B74
OFTEN_SECONDS = 15.0
"""What runs at least so often in the background keeps its thread; see Note [In the background]."""


@dataclass
class Job:
    """A function and how often it runs."""

    function: Callable[[], None]
    seconds: float
    due_at: float = 0.0
    background: bool = False
    """Whether it runs in a thread of its own; see Note [In the background]."""
    thread: threading.Thread | None = None
    is_wanted: bool = False
    """Whether its thread is to run it, or does."""
    changed: threading.Condition = field(default_factory=threading.Condition)
    """Held while the two above are read and changed."""


_jobs: list[Job] = []


def every(
    *, seconds: float, after_seconds: float = 0.0, background: bool = False
) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Run the function this often, by the timekeeper that leads; first so long after the process began.

    One that may take longer than a moment runs in the `background`; see Note [In the background].
    """

    def decorate(function: Callable[[], None]) -> Callable[[], None]:
        _jobs.append(Job(function, seconds, time.monotonic() + after_seconds, background))
        return function

    return decorate


def jobs() -> list[Job]:
    """All jobs, in the order of their registration."""
    return list(_jobs)


def run(stop: threading.Event) -> None:
    """Keep time until told to stop; survives the loss of PostgreSQL."""
    leadership.run_as_leader(LEADER_LOCK, role="timekeeper", stop=stop, work=lambda leader: _lead(leader, stop))
    connection.close()


def _lead(leader: Connection, stop: threading.Event) -> None:
    processes.announce_ready()
    activity.current.say("working", f"runs {len(_jobs)} jobs by the clock")
    while not stop.is_set():
        activity.current.turn()
        leader.execute("SELECT 1")  # raises once the lock's connection is gone, and with it the lock
        database_bounds.check_takes_writes(leader)
        for job in _jobs:
            if time.monotonic() >= job.due_at:
                _start(job) if job.background else _run(job)
        stop.wait(0.5)


def _start(job: Job) -> None:
    """Run it in the background; where it is still under way from the last time, it is left out this time."""
    # Also at its start (`_run` does it at its end): or every look would find it due while it is under way.
    job.due_at = time.monotonic() + job.seconds
    with job.changed:
        if job.is_wanted:
            log.warning("%s is still under way; this time it is left out", job.function.__name__)
            return
        job.is_wanted = True
        job.changed.notify()
        if job.thread is None:
            job.thread = threading.Thread(target=_work, args=[job], name=job.function.__name__, daemon=True)
            job.thread.start()


def _work(job: Job) -> None:
    """Run it as often as it is wanted, and end where it is not for long: it is rare, or another process leads."""
    patience = 2 * job.seconds if job.seconds <= OFTEN_SECONDS else 0.0
    try:
        while _is_wanted(job, patience):
            _run(job)
            with job.changed:
                job.is_wanted = False
    finally:
        connection.close()


def _is_wanted(job: Job, within_seconds: float) -> bool:
    with job.changed:
        if not job.changed.wait_for(lambda: job.is_wanted, within_seconds):
            job.thread = None
        return job.is_wanted


def _run(job: Job) -> None:
    name, began = job.function.__name__, time.perf_counter()
    try:
        close_old_connections()
        job.function()
    except Exception as error:
        FAILURES.labels(name).inc()
        if error_classes.is_infrastructure(error) or error_classes.is_conflict(error):
            log.warning("%s: %s; it runs again when due", name, error_classes.describe(error))
            connection.close()
        else:
            log.exception("%s failed; it runs again when due", name)
    else:
        activity.current.progress()
        activity.current.note_use("postgresql")
    RUNS.labels(name).inc()
    SECONDS.labels(name).observe(time.perf_counter() - began)
    job.due_at = time.monotonic() + job.seconds
