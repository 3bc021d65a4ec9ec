"""Placing orders: validated, committed in groups, and the same idempotency key always gives the same order."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from kafka_bridge import catalogue, faults, outbox
from orders.group_commit import GroupCommit
from orders.models import new_id

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
        ]  # fmt: skip
        return hashlib.sha256(msgspec.json.encode(asked)).hexdigest()


@dataclass(frozen=True)
class Placed:
    """The order that a draft became, now or earlier under the same key."""

    order_id: UUID
    reference: str
    created: bool


def place(draft: Draft) -> Placed:
    """Save the order and state order.created, in one transaction shared with whoever else orders right now.

    Raises:
        InvalidDraft: a quantity, a line or the flow is impossible.
        IdempotencyConflict: the key is taken by an order with other contents.
        CheckoutUnavailable: PostgreSQL did not answer; nothing is known to be placed, try the same key again.
    """
    validate(draft)
    try:
        return _commits.submit(draft, timeout_seconds=ANSWER_SECONDS)
    except TimeoutError as error:
        raise CheckoutUnavailable("The shop is too busy to take the order. Please try again.") from error
    except DatabaseError as error:
        if faults.is_infrastructure(error) or faults.is_conflict(error):
            raise CheckoutUnavailable("The order could not be saved. Please try again.") from error
        raise


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
    code = "".join(secrets.choice(_ALPHABET) for _ in range(10))
    return f"BR-{code[:5]}-{code[5:]}"


_INSERT_ORDERS = """
INSERT INTO orders_order (id, reference, user_id, flow, status, version, name, email, address_line1, address_line2,
    city, postcode, country, currency, total_minor, payment_method, payment_reference, cancel_reason, deadline_at,
    idempotency_key, request_digest)
SELECT id, reference, user_id, flow, 'PENDING', 1, name, email, line1, line2, city, postcode, country, currency,
    total, method, '', '', %s, key, digest
FROM unnest(%s::uuid[], %s::text[], %s::int[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[],
    %s::text[], %s::text[], %s::text[], %s::bigint[], %s::text[], %s::uuid[], %s::text[])
    AS d(id, reference, user_id, flow, name, email, line1, line2, city, postcode, country, currency, total, method,
         key, digest)
ON CONFLICT (idempotency_key) DO NOTHING
RETURNING idempotency_key, id, reference
"""
_INSERT_LINES = """
INSERT INTO orders_orderline (order_id, sku, title, unit_price_minor, quantity)
SELECT * FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::int[], %s::int[])
"""
_INSERT_TRAIL = """
INSERT INTO orders_trailentry (order_id, version, what, answer, status, detail)
SELECT id, 1, 'order.created', 'move', 'PENDING', '' FROM unnest(%s::uuid[]) AS t(id)
"""
_EXISTING = "SELECT idempotency_key, id, reference, request_digest FROM orders_order WHERE idempotency_key = ANY(%s)"


def _commit(drafts: Sequence[Draft]) -> list[Placed | Exception]:
    """Save these drafts in one transaction; safe to repeat, because keys are unique."""
    digests = {id(draft): draft.digest() for draft in drafts}
    unique = list({draft.idempotency_key: draft for draft in reversed(drafts)}.values())
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute(_INSERT_ORDERS, [_deadline(), *_columns(unique, digests)])
        created = {key: Placed(order_id, reference, True) for key, order_id, reference in cursor.fetchall()}
        new = [draft for draft in unique if draft.idempotency_key in created]
        if new:
            lines = [(d.order_id, n.sku, n.title, n.unit_price_minor, n.quantity) for d in new for n in d.lines]
            cursor.execute(_INSERT_LINES, [list(column) for column in zip(*lines, strict=True)])
            cursor.execute(_INSERT_TRAIL, [[draft.order_id for draft in new]])
            outbox.publish(*map(_created, new))
        found: dict[UUID, tuple[Placed, str]] = {}
        if len(new) < len(drafts):
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


def _columns(drafts: Sequence[Draft], digests: dict[int, str]) -> list[list[object]]:
    rows = [
        (
            draft.order_id, new_reference(), draft.user_id, draft.flow, draft.name, draft.email, draft.address_line1,
            draft.address_line2, draft.city, draft.postcode, draft.country, draft.currency, draft.total_minor,
            draft.payment_method, draft.idempotency_key, digests[id(draft)],
        )
        for draft in drafts
    ]  # fmt: skip
    return [list(column) for column in zip(*rows, strict=True)]


def _deadline() -> datetime:
    return timezone.now() + timedelta(seconds=settings.ORDER_DEADLINE_SECONDS)


def _created(draft: Draft) -> catalogue.OrderCreated:
    return catalogue.OrderCreated(
        order_id=draft.order_id,
        flow=draft.flow,
        lines=tuple(
            catalogue.Line(sku=line.sku, quantity=line.quantity, unit_price_minor=line.unit_price_minor)
            for line in draft.lines
        ),
        total_minor=draft.total_minor,
        currency=draft.currency,
        payment_method=draft.payment_method,
    )


_commits: GroupCommit[Draft, Placed] = GroupCommit(_commit)
