"""A relay and a consumer whose PostgreSQL says nothing, or takes no writes: what they say, and that all goes on."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from django.db import connection, transaction

from devtools.testing import black_hole, tcp_proxy
from devtools.testing.bridge.bridge_events import delivered
from devtools.testing.bridge.kafka_logs import produce_all, put_all, record_all
from devtools.testing.bridge.manage_processes import environment_of, process
from kafka_bridge import testing
from kafka_bridge.models import InboxRow, OutboxRow
from kafka_bridge.publishing import outbox
from kafka_bridge.runtime import conf

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.kafka,
    pytest.mark.security,
    pytest.mark.faults,
    pytest.mark.slow,
    pytest.mark.usefixtures("kafka"),
]
GROUP = "analytics"


class Role:
    """A process, and what it says."""

    def __init__(self, started: Any) -> None:
        self._process = started
        self._lines: list[str] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        self._lines.extend(iter(self._process.stderr.readline, ""))

    def wait_until_said(self, words: str) -> None:
        testing.wait_until(lambda: words in self.said, what=f"the words {words!r}", timeout_seconds=60)

    @property
    def said(self) -> str:
        return "".join(self._lines)

    def stop(self) -> None:
        """SIGTERM is heard within seconds, and the end is a clean one."""
        self._process.terminate()
        assert self._process.wait(30) == 0, self.said


@contextmanager
def roles(port: int, tmp_path: Any) -> Iterator[tuple[Role, Role]]:
    """A relay and a member of the group, at work; PostgreSQL is at this port."""
    environment = environment_of(conf.current())
    address = urlsplit(environment["DATABASE_URL"])
    environment |= {
        "DATABASE_URL": f"postgresql://{address.username}@127.0.0.1:{port}{address.path}?connect_timeout=2",
        "DATABASE_ANSWER_SECONDS": "1",
    }
    with ExitStack() as stack:
        commands = {"relay": ["run_relay"], "consumer": ["run_consumer", GROUP]}
        found = []
        for name, arguments in commands.items():
            own = environment | {"BOOKRUSH_READY_FILE": str(tmp_path / name)}
            found.append(Role(stack.enter_context(process(*arguments, environment=own))))
        testing.wait_until(
            lambda: all((tmp_path / name).exists() for name in commands), what="ready roles", timeout_seconds=60
        )
        yield found[0], found[1]
        for role in found:
            role.stop()


def state(number: int) -> None:
    with transaction.atomic():
        outbox.publish(*(delivered() for _ in range(number)))


def wait_until_had(number: int) -> None:
    testing.wait_until(
        lambda: InboxRow.objects.filter(group=GROUP).count() >= number, what=f"{number} handled", timeout_seconds=60
    )
    assert InboxRow.objects.filter(group=GROUP).count() == number


def test_xe5_roles_that_are_cut_off_without_a_word_say_so_and_go_on(services: Any, tmp_path: Any) -> None:
    with (
        tcp_proxy.proxy_to(str(services.postgres.sockets / ".s.PGSQL.5432")) as proxy,
        roles(proxy.port, tmp_path) as (relay, consumer),
    ):
        state(10)
        wait_until_had(10)
        proxy.freeze()
        put_all([(delivered(), number % 3, datetime.now(UTC)) for number in range(10)])
        state(10)
        relay.wait_until_said("relay: PostgreSQL cannot be used (PostgreSQL has not answered for 1.25 s)")
        consumer.wait_until_said(f"{GROUP}: paused, try 2 follows: OperationalError:")
        proxy.thaw()
        wait_until_had(30)


def test_xe5_roles_told_to_stop_while_nobody_answers_end_within_seconds(services: Any, tmp_path: Any) -> None:
    with tcp_proxy.proxy_to(str(services.postgres.sockets / ".s.PGSQL.5432")) as proxy, roles(proxy.port, tmp_path):
        state(10)
        wait_until_had(10)
        proxy.freeze()


@pytest.mark.prove
def test_xe5_a_consumer_told_to_stop_while_kafka_says_nothing_ends_within_seconds_and_another_goes_on(
    kafka: Any, services: Any, tmp_path: Any
) -> None:
    with tcp_proxy.proxy_to(str(services.postgres.sockets / ".s.PGSQL.5432")) as proxy:
        with roles(proxy.port, tmp_path) as (_, consumer):
            state(10)
            wait_until_had(10)
            kafka.pause()
            try:
                consumer.stop()
            finally:
                kafka.resume()
        for name in ("relay", "consumer"):
            (tmp_path / name).unlink(missing_ok=True)
        with roles(proxy.port, tmp_path):
            state(10)
            wait_until_had(20)


@pytest.mark.prove
def test_xe5_a_relay_told_to_stop_with_rows_under_way_while_kafka_says_nothing_ends_within_seconds(
    kafka: Any, services: Any, tmp_path: Any
) -> None:
    with (
        tcp_proxy.proxy_to(str(services.postgres.sockets / ".s.PGSQL.5432")) as proxy,
        roles(proxy.port, tmp_path) as (relay, _),
    ):
        state(10)
        wait_until_had(10)
        kafka.pause()
        try:
            state(10)
            testing.wait_until(waits_for_reports, what="rows under way", timeout_seconds=60)
            relay.stop()
        finally:
            kafka.resume()
        assert OutboxRow.objects.filter(published_at=None).count() == 10


def test_xe5_roles_whose_brokers_drop_everything_say_so_and_end_within_seconds() -> None:
    with black_hole.black_hole() as nowhere, ExitStack() as stack:
        environment = environment_of(conf.current()) | {"KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{nowhere}"}
        commands = (["run_relay"], ["run_consumer", GROUP])
        found = [Role(stack.enter_context(process(*command, environment=environment))) for command in commands]
        state(10)
        for role in found:
            role.wait_until_said("Connection setup timed out")
        for role in found:
            role.stop()
    assert OutboxRow.objects.filter(published_at=None).count() == 10


def waits_for_reports() -> bool:
    """Whether the relay gives signs of life to PostgreSQL, which it does while Kafka has not answered."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT FROM pg_stat_activity WHERE datname = current_database() AND query = 'SELECT 1' "
            "AND pid <> pg_backend_pid()"
        )
        return cursor.fetchone() is not None


def test_xe5_roles_wait_while_postgresql_takes_no_writes_and_go_on(services: Any, tmp_path: Any) -> None:
    with (
        psycopg.connect(services.postgres.url("postgres"), autocommit=True) as admin,
        tcp_proxy.proxy_to(str(services.postgres.sockets / ".s.PGSQL.5432")) as proxy,
        roles(proxy.port, tmp_path) as (relay, consumer),
    ):
        state(10)
        wait_until_had(10)
        placed = [(delivered(), number % 3, datetime.now(UTC)) for number in range(10)]
        ids = record_all(placed)
        admin.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        admin.execute("SELECT pg_reload_conf()")
        try:
            produce_all(placed, ids)
            for role in (relay, consumer):
                role.wait_until_said("read-only")
            assert f"{GROUP}: paused, try 2 follows" in consumer.said
        finally:
            admin.execute("ALTER SYSTEM SET default_transaction_read_only = off")
            admin.execute("SELECT pg_reload_conf()")
        testing.wait_until(_takes_writes, what="a server that takes writes")
        wait_until_had(30)


def _takes_writes() -> bool:
    try:
        state(10)
    except Exception:
        return False
    return True
