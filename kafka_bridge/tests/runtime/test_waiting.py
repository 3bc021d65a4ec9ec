"""Waiting for a condition."""

import threading
import time

import pytest

from kafka_bridge.runtime import waiting


def test_it_ends_with_the_condition() -> None:
    answers = iter([False, False, True])
    waiting.until(lambda: next(answers), what="the third answer", timeout_seconds=30)
    assert list(answers) == []


def test_what_did_not_come_is_named() -> None:
    with pytest.raises(TimeoutError, match=r"^the end took longer than 0\.1 s$"):
        waiting.until(lambda: False, what="the end", timeout_seconds=0.1)


def test_who_is_told_to_stop_waits_no_longer() -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(waiting.Stopped):
        waiting.until(lambda: False, what="the end", timeout_seconds=60, stop=stop)


def test_a_costly_condition_is_evaluated_more_seldom() -> None:
    """A tenth of the time at most; every 50 ms would be fourteen times in this second."""
    evaluated = 0

    def costly() -> bool:
        nonlocal evaluated
        evaluated += 1
        time.sleep(0.02)
        return False

    with pytest.raises(TimeoutError):
        waiting.until(costly, what="the end", timeout_seconds=1)
    assert 1 <= evaluated <= 8
