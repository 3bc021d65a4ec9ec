"""The bank: it carries out calls about payments, enters them in its books, and leaves the webhooks that are to be sent.

Every call that changes something carries a key and is one transaction of one SQLite file (`books.py`). What is allowed
(`rules.py`) is checked in that transaction.

# Note [A key is a call]
A key used again with the same contents is the same call: nothing happens, and the answer is the one it has led to.
With other contents it is refused (as Stripe does it: https://docs.stripe.com/api/idempotent_requests).
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from uuid_utils.compat import uuid7

from payments.gateways import PaymentStatus
from payments.sandbox import cards, rules
from payments.sandbox.books import Books, Entry, Hook, Payment, Transaction, as_payment, by_id, by_key, entry_of
from payments.sandbox.cards import Hooks, Trouble
from payments.sandbox.rules import Code, Refused

# How much later than at once the webhooks of a shuffled card are sent, in units of `Bank.late_seconds`: what happens
# first is told last.
_LATENESS = {"payment.authorized": 3.0, "payment.declined": 3.0, "payment.captured": 1.5, "payment.voided": 1.5}
_CAPTURED = "UPDATE payment SET standing = 'captured', captured_minor = :amount WHERE transaction_id = :transaction_id"
_VOIDED = "UPDATE payment SET standing = 'voided' WHERE transaction_id = :transaction_id"
_REFUNDED = "UPDATE payment SET refunded_minor = refunded_minor + :amount WHERE transaction_id = :transaction_id"


class Carried(NamedTuple):
    """What a call has led to. Where the answer is lost, the caller must never get to see it."""

    payment: Payment
    entry: Entry | None
    """None for a payment that waits for the buyer."""
    is_lost: bool = False


class CallLost(Exception):
    """The bank never heard this call: nothing was done, and no answer may be given. Make the same call again."""


class Bank:
    """The bank of one SQLite file. Its methods may be called by many threads at a time."""

    def __init__(
        self,
        path: str | Path,
        *,
        sends_hooks: bool = True,
        late_seconds: float = 1.0,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Without anybody to send webhooks to, none are kept. `late_seconds` is the unit of lateness of those of the
        shuffled card.
        """
        self._books = Books(path)
        self._sends_hooks = sends_hooks
        self.late_seconds = late_seconds
        self._now = now

    # -- Calls that change something ----------------------------------------------------------------
    def authorize(self, *, key: str, amount_minor: int, currency: str, card: str, return_url: str = "") -> Carried:
        """Set this much aside on a card; or decline it, or wait for the buyer, by the card.

        Raises:
            Refused: the contents make no sense, or the key belongs to another call.
            CallLost: by the card.
        """
        rules.check(key=key, amount_minor=amount_minor)
        if len(currency) != 3 or not (currency.isascii() and currency.isalpha()):
            raise Refused(Code.BAD_REQUEST, "the currency has three letters")
        self._lose_first_call(card, key)
        with self._books.transaction() as ledger:
            if known := by_key(ledger, key):
                if (known.amount_minor, known.currency, known.card) != (amount_minor, currency, card):
                    raise Refused(Code.KEY_REUSED, f"key {key} was used for another payment")
                return Carried(known, entry_of(ledger, key))
            if entry_of(ledger, key):
                raise Refused(Code.KEY_REUSED, f"key {key} was used for another kind of call")
            behaviour = cards.card_of(card)
            standing = rules.first_standing(behaviour)
            ledger.execute(
                "INSERT INTO payment (transaction_id, key, standing, amount_minor, currency, reason, card, return_url, "
                "at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(_new_id("pay"), key, standing, amount_minor, currency, behaviour.declines_with),
                    *(card, return_url, self._now()),
                ),
            )
            payment = _known(by_key(ledger, key))
            if standing == PaymentStatus.ACTION:
                return Carried(payment, None)
            entry = self._enter(ledger, "authorization", key, payment, amount_minor, payment.reason)
            return self._carried(ledger, payment, entry)

    def capture(self, *, key: str, transaction_id: str, amount_minor: int) -> Carried:
        """Take what was authorized, or less of it; once.

        Raises:
            Refused: the contents make no sense, or the key belongs to another call.
            CallLost: by the card.
        """
        rules.check(key=key, amount_minor=amount_minor)
        return self._move("capture", key, transaction_id, amount_minor, rules.decline_capture, _CAPTURED)

    def void(self, *, key: str, transaction_id: str) -> Carried:
        """Let go of what was authorized, or of a payment that waits for the buyer.

        Raises:
            Refused: the contents make no sense, or the key belongs to another call.
            CallLost: by the card.
        """
        rules.check(key=key, amount_minor=0)
        return self._move("void", key, transaction_id, None, rules.decline_void, _VOIDED)

    def refund(self, *, key: str, transaction_id: str, amount_minor: int) -> Carried:
        """Give back this much of what was captured.

        Raises:
            Refused: the contents make no sense, or the key belongs to another call.
            CallLost: by the card.
        """
        rules.check(key=key, amount_minor=amount_minor, least_minor=1)
        return self._move("refund", key, transaction_id, amount_minor, rules.decline_refund, _REFUNDED)

    # -- What the buyer does on the bank's page -------------------------------------------------------
    def confirm(self, transaction_id: str) -> Payment:
        """The buyer confirms; a payment that no longer waits for that stays as it is.

        Raises:
            Refused: there is no such payment.
        """
        return self._answer_challenge(transaction_id, PaymentStatus.AUTHORIZED, "")

    def refuse(self, transaction_id: str) -> Payment:
        """The buyer refuses; a payment that no longer waits for that stays as it is.

        Raises:
            Refused: there is no such payment.
        """
        return self._answer_challenge(transaction_id, PaymentStatus.DECLINED, "not confirmed by the cardholder")

    # -- Looking ----------------------------------------------------------------------------------
    def find(self, *, key: str = "", transaction_id: str = "") -> Payment | None:
        """The payment with this name, or that was authorized with this key."""
        with self._books.reading() as ledger:
            if transaction_id:
                return by_id(ledger, transaction_id)
            return by_key(ledger, key)

    def find_refund(self, *, key: str) -> Entry | None:
        """The refund with this key, also a declined one."""
        with self._books.reading() as ledger:
            entry = entry_of(ledger, key)
        return entry if entry and entry.kind == "refund" else None

    def statement(self, *, since: float = 0, after: int = 0, limit: int = -1) -> list[Payment]:
        """Payments begun since then (unix seconds), oldest first; a page of it, from the one after `Payment.seq` on."""
        with self._books.reading() as ledger:
            rows = ledger.execute(
                "SELECT * FROM payment WHERE at >= ? AND seq > ? ORDER BY seq LIMIT ?",
                (since, after, limit),
            ).fetchall()
        return [as_payment(row) for row in rows]

    def entries(self) -> list[Entry]:
        """The whole ledger, oldest first."""
        with self._books.reading() as ledger:
            rows = ledger.execute("SELECT * FROM ledger ORDER BY rowid").fetchall()
        return [Entry._make(row) for row in rows]

    # -- Webhooks that wait -----------------------------------------------------------------------
    def due_hooks(self, *, limit: int) -> list[Hook]:
        """Webhooks that are to be sent now, the longest due first."""
        with self._books.reading() as ledger:
            rows = ledger.execute(
                "SELECT * FROM hook WHERE due_at <= ? ORDER BY due_at, seq LIMIT ?",
                (self._now(), limit),
            ).fetchall()
        return [Hook._make(row) for row in rows]

    def hook_sent(self, seq: int) -> None:
        """Forget a webhook that was accepted, or that is given up."""
        with self._books.transaction() as ledger:
            ledger.execute("DELETE FROM hook WHERE seq = ?", (seq,))

    def hook_failed(self, seq: int, *, again_in_seconds: float) -> None:
        """Keep a webhook that was not accepted for later."""
        with self._books.transaction() as ledger:
            ledger.execute(
                "UPDATE hook SET attempts = attempts + 1, due_at = ? WHERE seq = ?",
                (self._now() + again_in_seconds, seq),
            )

    def open(self) -> None:
        """Open the file now, and not at the first call.

        Raises:
            sqlite3.Error, OSError: it is no ledger, or cannot be written.
        """
        with self._books.reading():
            pass

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        self._books.close()

    # -- One call, one transaction --------------------------------------------------------------------
    def _move(
        self,
        kind: str,
        key: str,
        transaction_id: str,
        amount_minor: int | None,
        decline: Callable[[Payment, int], str],
        update: str,
    ) -> Carried:
        """Carry out a call about a payment, unless it was before; None as an amount is all of it."""
        if payment := self.find(transaction_id=transaction_id):
            self._lose_first_call(payment.card, key)
        with self._books.transaction() as ledger:
            payment = _known(by_id(ledger, transaction_id))
            amount = payment.amount_minor if amount_minor is None else amount_minor
            if known := entry_of(ledger, key):
                if (known.kind, known.transaction_id, known.amount_minor) != (kind, transaction_id, amount):
                    raise Refused(Code.KEY_REUSED, f"key {key} was used for another call")
                return Carried(payment, known)
            if by_key(ledger, key):
                raise Refused(Code.KEY_REUSED, f"key {key} was used for a payment")
            declined = decline(payment, amount)
            if not declined:
                ledger.execute(update, {"amount": amount, "transaction_id": transaction_id})
                payment = _known(by_id(ledger, transaction_id))
            entry = self._enter(ledger, kind, key, payment, amount, declined)
            return self._carried(ledger, payment, entry)

    def _answer_challenge(self, transaction_id: str, standing: PaymentStatus, reason: str) -> Payment:
        with self._books.transaction() as ledger:
            payment = _known(by_id(ledger, transaction_id))
            if payment.standing != PaymentStatus.ACTION:
                return payment
            ledger.execute(
                "UPDATE payment SET standing = ?, reason = ? WHERE transaction_id = ?",
                (standing, reason, transaction_id),
            )
            payment = payment._replace(standing=standing, reason=reason)
            entry = self._enter(ledger, "authorization", payment.key, payment, payment.amount_minor, reason)
            self._tell(ledger, payment, entry)
            return payment

    def _lose_first_call(self, card: str, key: str) -> None:
        if cards.card_of(card).trouble is not Trouble.CALL_LOST:
            return
        with self._books.transaction() as ledger:
            is_first = ledger.execute("INSERT INTO lost_call VALUES (?) ON CONFLICT DO NOTHING", (key,)).rowcount
        if is_first:
            raise CallLost

    def _enter(
        self, ledger: Transaction, kind: str, key: str, payment: Payment, amount_minor: int, declined: str
    ) -> Entry:
        entry = Entry(
            key=key,
            kind=kind,
            id=_new_id(kind[:3]),
            transaction_id=payment.transaction_id,
            amount_minor=amount_minor,
            currency=payment.currency,
            declined=declined,
            at=self._now(),
        )
        ledger.execute("INSERT INTO ledger VALUES (?, ?, ?, ?, ?, ?, ?, ?)", entry)
        return entry

    def _carried(self, ledger: Transaction, payment: Payment, entry: Entry) -> Carried:
        """The answer to a call that was just entered, and the webhooks about it."""
        behaviour = cards.card_of(payment.card)
        is_lost = behaviour.trouble is Trouble.ANSWER_LOST
        if is_lost or behaviour.hooks is not Hooks.UNTOLD:
            self._tell(ledger, payment, entry)
        return Carried(payment, entry, is_lost)

    def _tell(self, ledger: Transaction, payment: Payment, entry: Entry) -> None:
        """Leave a webhook about an entry; one that was declined changed nothing, unless it was the authorization."""
        kind = _told_as(entry)
        if not kind or not self._sends_hooks:
            return
        now, event_id, hooks = self._now(), f"evt_{uuid7().hex}", cards.card_of(payment.card).hooks
        late = _LATENESS.get(kind, 0.0) * self.late_seconds if hooks is Hooks.SHUFFLED else 0.0
        for _ in range(2 if hooks is Hooks.TWICE else 1):
            ledger.execute(
                "INSERT INTO hook (event_id, type, created, transaction_id, key, due_at) VALUES (?, ?, ?, ?, ?, ?)",
                (event_id, kind, int(now), payment.transaction_id, payment.key, now + late),
            )


def _told_as(entry: Entry) -> str:
    if entry.declined:
        return "payment.declined" if entry.kind == "authorization" else ""
    words = {"authorization": "authorized", "capture": "captured", "void": "voided", "refund": "refunded"}
    return f"payment.{words[entry.kind]}"


def _known(payment: Payment | None) -> Payment:
    if payment is None:
        raise Refused(Code.NO_SUCH_PAYMENT, "there is no such payment")
    return payment


def _new_id(kind: str) -> str:
    return f"sbx_{kind}_{uuid7().hex}"
