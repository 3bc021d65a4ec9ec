"""Groups that have something to read and do not move: somebody hears of it, once, and once that it is over."""

import dataclasses
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from devtools.testing.bridge.bridge_events import created
from devtools.testing.bridge.group_members import running
from devtools.testing.bridge.kafka_logs import put
from events import catalogue
from kafka_bridge import jobs, testing
from kafka_bridge.consuming import registry
from kafka_bridge.monitoring.alarms import Alarm
from kafka_bridge.monitoring.groups import lag, stall_detector


def row(committed: int | None, end: int, *, topic: str = "orders.events", group: str = "inventory") -> lag.PartitionLag:
    """One partition of a group."""
    return lag.PartitionLag(
        group=group, topic=topic, partition=0, committed=committed, end=end, messages=end - (committed or 0)
    )


def test_only_who_has_something_to_read_and_stays_where_it_is_stands_still() -> None:
    seconds = iter([0, 59, 60, 61, 130])
    watch = stall_detector.StallDetector(seconds=60, now=lambda: next(seconds))
    first = [row(5, 9), row(9, 9, group="idle"), row(1, 3, group="busy"), row(1, 3, topic="orders.events.x.retry")]
    later = [row(5, 12), row(9, 9, group="idle"), row(2, 3, group="busy"), row(1, 3, topic="orders.events.x.retry")]
    assert watch.find_stalled(first) == watch.find_stalled(first) == []
    assert watch.find_stalled(later) == [row(5, 12)]
    watch.forget()
    assert watch.find_stalled(later) == [], "nobody has looked for a while"
    assert [found.group for found in watch.find_stalled(later)] == ["inventory", "busy"]


@pytest.fixture
def hanging(make_group: Callable[[str], registry.Group], monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """What the handler of a group in place of notifications waits for."""
    monkeypatch.delitem(registry._groups, "notifications")
    group, go_on = make_group("notifications"), threading.Event()

    @group.on(catalogue.OrderCreated)
    def hang(event: catalogue.OrderCreated) -> None:
        go_on.wait(120)

    read = lag.read_lag
    monkeypatch.setattr(lag, "read_lag", lambda **_: read(["notifications"]))  # the others have no members here
    yield go_on
    go_on.set()


@pytest.mark.django_db(transaction=True)
@pytest.mark.kafka
@pytest.mark.faults
@pytest.mark.usefixtures("kafka")
@pytest.mark.parametrize("protocol", ["consumer", "classic"])
def test_a_member_that_keeps_its_partitions_and_does_nothing_raises_an_alarm(
    hanging: threading.Event,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    protocol: str,
) -> None:
    """FAILURES 18: its group says that all is well."""
    settings.KAFKA_BRIDGE = dataclasses.replace(settings.KAFKA_BRIDGE, group_protocol=protocol)
    monkeypatch.setattr(jobs, "_standing_still", Alarm(over="that is over"))
    monkeypatch.setattr(jobs, "_stall_detector", stall_detector.StallDetector(seconds=1))
    caplog.set_level(logging.INFO, logger="kafka_bridge.monitoring.alarms")
    put(created())
    with running(registry._groups["notifications"]) as member:
        testing.wait_until(lambda: len(member.assigned) == 3, what="a member", timeout_seconds=60)
        testing.wait_until(lambda: sampled(caplog), what="an alarm", timeout_seconds=60)
        [wrong] = said(caplog)
        assert wrong.startswith("no progress for 1 s although there is something to read: ")
        assert "notifications (orders.events[0], reading)" in wrong
        hanging.set()
        testing.wait_until(lambda: len(sampled(caplog)) == 2, what="the end of it", timeout_seconds=60)
    assert said(caplog)[1:] == ["that is over"]


def sampled(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What alarms have said after one more look."""
    jobs.sample_lag()
    return said(caplog)


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What alarms have said."""
    return [record.getMessage() for record in caplog.records if record.name == "kafka_bridge.monitoring.alarms"]
