"""PostgreSQL that says nothing, takes no writes, or is behind a pool that shares its sessions."""

import dataclasses
import logging
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import OperationalError, connection, connections
from django.db.backends.signals import connection_created

from devtools.local.postgres import Postgres
from devtools.testing import pgbouncer, tcp_proxy
from kafka_bridge import testing
from kafka_bridge.runtime import error_classes, supervision
from kafka_bridge.runtime.postgresql import database_bounds, leadership

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.security, pytest.mark.faults]


@contextmanager
def read_only(server: Postgres) -> Iterator[None]:
    """The whole server takes no writes meanwhile, as one that was demoted."""
    address = server.url("postgres")

    def switch(value: str) -> None:
        with psycopg.connect(address, autocommit=True, options="-c default_transaction_read_only=off") as admin:
            admin.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}")
            admin.execute("SELECT pg_reload_conf()")

    switch("on")
    try:
        yield
    finally:
        switch("off")


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was said that is more than news."""
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@contextmanager
def leading(role: str, lock: int) -> Iterator[list[int]]:
    """A thread that stands for election; yields the sessions with which it has led so far."""
    stop, terms = threading.Event(), []

    def work(leader: leadership.Connection) -> None:
        terms.append(leader.info.backend_pid)
        while not stop.wait(0.05):
            leader.execute("SELECT 1")
            database_bounds.check_takes_writes(leader)

    thread = threading.Thread(
        target=leadership.run_as_leader, args=[lock], kwargs={"role": role, "stop": stop, "work": work}
    )
    thread.start()
    try:
        yield terms
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()


# -- Read-only -----------------------------------------------------------------------------------
def test_xe5_a_refused_write_is_an_outage_and_the_connection_is_left(postgres_server: Postgres) -> None:
    connection.ensure_connection()
    with read_only(postgres_server):
        testing.wait_until(_takes_no_writes, what="a session that knows it")
        with connection.cursor() as cursor, pytest.raises(database_bounds.ReadOnlyServer) as refused:
            cursor.execute("CREATE TABLE bounds_probe (id int)")
        assert error_classes.is_infrastructure(refused.value)
        connection.close_if_unusable_or_obsolete()
        assert connection.connection is None
        with pytest.raises(OperationalError, match="read-only"):
            connection.ensure_connection()
    testing.wait_until(_takes_writes, what="a connection that takes writes")


def _takes_writes() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("CREATE TEMPORARY TABLE bounds_probe (id int)")
            cursor.execute("DROP TABLE bounds_probe")
    except OperationalError:
        connection.close()
        return False
    return True


def test_xe5_a_leader_on_a_read_only_server_leaves_it_and_leads_again_when_it_is_over(
    postgres_server: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    with leading("relay", 4711) as terms:
        testing.wait_until(lambda: len(terms) == 1, what="a leader")
        with read_only(postgres_server):
            testing.wait_until(lambda: warnings(caplog), what="a word")
            assert "relay: PostgreSQL cannot be used (PostgreSQL takes no writes (read-only)" in warnings(caplog)[0]
            time.sleep(1)  # nothing is to happen: a leader that could would within half a second
            assert len(terms) == 1, "no new connection leads to a server that takes no writes"
        testing.wait_until(lambda: len(terms) == 2, what="a leader again", timeout_seconds=60)


def _takes_no_writes() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SHOW transaction_read_only")
        return bool(cursor.fetchone() == ("on",))


# -- A server that says nothing --------------------------------------------------------------------
@pytest.fixture
def quick(settings: Any) -> None:
    settings.KAFKA_BRIDGE = dataclasses.replace(settings.KAFKA_BRIDGE, database_answer_seconds=0.8)


@pytest.fixture
def proxy(services: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[tcp_proxy.TcpProxy]:
    """Django's connections lead through it."""
    with tcp_proxy.proxy_to(str(services.postgres.sockets / ".s.PGSQL.5432")) as between:
        _lead_through(monkeypatch, "127.0.0.1", between.port)
        yield between
    connections.close_all()


def _lead_through(monkeypatch: pytest.MonkeyPatch, host: str, port: int) -> None:
    connections.close_all()
    monkeypatch.setitem(connection.settings_dict, "HOST", host)
    monkeypatch.setitem(connection.settings_dict, "PORT", str(port))
    monkeypatch.setitem(
        connection.settings_dict, "OPTIONS", connection.settings_dict["OPTIONS"] | {"connect_timeout": 2}
    )


@pytest.fixture
def bounded() -> Iterator[None]:
    database_bounds.bound_statements()
    connections.close_all()
    yield
    connection_created.disconnect(dispatch_uid="kafka_bridge.runtime.postgresql.database_bounds.statements")
    connections.close_all()


def test_xe5_a_statement_without_an_answer_is_given_up_and_the_next_one_connects_again(
    quick: None, bounded: None, proxy: tcp_proxy.TcpProxy
) -> None:
    connection.ensure_connection()
    proxy.freeze()
    began = time.monotonic()
    with connection.cursor() as cursor, pytest.raises(OperationalError, match="has not answered for 1 s"):
        cursor.execute("SELECT 1")
    assert time.monotonic() - began < 3
    assert not connection.is_usable()
    connection.close()
    with pytest.raises(OperationalError, match="timeout"):
        connection.ensure_connection()
    proxy.thaw()
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def test_xe5_the_server_ends_a_statement_that_takes_too_long_and_the_connection_stays(
    quick: None, bounded: None
) -> None:
    with connection.cursor() as cursor:
        with pytest.raises(OperationalError, match="statement timeout") as ended:
            cursor.execute("SELECT pg_sleep(5)")
        assert error_classes.is_infrastructure(ended.value)
        cursor.execute("SELECT 1")


def test_xe5_a_leader_cut_off_without_a_word_says_so_and_leads_again(
    quick: None, proxy: tcp_proxy.TcpProxy, caplog: pytest.LogCaptureFixture
) -> None:
    with leading("timekeeper", 4712) as terms:
        testing.wait_until(lambda: len(terms) == 1, what="a leader")
        proxy.freeze()
        testing.wait_until(lambda: warnings(caplog), what="a word", timeout_seconds=60)
        assert "timekeeper: PostgreSQL cannot be used (PostgreSQL has not answered for 1 s" in warnings(caplog)[0]
        proxy.thaw()
        testing.wait_until(lambda: len(terms) == 2, what="a leader again", timeout_seconds=60)


# -- PgBouncer ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("command", ["run_relay", "run_timekeeper"])
def test_xe6_no_role_leads_behind_a_pool_that_shares_sessions(
    services: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    with pgbouncer.running(services.postgres, pool_mode="transaction", folder=tmp_path) as pool:
        host, _, port = pool.partition(":")
        with _called_in_this_process(), pytest.raises(CommandError, match=r"behind a pool .* session mode") as refused:
            _lead_through(monkeypatch, host, int(port))
            call_command(command)
    assert refused.value.returncode == supervision.NEEDS_A_PERSON
    connections.close_all()


@contextmanager
def _called_in_this_process() -> Iterator[None]:
    """What a command changes of this process is undone."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        connection_created.disconnect(dispatch_uid="kafka_bridge.runtime.postgresql.database_bounds.statements")


def test_xe6_behind_a_pool_of_sessions_one_of_three_leads(
    services: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pgbouncer.running(services.postgres, pool_mode="session", folder=tmp_path) as pool:
        host, _, port = pool.partition(":")
        _lead_through(monkeypatch, host, int(port))
        with leading("one", 4713) as one, leading("two", 4713) as two, leading("three", 4713) as three:
            testing.wait_until(lambda: one or two or three, what="a leader", timeout_seconds=60)
            time.sleep(2.5)  # nothing is to happen: one that stands by tries each second
            assert len(one) + len(two) + len(three) == 1
        connections.close_all()
