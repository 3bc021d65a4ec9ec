"""Payments in the admin: charges, refunds and webhooks, to be looked at."""

from payments.admin.charges import ChargeAdmin
from payments.admin.notices import GatewayNoticeAdmin
from payments.admin.refunds import RefundAdmin
from payments.admin.wording import asked_next, refund_waits, state_label, waits

__all__ = [
    "ChargeAdmin",
    "GatewayNoticeAdmin",
    "RefundAdmin",
    "asked_next",
    "refund_waits",
    "state_label",
    "waits",
]
