"""A member joins: how much of the reading stops, and for how long? Eager, cooperative, and the new protocol."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Message

from devtools.experiments.lab import Lab
from devtools.experiments.member import Member
from devtools.experiments.plans import Bar, Experiment, Finding

PARTITIONS = 6
BUSY_SECONDS = 1.5
"""One member has a message in hand that takes so long when the third one comes."""
_EVERY_SECONDS = 0.02
_CLASSIC = {"group_protocol": "classic", "session_timeout_ms": 10_000, "heartbeat_interval_ms": 500}
PROTOCOLS: dict[str, dict[str, Any]] = {
    "eager": {**_CLASSIC, "partition_assignment_strategy": "range"},
    "cooperative": {**_CLASSIC, "partition_assignment_strategy": "cooperative-sticky"},
    "new protocol": {"group_protocol": "consumer", "group_remote_assignor": "uniform"},
}


@dataclass(frozen=True, slots=True)
class _Handover:
    """How one protocol did it."""

    protocol: str
    stopped: int
    """Partitions that were taken from a member."""
    unread_seconds: float
    """Of all partitions together, how long they had no member."""
    longest_seconds: float


def _run(lab: Lab) -> Finding:
    found = [_measure(lab, name, number / len(PROTOCOLS)) for number, name in enumerate(PROTOCOLS)]
    return _finding(found)


def _measure(lab: Lab, protocol: str, done: float) -> _Handover:
    short = protocol.replace(" ", "-")
    lab.report(f"{protocol}: two members share {PARTITIONS} partitions", done)
    topic, group = lab.topic(short, partitions=PARTITIONS), lab.group(short)
    is_busy = threading.Event()

    def handle(member: Member, message: Message) -> None:
        if member.number == first.number and not is_busy.is_set():
            is_busy.set()
            time.sleep(BUSY_SECONDS)

    is_busy.set()
    first = lab.member(group, topic, handle, **PROTOCOLS[protocol])
    members = [first, lab.member(group, topic, handle, **PROTOCOLS[protocol])]
    with _messages_coming_in(lab, topic):
        lab.wait(lambda: _have_each(members, PARTITIONS // 2), "two members at work")
        lab.run_for(0.5)
        lab.report(f"{protocol}: a third one joins, while one is busy for {BUSY_SECONDS:g} s", done + 0.15)
        is_busy.clear()
        lab.wait(is_busy.is_set, "a busy member")
        began = time.monotonic()
        members.append(lab.member(group, topic, handle, **PROTOCOLS[protocol]))
        lab.wait(lambda: _have_each(members, PARTITIONS // 3), "three members at work")
        handover = _handover(protocol, members, began)
    lab.dismiss()
    return handover


@contextmanager
def _messages_coming_in(lab: Lab, topic: str) -> Iterator[None]:
    """All the time, to all partitions."""
    producer, is_over = lab.producer(linger_ms=0), threading.Event()

    def produce() -> None:
        while not is_over.wait(_EVERY_SECONDS):
            for partition in range(PARTITIONS):
                producer.produce(topic, b"tick", partition=partition)
            producer.poll(0)

    thread = threading.Thread(target=produce, name="ticks", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join(5)
        producer.flush(10)


def _have_each(members: Sequence[Member], count: int) -> bool:
    """Whether each of them has so many partitions, and reads."""
    return all(len(member.partitions) == count and member.handled for member in members)


def _handover(protocol: str, members: Sequence[Member], began: float) -> _Handover:
    """From what each member was given and lost since."""
    moves = sorted((move for member in members for move in list(member.moves)), key=lambda move: move.at)
    gaps: dict[int, float] = dict.fromkeys(range(PARTITIONS), 0.0)
    taken_at: dict[int, float] = {}
    stopped = set()
    for move in moves:
        if move.at < began:
            continue
        if move.kind == "taken":
            stopped.add(move.partition)
            taken_at[move.partition] = move.at
        elif move.partition in taken_at:
            gaps[move.partition] += move.at - taken_at.pop(move.partition)
    return _Handover(protocol, len(stopped), sum(gaps.values()), max(gaps.values()))


def _finding(found: Sequence[_Handover]) -> Finding:
    stopped = [each.stopped for each in found]
    eager, cooperative, new = found
    if stopped[0] == PARTITIONS and max(stopped[1:]) < PARTITIONS:
        outcome = "moved"
    else:
        outcome = "all" if min(stopped) == PARTITIONS else "none"
    return Finding(
        outcome=outcome,
        verdict=f"Eager took all {eager.stopped} partitions from their members, for {eager.longest_seconds:.1f} s; "
        f"cooperative took {cooperative.stopped}, for {cooperative.longest_seconds:.1f} s, and the new protocol "
        f"{new.stopped}, for {new.longest_seconds:.1f} s.",
        chart="seconds without a reader, all partitions together",
        bars=tuple(
            Bar(label=each.protocol, value=round(each.unread_seconds, 2), words=f"{each.unread_seconds:.2f} s")
            for each in found
        ),
        notes=(
            f"One member had a message in hand that took {BUSY_SECONDS:g} s. Eager: everybody gives up everything, and "
            "waits for the slowest. Cooperative and the new protocol: whoever keeps a partition reads on.",
            "With the new protocol (KIP-848) the broker reckons who gets what, and no member waits for another; a "
            "partition moves with the members' next heartbeats. The shop uses it; its setting KAFKA_GROUP_PROTOCOL "
            "has cooperative as the other choice.",
        ),
        figures={
            each.protocol: {
                "stopped": each.stopped,
                "unread_seconds": round(each.unread_seconds, 3),
                "longest_seconds": round(each.longest_seconds, 3),
            }
            for each in found
        },
    )


REBALANCE = Experiment(
    name="rebalance",
    title="A member joins",
    about=f"Two members share {PARTITIONS} partitions into which messages come all the time; one is busy for "
    f"{BUSY_SECONDS:g} s when a third one joins. The same with three ways of sharing: eager, cooperative, and the new "
    "protocol.",
    question="The third member is due two partitions. Of how many does reading stop?",
    choices={
        "all": f"all {PARTITIONS}, in each of the three ways",
        "moved": f"all {PARTITIONS} with eager, only those that move with the others",
        "none": "never more than the two that move",
    },
    run=_run,
    seconds=20,
)
