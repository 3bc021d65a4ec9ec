"""What `run_consumer` runs for a group: a runner, and beside it in a thread a consumer of the retry topics."""

import logging
import threading
from collections.abc import Callable

from confluent_kafka import KafkaException

from kafka_bridge.consuming.group_member import LEAVE_SECONDS
from kafka_bridge.consuming.registry import Group
from kafka_bridge.consuming.runner import Runner
from kafka_bridge.dead_letters.limit import DeadLetterLimit
from kafka_bridge.retrying.retry_consumer import RetryConsumer

log = logging.getLogger(__name__)


class ConsumerProcess:
    """One runner and one retry consumer of a group; both stop when one of them does. `run` may be called once."""

    def __init__(self, group: Group, stop: threading.Event, *, after_commit: Callable[[], None] = lambda: None) -> None:
        self.group = group
        self.stop = stop
        self.dead_letter_limit = DeadLetterLimit(group.name, stop)
        self.runner = Runner(group, stop, after_commit=after_commit, dead_letter_limit=self.dead_letter_limit)
        self.retrying = RetryConsumer(group, stop, after_commit=after_commit, dead_letter_limit=self.dead_letter_limit)
        self._error: Exception | None = None

    @property
    def handled(self) -> int:
        """Messages handled, at the first attempt or a later one."""
        return self.runner.handled + self.retrying.handled

    @property
    def duplicates(self) -> int:
        """Messages that the group had had before."""
        return self.runner.duplicates

    @property
    def parked(self) -> int:
        """Messages that could not be handled in their place."""
        return self.runner.parked

    @property
    def dead(self) -> int:
        """Messages given up."""
        return self.runner.dead + self.retrying.dead

    def run(self) -> None:
        """Consume until told to stop; then finish what is under way, commit, and leave both groups at once.

        Raises:
            AccessRefused: the brokers refuse the sign-in, or a right.
            KafkaException: a client is beyond repair; end the process with an error, a new one starts afresh.
            TooManyDeadLetters: the group stopped itself; a person must look.
        """
        # A thread, not a process: it shares the count of dead letters, the workers, and the end of this one.
        beside = threading.Thread(target=self._retry, name=self.retrying.name, daemon=True)
        beside.start()
        try:
            self.runner.run()
        finally:
            self.stop.set()
            # It leaves its group meanwhile; a daemon thread that does not come back must not keep the process alive.
            beside.join(LEAVE_SECONDS)
        if self._error is not None:
            raise self._error
        self.dead_letter_limit.check()

    def _retry(self) -> None:
        try:
            self.retrying.run()
        except Exception as error:
            # Raised again by `run`: an exception in a thread ends nothing but the thread.
            self._error = error
            if not isinstance(error, KafkaException):
                log.exception("%s failed", self.retrying.name)
            self.stop.set()
