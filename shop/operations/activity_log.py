"""The log of what people did to orders, money and stock. Entries are added here and nowhere changed."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

from kafka_bridge.runtime import transactions
from shop.models import AuditEntry

BUYER = "buyer"
"""Who acted, where somebody without an account did."""
DEEDS = (
    "order shipped",
    "order delivered",
    "order cancelled",
    "copies cancelled",
    "return asked for",
    "return accepted",
    "return declined",
    "copies paid back",
    "gateway asked",
    "review closed",
    "stock received",
    "stock corrected",
    "book changed",
    "book deleted",
    "sale changed",
    "sale ended",
    "sale deleted",
)
"""What is noted here; the admin offers these to choose from."""


def record(
    *,
    user: AbstractBaseUser | AnonymousUser | None,
    what: str,
    subject: object,
    order_id: UUID | None = None,
    reason: str = "",
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Note what was done, in the transaction of the deed: either both are there or neither.

    `what` is a deed in past tense ("order cancelled"), `subject` what it was done to, as people call it; `before` and
    `after` are what the deed changed: names and plain JSON values. Too long a subject or reason is cut.

    Raises:
        TransactionManagementError: there is no transaction.
    """
    transactions.require("audit_log.record")
    who, user_id = _who(user)
    AuditEntry.objects.create(
        who=who,
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
