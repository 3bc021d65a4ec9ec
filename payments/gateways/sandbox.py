"""A gateway to play with: test cards, latency, and a ledger of its own in a store of its own (a SQLite file).

The ledger is not in the shop's database on purpose: a real gateway does not roll back with us, and the shop's rows are
checked against it.
"""

import sqlite3
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from django.conf import settings
from uuid_utils.compat import uuid7

from payments.gateways import Answer, Declined, Succeeded, Unknown

BUSY_SECONDS = 5.0


@dataclass(frozen=True)
class TestCard:
    """A card that always behaves the same."""

    token: str
    label: str
    description: str
    declines_with: str = ""


TEST_CARDS = (
    TestCard("pm_success", "Card that works", "The payment goes through."),
    TestCard("pm_declined", "Card that is declined", "The bank says no.", "card declined"),
    TestCard("pm_insufficient_funds", "Card without funds", "There is not enough money.", "insufficient funds"),
    TestCard("pm_slow", "Slow card", "The payment goes through, after some seconds."),
)
_CARDS = {card.token: card for card in TEST_CARDS}

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entry (
    key TEXT PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('charge', 'refund')),
    transaction_id TEXT NOT NULL UNIQUE,
    charge_id TEXT,
    amount_minor INTEGER NOT NULL CHECK (amount_minor >= 0),
    currency TEXT,
    declined TEXT NOT NULL DEFAULT '',
    at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
)
"""


class Entry(NamedTuple):
    """A line of the gateway's ledger."""

    key: str
    kind: str
    transaction_id: str
    charge_id: str | None
    amount_minor: int
    declined: str


_FIELDS = ", ".join(Entry._fields)


class SandboxGateway:
    """Answers by the card's token, after the configured latency, and keeps a ledger."""

    def __init__(self, path: str | None = None) -> None:
        self._path = path or settings.SANDBOX_LEDGER_PATH
        # One connection and one call on it at a time: the ledger is quick, the latency is slept outside of it.
        self._lock = threading.Lock()
        self._opened: sqlite3.Connection | None = None

    def charge(self, *, key: str, amount_minor: int, currency: str, payment_method: str) -> Answer:
        """Take the money, or say why not; an unknown token is declined."""
        card = _CARDS.get(payment_method)
        time.sleep(settings.SANDBOX_SLOW_SECONDS if payment_method == "pm_slow" else settings.SANDBOX_LATENCY_SECONDS)
        declined = "unknown card" if card is None else card.declines_with
        return self._enter("charge", key, None, amount_minor, currency, declined)

    def refund(self, *, key: str, transaction_id: str, amount_minor: int) -> Answer:
        """Give money back; more than was taken is declined."""
        time.sleep(settings.SANDBOX_LATENCY_SECONDS)
        left = self._left(transaction_id, but_for=key)
        declined = "" if amount_minor <= left else f"only {left} of this charge are left"
        return self._enter("refund", key, transaction_id, amount_minor, None, declined)

    def find(self, *, key: str) -> Succeeded | Declined | None:
        """What became of the call with this key."""
        entry = self._by_key(key)
        return None if entry is None else _as_answer(entry)

    def entries(self) -> list[Entry]:
        """The whole ledger, oldest first; for audits and tests."""
        return [Entry._make(row) for row in self._query(f"SELECT {_FIELDS} FROM entry ORDER BY rowid")]  # noqa: S608

    def _enter(
        self, kind: str, key: str, charge_id: str | None, amount_minor: int, currency: str | None, declined: str
    ) -> Answer:
        try:
            self._query(
                "INSERT INTO entry (key, kind, transaction_id, charge_id, amount_minor, currency, declined) "
                "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING",
                (key, kind, f"sbx_{kind[:2]}_{uuid7().hex}", charge_id, amount_minor, currency, declined),
            )
            entry = self._by_key(key)
        except sqlite3.OperationalError as error:
            return Unknown(f"the sandbox gateway's ledger: {error}")
        return Unknown("the entry is gone") if entry is None else _as_answer(entry)

    def _left(self, transaction_id: str, *, but_for: str) -> int:
        rows = self._query(
            "SELECT coalesce(sum(CASE kind WHEN 'charge' THEN amount_minor ELSE -amount_minor END), 0) FROM entry "
            "WHERE declined = '' AND key != ? AND (transaction_id = ? OR charge_id = ?)",
            (but_for, transaction_id, transaction_id),
        )
        return int(rows[0][0])

    def _by_key(self, key: str) -> Entry | None:
        rows = self._query(f"SELECT {_FIELDS} FROM entry WHERE key = ?", (key,))  # noqa: S608 - our own column names
        return Entry._make(rows[0]) if rows else None

    def _query(self, sql: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """Run one statement, which commits by itself."""
        with self._lock:
            if self._opened is None:
                self._opened = self._open()
            return self._opened.execute(sql, values).fetchall()

    def _open(self) -> sqlite3.Connection:
        Path(self._path).parent.mkdir(parents=True, exist_ok=True)
        opened = sqlite3.connect(self._path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        opened.execute("PRAGMA journal_mode = WAL")
        # No flush for each entry: it survives a killed process, and a power cut is not what is played here.
        opened.execute("PRAGMA synchronous = NORMAL")
        opened.execute(_SCHEMA)
        return opened


def _as_answer(entry: Entry) -> Succeeded | Declined:
    return Declined(entry.declined) if entry.declined else Succeeded(entry.transaction_id)
