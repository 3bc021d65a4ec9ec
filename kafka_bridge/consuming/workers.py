"""Threads beside a consumer that do what no transaction may hold: gateway calls, mails, the carrier's work."""

import logging
import threading
import time

from django.db import close_old_connections, connection

from kafka_bridge.consuming.registry import Work
from kafka_bridge.runtime import backoff, error_classes

log = logging.getLogger(__name__)
IDLE_SECONDS = 1.0
CHECK_CONNECTION_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 10.0


class Worker(threading.Thread):
    """Calls one function again and again: at once while it says there is more, else when woken, else once a second."""

    def __init__(self, work: Work, stop: threading.Event) -> None:
        super().__init__(name=work.__name__, daemon=True)
        self._work = work
        self._stop_event = stop
        self._wake = threading.Event()

    def wake(self) -> None:
        """There is something to do: a transaction has just recorded it."""
        self._wake.set()

    def run(self) -> None:
        """Work until told to stop. An error is logged and the work tried again: what is due stays recorded."""
        failures, check_at = 0, 0.0
        while not self._stop_event.is_set():
            # Before the work, not after it: what is recorded while it runs wakes it once more.
            self._wake.clear()
            try:
                # Once a second is enough, for asking costs a round trip; one that breaks in between is an error here.
                if time.monotonic() >= check_at:
                    close_old_connections()
                    check_at = time.monotonic() + CHECK_CONNECTION_SECONDS
                more = self._work()
                failures = 0
            except Exception as error:
                failures, more = failures + 1, False
                connection.close()
                self._log(error, failures)
                self._stop_event.wait(
                    backoff.exponential(failures, first_seconds=0.5, longest_seconds=LONGEST_PAUSE_SECONDS)
                )
            if not more:
                self._wake.wait(IDLE_SECONDS)
        connection.close()

    def _log(self, error: Exception, failures: int) -> None:
        if error_classes.is_infrastructure(error) or error_classes.is_conflict(error):
            log.warning("%s: waiting, try %d follows: %s", self.name, failures + 1, error_classes.describe(error))
        else:
            log.exception("%s failed; it will be tried again", self.name)
