"""The alerts as the operations page shows them.

Those that hold stand on this process's board, which `alerts.watching` keeps up to date; those that are over are read
again every few seconds while PostgreSQL answers.
"""

import logging
import threading
from collections.abc import Sequence

from django.db import DatabaseError, InterfaceError, close_old_connections

from shop.operations.alerts import board
from shop.operations.alerts.alert import Alert

log = logging.getLogger(__name__)
EVERY_SECONDS = 10.0
PAST_MAX = 50


class AlertReader:
    """Reads what was raised and what is over, in a thread that ends with the process."""

    def __init__(self) -> None:
        self._board = board.start(goes_on_without_database=True)
        self._past: Sequence[Alert] = ()

    def start(self) -> None:
        """Read from now on."""
        threading.Thread(target=self._read_for_ever, name="ops-alerts", daemon=True).start()

    def current(self) -> Sequence[Alert]:
        """Alerts that hold, as the board has them."""
        return self._board.current()

    def past(self) -> Sequence[Alert]:
        """The last ones that are over, as last read."""
        return self._past

    def _read_for_ever(self) -> None:
        waiting = threading.Event()
        while not waiting.wait(EVERY_SECONDS):
            try:
                close_old_connections()
                self._past = [alert for alert in board.history(PAST_MAX) if alert.cleared_at]
            except (DatabaseError, InterfaceError):
                log.debug("alerts cannot be read now", exc_info=True)
