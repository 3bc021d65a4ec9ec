"""acks=0, 1 and all: rate, latency, and what is lost when the leader dies (`leader_loss` says how)."""

import functools
import statistics
import time
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Producer

from devtools.experiments.lab import Lab, Unfinished
from devtools.experiments.plans import Bar, Experiment, Finding
from devtools.experiments.questions.leader_loss import WRITTEN, Round

ACKS = ("0", "1", "all")
MESSAGES, ONE_BY_ONE, ATTEMPTS = 20_000, 200, 3
_BODY = b"x" * 200


@dataclass(slots=True)
class _Level:
    """What was found of one acks."""

    acks: str
    rate: float = 0.0
    p50_ms: float = 0.0
    acknowledged: int = 0
    """Of all rounds, messages that the producer was told are written; with acks=0 those that it has sent."""
    alone: int = 0
    """Those of them that were acknowledged while the leader was alone."""
    lost: int = 0


def _run(lab: Lab) -> Finding:
    levels = {acks: _Level(acks) for acks in ACKS}
    for number, level in enumerate(levels.values()):
        lab.report(f"acks={level.acks}: rate and latency, three healthy brokers", 0.05 + 0.1 * number)
        _measure(lab, level)
    for number in range(lab.rounds):
        _lose(lab, levels, number)
    return _finding(list(levels.values()), lab.rounds)


def _lose(lab: Lab, levels: dict[str, _Level], number: int) -> None:
    """One round that counts; see Note [How the loss is caused] in `leader_loss`."""
    which = f"round {number + 1} of {lab.rounds}: " if lab.rounds > 1 else ""
    done = 0.35 + 0.6 * number / lab.rounds
    for attempt in range(ATTEMPTS):
        played = Round(lab, f"round-{number}-{attempt}", ACKS, functools.partial(_producer, lab))
        is_valid = played.play(lambda text: lab.report(which + text, done))
        if is_valid:
            for writer in played.writers:
                level = levels[writer.acks]
                level.acknowledged += len(writer.told)
                level.alone += writer.alone
                level.lost += writer.lost
        if is_valid and number + 1 == lab.rounds:
            return
        lab.report(f"{which}broker {played.leader} is started again", done)
        lab.cluster.start(played.leader)
        if is_valid:
            return
    raise Unfinished("this machine is too busy: the leader could not be killed in time. Try again when it is quiet")


def _measure(lab: Lab, level: _Level) -> None:
    topic = lab.topic(f"rate-{level.acks}", assignment=[sorted(lab.cluster.brokers)])
    producer = _producer(lab, level.acks)
    producer.produce(topic, _BODY)
    _flush(producer)
    times = []
    for _ in range(lab.some(ONE_BY_ONE)):
        began = time.perf_counter()
        producer.produce(topic, _BODY)
        _flush(producer)
        times.append(time.perf_counter() - began)
    level.p50_ms = 1000 * statistics.median(times)
    began = time.perf_counter()
    for _ in range(lab.some(MESSAGES)):
        producer.produce(topic, _BODY)
        producer.poll(0)
    _flush(producer)
    level.rate = lab.some(MESSAGES) / (time.perf_counter() - began)


def _producer(lab: Lab, acks: str) -> Producer:
    more: dict[str, Any] = {"enable_idempotence": acks == "all", "linger_ms": 0, "delivery_timeout_ms": 120_000}
    # What is gone may be asked for elsewhere soon.
    return lab.producer(acks=acks, reconnect_backoff_max_ms=500, socket_timeout_ms=5000, **more)


def _flush(producer: Producer) -> None:
    if left := producer.flush(90):
        raise TimeoutError(f"{left} messages were not acknowledged within 90 s")


def _finding(levels: list[_Level], rounds: int) -> Finding:
    none, one, every = levels
    lost = [level.acks for level in levels if level.lost]
    outcomes = {"": "none", "0": "only-0", "0 1": "0-and-1"}
    return Finding(
        outcome=outcomes.get(" ".join(lost), "all"),
        verdict=f"When the leader died, acks=0 lost {none.lost} of {none.acknowledged} messages, acks=1 {one.lost} "
        f"of {one.acknowledged} that it had acknowledged, and acks=all {every.lost} of {every.acknowledged}.",
        chart="messages lost that the producer took for written",
        bars=tuple(
            Bar(label=f"acks={level.acks}", value=level.lost, words=f"{level.lost} of {level.acknowledged}")
            for level in levels
        ),
        notes=(
            *(
                f"acks={level.acks}: {level.rate:,.0f} messages/s in batches; one alone takes {level.p50_ms:.2f} ms."
                for level in levels
            ),
            "How it was caused: the followers were frozen, messages were written, the leader was killed, and the "
            "followers went on. What was on the leader alone is gone; no election was unclean.",
            f"While the leader was alone, acks=1 acknowledged {one.alone} messages and acks=all {every.alone}: it "
            "waited, and sent them again to the new leader.",
        ),
        figures={
            f"acks={level.acks}": {
                "per_second": round(level.rate),
                "p50_ms": round(level.p50_ms, 3),
                "acknowledged": level.acknowledged,
                "acknowledged_while_alone": level.alone,
                "lost": level.lost,
            }
            for level in levels
        }
        | {"rounds": rounds},
    )


ACKS_EXPERIMENT = Experiment(
    name="acks",
    title="What an acknowledgement is worth",
    about="Messages are written to three brokers with acks=0, 1 and all. Then both followers are frozen for a moment, "
    f"{WRITTEN} more are written with each, the leader is killed, and a follower takes over.",
    question="With which acks are messages lost that the producer took for written?",
    choices={
        "none": "with none of them: there are three copies",
        "only-0": "only with acks=0",
        "0-and-1": "with acks=0 and acks=1",
        "all": "with all three",
    },
    run=_run,
    seconds=45,
    brokers=3,
)
