"""Members of consumer groups, at work in threads of the test."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from kafka_bridge import registry, runner


@contextmanager
def running(group: registry.Group) -> Iterator[runner.Runner]:
    """A member of the group in a thread; it is stopped on leaving."""
    stop = threading.Event()
    member = runner.Runner(group, stop)
    thread = threading.Thread(target=member.run)
    thread.start()
    try:
        yield member
    finally:
        stop.set()
        thread.join(60)
        assert not thread.is_alive()
