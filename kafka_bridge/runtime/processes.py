"""What the long-running commands share: stopping cleanly, and saying when they are ready."""

import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Never

from kafka_bridge.runtime import conf
from kafka_bridge.telemetry import activity

log = logging.getLogger(__name__)


def stop_on_signals() -> threading.Event:
    """An event that SIGTERM and Ctrl-C set; loops look at it at least once a second."""
    stop = threading.Event()

    def request_stop(number: int, _: object) -> None:
        log.info("%s: finishing what is under way, then stopping", signal.Signals(number).name)
        stop.set()
        activity.current.say("stopping", "finishes what is under way")

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, request_stop)
    return stop


@contextmanager
def sigterm_as_ctrl_c() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt, so that what was made for the work at hand is cleared away either way."""

    def interrupt(number: int, frame: FrameType | None) -> Never:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def stop_at_end_of_input(stop: threading.Event, *, within_seconds: float) -> None:
    """Set `stop` when standard input ends, as it does when the parent that holds its other end is killed.

    No parent is left then that would end this process by force; if it still runs so long after that, it does so itself.
    """

    def wait_for_the_end() -> None:
        # Not through sys.stdin: the interpreter could not shut down while a thread reads from it.
        while os.read(0, 4096):
            pass
        log.warning("the parent process is gone: finishing what is under way, then stopping")
        stop.set()
        time.sleep(within_seconds)
        os._exit(1)

    threading.Thread(target=wait_for_the_end, name="end-of-input", daemon=True).start()


def announce_ready() -> None:
    """Touch the file that whoever started this process watches, if it asked for one."""
    if ready_file := conf.current().ready_file:
        Path(ready_file).touch()
