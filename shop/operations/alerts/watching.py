"""Evaluates the alerts again and again: in the timekeeper that leads, and in the role live where nobody else does."""

import functools
import logging
import threading
import time

from django.db import close_old_connections, connection

from shop.operations.alerts import board, stamps
from shop.operations.alerts.telling.sending import Senders
from shop.operations.overview import collector

log = logging.getLogger(__name__)
EVERY_SECONDS = 5.0
FIRST_AFTER_SECONDS = 20.0
"""A shop that has just been started is not complete yet."""


class Watch:
    """What one process needs to evaluate."""

    def __init__(self, *, goes_on_without_database: bool) -> None:
        collector.start()
        self.board = board.start(goes_on_without_database=goes_on_without_database)
        self._senders = Senders(self.board)

    def lead(self) -> None:
        """Evaluate once, as the one who leads.

        Raises:
            DatabaseError, InterfaceError: PostgreSQL is away.
        """
        overview = collector.overview()
        if overview.database.error:
            # Who leads has PostgreSQL: this was seen before it came back. Who told people of it says that it is over.
            return
        self.board.evaluate(overview)
        stamps.take()
        self._senders.wake(ask_database=True)

    def stand_by(self) -> None:
        """Evaluate once, if nobody else does; see `stamps`."""
        overview = collector.overview()
        ask_database = not overview.database.error
        if stamps.try_take(ask_database=ask_database):
            self.board.evaluate(overview)
            self._senders.wake(ask_database=ask_database)
        elif ask_database:
            self.board.refresh()


@functools.cache
def of_timekeeper() -> Watch:
    """The timekeeper's; made when it leads for the first time."""
    return Watch(goes_on_without_database=False)


def stand_by_forever() -> None:
    """In a thread of its own, from now on: see to it that somebody evaluates."""
    threading.Thread(target=_stand_by_forever, name="alerts", daemon=True).start()


def _stand_by_forever() -> None:
    watch = Watch(goes_on_without_database=True)
    time.sleep(FIRST_AFTER_SECONDS)
    while True:
        try:
            close_old_connections()
            watch.stand_by()
        except Exception:
            log.exception("the alerts could not be evaluated; once more in %g s", EVERY_SECONDS)
            connection.close()
        time.sleep(EVERY_SECONDS)
