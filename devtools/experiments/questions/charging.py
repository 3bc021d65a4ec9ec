"""A consumer that charges orders, as a process of its own that can be killed. Its task comes by standard input.

It imports nothing of the project, so that it starts at once.
"""

import json
import os
import signal
import sqlite3
import sys
from typing import Any, TypedDict

from confluent_kafka import OFFSET_STORED, Consumer, Message, TopicPartition

COMMIT_EVERY = 5
_TABLES = """
CREATE TABLE IF NOT EXISTS charges ("order" TEXT);
CREATE TABLE IF NOT EXISTS inbox (id TEXT PRIMARY KEY);
"""


class Task(TypedDict):
    """What to read, and where to write."""

    connection: dict[str, Any]
    topic: str
    group: str
    database: str
    has_inbox: bool
    until: int
    """Offset at which it is done."""


def main() -> None:
    """Charge until the end, or until `dies_after` charges."""
    task: dict[str, Any] = json.load(sys.stdin)
    books = sqlite3.connect(task["database"])
    books.executescript(_TABLES)
    config = {**task["connection"], "group.id": task["group"], "auto.offset.reset": "earliest"}
    consumer = Consumer({**config, "enable.auto.commit": False})
    # It takes the partition and is not given it: else its successor would wait until the group has missed it.
    consumer.assign([TopicPartition(task["topic"], 0, OFFSET_STORED)])
    charged, at = 0, 0
    while at < task["until"]:
        message = consumer.poll(0.5)
        if message is None or message.error() is not None:
            continue
        charged += _charge(books, message, has_inbox=task["has_inbox"])
        at = int(message.offset() or 0) + 1
        if task["dies_after"] and charged == task["dies_after"]:
            os.kill(os.getpid(), signal.SIGKILL)
        if at % COMMIT_EVERY == 0:
            consumer.commit(message=message, asynchronous=False)
    consumer.close()


def _charge(books: sqlite3.Connection, message: Message, *, has_inbox: bool) -> bool:
    """The charge and the id of what was had, in one transaction; whether there was a charge."""
    order = (message.value() or b"").decode()
    with books:
        if has_inbox and not books.execute("INSERT OR IGNORE INTO inbox VALUES (?)", [order]).rowcount:
            return False
        books.execute("INSERT INTO charges VALUES (?)", [order])
    return True


if __name__ == "__main__":
    main()
