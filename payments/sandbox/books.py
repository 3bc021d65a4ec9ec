"""The bank's books: one SQLite file with its payments, what was done with them, and the webhooks that wait."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from payments.gateways import PaymentStatus

BUSY_SECONDS = 5.0
Transaction = sqlite3.Connection
_SCHEMA = """
CREATE TABLE IF NOT EXISTS payment (
    seq INTEGER PRIMARY KEY,
    transaction_id TEXT NOT NULL UNIQUE,
    key TEXT NOT NULL UNIQUE,
    standing TEXT NOT NULL,
    amount_minor INTEGER NOT NULL CHECK (amount_minor >= 0),
    currency TEXT NOT NULL,
    captured_minor INTEGER NOT NULL DEFAULT 0 CHECK (captured_minor BETWEEN 0 AND amount_minor),
    refunded_minor INTEGER NOT NULL DEFAULT 0 CHECK (refunded_minor BETWEEN 0 AND captured_minor),
    reason TEXT NOT NULL,
    card TEXT NOT NULL,
    return_url TEXT NOT NULL,
    at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS payment_at ON payment (at);
CREATE TABLE IF NOT EXISTS ledger (
    key TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL CHECK (kind IN ('authorization', 'capture', 'void', 'refund')),
    id TEXT NOT NULL UNIQUE,
    transaction_id TEXT NOT NULL REFERENCES payment (transaction_id),
    amount_minor INTEGER NOT NULL CHECK (amount_minor >= 0),
    currency TEXT NOT NULL,
    declined TEXT NOT NULL,
    at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS lost_call (key TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS hook (
    seq INTEGER PRIMARY KEY,
    event_id TEXT NOT NULL,
    type TEXT NOT NULL,
    created INTEGER NOT NULL,
    transaction_id TEXT NOT NULL,
    key TEXT NOT NULL,
    due_at REAL NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS hook_due ON hook (due_at);
"""


class Payment(NamedTuple):
    """A payment in the bank's books; `at` in unix seconds."""

    seq: int
    transaction_id: str
    key: str
    standing: PaymentStatus
    amount_minor: int
    currency: str
    captured_minor: int
    refunded_minor: int
    reason: str
    card: str
    return_url: str
    at: float


class Entry(NamedTuple):
    """A line of the ledger: what was done, or refused, with a payment; `at` in unix seconds."""

    key: str
    kind: str
    id: str
    transaction_id: str
    amount_minor: int
    currency: str
    declined: str
    at: float


class Hook(NamedTuple):
    """A webhook that waits to be sent."""

    seq: int
    event_id: str
    type: str
    created: int
    transaction_id: str
    key: str
    due_at: float
    attempts: int


class Books:
    """One file. Its methods may be called by many threads at a time."""

    def __init__(self, path: str | Path) -> None:
        """The file is opened when it is needed."""
        self._path = Path(path)
        # One connection and one transaction on it at a time: SQLite has one writer anyway, and waiting for a lock of
        # Python's is cheaper than for one of its own.
        self._lock = threading.Lock()
        self._opened: sqlite3.Connection | None = None

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """What is written in it is written as a whole, or not at all."""
        with self._lock:
            ledger = self._ledger()
            ledger.execute("BEGIN IMMEDIATE")
            try:
                changes = ledger.total_changes
                yield ledger
                ledger.execute("COMMIT" if ledger.total_changes > changes else "ROLLBACK")
            except BaseException:
                if ledger.in_transaction:
                    ledger.execute("ROLLBACK")
                raise

    @contextmanager
    def reading(self) -> Iterator[Transaction]:
        """To look something up."""
        with self._lock:
            yield self._ledger()

    def _ledger(self) -> Transaction:
        if self._opened is None:
            self._opened = self._open()
        return self._opened

    def _open(self) -> Transaction:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        ledger = sqlite3.connect(self._path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        ledger.execute("PRAGMA journal_mode = WAL")
        # No flush for each entry: it survives a killed process, and a power cut is not what is played here.
        ledger.execute("PRAGMA synchronous = NORMAL")
        ledger.executescript(_SCHEMA)
        return ledger

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        with self._lock:
            if self._opened is not None:
                self._opened.close()
                self._opened = None


# -- Looking up -----------------------------------------------------------------------------------------
def by_id(ledger: Transaction, transaction_id: str) -> Payment | None:
    """The payment with this name."""
    row = ledger.execute("SELECT * FROM payment WHERE transaction_id = ?", (transaction_id,)).fetchone()
    return None if row is None else as_payment(row)


def by_key(ledger: Transaction, key: str) -> Payment | None:
    """The payment that was authorized with this key."""
    row = ledger.execute("SELECT * FROM payment WHERE key = ?", (key,)).fetchone()
    return None if row is None else as_payment(row)


def as_payment(row: tuple[Any, ...]) -> Payment:
    """A row of the table of payments."""
    payment = Payment._make(row)
    return payment._replace(standing=PaymentStatus(payment.standing))


def entry_of(ledger: Transaction, key: str) -> Entry | None:
    """What the call with this key has led to."""
    row = ledger.execute("SELECT * FROM ledger WHERE key = ?", (key,)).fetchone()
    return None if row is None else Entry._make(row)
