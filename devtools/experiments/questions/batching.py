"""One message at a time, or many together: what does waiting for company cost and bring?"""

import json
import statistics
import time
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, Message, Producer

from devtools.experiments.lab import Lab, Unfinished
from devtools.experiments.plans import Bar, Experiment, Finding

ONE_BY_ONE, TOGETHER = 400, 40_000
LINGERS_MS = (0, 5, 50)
_BODY = b"x" * 200
_SOME, _MANY = 3, 10


@dataclass(frozen=True, slots=True)
class _Way:
    """How one way of writing went."""

    label: str
    rate: float
    per_batch: float
    p50_ms: float


def _run(lab: Lab) -> Finding:
    topic = lab.topic("batching")
    ways = [_one_by_one(lab, topic)]
    written = lab.some(ONE_BY_ONE)
    for number, linger_ms in enumerate(LINGERS_MS):
        lab.report(f"{lab.some(TOGETHER):,} messages, linger.ms={linger_ms}", 0.3 + 0.2 * number)
        ways.append(_together(lab, topic, linger_ms))
        written += lab.some(TOGETHER)
    if (kept := sum(lab.ends(topic).values())) != written:
        raise Unfinished(f"{written:,} were acknowledged, and the broker has {kept:,}")
    return _finding(ways, written)


def _one_by_one(lab: Lab, topic: str) -> _Way:
    lab.report(f"{lab.some(ONE_BY_ONE)} messages, each waits for its acknowledgement", 0.1)
    producer, times = lab.producer(linger_ms=0, acks="all"), []
    for _ in range(lab.some(ONE_BY_ONE)):
        began = time.perf_counter()
        producer.produce(topic, _BODY)
        _flush(producer)
        times.append(time.perf_counter() - began)
    return _Way("one by one", len(times) / sum(times), 1, 1000 * statistics.median(times))


def _together(lab: Lab, topic: str, linger_ms: int) -> _Way:
    counts: list[float] = []
    producer = lab.producer(
        linger_ms=linger_ms, acks="all", statistics_interval_ms=50, queue_buffering_max_messages=200_000,
        stats_cb=lambda text: counts.extend(_batch_counts(text, topic)),
    )  # fmt: skip
    times: list[float] = []
    began = time.perf_counter()
    for _ in range(lab.some(TOGETHER)):
        producer.produce(topic, _BODY, on_delivery=_Stopwatch(times))
        producer.poll(0)
    _flush(producer)
    seconds = time.perf_counter() - began
    producer.poll(0.1)  # the last statistics
    per_batch = statistics.mean(counts) if counts else 0.0
    return _Way(f"linger.ms={linger_ms}", len(times) / seconds, per_batch, 1000 * statistics.median(times))


class _Stopwatch:
    """Notes how long one message took to be acknowledged."""

    __slots__ = ("_began", "_times")

    def __init__(self, times: list[float]) -> None:
        self._began, self._times = time.perf_counter(), times

    def __call__(self, error: KafkaError | None, _: Message) -> None:
        if error is None:
            self._times.append(time.perf_counter() - self._began)


def _flush(producer: Producer) -> None:
    if left := producer.flush(60):
        raise TimeoutError(f"{left} messages were not acknowledged within a minute")


def _batch_counts(text: str, topic: str) -> list[float]:
    """Messages in a batch, as the client's statistics have them; those without a batch are left out."""
    told: dict[str, Any] = json.loads(text)["topics"].get(topic, {})
    count = told.get("batchcnt", {})
    return [count["avg"]] if count.get("cnt") else []


def _finding(ways: list[_Way], written: int) -> Finding:
    alone, best = ways[0], max(ways[1:], key=lambda way: way.rate)
    factor = best.rate / alone.rate
    outcome = "same" if factor < _SOME else "some" if factor < _MANY else "many"
    return Finding(
        outcome=outcome,
        verdict=f"One by one {alone.rate:,.0f} messages a second were acknowledged, in batches of about "
        f"{best.per_batch:,.0f} ({best.label}) {best.rate:,.0f}: {factor:,.0f} times as many.",
        chart="messages acknowledged a second",
        bars=tuple(Bar(label=way.label, value=round(way.rate), words=f"{way.rate:,.0f}/s") for way in ways),
        notes=(
            *(
                f"{way.label}: {way.per_batch:,.0f} in a batch, acknowledged after {way.p50_ms:,.1f} ms (median)."
                for way in ways
            ),
            "A request costs the same for one message as for a hundred. linger.ms says how long a message may wait for "
            "company: in a rush batches fill up before that, on a quiet day it is added to each message's way.",
            f"The broker has all {written:,}.",
        ),
        figures={
            way.label: {
                "per_second": round(way.rate), "per_batch": round(way.per_batch, 1), "p50_ms": round(way.p50_ms, 2)
            }
            for way in ways
        },
    )  # fmt: skip


BATCHING = Experiment(
    name="batching",
    title="Many messages in one request",
    about="Messages of 200 bytes are written with acks=all: first each waits for its acknowledgement before the next "
    "is sent, then the client may gather them for 0, 5 and 50 ms (linger.ms).",
    question="How much faster are batches than one message at a time?",
    choices={
        "same": f"less than {_SOME} times",
        "some": f"{_SOME} to {_MANY} times",
        "many": f"more than {_MANY} times",
    },
    run=_run,
    seconds=10,
)
