"""Many callers, one transaction: what arrives while one batch commits makes up the next.

# Note [Group commit]
A commit costs a disk flush. So the threads that serve requests hand their work to one thread
of the process and wait; that thread takes all there is and commits it at once. Alone, a request waits for nobody; under
load, batches grow by themselves. Nothing is answered before it is committed: as durable as one transaction each.
If a batch fails, each piece of work is tried alone, so one bad order hurts no other.
"""

import os
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Generic, TypeVar

from django.db import close_old_connections, connection

from kafka_bridge.runtime import error_classes

# A connection that was used a moment ago is taken to be there; asking costs a round trip.
CHECK_AFTER_IDLE_SECONDS = 1.0
T = TypeVar("T")
R = TypeVar("R")


class GroupCommit(Generic[T, R]):
    """Hands work to one thread, which commits it in groups.

    `commit` takes a list of work, writes it in one durable transaction of its own, and returns a result (or an
    exception to raise) for each piece, in order. It must be safe to call again with the same work.
    """

    def __init__(self, commit: Callable[[Sequence[T]], Sequence[R | Exception]], *, largest: int = 200) -> None:
        self._commit = commit
        self._largest = largest
        self._waiting: queue.SimpleQueue[tuple[T, Future[R]]] = queue.SimpleQueue()
        self._starting = threading.Lock()
        self._pid = 0

    def submit(self, work: T, *, timeout_seconds: float) -> R:
        """Do this work with whatever else is waiting; returns once it is committed.

        Raises:
            TimeoutError: no answer in time; the work may still be committed, so try again with the same key.
            Exception: what `commit` gave for this work.
        """
        self._ensure_thread()
        future: Future[R] = Future()
        self._waiting.put((work, future))
        return future.result(timeout_seconds)

    def _ensure_thread(self) -> None:
        """Threads do not survive a fork, so each process starts its own when it first needs it."""
        if self._pid == os.getpid():
            return
        with self._starting:
            if self._pid != os.getpid():
                self._waiting = queue.SimpleQueue()
                threading.Thread(target=self._run, name="group-commit", daemon=True).start()
                self._pid = os.getpid()

    def _run(self) -> None:
        last = 0.0
        while True:
            batch = [self._waiting.get()]
            while len(batch) < self._largest:
                try:
                    batch.append(self._waiting.get_nowait())
                except queue.Empty:
                    break
            if time.monotonic() - last > CHECK_AFTER_IDLE_SECONDS:
                close_old_connections()
            self._settle(batch)
            last = time.monotonic()

    def _settle(self, batch: list[tuple[T, "Future[R]"]], *, is_again: bool = False) -> None:
        try:
            results = self._commit([work for work, _ in batch])
        except Exception as error:
            connection.close()
            # The connection may have died since it was used last, with a server that is long back.
            if error_classes.is_infrastructure(error) and not is_again:
                self._settle(batch, is_again=True)
            elif len(batch) == 1:
                batch[0][1].set_exception(error)
            else:
                for alone in batch:
                    self._settle([alone], is_again=True)
            return
        for (_, future), result in zip(batch, results, strict=True):
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)
