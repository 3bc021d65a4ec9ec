"""Placing orders: validated, committed in groups, and the same idempotency key always gives the same order."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError, connection, transaction

from events import catalogue
from kafka_bridge.publishing import outbox
from kafka_bridge.runtime import error_classes
from kafka_bridge.runtime.postgresql import bulk_rows, transactions
from kafka_bridge.telemetry import metrics, tracing
from money import breakdown
from orders.coupons import uses
from orders.placing.drafts import LINES_MAX as LINES_MAX
from orders.placing.drafts import QUANTITY_MAX as QUANTITY_MAX
from orders.placing.drafts import Draft as Draft
from orders.placing.drafts import DraftLine as DraftLine
from orders.placing.drafts import InvalidDraft as InvalidDraft
from orders.placing.drafts import Terms as Terms
from orders.placing.drafts import validate as validate
from orders.placing.group_commit import GroupCommit

PLACED = metrics.counter("orders_placed", "Orders that were saved", ["flow"], by="web")
ANSWER_SECONDS = 10.0
# Crockford's base 32: no I, L, O, U, so that a reference can be read out over the telephone.
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class IdempotencyConflict(Exception):
    """The same key came with other contents. Start a new checkout: a key stands for one order."""


class CheckoutUnavailable(Exception):
    """The order could not be saved right now. Try again with the same key; it will not be placed twice."""


CouponRefused = uses.CouponRefused


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
        CouponRefused: the coupon has been used up, changed or ended meanwhile.
        CheckoutUnavailable: PostgreSQL did not answer; nothing is known to be placed, try the same key again.
    """
    validate(draft)
    try:
        commits = _commits if draft.claim is None else _commits_with_coupons
        placed = commits.submit(draft, timeout_seconds=ANSWER_SECONDS)
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


def new_reference() -> str:
    """What people call the order: 50 random bits, so that one does not lead to the next."""
    bits = secrets.randbits(50)
    code = "".join([ALPHABET[bits >> shift & 31] for shift in range(0, 50, 5)])
    return f"BR-{code[:5]}-{code[5:]}"


_STATED = outbox.Splice(where="correlation_id IN (SELECT id FROM placed)")
# All that an order is made of, and its event: one statement, so one transaction and one round trip. On the way of a
# click every round trip counts twice, for the thread that commits competes for the interpreter with those that serve
# requests. Lines, trail and event follow only the orders that are new.
_INSERT = f"""
WITH placed AS (
    INSERT INTO orders_order (id, reference, user_id, flow, status, version, name, email, address_line1, address_line2,
        city, postcode, country, currency, total_minor, shipping_method, shipping_minor, shipping_tax_minor,
        books_tax_ppm, shipping_tax_ppm, is_tax_added, coupon_code, payment_method, payment_reference, cancel_reason,
        deadline_at, idempotency_key, request_digest)
    SELECT order_id, reference, user_id, flow, 'PENDING', 1, name, email, address_line1, address_line2,
        city, postcode, country, currency, total_minor, shipping_method, shipping_minor, shipping_tax_minor,
        books_tax_ppm, shipping_tax_ppm, is_tax_added, coupon_code, payment_method, '', '',
        clock_timestamp() + %s * interval '1 second', idempotency_key, digest
    FROM json_to_recordset(%s) AS d(order_id uuid, reference text, user_id int, flow text, name text, email text,
        address_line1 text, address_line2 text, city text, postcode text, country text, currency text,
        total_minor bigint, shipping_method text, shipping_minor bigint, shipping_tax_minor bigint, books_tax_ppm int,
        shipping_tax_ppm int, is_tax_added boolean, coupon_code text, payment_method text, idempotency_key uuid,
        digest text)
    ON CONFLICT (idempotency_key) DO NOTHING
    RETURNING idempotency_key, id, reference
), lines AS (
    INSERT INTO orders_orderline (order_id, sku, title, unit_price_minor, quantity, cancelled, sale_id, amount_minor,
        discount_minor, tax_minor)
    SELECT order_id, sku, title, unit_price_minor, quantity, 0, sale_id, amount_minor, discount_minor, tax_minor
    FROM json_to_recordset(%s)
        AS l(number int, order_id uuid, sku text, title text, unit_price_minor int, quantity int, sale_id bigint,
            amount_minor bigint, discount_minor bigint, tax_minor bigint)
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
    return _save(drafts)


def _commit_with_coupons(drafts: Sequence[Draft]) -> list[Placed | Exception]:
    """The same for drafts with coupons, of which some may not have theirs; see Note [The last use]."""
    transactions.forbid("the group commit of orders")
    unique: dict[UUID, Draft] = {}
    for draft in drafts:
        unique.setdefault(draft.idempotency_key, draft)  # first come, first served
    with transaction.atomic(durable=True):
        terms = uses.lock(unique.values())
        # Looked up under the lock: a double click has its order, though it used up the coupon.
        refused = uses.refusals(terms, unique.values(), _existing(drafts))
        why = {draft.idempotency_key: refused[draft.order_id] for draft in unique.values() if draft.order_id in refused}
        saved = iter(_save([draft for draft in drafts if draft.idempotency_key not in why]))
        results = [why.get(draft.idempotency_key) or next(saved) for draft in drafts]
        new = {result.order_id for result in results if isinstance(result, Placed) and result.created}
        uses.note(draft for draft in unique.values() if draft.order_id in new)
    return results


def _existing(drafts: Sequence[Draft]) -> dict[UUID, tuple[Placed, str]]:
    """The orders under these idempotency keys, each with the digest of what was asked for."""
    with connection.cursor() as cursor:
        cursor.execute(_EXISTING, [[draft.idempotency_key for draft in drafts]])
        return {key: (Placed(order_id, ref, False), digest) for key, order_id, ref, digest in cursor.fetchall()}


def _save(drafts: Sequence[Draft]) -> list[Placed | Exception]:
    if not drafts:
        return []
    digests = {id(draft): draft.digest() for draft in drafts}
    unique = list({draft.idempotency_key: draft for draft in reversed(drafts)}.values())
    with connection.cursor() as cursor:
        stated = _STATED.rows(map(_created, unique))
        cursor.execute(_INSERT, [settings.ORDER_DEADLINE_SECONDS, *_rows(unique, digests), stated])
        created = {key: Placed(order_id, reference, True) for key, order_id, reference in cursor.fetchall()}
    found = _existing(drafts) if len(created) < len(drafts) else {}
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
            "shipping_method": draft.terms.shipping_method,
            "shipping_minor": draft.costs.shipping.amount_minor,
            "shipping_tax_minor": draft.costs.shipping.tax_minor,
            "books_tax_ppm": draft.terms.tax.books_ppm,
            "shipping_tax_ppm": draft.terms.tax.shipping_ppm,
            "is_tax_added": draft.terms.tax.is_added,
            "coupon_code": draft.claim.code if draft.claim else "",
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
            "amount_minor": _amount(part),
            "discount_minor": part.discount_minor,
            "tax_minor": part.tax_minor,
        }
        for draft in drafts
        for number, (line, part) in enumerate(zip(draft.lines, draft.costs.lines, strict=True))
    ]
    return bulk_rows.as_json(orders), bulk_rows.as_json(lines)


def _amount(part: breakdown.Part) -> int | None:
    """What a line costs, where that is not just its price."""
    return None if part.amount_minor == part.price_minor else part.amount_minor


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
                amount_minor=_amount(part),
            )
            for line, part in zip(draft.lines, draft.costs.lines, strict=True)
        ),
        total_minor=draft.total_minor,
        currency=draft.currency,
        payment_method=draft.payment_method,
        customer=draft.customer,
        contact=draft.contact,
        visitor=draft.visitor,
        network=draft.network,
        shipping_minor=draft.costs.shipping.amount_minor,
        discount_minor=draft.costs.discount_minor,
        tax_minor=draft.costs.tax_minor,
    )


_commits: GroupCommit[Draft, Placed] = GroupCommit(_commit)
# A thread of its own: who waits for the lock of a coupon keeps nobody waiting who has none.
_commits_with_coupons: GroupCommit[Draft, Placed] = GroupCommit(_commit_with_coupons)
