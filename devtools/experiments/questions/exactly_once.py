"""A consumer dies between its effect and its commit: is a customer charged twice? With an inbox and without."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from devtools.experiments.lab import Lab, Unfinished
from devtools.experiments.plans import Bar, Experiment, Finding
from devtools.experiments.questions import charging

ORDERS = 30


@dataclass(frozen=True, slots=True)
class _Result:
    """What the books say in the end."""

    charged: int
    twice: list[str]
    committed: int
    """The broker's offset when the consumer died."""
    charged_before: int


def _run(lab: Lab) -> Finding:
    # Not one that the consumer commits right after, so that some are charged and not committed.
    dies_after = lab.random.choice([n for n in range(6, ORDERS - 5) if n % charging.COMMIT_EVERY > 1])
    lab.report(f"{ORDERS} orders to be charged, without an inbox", 0.1)
    without = _charge(lab, dies_after, has_inbox=False)
    lab.report(f"the same {ORDERS} with an inbox", 0.55)
    return _finding(without, _charge(lab, dies_after, has_inbox=True))


def _charge(lab: Lab, dies_after: int, *, has_inbox: bool) -> _Result:
    name = "inbox" if has_inbox else "none"
    topic, group = lab.topic(name), lab.group(name)
    producer = lab.producer(acks="all")
    for number in range(ORDERS):
        producer.produce(topic, f"order-{number}".encode())
    producer.flush(30)
    with tempfile.TemporaryDirectory(prefix="experiment-") as folder:
        database = Path(folder) / "books.sqlite3"
        task = charging.Task(
            connection={key: value for key, value in lab.connection.items() if not callable(value)},
            topic=topic, group=group, database=str(database), has_inbox=has_inbox, until=ORDERS,
        )  # fmt: skip
        lab.report("the consumer is killed after a charge, before it commits its offset", 0.2 + 0.45 * has_inbox)
        with _consumer(task, dies_after) as first:
            lab.wait(lambda: first.poll() is not None, "the kill")
        if first.returncode != -signal.SIGKILL:
            raise Unfinished(f"the consumer ended by itself with exit code {first.returncode}")
        committed, before = lab.committed(group, topic), _count(database)
        lab.report("it is started again", 0.35 + 0.45 * has_inbox)
        with _consumer(task, 0) as second:
            lab.wait(lambda: second.poll() is not None, "the rest")
        if second.returncode:
            raise Unfinished(f"the consumer ended with exit code {second.returncode}")
        return _Result(_count(database), _twice(database), committed, before)


@contextmanager
def _consumer(task: charging.Task, dies_after: int) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(  # noqa: S603 - our own script
        [sys.executable, charging.__file__],
        stdin=subprocess.PIPE,
        # Its client's own notices are no part of the experiment.
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": ""},
    )
    try:
        if process.stdin is not None:
            process.stdin.write(json.dumps({**task, "dies_after": dies_after}).encode())
            process.stdin.close()
        yield process
    finally:
        process.kill()
        process.wait(10)


def _count(database: Path) -> int:
    with sqlite3.connect(database) as books:
        return int(books.execute("SELECT count(*) FROM charges").fetchone()[0])


def _twice(database: Path) -> list[str]:
    with sqlite3.connect(database) as books:
        rows = books.execute('SELECT "order" FROM charges GROUP BY 1 HAVING count(*) > 1 ORDER BY min(rowid)')
        return [str(order) for (order,) in rows]


def _finding(without: _Result, with_inbox: _Result) -> Finding:
    repeated = "both" if with_inbox.twice else "without"
    return Finding(
        outcome=repeated if without.twice else "neither",
        verdict=f"Without an inbox {ORDERS} orders were charged {without.charged} times: {len(without.twice)} "
        f"customers paid twice. With one, {with_inbox.charged} times, and {len(with_inbox.twice) or 'nobody'} twice.",
        chart=f"charges for {ORDERS} orders",
        bars=(
            Bar(label="without an inbox", value=without.charged, words=str(without.charged)),
            Bar(label="with an inbox", value=with_inbox.charged, words=str(with_inbox.charged)),
        ),
        notes=(
            f"When it was killed, {without.charged_before} orders were charged and the broker's offset stood at "
            f"{without.committed}: it delivered {without.charged_before - without.committed} of them again"
            + (f" ({', '.join(without.twice)})." if without.twice else "."),
            "The inbox is a table of the ids that were had, written in the same transaction as the charge: the second "
            "delivery finds its id there. Kafka delivers at least once; the effect is what happens once.",
            "The books here are a scratch SQLite file; the shop does the same in PostgreSQL "
            "(kafka_bridge/consuming/inbox.py).",
        ),
        figures={
            "orders": ORDERS,
            "charged_without": without.charged,
            "twice_without": without.twice,
            "charged_with": with_inbox.charged,
            "twice_with": with_inbox.twice,
            "committed_at_kill": without.committed,
            "charged_at_kill": without.charged_before,
        },
    )


EXACTLY_ONCE = Experiment(
    name="exactly_once",
    title="Delivered twice, charged once",
    about=f"A consumer charges {ORDERS} orders and commits its offset after every {charging.COMMIT_EVERY}. It is "
    "killed (SIGKILL) after a charge and before the commit, and started again: first without an inbox, then with one.",
    question="Who pays twice?",
    choices={
        "neither": "nobody: Kafka knows what was read",
        "without": "some customers, where there is no inbox",
        "both": "some customers, with an inbox as well",
    },
    run=_run,
    seconds=15,
)
