"""What piles up, runs out or differs in a real shop and cluster: each raised and cleared, and told once each way."""

import dataclasses
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import NewTopic
from uuid_utils.compat import uuid7

from devtools.local.kafka.apache_kafka import ApacheKafka
from devtools.testing import http_receiver, processes
from devtools.testing.bridge import kafka_logs
from devtools.testing.bridge.bridge_events import created
from devtools.testing.processes import Shop
from devtools.testing.shop.mail_server import MailServer
from kafka_bridge import testing
from kafka_bridge.monitoring.cluster_figures import KafkaFigures
from kafka_bridge.monitoring.cluster_reader import ClusterReader
from kafka_bridge.runtime import clients, waiting
from kafka_bridge.wire import envelope
from shop.operations.alerts.board import Board
from shop.operations.alerts.telling.sending import Senders
from shop.operations.overview import collector
from shop.operations.overview.figures import Overview, Seen
from shop.tests.operations.alerts.test_alerts_of_a_running_shop import (
    ON_CALL,
    SECRET,
    TELLERS,
    Watched,
    order_to,
    to_be_told,  # noqa: F401 - a fixture
)

pytestmark = [pytest.mark.kafka, pytest.mark.operations, pytest.mark.slow, pytest.mark.together]
SKEW_SECONDS = 3
MORE_CONNECTIONS = 40
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - a file system of its own, on every Linux


class Trouble(NamedTuple):
    """An alert's name and subject, the limits at which it comes here, what causes it, and what ends it."""

    name: str
    subject: str
    limits: str
    cause: Callable[[], object]
    mend: Callable[[], object]


def produce(shop: Shop, topic: str, value: bytes, headers: Any = ()) -> None:
    """A message that is none of the shop's own."""
    producer = Producer({"bootstrap.servers": shop.environment["KAFKA_BOOTSTRAP_SERVERS"]})
    producer.produce(processes.PREFIX + topic, key=b"of a test", value=value, headers=list(headers))
    assert producer.flush(20) == 0


def refused(shop: Shop) -> Trouble:
    """A well-formed event that nobody has stated."""

    def cause() -> None:
        event = created()
        headers = kafka_logs.headers(event, uuid7(), datetime.now(UTC))
        produce(shop, "orders.events", envelope.encode_body(event), headers)

    def mend() -> None:
        shop.query("UPDATE kafka_bridge_refusedmessage SET closed_at = now() WHERE closed_at IS NULL RETURNING id")

    mend()
    return Trouble("refused_messages", "", "", cause, mend)


def dead(shop: Shop) -> Trouble:
    """A message that cannot be read."""

    def mend() -> None:
        if shop.query("SELECT FROM kafka_bridge_deadletter WHERE state = 'parked' LIMIT 1"):
            shop.manage("dead_letters", "discard", "--all", "--reason", "of a test")

    mend()
    return Trouble(
        "dead_letters", "", "dead_letters=0", lambda: produce(shop, "orders.events", b"no event at all"), mend
    )


def late(told: Watched) -> Trouble:
    """A mail that its server puts off, and nobody who sends it later."""
    shop = told.shop

    def cause() -> None:
        told.mails.refused = {"late@": "450 try again later"}
        order_to(shop, "late@example.org")
        put_off = "SELECT FROM orders_ordermail WHERE sent_at IS NULL AND failed_at IS NULL AND last_error <> ''"
        shop.wait_until(lambda: shop.query(put_off), what="a mail put off", timeout_seconds=60)
        shop.stop("notifications")

    def mend() -> None:
        told.mails.refused = {}
        shop.start("notifications")

    return Trouble("mails_late", "", "mail_seconds=5", cause, mend)


def paused(shop: Shop) -> Trouble:
    """A group that a person has stopped."""

    def control(what: str) -> None:
        shop.manage("control_group", what, "analytics", "--reason", "of a test")

    limits = "paused_seconds=2"
    return Trouble("paused_by_person", "analytics", limits, lambda: control("pause"), lambda: control("resume"))


def failing(shop: Shop) -> Trouble:
    """A table that analytics needs is not there."""
    there, away = "shop_dailysales", "shop_dailysales_of_a_test"

    def mend() -> None:
        rename(shop, away, there)
        # What was given up meanwhile would be found by the audits of other tests.
        if shop.query("SELECT FROM kafka_bridge_deadletter WHERE state = 'parked' AND \"group\" = 'analytics' LIMIT 1"):
            shop.manage("dead_letters", "redrive", "--group", "analytics", "--reason", "of a test")

    return Trouble("error_rate", "analytics", "", lambda: rename(shop, there, away), mend)


def rename(shop: Shop, before: str, after: str) -> None:
    """A table of the shop."""
    with psycopg.connect(shop.environment["DATABASE_URL"], autocommit=True) as connection:
        connection.execute(f"ALTER TABLE {before} RENAME TO {after}".encode())


def unread(shop: Shop) -> Trouble:
    """A group that reads nothing for a good part of the time for which its topic keeps messages: of seven days here."""
    return Trouble(
        "retention_about_to_delete_unread", "shipping (orders.events)", "unread_percent=0.002",
        lambda: shop.stop("shipping"),
        lambda: shop.start("shipping"),
    )  # fmt: skip


def crowded(shop: Shop, stack: ExitStack) -> Trouble:
    """More connections to PostgreSQL."""
    [(used,)] = shop.query("SELECT sum(numbackends)::int FROM pg_stat_database")
    [(most,)] = shop.query("SELECT current_setting('max_connections')::int")
    opened = stack.enter_context(ExitStack())

    def cause() -> None:
        for _ in range(MORE_CONNECTIONS):
            opened.enter_context(psycopg.connect(shop.environment["DATABASE_URL"]))

    limit = 100 * (used + 0.6 * MORE_CONNECTIONS) / most
    return Trouble("connections_near_limit", "", f"connections_percent={limit:.1f}", cause, opened.close)


def full(shop: Shop, stack: ExitStack) -> Trouble:
    """A file on a file system of its own."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=SHARED_MEMORY)))
    shop.environment["TMPDIR"] = str(folder)
    usage, file = shutil.disk_usage(folder), folder / "of-a-test"
    size = max(usage.total // 100, 16 * 2**20)

    def cause() -> None:
        with file.open("wb") as opened:
            os.posix_fallocate(opened.fileno(), 0, size)

    limit = 100 * (usage.free - size / 2) / usage.total
    return Trouble("disk", str(folder), f"disk_free_percent={limit:.3f}", cause, file.unlink)


def skewed(shop: Shop) -> Trouble:
    """The timekeeper's clock is ahead, by libfaketime."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("no libfaketime here (apt-get install faketime)")
    ahead = {"LD_PRELOAD": str(found[0]), "FAKETIME": f"+{SKEW_SECONDS}s", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}

    def cause() -> None:
        shop.environment.update(ahead)
        shop.restart("timekeeper")
        for name in ahead:
            del shop.environment[name]

    return Trouble("clock_skew", "", "clock_seconds=1.5", cause, lambda: shop.restart("timekeeper"))


def play(told: Watched, troubles: Sequence[Trouble], *, meanwhile: Callable[[], object] = lambda: None) -> None:
    """Cause all of them, see each told once, mend all, see the end of each told once."""
    shop, alerts = told.shop, {(each.name, each.subject) for each in troubles}
    shop.environment["ALERT_LIMITS"] = ",".join(each.limits for each in troubles if each.limits)
    shop.restart(*TELLERS)
    told.forget_what_was()
    for each in troubles:
        each.cause()

    def is_told(kind: str) -> bool:
        meanwhile()
        return {(*alert, kind) for alert in alerts} <= set(told.told()) and told.mailed() == told.told().total()

    try:
        shop.wait_until(lambda: is_told("raised"), what=f"{alerts} raised", timeout_seconds=240)
    except TimeoutError as error:
        raise TimeoutError(f"{error}; told: {told.told()}, mailed: {told.mailed()}") from error
    finally:
        for each in troubles:
            each.mend()
    told.wait_for("cleared", *alerts, timeout_seconds=300)
    counts = told.told()
    assert {counts[(*alert, kind)] for alert in alerts for kind in ("raised", "cleared")} == {1}, counts


@pytest.mark.prove(long=True)
def test_letters_strangers_messages_late_mails_and_a_pause_are_told_once_and_their_end_once(
    to_be_told: Watched,  # noqa: F811 - the fixture
) -> None:
    shop = to_be_told.shop
    play(to_be_told, [refused(shop), dead(shop), late(to_be_told), paused(shop)])


@pytest.mark.prove(long=True)
def test_errors_retention_connections_a_disk_and_a_clock_are_told_once_and_their_end_once(
    to_be_told: Watched,  # noqa: F811 - the fixture
) -> None:
    shop, ordered = to_be_told.shop, [0.0]

    def order_now_and_then() -> None:
        if time.monotonic() - ordered[0] > 5:
            ordered[0] = time.monotonic()
            order_to(shop, "ada@example.org")

    with ExitStack() as stack:
        troubles = [failing(shop), unread(shop), crowded(shop, stack), full(shop, stack), skewed(shop)]
        play(to_be_told, troubles, meanwhile=order_now_and_then)


# -- A cluster -------------------------------------------------------------------------------------------
@pytest.fixture
def cluster(kafka_cluster: ApacheKafka, settings: Any) -> Iterator[ClusterReader]:
    """Three brokers: one topic has a copy on each, all others one copy."""
    settings.KAFKA_BRIDGE = dataclasses.replace(
        settings.KAFKA_BRIDGE, bootstrap_servers=kafka_cluster.bootstrap_servers, replication_factor=1,
        min_insync_replicas=1,
    )  # fmt: skip
    copied = NewTopic(clients.topic_name("orders.events"), 3, 3)
    admin = clients.admin()  # has a name while its futures are waited for
    for made in admin.create_topics([copied]).values():
        made.result(30)
    testing.make_topics()
    reader = ClusterReader()
    yield reader
    reader.close()


@pytest.mark.prove
@pytest.mark.django_db(transaction=True)
def test_copies_out_of_step_and_partitions_without_a_leader_are_told_once_and_their_end_once(
    cluster: ClusterReader, kafka_cluster: ApacheKafka, mail_server: MailServer, settings: Any
) -> None:
    board = Board(goes_on_without_database=False)
    senders, seen = Senders(board), list[Seen[KafkaFigures]]([Seen()])
    alerts = {("under_replicated", ""), ("no_leader", "")}

    def look() -> None:
        try:
            seen[0] = Seen(value=cluster.read(), at=datetime.now(UTC))
        except Exception as error:
            seen[0] = dataclasses.replace(seen[0], error=str(error), failing_since=datetime.now(UTC))
        nothing: Overview = collector.overview()
        board.evaluate(dataclasses.replace(nothing, kafka=seen[0]))
        senders.wake(ask_database=True)

    with http_receiver.receiving() as hook:
        settings.ALERT_MAIL_TO = [ON_CALL]
        settings.ALERT_WEBHOOK_URL, settings.ALERT_WEBHOOK_SECRET = f"{hook.url}/hook", SECRET
        told = Watched(None, hook, mail_server)  # type: ignore[arg-type]  # counts only

        def is_told(kind: str) -> bool:
            look()
            return {(*alert, kind) for alert in alerts} <= set(told.told()) and told.mailed() == told.told().total()

        def is_seen() -> bool:
            look()
            return not seen[0].error

        waiting.until(is_seen, what="a look at all", timeout_seconds=60)
        kafka_cluster.kill(3)
        waiting.until(lambda: is_told("raised"), what=f"{alerts} raised", timeout_seconds=180)
        kafka_cluster.start(3)
        waiting.until(lambda: is_told("cleared"), what=f"{alerts} cleared", timeout_seconds=180)
        counts = told.told()
    assert {counts[(*alert, kind)] for alert in alerts for kind in ("raised", "cleared")} == {1}, counts
