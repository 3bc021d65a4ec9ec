"""E12, O1: every process says that it lives, one that does not is missed, and each shows what it has counted."""

import json
import re
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from devtools.local import ports, roles
from devtools.testing.processes import Shop
from devtools.testing.shop import buyers as buying
from devtools.testing.shop.buyers import Buyers
from shop.operations.processes import expected, presence, redis_store

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.operations, pytest.mark.together]
ROLES = set(expected.roles())


def show(shop: Shop, **environment: str) -> tuple[int, dict[str, Any]]:
    """Exit code and answer of `manage.py show_processes --json`."""
    done = subprocess.run(
        [sys.executable, "manage.py", "show_processes", "--json"],
        env=shop.environment_of_commands(**environment),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, json.loads(done.stdout)


@pytest.fixture(autouse=True)
def its_redis(running_shop: Shop, settings: Any) -> None:
    """Heartbeats are read here as well: to wait with a command costs seconds each time."""
    settings.REDIS_URL = running_shop.redis.url()


def living() -> set[str]:
    """Roles that have said something lately."""
    now = datetime.now(UTC)
    return {beat.role for beat in redis_store.read() if not presence.is_silent(beat, now)}


def wait_for(shop: Shop, roles: set[str]) -> None:
    """Until these live."""
    shop.wait_until(lambda: living() >= roles, what=f"heartbeats of {sorted(roles)}", timeout_seconds=60)


def metrics_of(shop: Shop, role: str) -> dict[str, float]:
    """What a role shows on its port, by name and labels as Prometheus reads them."""
    return read(
        httpx.get(f"http://127.0.0.1:{shop.roles.metrics_port(role)}/metrics", timeout=10, trust_env=False).text
    )


def read(text: str) -> dict[str, float]:
    """By name and labels."""
    return {name: float(value) for name, value in re.findall(r"^([a-z]\S*) (\S+)$", text, re.MULTILINE)}


def total(found: dict[str, float], name: str, *labels: str) -> float:
    """The sum of a metric over all labels that are not named, as in `step="void"`."""
    return sum(
        value for key, value in found.items() if key.partition("{")[0] == name and all(label in key for label in labels)
    )


def relayed_of(shop: Shop) -> int:
    """Events that are known to lie in Kafka."""
    [(count,)] = shop.query("SELECT count(*) FROM kafka_bridge_outboxrow WHERE published_at IS NOT NULL")
    return int(count)


def test_what_an_order_did_is_counted_by_each_process_that_had_part_in_it(running_shop: Shop) -> None:
    before, relayed = {role: metrics_of(running_shop, role) for role in ROLES}, relayed_of(running_shop)
    buyers = Buyers(running_shop, buying.most_of(running_shop))
    buyers.order(5)
    buyers.order(2, card="pm_declined")
    running_shop.wait_until(
        lambda: buyers.statuses() == {"DELIVERED": 5, "CANCELLED": 2}, what="all at their end", timeout_seconds=120
    )
    running_shop.wait_until(
        lambda: (
            total(metrics_of(running_shop, "notifications"), "bookrush_mails_sent_total")
            >= total(before["notifications"], "bookrush_mails_sent_total") + 17
        ),
        what="a mail for each order that was confirmed, shipped, delivered, or cancelled",
        timeout_seconds=60,
    )

    def more(role: str, name: str, *labels: str) -> float:
        return total(metrics_of(running_shop, role), name, *labels) - total(before[role], name, *labels)

    assert more("web", "bookrush_orders_placed_total") == 7
    assert more("web", "bookrush_http_requests_total", 'route="api_orders"', 'status="2xx"') == 7
    assert more("web", "bookrush_http_request_seconds_count", 'route="api_orders"') == 7
    running_shop.wait_until(
        lambda: more("relay", "bookrush_relay_events_total") == relayed_of(running_shop) - relayed,
        what="the relay has counted what it brought to Kafka",
    )
    assert more("payments", "bookrush_gateway_calls_total", 'outcome="captured"') == 5
    assert more("payments", "bookrush_gateway_calls_total", 'outcome="declined"') == 2
    assert more("timekeeper", "bookrush_job_runs_total") > 0
    assert metrics_of(running_shop, "relay")['bookrush_leader{role="relay"}'] == 1
    # By its group, topic and partition, each of seven orders: taken in, and timed.
    for name in ("bookrush_consumer_messages_handled_total", "bookrush_consumer_handling_seconds_count"):
        assert more("inventory", name, 'group="inventory"', 'topic="orders.events"') >= 7
    for role in ROLES:
        found = metrics_of(running_shop, role)
        assert found.keys() & {"process_cpu_seconds_total", "bookrush_loop_turned_timestamp_seconds"}, role


def test_every_process_says_that_it_lives_and_what_it_has_counted(running_shop: Shop) -> None:
    wait_for(running_shop, ROLES)
    buyers = Buyers(running_shop, buying.most_of(running_shop))
    buyers.order(1)
    running_shop.wait_until(
        lambda: buyers.statuses() == {"DELIVERED": 1}, what="an order at its end", timeout_seconds=120
    )
    # Another test may just have given back what some of them waited for, and one that has just been started does not
    # know all yet.
    running_shop.wait_until(
        lambda: says_all(running_shop, show(running_shop)[1]), what="all that has been counted", timeout_seconds=60
    )
    code, said = show(running_shop)
    assert (code, said["missing"]) == (0, [])
    beats = by_role(said)
    assert set(beats) == ROLES
    ids = running_shop.process_ids()
    for role, beat in beats.items():
        # Granian's worker is a child of the process that was started.
        assert beat["pid"] == ids[role] or role == "web"
        assert beat["metrics_url"].endswith(f":{running_shop.roles.metrics_port(role)}/metrics")
        assert {"name": "redis", "is_ok": True}.items() <= dependency(beat, "redis").items()
    assert [id for id in beats["inventory"]["member_ids"] if id]


def by_role(said: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Heartbeats."""
    return {beat["role"]: beat for beat in said["processes"]}


def says_all(shop: Shop, said: dict[str, Any]) -> bool:
    """Whether all are at work, their loops go round, and what they say is what they have counted and used."""
    beats = by_role(said)
    counters = beats["inventory"]["counters"]
    handled = sum(counter["handled"] for counter in counters)
    used = {(role, name) for role, beat in beats.items() for name in ok(beat)}
    return (
        said["read_from"] == "Redis"
        and {beat["state"] for beat in beats.values()} == {"working"}
        and all(beat["beat_at"] - beat["turned_at"] < 5 for beat in beats.values())
        and {("relay", "kafka"), ("payments", "gateway")} <= used
        and handled == total(metrics_of(shop, "inventory"), "bookrush_consumer_messages_handled_total") > 0
        and handled == sum(sum(counter["buckets"]) for counter in counters)
    )


def ok(beat: dict[str, Any]) -> list[str]:
    """What a process says that it has used, and that works."""
    return [found["name"] for found in beat["dependencies"] if found["is_ok"]]


def dependency(beat: dict[str, Any], name: str) -> dict[str, Any]:
    """What a process says of something that it uses."""
    return next(found for found in beat["dependencies"] if found["name"] == name)


def test_workers_of_one_server_are_counted_together(running_shop: Shop, tmp_path: Path) -> None:
    port, token = ports.pick_neighbours(count=1), "of-two-workers"
    url, folder = f"http://127.0.0.1:{port}/metrics", tmp_path / "metrics"
    folder.mkdir()
    server = subprocess.Popen(  # noqa: S603 - our own command line
        [sys.executable, *roles.web_arguments("127.0.0.1", port, workers=2)],
        env=running_shop.environment_of_commands(
            PROMETHEUS_MULTIPROC_DIR=str(folder), METRICS_TOKEN=token, METRICS_PORT="0", BOOKRUSH_ROLE="web"
        ),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    asked: Counter[str] = Counter()

    def ask_for_both() -> bool:
        """Whether each has shown five times how often both were asked before."""
        # By a connection of its own each time, so of either worker.
        answer = httpx.get(url, headers={"Authorization": f"Bearer {token}"}, timeout=60, trust_env=False)
        assert total(read(answer.text), "bookrush_http_requests_total", 'route="metrics"') == asked.total()
        [worker] = re.findall(r'process_info{instance="(web-[^"]+)"', answer.text)
        asked[worker] += 1
        return len(asked) == 2 and min(asked.values()) >= 5

    try:
        running_shop.wait_until(
            lambda: roles.answers(f"http://127.0.0.1:{port}/healthz"), what="a worker", timeout_seconds=60
        )
        running_shop.wait_until(ask_for_both, what="answers of both workers", timeout_seconds=60)
    finally:
        server.terminate()
        server.wait(30)


def test_one_that_is_killed_frozen_or_stopped_is_missed(running_shop: Shop) -> None:
    wait_for(running_shop, ROLES)
    running_shop.kill("shipping")
    running_shop.pause("analytics")
    running_shop.stop("notifications")
    try:
        # Who ended as it should is missed at once, the others once they have been silent for long enough.
        assert "notifications" not in living()
        running_shop.wait_until(
            lambda: (
                {gone["role"] for gone in show(running_shop)[1]["missing"]}
                == {"shipping", "analytics", "notifications"}
            ),
            what="all three are missed",
            timeout_seconds=60,
        )
    finally:
        running_shop.resume("analytics")
        running_shop.ensure_running()
    wait_for(running_shop, ROLES)
    # More are wanted than there are: so many are missing.
    code, said = show(running_shop, EXPECTED_PROCESSES="web,relay:2")
    assert (code, [(gone["role"], gone["expected"], gone["present"]) for gone in said["missing"]]) == (
        1,
        [("relay", 2, 1)],
    )


def test_without_redis_postgresql_knows_who_lives(running_shop: Shop) -> None:
    wait_for(running_shop, ROLES)
    code, said = show(running_shop, REDIS_URL="redis://127.0.0.1:9")
    assert (said["read_from"], {beat["role"] for beat in said["processes"]}) == ("PostgreSQL", ROLES)
    assert code == 0


def test_instances_under_one_command_each_say_that_they_live(running_shop: Shop) -> None:
    wait_for(running_shop, ROLES)
    first = ports.pick_neighbours(count=2)
    command = subprocess.Popen(
        [sys.executable, "manage.py", "run_consumer", "analytics", "--instances", "2"],
        env=running_shop.environment_of_commands(METRICS_PORT=str(first), METRICS_HOST="127.0.0.1"),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def urls() -> set[str]:
        return {beat.metrics_url for beat in redis_store.read() if beat.role == "analytics"}

    own = f"http://127.0.0.1:{running_shop.roles.metrics_port('analytics')}/metrics"
    try:
        theirs = {f"http://127.0.0.1:{port}/metrics" for port in (first, first + 1)}
        running_shop.wait_until(lambda: urls() == {own, *theirs}, what="three heartbeats", timeout_seconds=60)
        for url in theirs:
            assert 'bookrush_process_info{instance="analytics-' in httpx.get(url, trust_env=False).text
    finally:
        command.terminate()
        command.wait(30)
    running_shop.wait_until(lambda: urls() == {own}, what="they have taken their heartbeats away")
