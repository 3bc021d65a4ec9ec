"""The activity log: who did what to orders, money and stock. Entries are only ever added."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

from kafka_bridge.runtime.postgresql import transactions
from shop.models import AuditEntry

BUYER = "buyer"
"""Recorded as the actor if a buyer without an account acted."""
ACTIONS = (
    "order shipped",
    "order delivered",
    "order cancelled",
    "copies cancelled",
    "return asked for",
    "return accepted",
    "return declined",
    "copies paid back",
    "gateway asked",
    "charge refunded",
    "review closed",
    "mail tried again",
    "mail address corrected",
    "mail given up",
    "message sent again",
    "message edited",
    "message discarded",
    "group paused",
    "group resumed",
    "member asked to rejoin",
    "offsets reset",
    "stock received",
    "stock corrected",
    "withdrawal declared",
    "page changed",
    "book changed",
    "book deleted",
    "rates added",
    "rates changed",
    "rates deleted",
    "coupon made",
    "coupon changed",
    "sale changed",
    "sale ended",
    "sale deleted",
    "account deleted",
    "queue paused",
    "queue resumed",
    "alert silenced",
    "silence ended",
)
"""All recorded actions; the admin offers them as a filter."""


def record(
    *,
    user: AbstractBaseUser | AnonymousUser | None,
    who: str = "",
    what: str,
    subject: object,
    order_id: UUID | None = None,
    reason: str = "",
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Record an action in the transaction that carries it out, so that both are committed or neither.

    `who` names somebody without an account who is no buyer, such as who runs a command. `what` is one of `ACTIONS`,
    `subject` what it was done to, by a name that people use. `before` and `after` are what the action changed: names
    and plain JSON values. A subject or reason that is too long is cut.

    Raises:
        TransactionManagementError: there is no transaction.
    """
    transactions.require("audit_log.record")
    name, user_id = _who(user)
    AuditEntry.objects.create(
        who=(who if user is None and who else name)[:150],
        user_id=user_id,
        what=what,
        subject=str(subject)[:120],
        order_id=order_id,
        reason=reason[:500],
        before=dict(before or {}),
        after=dict(after or {}),
    )


def _who(user: AbstractBaseUser | AnonymousUser | None) -> tuple[str, int | None]:
    if isinstance(user, AbstractBaseUser):
        return user.get_username(), user.pk
    return BUYER, None
