"""One partition and one member against five and five: how much faster, and why not five times?"""

import functools
import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from confluent_kafka import Message

from devtools.experiments.lab import Lab
from devtools.experiments.member import Member
from devtools.experiments.plans import Bar, Experiment, Finding

MANY = 5
MESSAGES = 300
WORK_SECONDS = 0.004
_SAME, _FIVE = 1.2, 4.0


@dataclass(frozen=True, slots=True)
class _Run:
    """One constellation."""

    label: str
    rate: float
    cores: float
    idle_members: int
    """Members that were given no partition."""


def _run(lab: Lab) -> Finding:
    computing, waiting = _computing(), _waiting
    one = _measure(lab, "computing, 1 × 1", 1, 1, computing, 0.1)  # noqa: RUF001 - as in the documentation
    five = _measure(lab, f"computing, {MANY} × {MANY}", MANY, MANY, computing, 0.3)  # noqa: RUF001
    patient = _measure(lab, "waiting, 1 × 1", 1, 1, waiting, 0.45)  # noqa: RUF001
    crowd = _measure(lab, f"waiting, 1 × {MANY}", 1, MANY, waiting, 0.6)  # noqa: RUF001
    many = _measure(lab, f"waiting, {MANY} × {MANY}", MANY, MANY, waiting, 0.8)  # noqa: RUF001
    return _finding([one, five, patient, crowd, many])


def _waiting() -> None:
    time.sleep(WORK_SECONDS)


def _computing() -> Callable[[], None]:
    """Work that keeps a core busy; hashing leaves other threads of this process running beside it."""
    began = time.perf_counter()
    hashlib.pbkdf2_hmac("sha256", b"order", b"salt", 20_000)
    rounds = max(1, int(20_000 * WORK_SECONDS / (time.perf_counter() - began)))

    def compute() -> None:
        hashlib.pbkdf2_hmac("sha256", b"order", b"salt", rounds)

    return compute


def _measure(lab: Lab, label: str, partitions: int, members: int, work: Callable[[], None], done: float) -> _Run:
    """All members have what they get before the first message is written, evenly over the partitions."""
    lab.report(label, done)
    topic = lab.topic(f"{partitions}x{members}-{int(done * 100)}", partitions=partitions)
    group, count = lab.group(topic.rpartition("-")[2]), lab.some(MESSAGES)

    def handle(member: Member, message: Message) -> None:
        work()

    crowd = [lab.member(group, topic, handle) for _ in range(members)]
    lab.wait(lambda: sum(len(each.partitions) for each in crowd) == partitions, "the group's assignment")
    lab.wait(functools.partial(_has_settled, crowd, partitions), "an even assignment")
    producer = lab.producer(linger_ms=5)
    for number in range(count):
        producer.produce(topic, str(number).encode(), partition=number % partitions)
    began, used = time.perf_counter(), time.process_time()
    producer.flush(30)
    lab.wait(lambda: sum(each.handled for each in crowd) >= count, "all messages handled")
    seconds, cores = time.perf_counter() - began, time.process_time() - used
    idle = sum(not each.partitions for each in crowd)
    lab.dismiss()
    return _Run(label, count / seconds, cores / seconds, idle)


def _has_settled(crowd: list[Member], partitions: int) -> bool:
    """Nobody has more than its share: with the classic protocol the first to come is given all of them at first."""
    return max(len(each.partitions) for each in crowd) <= max(1, partitions // len(crowd))


def _finding(runs: list[_Run]) -> Finding:
    one, five, patient, crowd, many = runs
    factor, cores = five.rate / one.rate, len(os.sched_getaffinity(0))
    crowded = (
        f" Other programs left it {five.cores:.1f} cores meanwhile: try again when the machine is quiet."
        if five.cores < min(cores, MANY) / 2
        else ""
    )
    outcome = "same" if factor < _SAME else "cores" if factor < _FIVE else "five"
    return Finding(
        outcome=outcome,
        verdict=f"Where handling is computing, {MANY} members on {MANY} partitions did {factor:.1f} times as much as "
        f"one: this machine has {cores} cores. Where it is waiting, {many.rate / patient.rate:.1f} times.",
        chart="messages handled a second",
        bars=tuple(Bar(label=run.label, value=round(run.rate, 1), words=f"{run.rate:,.0f}/s") for run in runs),
        notes=(
            f"Partitions × members. Computing, {MANY} × {MANY} used {five.cores:.1f} cores, and 1 × 1 "  # noqa: RUF001
            f"{one.cores:.1f}: more members than cores only take turns.{crowded}",
            f"{MANY} members on one partition did {crowd.rate / patient.rate:.1f} times as much as one: "
            f"{crowd.idle_members} of them had nothing, for a partition has one reader in a group.",
            "How many partitions a rate takes: manage.py plan_partitions --rate 5000 --member-rate "
            f"{one.rate:.0f}; how many cores: manage.py plan_capacity --orders-per-second 50.",
        ),
        figures={
            run.label: {"per_second": round(run.rate, 1), "cores": round(run.cores, 2), "idle": run.idle_members}
            for run in runs
        }
        | {"factor_computing": round(factor, 2), "factor_waiting": round(many.rate / patient.rate, 2), "cores": cores},
    )


PARTITIONS = Experiment(
    name="partitions",
    title="More partitions, more members",
    about="Each message takes 4 ms: of computing, then of waiting for somebody, as for a bank. One partition with one "
    "member handles them, then five with five.",
    question="Handling is computing. How many times as fast are five partitions with five members here?",
    choices={
        "five": "five times",
        "cores": "faster, but not five times: there are not five cores",
        "same": "not faster",
    },
    run=_run,
    seconds=20,
)
