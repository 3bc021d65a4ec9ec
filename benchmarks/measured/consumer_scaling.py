"""`run_consumer` as processes: three members against one, and how soon a new member works.

# Note [A common start]
The first members would be done before the last one has joined. So they join while there is nothing to do. Then the
inbox is locked and the events are published; when every member waits for the lock with its first batch, the lock is
released and the clock starts.
"""

import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any

import psycopg
from confluent_kafka import ConsumerGroupState, KafkaException
from django.conf import settings
from django.db import connection, transaction

from benchmarks import drafts, machine
from benchmarks.measured import bridge
from devtools.local.roles import PROJECT
from kafka_bridge.models import InboxRow
from kafka_bridge.publishing import outbox
from kafka_bridge.runtime import clients, waiting
from kafka_bridge.runtime.coordinators.asking import Coordinators
from kafka_bridge.runtime.postgresql import leadership
from orders.placing import placement
from payments.models import Charge

PATIENCE_SECONDS = 60.0
MEMBERS = 3
_PROTOCOLS = ("consumer", "classic")
_WAITING_FOR_THE_LOCK = """
SELECT count(DISTINCT l.pid) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
WHERE c.relname = 'kafka_bridge_inboxrow' AND NOT l.granted
"""
_UNHEARD = """
SELECT count(*) FROM kafka_bridge_outboxrow
WHERE type = 'order.created' AND event_id NOT IN (SELECT event_id FROM kafka_bridge_inboxrow)
"""
_BLOCKED = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


# -- Three against one -----------------------------------------------------------------------------------
def measure_scaling(*, rounds: int, orders: int, services: Mapping[str, int]) -> dict[str, Any]:
    """Events per second of the orders group with one member and with three, in turn; and the processor time used.

    `services` are process ids by name.
    """
    rates: dict[int, list[float]] = {1: [], MEMBERS: []}
    busy: dict[str, Any] = {}
    for number in range(rounds):
        for members, found in rates.items():
            rate, processor = _measure_members(members, orders, seed=number, services=services)
            found.append(rate)
            busy.setdefault(f"processor_percent_of_{members}", []).append(processor)
    pairs = zip(rates[1], rates[MEMBERS], strict=True)
    runs = {
        "one_member_per_s": rates[1],
        "three_members_per_s": rates[MEMBERS],
        "three_vs_one": [three / one for one, three in pairs],
    }
    return {"runs": runs, "details": busy}


def _measure_members(
    members: int, orders: int, *, seed: int, services: Mapping[str, int]
) -> tuple[float, dict[str, float]]:
    """Events per second, and the processor time of each process in percent of one core."""
    with _consumer("orders", "--instances", str(members)) as process:
        _wait(lambda: _all_have_joined("orders", members), f"group of {members}")
        goal = InboxRow.objects.filter(group="orders").count() + 2 * orders
        _publish_facts(orders, seed=seed)
        with _locked_inbox() as inbox_lock:
            bridge.relay_all()
            _wait(
                lambda: inbox_lock.execute(_WAITING_FOR_THE_LOCK).fetchone() == (members,),
                f"{members} members with work in hand",
            )
            pids = {"consumers": process.pid, **services}
            before, began = machine.processor_seconds(pids), time.monotonic()
        blocked: list[int] = []

        def is_over() -> bool:
            blocked.append(_scalar(_BLOCKED))
            return InboxRow.objects.filter(group="orders").count() >= goal

        # Polling takes processor time as well, so it is not done all the time.
        _wait(is_over, "end of the work", every_seconds=0.1)
        seconds = time.monotonic() - began
        after = machine.processor_seconds(pids)
    bridge.forget_unsent()
    busy = {name: round(100 * (after[name] - before[name]) / seconds, 1) for name in pids}
    return 2 * orders / seconds, {**busy, "blocked by another member": round(100 * statistics.mean(blocked), 1)}


def _all_have_joined(group: str, members: int) -> bool:
    """Whether the group is stable and each of its members has the same number of partitions."""
    try:
        with Coordinators() as coordinators:
            described = coordinators.describe([group], within_seconds=10)[group]
    except KafkaException:
        return False  # a fresh broker has no coordinator yet
    shares = [len(member.partitions) for member in described.members]
    return described.state == ConsumerGroupState.STABLE.name and len(shares) == members and len({*shares, 0}) == 2


def _publish_facts(orders: int, *, seed: int) -> None:
    """Publish two events for each of so many new orders, held and paid; they stay in the outbox."""
    for some in bridge.chunks(islice(drafts.endless(seed=seed), orders), 500):
        placement._commit(some)
        paid = list(map(drafts.paid, some))
        with transaction.atomic():
            Charge.objects.bulk_create(map(drafts.captured, paid))
            outbox.publish(*map(drafts.reserved, some), *paid)


@contextmanager
def _locked_inbox() -> Iterator["psycopg.Connection[Any]"]:
    """Lock the inbox, so that no member can handle a message. See Note [A common start]."""
    with psycopg.connect(**leadership.connection_parameters()) as own:
        own.execute("LOCK TABLE kafka_bridge_inboxrow IN SHARE MODE")
        yield own


# -- A new one -------------------------------------------------------------------------------------------
def measure_restart(*, rounds: int) -> dict[str, Any]:
    """From the start of the process to the first message handled, while one waits, after another member has left."""
    protocols = _PROTOCOLS if clients.conf().group_protocol == "consumer" else ("classic",)
    runs: dict[str, list[float]] = {}
    details: dict[str, list[float]] = {}
    for protocol in protocols:
        environment = {
            "KAFKA_GROUP_PROTOCOL": protocol,
            "KAFKA_GROUP_PREFIX": f"{settings.KAFKA_BRIDGE.group_prefix}{protocol}.",
        }
        leaving: list[float] = []
        runs[f"restart_{protocol}_s"] = []
        for number in range(rounds + 1):
            _send_one(seed=number)
            began = time.monotonic()
            with _consumer("inventory", **environment) as process:
                _wait(_all_is_heard, "first message")
                took = time.monotonic() - began
                leaving.append(_leave(process))
            if number:  # the first one makes the group
                runs[f"restart_{protocol}_s"].append(took)
        details[f"{protocol}_leaving_s"] = [round(seconds, 3) for seconds in leaving]
    return {"runs": runs, "details": details}


def _send_one(*, seed: int) -> None:
    with transaction.atomic():
        outbox.publish(drafts.created(next(drafts.endless(seed=seed))))
    bridge.relay_all()


def _all_is_heard() -> bool:
    return not _scalar(_UNHEARD)


def _leave(process: "subprocess.Popen[bytes]") -> float:
    """Seconds from SIGTERM to the end of the process."""
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.wait(PATIENCE_SECONDS)
    return time.monotonic() - began


# -- Both ------------------------------------------------------------------------------------------------
@contextmanager
def _consumer(*arguments: str, **environment: str) -> Iterator["subprocess.Popen[bytes]"]:
    """`run_consumer` with these arguments; it is stopped on leaving."""
    process = subprocess.Popen(  # noqa: S603 - our own command line
        [sys.executable, "manage.py", "run_consumer", *arguments], cwd=PROJECT, env={**os.environ, **environment}
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()


def _scalar(query: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return int(cursor.fetchone()[0])


def _wait(condition: Callable[[], bool], what: str, *, every_seconds: float = 0.02) -> None:
    """Wait until the condition is true.

    Raises:
        TimeoutError: it did not become true in time.
    """
    waiting.until(condition, what=what, timeout_seconds=PATIENCE_SECONDS, every_seconds=every_seconds)
