"""Short drills: an outage of one part of the running shop, and everything that a long drill checks."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command

from devtools.drills import catalogue, environment, event_log_check, runner, screen, shop_state, verdict
from devtools.drills.load import OrderLoad
from devtools.drills.plans import DrilledShop, DrillPlan
from devtools.drills.verdict import DrillVerdict, Timeline
from devtools.local.kafka.apache_kafka import ApacheKafka
from devtools.local.postgres import Postgres
from devtools.local.roles import PROJECT
from devtools.testing.processes import Shop
from devtools.testing.services import STATE
from devtools.testing.shop.buyers import Buyers, most_of
from kafka_bridge.runtime import waiting

pytestmark = [pytest.mark.kafka, pytest.mark.faults, pytest.mark.slow]
# What decides is in the tests of faults as well; one drill that is over soon shows that drills find it.
SECONDS, SECONDS_AT_LEAST, RATE = 16, 6, 4
DRAIN_WITHIN_SECONDS = 240


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dozen buyers before the outage are enough."""
    monkeypatch.setattr(runner, "CALM_SECONDS", 3.0)


@pytest.fixture
def drilled(running_shop: Shop, postgres_server: Postgres, real_kafka: ApacheKafka) -> DrilledShop:
    """The running shop, and the parts whose outage can be caused."""
    return DrilledShop(shop=running_shop, postgres=postgres_server, kafka=real_kafka)


@pytest.fixture(scope="module")
def three_brokers(_kafka_possible: None) -> Iterator[DrilledShop]:
    """A separate shop on three brokers."""
    with environment.opened(3, state=STATE, say=lambda _: None) as drilled:
        yield drilled


def play(name: str, drilled: DrilledShop, **options: Any) -> DrillVerdict:
    drill = catalogue.find(name)
    length = {} if drill.strikes_at_random else {"seconds": SECONDS}
    plan = DrillPlan.of(drill, {"rate": RATE, **length, **options})
    return runner.play(plan, drilled, show=lambda _: None, drain_within_seconds=DRAIN_WITHIN_SECONDS)


def found(of: DrillVerdict, name: str) -> str:
    """The figure of that finding."""
    [figure] = [finding.figure for finding in of.findings if finding.name == name]
    return figure


# -- One part of the running shop ---------------------------------------------------------------------
@pytest.mark.prove
def test_postgresql_is_away(drilled: DrilledShop) -> None:
    """FAILURES 23: orders are refused cleanly and accepted afterwards; nobody gives a message up meanwhile.

    No connection to be had: a 503 that says so, and consumers that wait.
    """
    held = play("postgres-outage", drilled)
    assert held.problems == []
    assert "(0 clean 503," not in found(held, "orders accepted")


@pytest.mark.parametrize("seconds", [SECONDS_AT_LEAST, pytest.param(SECONDS, marks=pytest.mark.prove(long=True))])
def test_redis_is_away(drilled: DrilledShop, seconds: float) -> None:
    """FAILURES 10 and 23: everything goes on without it."""
    assert play("redis-outage", drilled, seconds=seconds).problems == []


@pytest.mark.prove
def test_kafka_is_away(drilled: DrilledShop) -> None:
    """FAILURES 19 and 23: every order is accepted, and all drains in order."""
    held = play("kafka-outage", drilled)
    assert held.problems == []
    assert "(0 clean 503, 0 without an answer)" in found(held, "orders accepted")


@pytest.mark.prove(long=True)
def test_the_gateway_is_away(drilled: DrilledShop) -> None:
    """FAILURES 23: charges wait; each order is charged once when it is back."""
    assert play("gateway-outage", drilled).problems == []


# -- Any of them, at any moment -----------------------------------------------------------------------
@pytest.mark.parametrize(
    ("orders", "kills", "freeze"),
    [
        pytest.param(60, 8, False, marks=pytest.mark.prove(long=True)),
        pytest.param(60, 8, True, marks=pytest.mark.prove),
        pytest.param(2_000, 200, True, marks=pytest.mark.prove(long=True)),
        pytest.param(20_000, 2_000, False, marks=pytest.mark.prove(long=True)),
    ],
)
def test_any_process_is_killed_or_frozen_again_and_again(
    orders: int, kills: int, freeze: bool, drilled: DrilledShop
) -> None:
    """Roles, servers of pages and sockets, the bank, Redis, PostgreSQL and Kafka: nothing is lost, nothing doubled."""
    held = play("random-kills", drilled, orders=orders, kills=kills, freeze=freeze, rate=max(RATE, orders / 400))
    assert held.problems == []
    assert found(held, "orders accepted").startswith(f"{orders:,} of {orders:,}")


# -- Three brokers ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "name",
    [
        pytest.param("broker-kills", marks=pytest.mark.prove(long=True)),
        pytest.param("leader-kills", marks=pytest.mark.prove(long=True)),
    ],
)
def test_brokers_are_killed_under_the_whole_shop(name: str, three_brokers: DrilledShop) -> None:
    """Nobody who orders notices, and nothing is lost, doubled or out of order."""
    assert play(name, three_brokers).problems == []


# -- A verdict sees what is wrong -----------------------------------------------------------------------
@pytest.fixture
def delivered(running_shop: Shop) -> list[str]:
    """Some orders that came to their end."""
    sku = most_of(running_shop)
    buyers = Buyers(running_shop, sku)
    buyers.order(3)
    buyers.wait_for("DELIVERED")
    return buyers.placed


def change(shop: Shop, statement: str, *parameters: Any) -> None:
    with psycopg.connect(shop.environment["DATABASE_URL"], autocommit=True) as connection:
        connection.execute(statement.encode(), parameters)


def test_events_that_lie_in_another_sequence_than_they_were_stated_in(delivered: list[str], running_shop: Shop) -> None:
    ids = running_shop.query(
        "SELECT id FROM kafka_bridge_outboxrow WHERE key = %s AND topic = 'orders.events' ORDER BY id", delivered[0]
    )
    first, second = ids[0][0], ids[1][0]
    assert event_log_check.compare(running_shop, delivered).problems == []
    swap(running_shop, first, second)
    try:
        [problem] = event_log_check.compare(running_shop, delivered).problems
        assert problem.startswith(f"out of order: orders.events of {delivered[0]}")
    finally:
        swap(running_shop, first, second)
    assert event_log_check.compare(running_shop, delivered).problems == []


def swap(shop: Shop, first: int, second: int) -> None:
    """Exchange the numbers of two rows."""
    for now, then in ((first, -1), (second, first), (-1, second)):
        change(shop, "UPDATE kafka_bridge_outboxrow SET id = %s WHERE id = %s", then, now)


def test_an_event_that_never_reached_kafka(delivered: list[str], running_shop: Shop) -> None:
    [(row, event_id)] = running_shop.query(
        "SELECT id, event_id FROM kafka_bridge_outboxrow WHERE key = %s AND type = 'order.shipped'", delivered[0]
    )
    change(running_shop, "UPDATE kafka_bridge_outboxrow SET event_id = gen_random_uuid() WHERE id = %s", row)
    try:
        compared = event_log_check.compare(running_shop, delivered)
    finally:
        change(running_shop, "UPDATE kafka_bridge_outboxrow SET event_id = %s WHERE id = %s", event_id, row)
    assert compared.problems == [f"an event of the outbox is not in Kafka: order.shipped of {delivered[0]}"]


def test_a_role_that_ended_buyers_who_were_refused_and_orders_without_an_end(
    delivered: list[str], running_shop: Shop
) -> None:
    plan = DrillPlan(drill=catalogue.find("kafka-outage"), seconds=SECONDS)
    load = OrderLoad(running_shop.url, ["9780000000019"], rate=1, seed=1)
    load.refused_at.append(5.0)
    load.failures.append("500: oh")
    ids = running_shop.process_ids()
    with shop_state.asking_kafka_of(running_shop):
        # Tests before this one may have left some.
        timeline = Timeline(
            away_at=0, back_at=10, drained_at=None, process_ids=ids | {"relay": 1},
            dead_before=verdict.dead_letters(running_shop),
        )  # fmt: skip
        said = verdict.judge(plan, running_shop, load, timeline).problems
    # So may they in the books, which is said as well.
    assert [problem for problem in said if not problem.startswith("the audit:")] == [
        "orders accepted: 1 times the shop gave no clean answer, the first: 500: oh",
        "orders accepted: 1 times a buyer was told to come back",
        "drained: orders from the outage are not complete",
        f"roles at work: relay ended; its log: {running_shop.log('relay')}",
    ]


# -- The command ----------------------------------------------------------------------------------------
def test_the_list_names_every_drill() -> None:
    out = StringIO()
    call_command("run_drill", "--list", "--json", stdout=out)
    assert [drill["name"] for drill in json.loads(out.getvalue())] == [drill.name for drill in catalogue.DRILLS]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "Name a drill"),
        (("flood",), "There is no drill 'flood'"),
        (("redis-outage", "--seconds", "0"), "--seconds takes a number above 0"),
        (("redis-outage", "--seconds", "nan"), "--seconds takes a number above 0"),
        (("redis-outage", "--rate", "-1"), "--rate takes a number above 0"),
        (("redis-outage", "--rate", "1000"), "200 at most"),
        (("redis-outage", "--kills", "3"), "redis-outage takes no --kills"),
        (("redis-outage", "--freeze"), "redis-outage takes no --freeze"),
        (("random-kills", "--seconds", "60"), "random-kills takes no --seconds"),
        (("random-kills", "--orders", "0"), "--orders takes a number above 0"),
        (("random-kills", "--kills", "10001"), "10,000 at most"),
    ],
)
def test_options_that_make_no_sense(arguments: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence) as raised:
        call_command("run_drill", *arguments)
    assert raised.value.returncode == 2


def test_without_java_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(CommandError, match="Java") as raised:
        call_command("run_drill", "redis-outage", stderr=StringIO())
    assert raised.value.returncode == 2


@pytest.mark.prove
def test_sigterm_ends_it_and_leaves_nothing(tmp_path: Path) -> None:
    """A whole shop of its own was at work; no process and no folder of it is left."""
    heard = tmp_path / "stderr"
    with heard.open("w") as stderr:
        drill = subprocess.Popen(
            [sys.executable, "manage.py", "run_drill", "redis-outage", "--json"],
            env={name: value for name, value in os.environ.items() if not name.startswith("BOOKRUSH_")},
            cwd=PROJECT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
        )
    try:
        wait_until_it_says("Redis is down", heard, drill)
        folder = heard.read_text().splitlines()[0].removeprefix("Starting a shop in ")
        drill.send_signal(signal.SIGTERM)
        out, _ = drill.communicate(timeout=60)
    finally:
        drill.kill()
    assert (drill.returncode, out) == (130, b"")
    assert heard.read_text().endswith("Stopped. Everything of the drill has been removed.\n")
    assert not Path(folder).exists()
    assert processes_about(folder) == []


def wait_until_it_says(text: str, heard: Path, drill: "subprocess.Popen[bytes]") -> None:
    def said() -> bool:
        assert drill.poll() is None, heard.read_text()
        return text in heard.read_text()

    waiting.until(said, what=f"“{text}”", timeout_seconds=240)


def processes_about(folder: str) -> list[str]:
    """Command lines that name the folder."""
    lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    return [line.decode(errors="replace") for line in lines if folder.encode() + b"/" in line]


def test_a_verdict_for_a_program() -> None:
    plan = DrillPlan(drill=catalogue.find("redis-outage"), seconds=5)
    timeline = Timeline(away_at=1, back_at=6, drained_at=8.25, process_ids={}, dead_before=(0, 0, 0))
    finding = verdict.DrillFinding(name="orders", figure="3", problems=["one is missing"])
    said = screen.as_json(DrillVerdict(plan=plan, timeline=timeline, findings=[finding]))
    assert said | {"findings": []} == {
        "drill": "redis-outage",
        "seconds": 5,
        "rate": 5.0,
        "seed": 1,
        "held": False,
        "away_seconds": 5,
        "drain_seconds": 2.2,
        "findings": [],
    }
    assert said["findings"] == [{"name": "orders", "figure": "3", "problems": ["one is missing"]}]
    assert (
        screen.as_json(DrillVerdict(plan=plan, timeline=replace(timeline, drained_at=None), findings=[]))["held"]
        is True
    )
