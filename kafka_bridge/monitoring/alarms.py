"""Alarms: something is wrong that no retry mends. Said once when it begins, and once when it is over."""

import logging

log = logging.getLogger(__name__)


class Alarm:
    """Remembers in this process whether it has been raised; another timekeeper that leads raises it once more."""

    def __init__(self, *, over: str) -> None:
        """`over` is what is said when all is well again."""
        self._over = over
        self.is_raised = False

    def update(self, wrong: str) -> None:
        """What is wrong now, in words; empty if nothing is."""
        if wrong and not self.is_raised:
            log.error("%s", wrong)
        elif not wrong and self.is_raised:
            log.info("%s", self._over)
        self.is_raised = bool(wrong)
