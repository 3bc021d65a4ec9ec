"""Members of consumer groups, at work in threads of the test."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kafka_bridge.consuming import registry, runner


@contextmanager
def running(group: registry.Group) -> Iterator[runner.Runner]:
    """A member of the group in a thread; it is stopped on leaving."""
    stop = threading.Event()
    member = runner.Runner(group, stop)
    with at_work(member.run, stop):
        yield member


@contextmanager
def at_work(work: Callable[[], object], stop: threading.Event) -> Iterator[None]:
    """What works until it is told to stop, in a thread; it is told on leaving."""
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(60)
        assert not thread.is_alive()
