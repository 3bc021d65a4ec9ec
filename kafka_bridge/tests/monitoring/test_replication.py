"""`manage.py show_cluster` against three real brokers, one of them killed."""

import dataclasses
import io
import json
import os
import subprocess
import sys
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from devtools.local.roles import PROJECT
from devtools.testing.processes import kafka_environment
from kafka_bridge import testing

pytestmark = [pytest.mark.window, pytest.mark.kafka, pytest.mark.slow, pytest.mark.together]


def show(*options: str) -> str:
    """What the command prints."""
    out = io.StringIO()
    call_command("show_cluster", *options, stdout=out)
    return out.getvalue()


def test_a_broker_that_is_killed_is_seen_and_so_is_its_return(
    brokers: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Line 8, K2: leaders, copies and those in sync, as the brokers have them."""
    monkeypatch.setenv("COLUMNS", "80")
    topic = settings.KAFKA_BRIDGE.topic_prefix + "orders.events"
    testing.wait_until(lambda: "Every copy of every partition is in sync." in show(), what="copies in sync")
    before = json.loads(show("orders.events", "--json"))
    assert [broker["is_up"] for broker in before["brokers"]] == [True] * 3
    assert {(part["topic"], part["min_in_sync"]) for part in before["partitions"]} == {(topic, 2)}
    assert all(sorted(part["replicas"]) == sorted(part["in_sync"]) == [1, 2, 3] for part in before["partitions"])
    killed = before["partitions"][0]["leader"]
    brokers.kill(killed)
    try:
        testing.wait_until(lambda: _is_missed(killed), what="the lost copies", timeout_seconds=60)
        after = json.loads(show("orders.events", "--json"))
        assert after["under_replicated"] == len(after["partitions"])
        assert all(part["leader"] not in (killed, None) for part in after["partitions"])
        assert not any(part["refuses_writes"] for part in after["partitions"]), "two of three are enough"
        page = show("--under-replicated")
        assert f"Down: broker {killed}." in page
        assert "under-replicated" in page
    finally:
        brokers.start(killed)
    testing.wait_until(
        lambda: not json.loads(show("orders.events", "--json"))["under_replicated"],
        what="its return",
        timeout_seconds=60,
    )
    assert max(map(len, show("orders.events").splitlines())) <= 80


def _is_whole() -> bool:
    return not json.loads(show("orders.events", "--json"))["under_replicated"]


def _is_missed(broker: int) -> bool:
    parts = json.loads(show("orders.events", "--json"))["partitions"]
    return all(broker not in part["in_sync"] and part["leader"] not in (broker, None) for part in parts)


def test_it_watches_until_it_is_told_to_stop(brokers: Any, settings: Any) -> None:
    with subprocess.Popen(
        [sys.executable, "manage.py", "show_cluster", "orders.events", "--json", "--watch", "0.5"],
        cwd=PROJECT, env={**os.environ, **kafka_environment(settings.KAFKA_BRIDGE)}, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            looks = [json.loads(process.stdout.readline()) for _ in range(2)]
            process.terminate()
            assert process.wait(30) == 0
        finally:
            process.kill()
    assert {len(look["brokers"]) for look in looks} == {3}


def test_what_makes_no_sense_is_told(brokers: Any, settings: Any) -> None:
    with pytest.raises(CommandError, match=r"There is no topic 'nonsense'\. There are: .*orders.events") as wrong:
        show("nonsense")
    assert wrong.value.returncode == 2
    with pytest.raises(CommandError, match="--watch takes"):
        show("--watch", "0")
    settings.KAFKA_BRIDGE = dataclasses.replace(settings.KAFKA_BRIDGE, bootstrap_servers="127.0.0.1:1")
    with pytest.raises(CommandError, match=r"Kafka at 127\.0\.0\.1:1 does not answer") as wrong:
        show()
    assert wrong.value.returncode == 1
