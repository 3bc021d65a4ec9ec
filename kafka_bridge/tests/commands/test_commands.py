"""The commands: what they print, what they refuse, and that they stop cleanly."""

import dataclasses
import json
import os
import signal
import time
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from devtools.testing.bridge.manage_processes import children, environment_of, process
from kafka_bridge import testing
from kafka_bridge.runtime import clients


def printed(*arguments: str) -> str:
    """What a command writes to standard output."""
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def test_the_groups_are_listed_for_people_and_for_machines() -> None:
    assert "bookrush.inventory" in printed("run_consumer", "--list")
    groups = json.loads(printed("run_consumer", "--list", "--json"))
    assert groups["shipping"] == {
        "hears": ["order.confirmed"],
        "topics": ["orders.events"],
        "retry": {"attempts": 3, "backoff_seconds": 0.2, "delays_seconds": [5.0, 30.0, 120.0]},
        "retry_of_event": {},
    }
    assert "order.created (payment_first)" in groups["payments"]["hears"]
    assert groups["dead_letters"]["retry"] is None, "until it works"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Name one or more groups, or --all"),
        (["inventry"], "no consumer group 'inventry'; there are: analytics, inventory"),
        (["inventory", "--instances", "0"], "a number from 1 to 64"),
    ],
)
def test_a_wrong_option_is_refused_in_words(arguments: list[str], words: str) -> None:
    with pytest.raises(CommandError, match=words):
        call_command("run_consumer", *arguments)


def test_a_cluster_that_is_not_there_is_said_so(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.KAFKA_BRIDGE = dataclasses.replace(settings.KAFKA_BRIDGE, bootstrap_servers="127.0.0.1:1")
    with pytest.raises(CommandError, match=r"Kafka at 127\.0\.0\.1:1 did not do it"):
        call_command("create_topics")


@pytest.mark.kafka
@pytest.mark.usefixtures("kafka")
def test_topics_are_made_once_and_grown_with_a_warning(settings: Any) -> None:
    plans = json.loads(printed("create_topics", "--json"))["topics"]
    assert {plan["action"] for plan in plans} == {"keep"}, "the fixture has made them"
    [orders] = [plan for plan in plans if plan["name"].endswith("orders.events")]
    assert (orders["partitions"], orders["config"]["retention.ms"], orders["config"]["retention.bytes"]) == (
        3, "604800000", "10737418240",
    )  # fmt: skip

    settings.KAFKA_BRIDGE = dataclasses.replace(settings.KAFKA_BRIDGE, partitions=4)
    dry = json.loads(printed("create_topics", "--json", "--dry-run"))["topics"]
    [planned] = [plan for plan in dry if plan["name"].endswith("orders.events")]
    assert (planned["action"], planned["detail"][:18]) == ("grow", "3 → 4 partitions: ")
    assert partitions_of("orders.events") == 3
    printed("create_topics")
    # A broker answers from what it has heard so far; that the controller has made them is another moment.
    testing.wait_until(lambda: partitions_of("orders.events") == 4, what="the fourth partition")


def partitions_of(topic: str) -> int:
    admin = clients.admin()
    return len(admin.list_topics(timeout=10).topics[clients.topic_name(topic)].partitions)


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("kafka")
@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.prove)])
@pytest.mark.parametrize(
    "arguments",
    [["run_relay"], ["run_timekeeper"], ["run_consumer", "analytics"], ["run_consumer", "dead_letters"]],
    ids="-".join,
)
def test_a_role_says_when_it_is_ready_and_stops_when_told(
    settings: Any, tmp_path: Path, arguments: list[str], number: signal.Signals
) -> None:
    ready = tmp_path / "ready"
    environment = environment_of(settings.KAFKA_BRIDGE) | {"BOOKRUSH_READY_FILE": str(ready)}
    with process(*arguments, environment=environment) as role:
        testing.wait_until(ready.exists, what="a ready role")
        started = time.monotonic()
        role.send_signal(number)
        _, said = role.communicate(timeout=10)
    assert (role.returncode, time.monotonic() - started < 8) == (0, True), said
    assert "stopped" in said


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("kafka")
def test_instances_are_started_again_and_stopped_together(settings: Any) -> None:
    with process(
        "run_consumer", "analytics", "--instances", "2", environment=environment_of(settings.KAFKA_BRIDGE)
    ) as supervisor:
        testing.wait_until(lambda: len(children(supervisor.pid)) == 2, what="two members")
        first = children(supervisor.pid)[0]
        os.kill(first, signal.SIGKILL)
        testing.wait_until(
            lambda: len(children(supervisor.pid)) == 2 and first not in children(supervisor.pid), what="a new member"
        )
        members = children(supervisor.pid)
        supervisor.terminate()
        supervisor.communicate(timeout=12)
    assert supervisor.returncode == 0
    assert [pid for pid in members if Path(f"/proc/{pid}").exists()] == []
