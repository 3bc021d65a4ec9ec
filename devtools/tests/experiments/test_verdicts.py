"""Each experiment in its short form on a real broker: what it says is what the broker has, and nothing is left."""

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient
from django.core.management import CommandError, call_command

from devtools.experiments import catalogue
from devtools.experiments.lab import PREFIX, sweep
from devtools.local.roles import PROJECT
from devtools.testing.processes import kafka_environment
from kafka_bridge import testing

pytestmark = [pytest.mark.window, pytest.mark.kafka, pytest.mark.slow, pytest.mark.together]


@pytest.fixture(autouse=True)
def broker(real_kafka: Any, settings: Any) -> Any:
    """The broker of the run in the shop's place; brokers of its own use the run's jars."""
    settings.KAFKA_BRIDGE = settings.KAFKA_BRIDGE.__class__(
        **{**vars(settings.KAFKA_BRIDGE), "bootstrap_servers": real_kafka.bootstrap_servers}
    )
    settings.STATE_DIR = PROJECT / ".bookrush"
    return real_kafka


def verdict_of(name: str, *options: str) -> dict[str, Any]:
    """What the command says."""
    out = io.StringIO()
    call_command("experiment", name, "--json", "--short", *options, stdout=out, stderr=io.StringIO())
    said: dict[str, Any] = json.loads(out.getvalue())
    assert said["outcome"] in catalogue.find(name).choices
    return said


def left_behind(servers: str) -> list[str]:
    """Topics and groups of experiments that the broker has."""
    admin = AdminClient({"bootstrap.servers": servers})
    groups = [each.group_id for each in admin.list_consumer_groups().result(10).valid]
    return [name for name in [*admin.list_topics(timeout=10).topics, *groups] if name.startswith(PREFIX)]


def check_keys(figures: dict[str, Any]) -> None:
    assert figures["mixed_with_key"] == 0 < figures["mixed_without_key"]


def check_batching(figures: dict[str, Any]) -> None:
    alone = figures.pop("one by one")
    assert all(way["per_second"] > alone["per_second"] for way in figures.values())
    assert max(way["per_batch"] for way in figures.values()) > 10


def check_partitions(figures: dict[str, Any]) -> None:
    idle = [each["idle"] for each in figures.values() if isinstance(each, dict)]
    assert idle == [0, 0, 0, 4, 0], "a partition has one reader in a group"
    assert figures["factor_waiting"] > 1.5


def check_rebalance(figures: dict[str, Any]) -> None:
    assert {name: each["stopped"] for name, each in figures.items()} == {
        "eager": 6, "cooperative": 2, "new protocol": 2
    }  # fmt: skip


def check_exactly_once(figures: dict[str, Any]) -> None:
    again = figures["charged_at_kill"] - figures["committed_at_kill"]
    assert 0 < again == len(figures["twice_without"]) == figures["charged_without"] - figures["orders"]
    assert (figures["charged_with"], figures["twice_with"]) == (figures["orders"], [])


CHECKS: dict[str, tuple[str, Callable[[dict[str, Any]], None]]] = {
    "keys": ("key", check_keys),
    "batching": ("", check_batching),
    "partitions": ("", check_partitions),
    "rebalance": ("moved", check_rebalance),
    "exactly_once": ("without", check_exactly_once),
}


@pytest.mark.parametrize("name", CHECKS)
def test_the_verdict_is_what_the_broker_has(name: str, broker: Any) -> None:
    """K3, K5, E14, B3: on the shop's own broker, of which nothing is taken."""
    outcome, check = CHECKS[name]
    said = verdict_of(name, *(["--predict", outcome] if outcome else []))
    assert said["kafka"] == broker.bootstrap_servers
    if outcome:
        assert said["was_right"], said
    check(said["figures"])
    assert not left_behind(broker.bootstrap_servers)


@pytest.mark.prove
def test_what_was_acknowledged_by_the_leader_alone_is_lost() -> None:
    """K2, K4: three brokers of its own, the leader killed."""
    said = verdict_of("acks", "--predict", "none", "--seed", "3")
    assert (said["outcome"], said["was_right"]) == ("0-and-1", False), said["figures"]
    levels = said["figures"]
    assert levels["acks=1"]["lost"] == levels["acks=1"]["acknowledged_while_alone"] > 0
    assert (levels["acks=all"]["lost"], levels["acks=all"]["acknowledged_while_alone"]) == (0, 0)
    assert levels["acks=all"]["acknowledged"] == levels["acks=1"]["acknowledged"]
    assert not list((PROJECT / ".bookrush" / "experiments").glob("*/kafka"))


@pytest.mark.prove(long=True)
def test_the_same_over_seeds() -> None:
    """K4: whoever leads."""
    said = verdict_of("acks", "--rounds", "3", "--seed", "5")
    assert said["outcome"] == "0-and-1"


def test_all_members_of_a_share_group_have_work() -> None:
    """B3: queues, as far as the client has them."""
    said = verdict_of("share", "--predict", "share")
    assert said["was_right"]
    assert said["figures"]["share_group"]["members"] == 3


def test_it_can_be_stopped_and_leaves_nothing(broker: Any, settings: Any, tmp_path: Path) -> None:
    status = tmp_path / "status.json"
    with subprocess.Popen(  # noqa: S603 - our own command line
        [sys.executable, "manage.py", "experiment", "rebalance", "--status-file", str(status)],
        cwd=PROJECT, env={**os.environ, **kafka_environment(settings.KAFKA_BRIDGE)}, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            testing.wait_until(
                lambda: status.exists() and "third" in status.read_text(), what="work", timeout_seconds=60
            )
            assert left_behind(broker.bootstrap_servers)
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert "Stopped. Everything of the experiment has been removed." in said
    assert json.loads(status.read_text())["error"] == "It was stopped."
    assert not left_behind(broker.bootstrap_servers)


def test_what_a_killed_run_has_left_is_deleted_by_the_next(broker: Any, settings: Any, tmp_path: Path) -> None:
    status = tmp_path / "status.json"
    with subprocess.Popen(  # noqa: S603 - our own command line
        [sys.executable, "manage.py", "experiment", "rebalance", "--json", "--status-file", str(status)],
        cwd=PROJECT, env={**os.environ, **kafka_environment(settings.KAFKA_BRIDGE)},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        testing.wait_until(lambda: left_behind(broker.bootstrap_servers), what="work", timeout_seconds=60)
        process.kill()
    connection = {"bootstrap.servers": broker.bootstrap_servers}
    admin = AdminClient(connection)
    assert sweep(admin, connection)

    def is_clean() -> bool:
        sweep(admin, connection)  # groups only once the broker has missed their members
        return not left_behind(broker.bootstrap_servers)

    testing.wait_until(is_clean, what="deletion", timeout_seconds=60, every_seconds=0.5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "--list"),
        (("nonsense",), "there are: keys, batching"),
        (("keys", "--predict", "maybe"), "there are: both, key, neither"),
        (("acks", "--rounds", "0"), "--rounds takes"),
    ],
)
def test_bad_options_say_what_to_do(options: tuple[str, ...], words: str) -> None:
    with pytest.raises(CommandError, match=words) as wrong:
        call_command("experiment", *options)
    assert wrong.value.returncode == 2


def test_the_list_has_every_prediction(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("experiment", "--list", "--json")
    listed = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in listed] == [each.name for each in catalogue.EXPERIMENTS]
    assert all(len(each["choices"]) >= 3 for each in listed)
