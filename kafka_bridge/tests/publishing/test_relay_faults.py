"""Relays and brokers that are frozen, and wake up: what lies in the topic is in sequence, with no gap.

Whatever is there twice is a repeat of what lies further up, which the inbox knows. See Notes [One row per
key at a time] and [Two leaders] in relay.py.
"""

import dataclasses
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.db import connection

from devtools.testing.bridge.group_members import running
from devtools.testing.bridge.kafka_logs import leader_of
from devtools.testing.bridge.manage_processes import environment_of, process
from devtools.testing.bridge.order_stream import OrderStream, count_repeats, orders_coming_in, start_order_stream
from kafka_bridge import testing
from kafka_bridge.consuming import registry
from kafka_bridge.publishing import outbox, relay
from kafka_bridge.runtime import clients
from kafka_bridge.runtime.postgresql import leadership

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.kafka,
    pytest.mark.faults,
    pytest.mark.slow,
    pytest.mark.together,
]
NAMES = ("relay-one", "relay-two")


@pytest.fixture
def sea(
    make_group: Callable[[str], registry.Group], monkeypatch: pytest.MonkeyPatch
) -> tuple[registry.Group, OrderStream]:
    """Orders to be stated, and the group that hears them; nobody works yet."""
    return start_order_stream(make_group, monkeypatch)


@contextmanager
def two_relays(bridge: Any, tmp_path: Any, *, silent_seconds: float) -> Iterator[dict[str, int]]:
    """Processes; their ids by their names. They are awake and end cleanly on leaving."""
    environment = environment_of(bridge) | {"LEADER_SILENT_SECONDS": str(silent_seconds)}
    with (
        process("run_relay", environment=environment | _own(tmp_path, NAMES[0])) as one,
        process("run_relay", environment=environment | _own(tmp_path, NAMES[1])) as two,
    ):
        testing.wait_until(lambda: all((tmp_path / name).exists() for name in NAMES), what="ready relays")
        yield {NAMES[0]: one.pid, NAMES[1]: two.pid}
        for each in (one, two):
            each.send_signal(signal.SIGCONT)
            each.terminate()
        for each in (one, two):
            _, said = each.communicate(timeout=30)
            assert each.returncode == 0, said
            print(said)


def _own(tmp_path: Any, name: str) -> dict[str, str]:
    return {"BOOKRUSH_ROLE": name, "BOOKRUSH_READY_FILE": str(tmp_path / name)}


def leading() -> str:
    """The name of the relay that has the lock; empty if none has."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a USING (pid) "
            "WHERE l.locktype = 'advisory' AND l.granted AND l.objid = %s AND a.datname = current_database()",
            [relay.LEADER_LOCK & 0xFFFFFFFF],
        )
        found = cursor.fetchone()
    return str(found[0]) if found else ""


def wait_for_leader_other_than(name: str) -> None:
    """Wait until another relay has the lock."""
    testing.wait_until(lambda: leading() not in (name, ""), what=f"a leader in place of {name!r}", timeout_seconds=60)


@pytest.mark.usefixtures("kafka")
@pytest.mark.parametrize("times", [2, pytest.param(4, marks=pytest.mark.prove(long=True))])
def test_a_frozen_leader_is_replaced_and_wakes_up_as_a_standby(
    sea: tuple[registry.Group, OrderStream], settings: Any, tmp_path: Any, times: int
) -> None:
    """FAILURES 5: frozen with the lock and at work; the other one ends its session. Each of them, in turn."""
    group, orders = sea
    with running(group), two_relays(settings.KAFKA_BRIDGE, tmp_path, silent_seconds=3) as relays:
        with orders_coming_in(orders):
            for _ in range(times):
                orders.wait_until_heard()
                frozen = leading()
                os.kill(relays[frozen], signal.SIGSTOP)
                wait_for_leader_other_than(frozen)
                orders.wait_until_heard()
                os.kill(relays[frozen], signal.SIGCONT)
        orders.drain()
    orders.assert_each_once_and_in_sequence()
    print(f"{count_repeats()} repeats")


@pytest.mark.parametrize("times", [1, pytest.param(3, marks=pytest.mark.prove(long=True))])
def test_a_leader_that_wakes_up_with_rows_in_its_producer_only_repeats(
    sea: tuple[registry.Group, OrderStream], kafka: Any, settings: Any, tmp_path: Any, times: int
) -> None:
    """FAILURES 5: it is frozen while the broker is away and its rows are under way; the other one sends all of them."""
    group, orders = sea
    with running(group), two_relays(settings.KAFKA_BRIDGE, tmp_path, silent_seconds=3) as relays:
        orders.state()
        orders.drain()
        for _ in range(times):
            kafka.kill()
            orders.state(200)
            testing.wait_until(is_waiting_for_reports, what="rows under way")
            frozen = leading()
            os.kill(relays[frozen], signal.SIGSTOP)
            wait_for_leader_other_than(frozen)
            kafka.start()
            orders.drain()
            os.kill(relays[frozen], signal.SIGCONT)
            orders.state()
            orders.drain()
    orders.assert_each_once_and_in_sequence()
    print(f"{count_repeats()} repeats")


def is_waiting_for_reports() -> bool:
    """Whether the leader has read rows since, and tells PostgreSQL that it is alive while they are under way."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT query FROM pg_stat_activity WHERE application_name = %s", [leading()])
        return any(query == "SELECT 1" for (query,) in cursor.fetchall())


@pytest.mark.usefixtures("kafka")
def test_what_a_replaced_leader_has_in_its_producer_comes_late_and_is_a_repeat(
    sea: tuple[registry.Group, OrderStream],
) -> None:
    """FAILURES 5: the worst case, made certain: the old leader's rows leave when the new one has sent all there is."""
    group, orders = sea
    orders.state(100)
    old, flight, stop = clients.producer(linger_ms=200_000), relay.InFlight(), threading.Event()
    with psycopg.connect(**leadership.connection_parameters(), autocommit=True) as session:
        for row in relay.first_of_each_key(relay.unsent_rows(session)):
            relay._produce(old, row, flight, stop)
        new = clients.producer()
        while outbox.backlog():
            relay.relay_batch(session, new, stop)
    assert old.flush(30) == 0
    with running(group) as member:
        orders.drain()
        testing.wait_until(lambda: member.duplicates == 100, what="100 repeats seen")
    orders.assert_each_once_and_in_sequence()
    assert count_repeats() == 100


@contextmanager
def a_relay_started_again(stop: threading.Event) -> Iterator[None]:
    """A relay in a thread, made anew whenever its producer is beyond repair, as whoever supervises it would do."""

    def relay_on() -> None:
        while not stop.is_set():
            try:
                relay.run(stop)
            except relay.FatalProducerError as error:
                print(f"the relay begins anew: {error}")

    thread = threading.Thread(target=relay_on)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)
        assert not thread.is_alive()


@pytest.mark.parametrize("times", [3, pytest.param(8, marks=pytest.mark.prove(long=True))])
def test_deliveries_that_time_out_in_mid_batch(
    sea: tuple[registry.Group, OrderStream], brokers: Any, settings: Any, caplog: pytest.LogCaptureFixture, times: int
) -> None:
    """FAILURES 6: some rows of a batch land, some do not, and some land that were given up.

    A broker that is frozen for a moment holds what it leads and what it must copy; it wakes up with requests in hand
    whose rows have been reported as not delivered, and sent again.
    """
    settings.KAFKA_BRIDGE = dataclasses.replace(settings.KAFKA_BRIDGE, delivery_timeout_seconds=2)
    group, orders = sea
    chance = random.Random(6)  # noqa: S311 - any sequence will do
    with running(group), a_relay_started_again(threading.Event()):
        with orders_coming_in(orders):
            for _ in range(times):
                orders.wait_until_heard()
                frozen = [leader_of(chance.randrange(3)), *chance.sample([1, 2, 3], chance.randrange(2))]
                brokers.pause(*frozen)
                try:
                    time.sleep(chance.uniform(1.5, 6))  # about as long as a delivery may take, and a session
                finally:
                    brokers.resume(*frozen)
            orders.wait_until_heard()
        orders.drain()
    orders.assert_each_once_and_in_sequence()
    assert "rows were not delivered" in caplog.text, "nothing has timed out"
    print(f"{caplog.text.count('rows were not delivered')} batches had failures; {count_repeats()} repeats")


@pytest.mark.parametrize(
    "times", [pytest.param(1, marks=pytest.mark.prove), pytest.param(3, marks=pytest.mark.prove(long=True))]
)
def test_frozen_relays_and_frozen_brokers_together(
    sea: tuple[registry.Group, OrderStream], brokers: Any, settings: Any, tmp_path: Any, times: int
) -> None:
    """FAILURES 5 and 6: whoever leads, a relay or a broker, is frozen under load, and woken when it is replaced."""
    group, orders = sea
    with running(group), two_relays(settings.KAFKA_BRIDGE, tmp_path, silent_seconds=3) as relays:
        with orders_coming_in(orders):
            for partition in range(times):
                orders.wait_until_heard()
                broker, frozen = leader_of(partition), leading()
                brokers.pause(broker)
                os.kill(relays[frozen], signal.SIGSTOP)
                try:
                    wait_for_leader_other_than(frozen)
                    orders.wait_until_heard(timeout_seconds=120)
                finally:
                    brokers.resume(broker)
                    os.kill(relays[frozen], signal.SIGCONT)
        orders.drain()
    orders.assert_each_once_and_in_sequence()
    print(f"{count_repeats()} repeats")
