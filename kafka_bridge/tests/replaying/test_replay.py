"""Replay on a real broker: it repeats nothing, mends what is missing, and says what it cannot do."""

import os
import signal
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka import TopicPartition

from devtools.testing.bridge.bridge_events import cancelled, created, delivered
from devtools.testing.bridge.kafka_logs import forget, member, put, put_all, said, told
from devtools.testing.bridge.manage_processes import environment_of, process
from devtools.testing.bridge.replays import PROTOCOLS, TOPIC, consuming, had, use
from events import catalogue
from kafka_bridge import testing
from kafka_bridge.consuming import registry
from kafka_bridge.models import InboxRow
from kafka_bridge.replaying import offsets
from kafka_bridge.runtime import clients

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.kafka,
    pytest.mark.faults,
    pytest.mark.usefixtures("kafka"),
]
MakeGroup = Callable[[str], registry.Group]
ALL = ("replay_events", "--group", "notifications", "--topic", TOPIC, "--from", "beginning", "--to", "end")


def committed() -> dict[tuple[str, int], int]:
    """Where the group stands."""
    return offsets.committed_offsets("notifications", [(clients.topic_name(TOPIC), number) for number in range(3)])


@PROTOCOLS
def test_a_replay_of_everything_repeats_nothing(seen: Counter[str], settings: Any, protocol: str) -> None:
    """FAILURES 25: the same ids through the inbox: no effect twice, no fact stated twice, no offset moved."""
    use(settings, protocol)
    for partition in range(3):
        put(*(created() for _ in range(20)), cancelled(), partition=partition)
    with consuming():
        testing.wait_until(lambda: had() == 60, what="60 handled")
        testing.wait_until(lambda: sum(committed().values()) == 63, what="63 committed")
    before = committed()
    for _ in range(2):
        code, text = said(*ALL)
        assert (code, text.splitlines()[-1]) == (
            0,
            "63 read, 0 new, notifications had 60 before, 3 not asked for.",
        )
    assert (len(seen), set(seen.values()), len(testing.stated())) == (60, {1}, 60)
    assert committed() == before


def test_what_was_missing_is_handled_once_and_a_dry_run_only_counts(seen: Counter[str]) -> None:
    ids = put(*(created() for _ in range(30)), *(delivered() for _ in range(10)))
    assert told(*ALL)["new"] == {"order.created": 30, "order.delivered": 10}
    InboxRow.objects.filter(event_id__in=[*ids[:4], ids[-1]]).delete()
    dry = told(*ALL, "--dry-run")
    assert (dry["new"], dry["had"]) == (
        {"order.created": 4, "order.delivered": 1},
        {"order.created": 26, "order.delivered": 9},
    )
    assert (had(), seen.total()) == (35, 40)
    assert told(*ALL)["new"] == dry["new"]
    assert (had(), seen.total(), set(seen.values())) == (40, 45, {1, 2})
    assert told(*ALL)["new"] == {}


def test_a_range_goes_by_offset_or_by_time_and_its_end_is_excluded(seen: Counter[str]) -> None:
    # Retention goes by these times, so they must not be older than what the topic keeps.
    noon = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=2)
    day, put_at = (
        f"{noon:%Y-%m-%d}",
        [(created(), minute % 2, noon + timedelta(minutes=minute)) for minute in range(10)],
    )
    put_all(put_at)

    def reach(start: str, stop: str, *more: str) -> list[tuple[int, int]]:
        found = told(*ALL[:5], "--from", start, "--to", stop, "--dry-run", *more)
        assert found["read"] == sum(found["new"].values())
        return [(each["from"], each["to"]) for each in found["partitions"]]

    assert reach("1", "4", "--partition", "1") == [(1, 4)]
    assert reach(f"{day}T12:02", f"{day}T13:07+01:00") == [(1, 4), (1, 3), (0, 0)]
    assert reach(f"{day}T12:09Z", "end") == [(5, 5), (4, 5), (0, 0)]
    assert reach("beginning", day) == [(0, 0), (0, 0), (0, 0)]
    assert told(*ALL, "--partition", "0")["read"] == 5
    assert had() == 5


def test_one_order_alone_is_replayed(seen: Counter[str]) -> None:
    order = created()
    put(created(), order, delivered(order.order_id), created())
    found = told(*ALL, "--key", str(order.order_id).upper())
    assert (found["read"], found["new"], found["not_heard"]) == (4, {"order.created": 1, "order.delivered": 1}, 2)
    assert seen == {order.key: 2}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["--topic", "inventory.events"],
            "notifications does not hear a topic 'inventory.events'; it hears: orders",
        ),
        (["--from", "2126-01-01"], "2126-01-01T00:00:00+00:00 is in the future; say end"),
        (["--to", "2126-01-01T12:00-03:00"], "is in the future"),
        (["--from", "noon"], "'noon' is no place in a topic: say beginning, end, an offset such as 1200, or a time"),
        (["--from", "1"], "1 is an offset, and an offset belongs to one partition: add --partition"),
        (["--from", "3", "--to", "2", "--partition", "0"], "the range begins at 3 and ends before that, at 2"),
        (["--from", "end"], "--from is the earlier place"),
        (["--from", "1", "--to", "9", "--partition", "0"], "orders.events[0] ends before 2, so there is no 9"),
        (["--partition", "7"], "orders.events has no partition 7; it has 0 to 2"),
        (["--rate", "0"], "--rate takes a number of messages a second above 0"),
        (["--apply"], "--apply goes with --shadow"),
        (["--shadow"], "--shadow rebuilds tables from everything"),
        (["--group", "notification"], "no consumer group 'notification'; there are: analytics"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(seen: Counter[str], arguments: list[str], words: str) -> None:
    put(created(), created())
    code, text = said(*ALL, *arguments)
    assert code == 2
    assert words in text
    assert had() == 0


def test_a_key_that_is_not_there_is_said_so(seen: Counter[str]) -> None:
    put(created(), created())
    absent = str(uuid4())
    code, text = said(*ALL, "--key", absent)
    assert (code, text.splitlines()[-1]) == (1, f"No event of key {absent} lies in that range; 2 messages were read.")


def test_what_retention_has_deleted_is_said_with_what_is_left(seen: Counter[str]) -> None:
    noon = datetime.now(UTC) - timedelta(hours=2)
    for minute in range(10):
        put(created(), at=noon + timedelta(minutes=minute))
    forget(TOPIC, 0, before=6)
    code, text = said(*ALL[:5], "--partition", "0", "--from", "2", "--to", "8")
    assert (code, text) == (
        2,
        "orders.events[0]: retention has deleted what was before 6; what is left are the offsets 6 to 10, the last one "
        "excluded; say --from beginning",
    )
    times = [(noon + timedelta(minutes=minute)).isoformat() for minute in (1, 4)]
    code, text = said(*ALL[:5], "--from", times[0], "--to", times[1])
    assert (code, text[:60]) == (2, "orders.events[0]: retention has deleted that range; what is ")
    found = told(*ALL)
    assert (found["read"], found["notes"]) == (
        4,
        ["orders.events[0]: retention has deleted what was before 6; it is no part of this"],
    )


@PROTOCOLS
def test_a_running_group_is_refused_or_left_what_it_has_not_read(
    seen: Counter[str], settings: Any, protocol: str
) -> None:
    use(settings, protocol)
    put(*(created() for _ in range(10)))
    with member("notifications", TOPIC) as running:
        running.commit(offsets=[TopicPartition(clients.topic_name(TOPIC), 0, 6)], asynchronous=False)
        code, text = said(*ALL)
        assert (code, text.startswith("notifications is running (")) == (2, True), text
        assert "add --while-running" in text
        assert told(*ALL, "--dry-run")["new"] == {"order.created": 10}
        assert told(*ALL, "--while-running")["new"] == {"order.created": 6}
    assert told(*ALL)["new"] == {"order.created": 4}


def test_a_message_that_fails_stops_only_its_order(make_group: MakeGroup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(registry._groups, "notifications")
    group, bad, calls = make_group("notifications"), uuid4(), Counter[str]()

    @group.on(catalogue.OrderCreated)
    def fail_for_one(event: catalogue.OrderCreated) -> None:
        if event.order_id == bad:
            raise ValueError("not this one")
        calls[event.key] += 1

    @group.on(catalogue.OrderDelivered)
    def note(event: catalogue.OrderDelivered) -> None:
        calls[event.key] += 1

    put(*(created() for _ in range(20)), created(bad), *(created() for _ in range(20)), delivered(bad))
    code, text = said(*ALL)
    assert (code, text.splitlines()[-1]) == (1, "1 messages could not be handled.")
    assert "42 read, 40 new, notifications had 0 before, 1 failed, 1 left out behind those that failed." in text
    assert f"failed orders.events[0]@20 order.created of {bad}:" in text.replace("\n", " ")
    assert (had(), len(calls), str(bad) in calls) == (40, 40, False)


def test_sigterm_stops_between_batches_and_says_where(settings: Any) -> None:
    put(*(delivered() for _ in range(400)))
    command = ("replay_events", "--group", "analytics", "--topic", TOPIC, "--from", "beginning", "--to", "end")
    with process(*command, "--rate", "40", environment=environment_of(settings.KAFKA_BRIDGE)) as replaying:
        testing.wait_until(lambda: InboxRow.objects.filter(group="analytics").exists(), what="a first batch")
        os.kill(replaying.pid, signal.SIGTERM)
        _, text = replaying.communicate(timeout=20)
    done = InboxRow.objects.filter(group="analytics").count()
    assert 0 < done < 400
    assert replaying.returncode == 3, text
    assert f"To go on: --partition 0 --from {done}" in text
    rest = told(*command[:5], "--partition", "0", "--from", str(done), "--to", "end")
    assert (rest["new"], rest["is_whole"]) == ({"order.delivered": 400 - done}, True)
