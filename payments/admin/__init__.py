"""Payments in the admin: charges, refunds and webhooks, to be looked at."""

from payments.admin.charges import ChargeAdmin
from payments.admin.messages import asked_next, refund_waits, state_label, waits
from payments.admin.refunds import RefundAdmin
from payments.admin.webhook_events import GatewayNoticeAdmin

__all__ = [
    "ChargeAdmin",
    "GatewayNoticeAdmin",
    "RefundAdmin",
    "asked_next",
    "refund_waits",
    "state_label",
    "waits",
]
