"""Using a coupon and giving it back, each in the transaction that saves or ends the order.

# Note [The last use]
Whoever wants to use a coupon locks its row, so orders with the same coupon are decided one after the other, those of a
process many at a time (group commit). Under the lock stands how often it was used, and the uses of a person are
counted. Orders without a coupon lock nothing and ask nothing. A cancelled order gives its use back once: the statement
that marks the use as given back is the one that lowers the count.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from django.db import connection

from kafka_bridge.runtime.postgresql import bulk_rows, transactions
from orders.coupons.tables import CouponUse


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """A coupon for an order, whose discount was worked out from this version of it."""

    coupon_id: int
    code: str
    version: int
    customer: str
    """A pseudonym of the account; empty for a guest."""
    contact: str
    """A pseudonym of the mail address."""

    @property
    def people(self) -> list[str]:
        """Under whom its uses are counted."""
        return [whom for whom in (self.customer, self.contact) if whom]


class Claiming(Protocol):
    """What wants to use a coupon: a draft of an order."""

    @property
    def order_id(self) -> UUID:
        """The order's id, if it comes into being."""

    @property
    def idempotency_key(self) -> UUID:
        """Under which it may have come into being before."""

    @property
    def claim(self) -> Claim | None:
        """The coupon."""


class CouponRefused(Exception):
    """The coupon cannot be used for this order; the message tells the buyer why. Nothing was saved."""


_LOCK = """
SELECT id, version, limit_each, "limit" - used, is_active AND coalesce(starts_at <= clock_timestamp(), true)
    AND coalesce(clock_timestamp() < ends_at, true)
FROM orders_coupon WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE
"""
_COUNT = """
SELECT w.coupon_id, w.whom, count(u.id) FROM json_to_recordset(%s) AS w(coupon_id bigint, whom text)
JOIN orders_couponuse u ON u.coupon_id = w.coupon_id AND u.given_back_at IS NULL
    AND (u.contact = w.whom OR (u.customer = w.whom AND u.customer <> ''))
GROUP BY w.coupon_id, w.whom
"""
_GIVE_BACK = """
WITH locked AS MATERIALIZED (
    SELECT id FROM orders_coupon
    WHERE id IN (SELECT coupon_id FROM orders_couponuse WHERE order_id = ANY(%(ids)s::uuid[]))
    ORDER BY id FOR NO KEY UPDATE
), back AS (
    UPDATE orders_couponuse u SET given_back_at = clock_timestamp() FROM locked
    WHERE u.coupon_id = locked.id AND u.order_id = ANY(%(ids)s::uuid[]) AND u.given_back_at IS NULL
    RETURNING u.coupon_id
)
UPDATE orders_coupon c SET used = c.used - b.uses
FROM (SELECT coupon_id, count(*) AS uses FROM back GROUP BY coupon_id) AS b WHERE c.id = b.coupon_id
"""


def lock(drafts: Iterable[Claiming]) -> dict[int, "Terms"]:
    """The coupons of these drafts, by id, locked until the transaction ends; one that does not exist is absent."""
    transactions.require("the use of coupons")
    with connection.cursor() as cursor:
        cursor.execute(_LOCK, [sorted({draft.claim.coupon_id for draft in drafts if draft.claim is not None})])
        return {
            coupon_id: Terms(version, limit_each, left, is_valid)
            for coupon_id, version, limit_each, left, is_valid in cursor.fetchall()
        }


def refusals(
    terms: Mapping[int, "Terms"], drafts: Iterable[Claiming], placed: Collection[UUID]
) -> dict[UUID, CouponRefused]:
    """By order id, why a draft cannot have its coupon, which is locked.

    `placed` are the idempotency keys that have their order already: these are not asked anything again.
    """
    wanted = [draft for draft in drafts if draft.idempotency_key not in placed]
    claims = {draft.order_id: draft.claim for draft in wanted if draft.claim is not None}
    used = _used(claims.values())
    refused: dict[UUID, CouponRefused] = {}
    for order_id, claim in claims.items():
        mine = terms.get(claim.coupon_id)
        if why := mine.obstacle(claim, used) if mine else f"There is no coupon {claim.code}.":
            refused[order_id] = CouponRefused(why)
        elif mine:
            mine.take()
            used.update((claim.coupon_id, whom) for whom in claim.people)
    return refused


def note(drafts: Iterable[Claiming]) -> None:
    """These orders have come into being with their coupons, whose rows are locked."""
    claims = [(draft.order_id, draft.claim) for draft in drafts if draft.claim is not None]
    CouponUse.objects.bulk_create(
        CouponUse(coupon_id=claim.coupon_id, order_id=order_id, customer=claim.customer, contact=claim.contact)
        for order_id, claim in claims
    )
    with connection.cursor() as cursor:
        for coupon_id, uses in sorted(Counter(claim.coupon_id for _, claim in claims).items()):
            cursor.execute("UPDATE orders_coupon SET used = used + %s WHERE id = %s", [uses, coupon_id])


def give_back(order_ids: Sequence[UUID]) -> None:
    """These orders are cancelled: their coupons can be used again. A second call finds nothing to give back."""
    if order_ids:
        with connection.cursor() as cursor:
            cursor.execute(_GIVE_BACK, {"ids": bulk_rows.uuids(order_ids)})


@dataclass
class Terms:
    """A coupon as it is under the lock."""

    version: int
    limit_each: int | None
    left: int | None
    is_valid: bool

    def obstacle(self, claim: Claim, used: Mapping[tuple[int, str], int]) -> str:
        """Why it cannot be used; empty where it can."""
        if not self.is_valid:
            return f"The coupon {claim.code} cannot be used any more."
        if self.version != claim.version:
            return f"The coupon {claim.code} has just been changed."
        if self.left is not None and self.left <= 0:
            return f"The coupon {claim.code} has been used up."
        if self.limit_each is not None and any(
            used.get((claim.coupon_id, whom), 0) >= self.limit_each for whom in claim.people
        ):
            return f"You have used the coupon {claim.code} as often as one person may."
        return ""

    def take(self) -> None:
        """One use less is left."""
        if self.left is not None:
            self.left -= 1


def _used(claims: Iterable[Claim]) -> Counter[tuple[int, str]]:
    """How often each of these people has used the coupon."""
    wanted = {(claim.coupon_id, whom) for claim in claims for whom in claim.people}
    rows = [{"coupon_id": coupon_id, "whom": whom} for coupon_id, whom in sorted(wanted)]
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, [bulk_rows.as_json(rows)])
        return Counter({(coupon_id, whom): uses for coupon_id, whom, uses in cursor.fetchall()})
