"""The bridge's processes as threads of a test: a relay, and members of consumer groups."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psycopg
from django.db import connections

from kafka_bridge.consuming import registry
from kafka_bridge.consuming.consumer_process import ConsumerProcess
from kafka_bridge.publishing import outbox, relay
from kafka_bridge.runtime.postgresql import leadership

STOP_SECONDS = 60.0


@contextmanager
def relaying() -> Iterator[None]:
    """A relay at work; it is stopped on leaving."""
    stop = threading.Event()
    with _at_work(lambda: relay.run(stop), stop, what="relay"):
        try:
            yield
        finally:
            stop.set()
            wake_relay()


def wake_relay() -> None:
    """Have a relay that waits for rows look up now, and not within a second, for instance to see that it is to stop."""
    with suppress(psycopg.Error), psycopg.connect(**leadership.connection_parameters(), autocommit=True) as session:
        session.execute("SELECT pg_notify(%s, '')", [outbox.CHANNEL])


@contextmanager
def consuming(group: str) -> Iterator[ConsumerProcess]:
    """A member of the group at work, with the consumer of its retry topics; it is stopped on leaving.

    Workers of the group do not run: call them in the test.
    """
    stop = threading.Event()
    member = ConsumerProcess(registry.find(group), stop)
    with _at_work(member.run, stop, what=group):
        yield member


@contextmanager
def _at_work(work: Callable[[], object], stop: threading.Event, *, what: str) -> Iterator[None]:
    """Raises what the work raised, on leaving."""
    errors: list[Exception] = []

    def run() -> None:
        try:
            work()
        except Exception as error:
            errors.append(error)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run, name=what, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(STOP_SECONDS)
    if thread.is_alive():
        raise TimeoutError(f"{what} did not stop within {STOP_SECONDS:g} s")
    if errors:
        raise errors[0]
