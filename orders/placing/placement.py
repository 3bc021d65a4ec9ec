"""Placing orders: validated, committed in groups, and the same idempotency key always gives the same order."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

import msgspec
from django.conf import settings
from django.db import DatabaseError, connection

from events import catalogue
from kafka_bridge.publishing import outbox
from kafka_bridge.runtime import error_classes
from kafka_bridge.runtime.postgresql import bulk_rows, transactions
from kafka_bridge.telemetry import metrics, tracing
from orders.models import new_id
from orders.placing.group_commit import GroupCommit

PLACED = metrics.counter("orders_placed", "Orders that were saved", ["flow"], by="web")
QUANTITY_MAX = 20
LINES_MAX = 50
ANSWER_SECONDS = 10.0
# Crockford's base 32: no I, L, O, U, so that a reference can be read out over the telephone.
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class IdempotencyConflict(Exception):
    """The same key came with other contents. Start a new checkout: a key stands for one order."""


class CheckoutUnavailable(Exception):
    """The order could not be saved right now. Try again with the same key; it will not be placed twice."""


class InvalidDraft(ValueError):
    """The order asks for something impossible; the message says what."""


@dataclass(frozen=True, kw_only=True)
class DraftLine:
    """So many of one book at the price the server found; minor units."""

    sku: str
    title: str
    unit_price_minor: int
    quantity: int
    sale_id: int | None = None
    """The sale whose units these are, if the book is in one."""


@dataclass(frozen=True, kw_only=True)
class Draft:
    """An order as it was asked for, priced by the server."""

    idempotency_key: UUID
    lines: tuple[DraftLine, ...]
    currency: str
    flow: str
    payment_method: str
    name: str
    email: str
    address_line1: str
    address_line2: str = ""
    city: str
    postcode: str
    country: str
    user_id: int | None = None
    customer: str = ""
    """A pseudonym of the buyer, where a sale has a limit per customer."""
    contact: str = ""
    """The same for the mail address alone."""
    visitor: str = ""
    """A pseudonym of who orders, in every order."""
    network: str = ""
    """A pseudonym of the network that the order comes from."""
    owner: str = ""
    """Whose the idempotency key is: an account's or a session's. Empty for a program, which tells nobody its key."""

    order_id: UUID = field(default_factory=new_id, compare=False)

    @property
    def total_minor(self) -> int:
        """The sum of all lines in minor units."""
        return sum(line.unit_price_minor * line.quantity for line in self.lines)

    def digest(self) -> str:
        """SHA-256 of what the buyer asked for; prices and the flow are the shop's, and may differ at a second try."""
        asked = [
            [(line.sku, line.quantity) for line in self.lines],
            self.currency, self.payment_method, self.name, self.email, self.address_line1, self.address_line2,
            self.city, self.postcode, self.country, self.user_id,
            *([self.owner] if self.owner else []),
        ]  # fmt: skip
        return hashlib.sha256(msgspec.json.encode(asked)).hexdigest()


@dataclass(frozen=True)
class Placed:
    """The order that a draft became, now or earlier under the same key."""

    order_id: UUID
    reference: str
    created: bool


def place(draft: Draft) -> Placed:
    """Save the order and state order.created, in one transaction for all orders that come in at the same moment.

    Raises:
        InvalidDraft: a quantity, a line or the flow is impossible.
        IdempotencyConflict: the key is taken by an order with other contents.
        CheckoutUnavailable: PostgreSQL did not answer; nothing is known to be placed, try the same key again.
    """
    validate(draft)
    try:
        placed = _commits.submit(draft, timeout_seconds=ANSWER_SECONDS)
    except TimeoutError as error:
        raise CheckoutUnavailable("The shop is too busy to take the order. Please try again.") from error
    except DatabaseError as error:
        if error_classes.is_infrastructure(error) or error_classes.is_conflict(error):
            raise CheckoutUnavailable("The order could not be saved. Please try again.") from error
        raise
    if placed.created:
        PLACED.labels(draft.flow).inc()
        tracing.begin(placed.order_id)
    return placed


def validate(draft: Draft) -> None:
    """Check what the database would refuse anyway, with words for people.

    Raises:
        InvalidDraft: see its message.
    """
    if not 1 <= len(draft.lines) <= LINES_MAX:
        raise InvalidDraft(f"An order has 1 to {LINES_MAX} lines.")
    if len({line.sku for line in draft.lines}) != len(draft.lines):
        raise InvalidDraft("Each book may stand on one line only.")
    for line in draft.lines:
        if not 1 <= line.quantity <= QUANTITY_MAX:
            raise InvalidDraft(f"{line.title}: the quantity must be 1 to {QUANTITY_MAX}, not {line.quantity}.")
        if line.unit_price_minor < 0:
            raise InvalidDraft(f"{line.title}: the price cannot be negative.")
    if draft.flow not in catalogue.FLOWS:
        raise InvalidDraft(f"The flow must be one of {', '.join(catalogue.FLOWS)}, not {draft.flow!r}.")


def new_reference() -> str:
    """What people call the order: 50 random bits, so that one does not lead to the next."""
    bits = secrets.randbits(50)
    code = "".join([_ALPHABET[bits >> shift & 31] for shift in range(0, 50, 5)])
    return f"BR-{code[:5]}-{code[5:]}"


_STATED = outbox.Splice(where="correlation_id IN (SELECT id FROM placed)")
# All that an order is made of, and its event: one statement, so one transaction and one round trip. On the way of a
# click every round trip counts twice, for the thread that commits competes for the interpreter with those that serve
# requests. Lines, trail and event follow only the orders that are new.
_INSERT = f"""
WITH placed AS (
    INSERT INTO orders_order (id, reference, user_id, flow, status, version, name, email, address_line1, address_line2,
        city, postcode, country, currency, total_minor, payment_method, payment_reference, cancel_reason, deadline_at,
        idempotency_key, request_digest)
    SELECT order_id, reference, user_id, flow, 'PENDING', 1, name, email, address_line1, address_line2,
        city, postcode, country, currency, total_minor, payment_method, '', '',
        clock_timestamp() + %s * interval '1 second', idempotency_key, digest
    FROM json_to_recordset(%s) AS d(order_id uuid, reference text, user_id int, flow text, name text, email text,
        address_line1 text, address_line2 text, city text, postcode text, country text, currency text,
        total_minor bigint, payment_method text, idempotency_key uuid, digest text)
    ON CONFLICT (idempotency_key) DO NOTHING
    RETURNING idempotency_key, id, reference
), lines AS (
    INSERT INTO orders_orderline (order_id, sku, title, unit_price_minor, quantity, cancelled, sale_id)
    SELECT order_id, sku, title, unit_price_minor, quantity, 0, sale_id
    FROM json_to_recordset(%s)
        AS l(number int, order_id uuid, sku text, title text, unit_price_minor int, quantity int, sale_id bigint)
    JOIN placed ON placed.id = l.order_id
    ORDER BY number
), trail AS (
    INSERT INTO orders_trailentry (order_id, version, what, answer, status, detail)
    SELECT id, 1, 'order.created', 'move', 'PENDING', '' FROM placed
), stated AS (
    {_STATED.query}
)
SELECT idempotency_key, id, reference FROM placed
"""  # noqa: S608 - made of constants
_EXISTING = "SELECT idempotency_key, id, reference, request_digest FROM orders_order WHERE idempotency_key = ANY(%s)"


def _commit(drafts: Sequence[Draft]) -> list[Placed | Exception]:
    """Save these drafts in one transaction; safe to repeat, because keys are unique.

    Raises:
        TransactionManagementError: a transaction is under way; what is answered here must be committed.
    """
    transactions.forbid("the group commit of orders")
    digests = {id(draft): draft.digest() for draft in drafts}
    unique = list({draft.idempotency_key: draft for draft in reversed(drafts)}.values())
    with connection.cursor() as cursor:
        stated = _STATED.rows(map(_created, unique))
        cursor.execute(_INSERT, [settings.ORDER_DEADLINE_SECONDS, *_rows(unique, digests), stated])
        created = {key: Placed(order_id, reference, True) for key, order_id, reference in cursor.fetchall()}
        found: dict[UUID, tuple[Placed, str]] = {}
        if len(created) < len(drafts):
            cursor.execute(_EXISTING, [[draft.idempotency_key for draft in drafts]])
            found = {key: (Placed(order_id, ref, False), digest) for key, order_id, ref, digest in cursor.fetchall()}
    return [_result(draft, digests[id(draft)], created, found) for draft in drafts]


def _result(
    draft: Draft, digest: str, created: dict[UUID, Placed], found: dict[UUID, tuple[Placed, str]]
) -> Placed | Exception:
    mine = created.get(draft.idempotency_key)
    if mine is not None and mine.order_id == draft.order_id:
        return mine
    placed, known = found[draft.idempotency_key]
    if known != digest:
        return IdempotencyConflict("This checkout was already used for another order. Please start a new one.")
    return placed


def _rows(drafts: Sequence[Draft], digests: dict[int, str]) -> tuple[str, str]:
    """Orders and lines, as `_INSERT` takes them."""
    orders = [
        {
            "order_id": draft.order_id,
            "reference": new_reference(),
            "user_id": draft.user_id,
            "flow": draft.flow,
            "name": draft.name,
            "email": draft.email,
            "address_line1": draft.address_line1,
            "address_line2": draft.address_line2,
            "city": draft.city,
            "postcode": draft.postcode,
            "country": draft.country,
            "currency": draft.currency,
            "total_minor": draft.total_minor,
            "payment_method": draft.payment_method,
            "idempotency_key": draft.idempotency_key,
            "digest": digests[id(draft)],
        }
        for draft in drafts
    ]
    lines = [
        {
            "number": number,
            "order_id": draft.order_id,
            "sku": line.sku,
            "title": line.title,
            "unit_price_minor": line.unit_price_minor,
            "quantity": line.quantity,
            "sale_id": line.sale_id,
        }
        for draft in drafts
        for number, line in enumerate(draft.lines)
    ]
    return bulk_rows.as_json(orders), bulk_rows.as_json(lines)


def _created(draft: Draft) -> catalogue.OrderCreated:
    return catalogue.OrderCreated(
        order_id=draft.order_id,
        flow=draft.flow,
        lines=tuple(
            catalogue.Line(
                sku=line.sku,
                quantity=line.quantity,
                unit_price_minor=line.unit_price_minor,
                sale_id=line.sale_id,
            )
            for line in draft.lines
        ),
        total_minor=draft.total_minor,
        currency=draft.currency,
        payment_method=draft.payment_method,
        customer=draft.customer,
        contact=draft.contact,
        visitor=draft.visitor,
        network=draft.network,
    )


_commits: GroupCommit[Draft, Placed] = GroupCommit(_commit)
