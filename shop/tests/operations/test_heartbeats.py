"""E12, O1: what is believed of a heartbeat, who is missing and since when; metrics and logs are as they are told of."""

import io
import json
import logging
import re
import sys
import threading
import time
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis
from django.conf import settings as django_settings
from django.core.management import CommandError, call_command
from django.test import Client

from kafka_bridge.dead_letters.consumer import DeadLetterConsumer
from kafka_bridge.monitoring.heartbeats import heartbeat_table, reporting
from kafka_bridge.monitoring.heartbeats.heartbeat import Heartbeat
from kafka_bridge.telemetry import activity, buckets, log_context, metrics
from shop.operations.processes import expected, presence, redis_store
from shop.operations.processes.redis_store import RedisHeartbeats
from shop.site.logs import JsonLines

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.operations]
DOCUMENT = Path(django_settings.BASE_DIR) / "docs" / "metrics.md"
TOKEN = "scrape-this"


def beat(role: str, *, ago_seconds: float = 0, **changes: Any) -> Heartbeat:
    """A heartbeat of a process that was well then."""
    now = time.time() - ago_seconds
    fields: dict[str, Any] = {
        "role": role, "instance": f"{role}-{uuid.uuid4()}", "host": "h", "pid": 1, "version": "1",
        "started_at": now - 60, "beat_at": now, "state": "working", "doing": "", "progressed_at": now,
        "memory_bytes": 1, "cpu_seconds": 1.0,
    }  # fmt: skip
    return Heartbeat(**fields | changes)


@pytest.fixture
def in_redis() -> redis.Redis:
    """Where heartbeats are kept, empty."""
    client = redis_store._client()
    client.delete(redis_store.INDEX, *client.keys("heartbeat:*"))
    return client


# -- What is read ---------------------------------------------------------------------------------------------
def test_a_heartbeat_comes_back_as_it_was_written_and_goes_with_its_process(in_redis: redis.Redis) -> None:
    store, table, said = RedisHeartbeats(), heartbeat_table.HeartbeatTable(60), beat("relay")
    for each in (store, table):
        each.write(said)
        each.write(said)
    assert redis_store.read() == heartbeat_table.read(within_seconds=60) == [said]
    assert 50 < in_redis.ttl(f"heartbeat:relay:{said.instance}") <= 60
    for each in (store, table):
        each.end(said)
    assert redis_store.read() == heartbeat_table.read(within_seconds=60) == []
    assert "relay" in heartbeat_table.last_seen()


def test_what_is_no_heartbeat_is_passed_over(in_redis: redis.Redis) -> None:
    honest, forged = beat("web"), beat("relay")
    RedisHeartbeats().write(honest)
    wrong = {
        "heartbeat:web:no-json": b"\xff{",
        "heartbeat:web:other-types": b'{"role": 1}',
        "heartbeat:web:too-long": b" " * (redis_store.BYTES_MAX + 1) + msgspec.json.encode(honest),
        # Who may write keys of the web role cannot speak for the relay.
        f"heartbeat:web:{forged.instance}": msgspec.json.encode(forged),
        "elsewhere": msgspec.json.encode(honest),
    }
    for key, value in wrong.items():
        in_redis.set(key, value)
        in_redis.zadd(redis_store.INDEX, {key: time.time()})
    in_redis.zadd(redis_store.INDEX, {"heartbeat:web:expired": time.time()})
    assert redis_store.read() == [honest]


def test_who_is_missing_and_since_when(settings: Any) -> None:
    settings.EXPECTED_PROCESSES = "web:2,relay,timekeeper"
    now = datetime.now(UTC)
    presence._short_since.clear()
    ended = beat("timekeeper", ago_seconds=30)
    heartbeat_table.HeartbeatTable(60).write(ended)
    heartbeat_table.HeartbeatTable(60).end(ended)
    found = [beat("web"), beat("web", ago_seconds=20), beat("relay", ago_seconds=14)]
    web, timekeeper = presence.figures_of(found, now=now).missing
    assert (web.role, web.expected, web.present) == ("web", 2, 1)
    assert abs(web.since - (now - timedelta(seconds=20))) < timedelta(seconds=1)
    # When it ended is known by PostgreSQL; and it stays since then, however often one looks.
    assert (timekeeper.role, timekeeper.present) == ("timekeeper", 0)
    assert abs(timekeeper.since - now) < timedelta(seconds=5)
    later = presence.figures_of(found, now=now + timedelta(seconds=60)).missing
    assert {gone.role: gone.since for gone in later if gone.role != "relay"} == {
        "web": web.since,
        "timekeeper": timekeeper.since,
    }
    assert presence.figures_of([beat("web"), beat("web"), beat("relay"), beat("timekeeper")]).missing == ()


def test_a_redis_that_was_emptied_makes_nobody_missed(
    in_redis: redis.Redis, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """O1: it knows nobody until each has said something again; until then PostgreSQL is asked as well."""
    settings.EXPECTED_PROCESSES = "relay,web"
    relay, web = beat("relay"), beat("web")
    for each in (relay, web):
        heartbeat_table.HeartbeatTable(60).write(each)
    assert presence.read_figures().missing == ()
    RedisHeartbeats().write(relay)
    both = presence.read_figures()
    assert (both.missing, both.read_from) == ((), "Redis and PostgreSQL")
    assert {heartbeat.instance for heartbeat in both.heartbeats} == {relay.instance, web.instance}
    monkeypatch.setattr(presence, "MISSED_AFTER_SECONDS", 0)
    [missing] = presence.read_figures().missing
    assert missing.role == "web", "who then says nothing there is missed"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("web,shiping", "there is no role 'shiping'; roles are web, live, relay"),
        ("web,web:2", "web is named twice"),
        ("web:two", "from 0 to 1000, as in web:2"),
        ("web:-1", "from 0 to 1000"),
        ("web:", "from 0 to 1000"),
        ("web,", "there is no role ''"),
    ],
)
def test_what_is_expected_is_refused_with_words_where_it_makes_no_sense(text: str, words: str, settings: Any) -> None:
    settings.EXPECTED_PROCESSES = text
    [error] = expected.check_setting()
    assert words in error.msg and "web,live,relay:2" in str(error.hint)
    with pytest.raises(CommandError, match="EXPECTED_PROCESSES") as raised:
        call_command("show_processes")
    assert raised.value.returncode == 2


def test_one_of_each_role_is_expected_where_nothing_is_said(settings: Any) -> None:
    settings.EXPECTED_PROCESSES = ""
    assert expected.current() == dict.fromkeys(expected.roles(), 1)
    settings.EXPECTED_PROCESSES = " web : 3, relay,analytics:0"
    assert expected.current() == {"web": 3, "relay": 1, "analytics": 0}


def test_people_read_who_is_missing(in_redis: redis.Redis, settings: Any) -> None:
    settings.EXPECTED_PROCESSES = "web,relay"
    RedisHeartbeats().write(beat("web", doing="serves pages"))
    out = io.StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("show_processes", stdout=out)
    assert ended.value.code == 1
    assert re.search(r"relay.*missing.*0 of 1", re.sub(r"[\s│┃]+", " ", out.getvalue()))


def test_processes_fit_a_narrow_terminal(in_redis: redis.Redis, settings: Any, monkeypatch: Any) -> None:
    settings.EXPECTED_PROCESSES = "web,relay"
    monkeypatch.setenv("COLUMNS", "80")
    doing = "brings events to Kafka"
    for number in range(3):
        RedisHeartbeats().write(beat("notifications", doing=doing, pid=400_001 + number))
    out = io.StringIO()
    with pytest.raises(SystemExit):
        call_command("show_processes", stdout=out)
    lines = out.getvalue().splitlines()
    assert all(len(line) <= 80 for line in lines)
    rows = [line for line in lines if line.strip().startswith("notifications")]
    assert [re.search(r"40000\d", row) is not None and "working" in row for row in rows] == [True] * 3
    assert any("host h, version 1" in line for line in lines)


# -- A process's own --------------------------------------------------------------------------------------------
def test_stores_that_fail_disturb_nobody_and_are_told_of_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Away:
        every_seconds = 0.05
        tries = 0
        is_away = True

        def write(self, heartbeat: Heartbeat) -> None:
            self.tries += 1
            if self.is_away:
                raise redis.ConnectionError("nobody is there")

        def end(self, heartbeat: Heartbeat) -> None:
            self.tries += 1000

    store = Away()
    reporter = reporting.Reporter("relay", [store])
    with caplog.at_level(logging.INFO):
        reporter.start()
        wait(lambda: store.tries > 3)
        store.is_away = False
        wait(lambda: "takes heartbeats again" in caplog.text)
        reporter.stop()
    assert caplog.text.count("takes no heartbeats") == 1
    assert store.tries >= 1000


def wait(condition: Any) -> None:
    """Until it is so, at the most ten seconds."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_loop_that_hangs_is_seen_though_its_process_says_that_it_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activity, "current", activity.Activity())
    activity.current.turn()
    hanging = activity.current.turned_at
    activity.current.turn("retries")
    said = reporting.Reporter("orders", []).heartbeat()
    assert said.turned_at == hanging is not None and said.beat_at > hanging
    activity.current.end_turns(activity.MAIN)
    activity.current.end_turns("retries")
    assert reporting.Reporter("orders", []).heartbeat().turned_at is None


def test_a_member_that_finds_no_broker_says_that_it_waits(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.KAFKA_BRIDGE = replace(settings.KAFKA_BRIDGE, bootstrap_servers="127.0.0.1:9")
    monkeypatch.setattr(activity, "current", activity.Activity())
    stop = threading.Event()
    member = threading.Thread(target=DeadLetterConsumer(stop).run, daemon=True)
    member.start()
    try:
        wait(lambda: activity.current.state == "waiting")
        said = reporting.Reporter("dead_letters", []).heartbeat()
    finally:
        stop.set()
        member.join(20)
    assert "no broker" in said.doing
    assert [(seen.name, seen.is_ok) for seen in said.dependencies] == [("kafka", False)]
    assert said.turned_at and said.beat_at - said.turned_at < 5
    assert activity.current.turned_at is None, "a loop that has ended does not hang"


def test_percentiles_come_from_two_looks_at_the_buckets() -> None:
    before = [0] * 15
    now = [0] * 15
    now[3], now[6], now[14] = 90, 9, 1
    p50, p95, p99 = buckets.quantiles(buckets.between(before, now))
    assert p50 and p95 and p99
    assert 0.005 < p50 < 0.01 and 0.05 < p95 < 0.1 and p99 == pytest.approx(0.1)
    assert buckets.quantiles([0] * 15) == [None, None, None]
    # One that began anew has counted all of it since.
    assert buckets.between(now, before) == before
    assert [buckets.index_of(seconds) for seconds in (0.0, 0.001, 0.0011, 30.0, 31.0)] == [0, 0, 1, 13, 14]


# -- Metrics and logs ---------------------------------------------------------------------------------------------
def test_the_document_is_the_generated_one() -> None:
    """Write it anew with `manage.py show_metrics --markdown > docs/metrics.md`."""
    out = io.StringIO()
    call_command("show_metrics", "--markdown", stdout=out)
    assert DOCUMENT.read_text() == out.getvalue()
    activity.current.turn()
    shown = {family.name for family in metrics.Prefixed().collect()}
    told = set(re.findall(r"^\| `(\w+?)(?:_total)?` \|", out.getvalue(), re.MULTILINE))
    assert told <= shown, "each is really shown"
    assert {name for name in shown - told if not name.startswith("process_")} == set()


@pytest.mark.parametrize("forwarded", [{}, {"X-Forwarded-For": "203.0.113.9"}])
def test_metrics_of_the_pages_are_for_holders_of_the_token(settings: Any, forwarded: dict[str, str]) -> None:
    def answer(token: str) -> Any:
        return Client().get("/metrics", headers=forwarded | ({"Authorization": token} if token else {}))

    for settings.METRICS_TOKEN, token in (("", ""), ("", "Bearer "), (TOKEN, ""), (TOKEN, "Bearer x"), (TOKEN, TOKEN)):
        assert answer(token).status_code == 404
    Client().get("/healthz")
    found = answer(f"Bearer {TOKEN}")
    assert found.status_code == 200
    assert 'bookrush_http_requests_total{route="healthz",status="2xx"}' in found.content.decode()


def test_log_lines_as_json_name_what_is_under_way() -> None:
    formatter, order, event = JsonLines(), str(uuid.uuid4()), str(uuid.uuid4())

    def line(record: logging.LogRecord) -> dict[str, str]:
        text = formatter.format(record)
        assert "\n" not in text
        return json.loads(text)  # type: ignore[no-any-return]

    plain = logging.LogRecord("orders", logging.WARNING, "x.py", 1, "%s\nis late", ("it",), None)
    assert line(plain).items() >= {"level": "WARNING", "logger": "orders", "message": "it\nis late"}.items()
    assert line(plain).keys().isdisjoint({"order", "event", "trace"})
    try:
        raise ValueError("what went wrong")
    except ValueError:
        failed = logging.LogRecord("orders", logging.ERROR, "x.py", 1, "failed", None, sys.exc_info())
    with log_context.about(lambda: {"key": order, "event": event, "trace": ""}):
        said = line(failed)
    assert (said["order"], said["event"], "trace" in said) == (order, event, False)
    assert "ValueError: what went wrong" in said["traceback"] and said["role"] and said["instance"]
