"""The timekeeper: jobs run when they are due, one that takes long holds up nobody, one that fails runs again."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from devtools.testing.bridge import group_members
from kafka_bridge import testing
from kafka_bridge.runtime import scheduler

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def no_other_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the test's own."""
    monkeypatch.setattr(scheduler, "_jobs", [])


@contextmanager
def keeping_time() -> Iterator[None]:
    """A timekeeper in a thread; it is stopped on leaving."""
    stop = threading.Event()
    with group_members.at_work(lambda: scheduler.run(stop), stop):
        yield


def test_a_job_aside_holds_up_nobody_and_is_not_started_twice(caplog: pytest.LogCaptureFixture) -> None:
    ticks, starts, let_go = [], [], threading.Event()

    @scheduler.every(seconds=0.1)
    def tick() -> None:
        ticks.append(1)

    @scheduler.every(seconds=0.1, background=True)
    def take_long() -> None:
        starts.append(1)
        let_go.wait(20)

    with keeping_time():
        testing.wait_until(lambda: starts, what="the long job")
        before = len(ticks)
        testing.wait_until(lambda: len(ticks) >= before + 2, what="two ticks beside it")
        assert len(starts) == 1
        assert "take_long is still under way; this time it is left out" in caplog.messages
        let_go.set()
        testing.wait_until(lambda: len(starts) > 1, what="the long job again")


@pytest.mark.parametrize("background", [False, True])
def test_a_job_that_fails_runs_again(background: bool, caplog: pytest.LogCaptureFixture) -> None:
    runs: list[int] = []

    @scheduler.every(seconds=0.1, background=background)
    def stumble() -> None:
        runs.append(1)
        if len(runs) == 1:
            raise ValueError("the first time")

    with keeping_time():
        testing.wait_until(lambda: len(runs) > 1, what="a second run")
    assert "stumble failed; it runs again when due" in caplog.messages


def test_a_job_may_wait_before_its_first_time() -> None:
    runs: list[str] = []
    scheduler.every(seconds=0.1)(lambda: runs.append("at once"))
    scheduler.every(seconds=0.1, after_seconds=60)(lambda: runs.append("later"))
    with keeping_time():
        testing.wait_until(lambda: len(runs) > 2, what="some runs")
    assert set(runs) == {"at once"}
