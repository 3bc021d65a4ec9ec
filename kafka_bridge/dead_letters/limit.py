"""How many dead letters in a row a group may make before it stops itself."""

import logging
import threading

from kafka_bridge.runtime import clients

log = logging.getLogger(__name__)
_ADVICE = "Look at the last errors, mend what they have in common, then start the group again."


class TooManyDeadLetters(Exception):
    """So many dead letters in a row that the group stopped: look at the last errors, mend what they have in common."""


class DeadLetterLimit:
    """Counts the messages that a group's handlers failed with in this process since one was last handled.

    When everything fails, the messages are not what is wrong: a group that goes on would carry its topics into the
    dead letters. Counted from several threads.
    """

    def __init__(self, group: str, stop: threading.Event) -> None:
        self.group = group
        self.is_reached = False
        self.cap = clients.conf().dead_letters_in_row
        self._count = 0
        self._stop = stop
        self._lock = threading.Lock()

    def count(self) -> None:
        """One more dead letter; it may be the one that stops the process."""
        with self._lock:
            self._count += 1
            # Equal, not greater: said once. With a cap of 0 the count never is, so there is no limit.
            if self._count != self.cap:
                return
            self.is_reached = True
        log.critical(
            "%s: %d dead letters in a row and nothing handled in between: stopping. %s",
            self.group, self._count, _ADVICE,
        )  # fmt: skip
        self._stop.set()

    def check(self) -> None:
        """Say so where the group has stopped itself.

        Raises:
            TooManyDeadLetters: it has.
        """
        if self.is_reached:
            raise TooManyDeadLetters(
                f"{self.group}: {self.cap} dead letters in a row and nothing handled in between. {_ADVICE}"
            )

    def reset(self) -> None:
        """A message was handled."""
        with self._lock:
            self._count = 0
