"""Lag on a real broker: messages and seconds, groups that never committed, who reads, and when it will be over."""

import contextlib
import dataclasses
import io
import json
import logging
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from confluent_kafka import KafkaException
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone
from rich.console import Console

from devtools.testing.bridge.bridge_events import created, delivered
from devtools.testing.bridge.group_members import committed, running
from devtools.testing.bridge.kafka_logs import produce_all, put, put_all, record_all
from devtools.testing.bridge.manage_processes import environment_of, process
from devtools.testing.bridge.relays import send
from events import catalogue
from kafka_bridge import jobs, testing
from kafka_bridge.consuming import pause_notices, registry
from kafka_bridge.management.output import lag as output
from kafka_bridge.models import LagSample
from kafka_bridge.monitoring.alarms import Alarm
from kafka_bridge.monitoring.groups import lag, throughput
from kafka_bridge.replaying import offsets
from kafka_bridge.runtime import clients

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.kafka, pytest.mark.usefixtures("kafka", "quick")]
HEARD = "orders.events"


def listen(group: registry.Group, *, gate: Callable[[], object] = lambda: None) -> None:
    """The group hears order.created, and waits at the gate with each batch."""

    @group.on_batch(catalogue.OrderCreated)
    def hear(events: Sequence[catalogue.OrderCreated]) -> None:
        gate()


def all_can_be_read() -> bool:
    """Whether every group's partitions can be asked; of a topic that was made just now a broker may not know yet."""
    with contextlib.suppress(KafkaException):
        return bool(lag.read_lag(with_age=False))
    return False


def messages() -> int:
    """How far the test's group is behind."""
    return sum(row.messages for row in lag.read_lag(["notifications"], with_age=False))


@pytest.mark.parametrize("protocol", ["consumer", "classic"])
def test_no_commit_yet_is_everything_and_never_nothing(group: registry.Group, settings: Any, protocol: str) -> None:
    settings.KAFKA_BRIDGE = dataclasses.replace(settings.KAFKA_BRIDGE, group_protocol=protocol)
    listen(group)
    send(*(created() for _ in range(40)))
    rows = lag.read_lag(["notifications"])
    assert [(row.topic, row.partition, row.committed, row.owner) for row in rows] == [
        (HEARD, number, None, "") for number in range(3)
    ]
    assert sum(row.messages for row in rows) == 40
    assert all(0 < (row.seconds or 0) < 60 for row in rows if row.messages)
    with running(group):
        testing.wait_until(lambda: committed("notifications") == 40, what="40 committed")
        rows = lag.read_lag(["notifications"])
        assert [(row.messages, row.seconds) for row in rows] == [(0, 0.0)] * 3
        assert sum(row.committed or 0 for row in rows) == 40
        assert {row.owner.split(" ")[-1] for row in rows} == {"127.0.0.1"}


def test_it_tells_messages_and_seconds_while_the_group_is_stuck(group: registry.Group) -> None:
    go_on = threading.Event()
    listen(group, gate=lambda: go_on.wait(30))
    send(*(created() for _ in range(10)))
    with running(group):
        testing.wait_until(lambda: all(row.owner for row in lag.read_lag(["notifications"])), what="an owner of each")
        send(*(created() for _ in range(20)))
        first = max(row.seconds or 0 for row in lag.read_lag(["notifications"]))
        assert messages() == 30
        testing.wait_until(
            lambda: max(row.seconds or 0 for row in lag.read_lag(["notifications"])) > first, what="an older message"
        )
        go_on.set()
        testing.wait_until(lambda: messages() == 0, what="nothing behind")


def test_two_groups_at_different_places_of_a_partition_have_ages_of_their_own(
    group: registry.Group,
    make_group: Callable[[str], registry.Group],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(registry._groups, "analytics")
    other = make_group("analytics")
    listen(group)
    listen(other)
    send(*(created() for _ in range(30)))
    with running(other):
        testing.wait_until(lambda: committed("analytics") == 30, what="30 committed")
    send(*(created() for _ in range(30)))
    rows = lag.read_lag(["analytics", "notifications"])
    by_group = {name: [row for row in rows if row.group == name] for name in ("analytics", "notifications")}
    assert sum(row.messages for row in by_group["analytics"]) == 30
    assert sum(row.messages for row in by_group["notifications"]) == 60
    oldest = {name: max(row.seconds or 0 for row in found) for name, found in by_group.items()}
    assert oldest["notifications"] > oldest["analytics"] > 0


def test_samples_tell_the_pace_and_when_it_will_be_over(group: registry.Group) -> None:
    listen(group)
    send(*(created() for _ in range(60)))
    jobs.sample_lag()
    assert LagSample.objects.filter(group="notifications").count() == 3
    assert throughput.earlier_snapshots() == {}, "a sample of this moment tells no pace"
    LagSample.objects.update(at=timezone.now() - timedelta(seconds=20))
    with running(group):
        testing.wait_until(lambda: committed("notifications") == 60, what="60 committed")
    send(*(created() for _ in range(20)))
    paces = throughput.measure(throughput.earlier_snapshots(), throughput.snapshots_of(lag.read_lag(["notifications"])))
    assert sum(speed.handled for speed in paces.values()) == pytest.approx(3, rel=0.3)
    assert sum(speed.written for speed in paces.values()) == pytest.approx(1, rel=0.3)


@pytest.mark.parametrize(
    ("handled", "written", "left", "seconds"), [(10, 5, 50, 10), (5, 5, 50, None), (0, 0, 0, 0), (2, 9, 1, None)]
)
def test_time_to_drain(handled: float, written: float, left: int, seconds: float | None) -> None:
    assert throughput.Throughput(handled=handled, written=written).drain_seconds(left) == seconds


@pytest.mark.faults
def test_unread_messages_that_are_about_to_be_deleted_raise_an_alarm(
    group: registry.Group,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """FAILURES 28: a topic keeps its messages for seven days; after half of that somebody has to hear of it."""
    monkeypatch.setattr(jobs, "_expiring", Alarm(over="that is over"))
    caplog.set_level(logging.INFO, logger="kafka_bridge.monitoring.alarms")
    listen(group)
    put(created(), at=datetime.now(UTC) - timedelta(days=3))
    testing.wait_until(all_can_be_read, what="brokers that know all leaders", timeout_seconds=60)
    jobs.sample_lag()
    assert caplog.messages == []
    put(created(), partition=1, at=datetime.now(UTC) - timedelta(days=4))
    for _ in range(2):
        jobs.sample_lag()
    [wrong] = caplog.messages
    assert wrong.startswith("unread messages are about to be deleted: ")
    assert "notifications (orders.events)" in wrong
    monkeypatch.setattr(lag, "read_lag", lambda **_: [])
    jobs.sample_lag()
    assert caplog.messages[1:] == ["that is over"]


# -- the command ------------------------------------------------------------------------------------
def show(*options: str) -> str:
    """What the command prints."""
    out = io.StringIO()
    call_command("show_lag", *options, stdout=out)
    return out.getvalue()


def test_the_command_says_none_yet_and_nobody(group: registry.Group, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    listen(group)
    send(*(created() for _ in range(12)))
    page = show("notifications")
    assert page.count("none yet") == page.count("nobody") == 3
    assert "12 messages are still to be read. Nobody reads for notifications: is it running?" in page
    said = json.loads(show("notifications", "--json"))
    assert said["messages"] == 12
    assert {row["committed"] for row in said["partitions"]} == {None}
    assert {row["drain_seconds"] for row in said["partitions"]} == {None}
    with running(group):
        testing.wait_until(lambda: committed("notifications") == 12, what="12 committed")
    assert "Every group has read everything." in show("notifications")
    assert "Nothing is behind." in show("notifications", "--behind")


@pytest.mark.security
@pytest.mark.parametrize("width", [200, 80, 40])
def test_nothing_is_cut_off_however_narrow_the_terminal_is(width: int) -> None:
    """XC10: it is wide; a terminal of 80 columns cut it."""
    rows = [
        lag.PartitionLag(
            group="inventory.retry", topic="payments.events.inventory.retry", partition=number, committed=1_234_567,
            end=2_345_678, messages=1_111_111, owner="4fa3b2c1 bookrush-1 127.0.0.1", state="reading",
        )
        for number in range(2)
    ]  # fmt: skip
    out = io.StringIO()
    Console(file=out, width=width).print(output.page(rows, {}))
    assert max(map(len, out.getvalue().splitlines())) <= width
    said = "".join(out.getvalue().split())
    assert "\N{HORIZONTAL ELLIPSIS}" not in said
    for words in ("payments.events.inventory.retry[1]", "1,234,567", "2,345,678", "1,111,111", "bookrush-1"):
        assert words in said


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (["nobody"], 2, "no consumer group 'nobody'; there are: analytics"),
        (["--watch", "0"], 2, "--watch takes a number of seconds from 0.5 to 3600."),
    ],
)
def test_it_refuses_what_makes_no_sense(options: list[str], code: int, sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence) as refused:
        show(*options)
    assert refused.value.returncode == code


def test_without_kafka_it_says_so(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lag, "_ANSWER_SECONDS", 1.0)
    there = settings.KAFKA_BRIDGE
    settings.KAFKA_BRIDGE = dataclasses.replace(there, bootstrap_servers="127.0.0.1:1")
    with pytest.raises(CommandError, match=r"Kafka at 127\.0\.0\.1:1 does not answer") as refused:
        show()
    assert refused.value.returncode == 1
    settings.KAFKA_BRIDGE = there


# -- what stands still --------------------------------------------------------------------------------
def rows_of(name: str) -> list[dict[str, Any]]:
    """What the command says of a group, for machines."""
    found: list[dict[str, Any]] = json.loads(show(name, "--json"))["partitions"]
    return found


def committed_by_partition(name: str) -> dict[str, int | None]:
    """What a group has committed, by partition as people read it."""
    return {f"{row['topic']}[{row['partition']}]": row["committed"] for row in rows_of(name)}


def notices_of(name: str) -> dict[int, pause_notices.PauseNotice]:
    """What is said beside the offsets of a group, by partition; whether it still holds or not."""
    places = [(clients.topic_name(HEARD), number) for number in range(3)]
    found = offsets.committed_with_notices(name, places)
    return {number: notice for (_, number), (_, notice) in found.items() if notice}


@pytest.mark.faults
@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["consumer", pytest.param("classic", marks=pytest.mark.prove)])
def test_who_waits_for_postgresql_is_seen_to_wait_and_buries_nothing(
    settings: Any, monkeypatch: pytest.MonkeyPatch, postgres_server: Any, protocol: str
) -> None:
    """FAILURES 23: an outage pauses, for as long as it lasts, and sends nothing to the dead letters."""
    monkeypatch.setenv("COLUMNS", "240")
    environment = environment_of(settings.KAFKA_BRIDGE) | {"KAFKA_GROUP_PROTOCOL": protocol}
    with process("run_consumer", "analytics", environment=environment) as consumer:
        put_all([(delivered(), number % 2, datetime.now(UTC)) for number in range(20)])
        testing.wait_until(lambda: committed("analytics") == 20, what="20 committed", timeout_seconds=60)
        before = committed_by_partition("analytics")
        assert {row["state"] for row in rows_of("analytics")} == {"reading"}
        later = [(delivered(), 0, datetime.now(UTC)) for _ in range(20)]
        ids = record_all(later)
        postgres_server.kill()
        connection.close()
        produce_all(later, ids)

        def all_paused() -> bool:
            return {row["state"] for row in rows_of("analytics")} == {"paused"}

        testing.wait_until(all_paused, what="paused partitions", timeout_seconds=60)
        rows = rows_of("analytics")
        assert committed_by_partition("analytics") == before, "words move no offset, and make none"
        assert before["orders.events[2]"] is None, "not even of the partition that has had no message"
        assert all("OperationalError" in row["reason"] and row["since"] for row in rows)
        assert {row["parked"] for row in rows} == {None}
        page = show("analytics")
        assert f"analytics is paused, {', '.join(sorted(before))}, for " in page
        assert "PostgreSQL does not answer, so parked messages are not counted." in page
        first = notices_of("analytics")
        testing.wait_until(
            lambda: all(notice.said_at > first[number].said_at for number, notice in notices_of("analytics").items()),
            what="what stays true, said again",
            timeout_seconds=pause_notices.STALE_SECONDS,
        )
        assert all_paused()

        postgres_server.start()
        testing.wait_until(lambda: committed("analytics") == 40, what="40 committed", timeout_seconds=90)
        testing.wait_until(lambda: notices_of("analytics") == {}, what="no word of it any more")
        assert {row["state"] for row in rows_of("analytics")} == {"reading"}
        assert {(row["since"], row["reason"], row["messages"]) for row in rows_of("analytics")} == {(None, "", 0)}
        consumer.terminate()
        _, text = consumer.communicate(timeout=20)
        assert "0 parked, 0 dead letters" in text


def test_messages_that_are_tried_again_are_seen_and_counted(
    group: registry.Group,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "240")
    settings.KAFKA_BRIDGE = dataclasses.replace(settings.KAFKA_BRIDGE, attempts=1, retry_delays_seconds=(600.0,))
    bad = created()

    @group.on(catalogue.OrderCreated)
    def hear(event: catalogue.OrderCreated) -> None:
        if event.key == bad.key:
            raise ValueError("no such book")

    with running(group):
        put(bad, partition=1)
        put(bad, created(), partition=1)
        testing.wait_until(lambda: committed("notifications") == 3, what="3 committed")
        first, second, third = rows_of("notifications")
        assert (first["state"], second["state"], third["state"]) == ("reading", "retrying", "reading")
        assert second["reason"] == "ValueError: no such book"
        assert second["parked"] == {"retrying": 1, "waiting": 1, "dead": 0}
        assert first["parked"] == {"retrying": 0, "waiting": 0, "dead": 0}
        [copies] = rows_of("notifications.retry")
        assert (copies["topic"], copies["messages"], copies["committed"]) == (f"{HEARD}.notifications.retry", 1, None)
        page = show()
        assert "notifications has parked of orders.events[1]: 1 to be tried again, 1 behind one of the same key" in page
        assert f"{HEARD}.notifications.retry[0]" in page
        assert "payments.retry" not in page, "nothing is in those"
    assert {row["state"] for row in rows_of("notifications")} == {"nobody"}


def test_a_message_that_waits_in_its_place_is_seen_to_wait(group: registry.Group, settings: Any) -> None:
    settings.KAFKA_BRIDGE = dataclasses.replace(settings.KAFKA_BRIDGE, attempts=2, backoff_seconds=20.0)
    bad, is_mended = created(), threading.Event()

    @group.on(catalogue.OrderCreated)
    def hear(event: catalogue.OrderCreated) -> None:
        if event.key == bad.key and not is_mended.is_set():
            raise ValueError("no such book")

    put(created(), bad)
    with running(group):
        testing.wait_until(lambda: committed("notifications") == 1, what="1 committed")
        testing.wait_until(lambda: rows_of("notifications")[0]["state"] == "retrying", what="one that waits")
        [row, *others] = rows_of("notifications")
        assert (row["committed"], row["messages"], row["reason"]) == (1, 1, "ValueError: no such book")
        assert [(each["state"], each["committed"]) for each in others] == [("reading", None)] * 2
        is_mended.set()
        testing.wait_until(lambda: committed("notifications") == 2, what="2 committed", timeout_seconds=60)
        testing.wait_until(lambda: rows_of("notifications")[0]["state"] == "reading", what="no word of it any more")


def test_words_of_who_has_the_partition_no_more_say_nothing() -> None:
    notice = pause_notices.PauseNotice(state="paused", since=1000.0, reason="why", by="a", said_at=1010.0)
    assert pause_notices.parse_notice(msgspec.json.encode(notice).decode()) == notice
    assert (notice.is_current("a", 1039.0), notice.is_current("b", 1039.0)) == (True, False)
    assert notice.is_current("a", 1041.0) is False
    assert [pause_notices.parse_notice(words) for words in (None, "", "somebody's own", '{"state": "well"}')] == [
        None
    ] * 4
