"""The facts that payments states."""

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from events.base import Line, OrderEvent
from kafka_bridge.wire.events import Topic

TOPIC = Topic(name="payments.events", owner="payments")


class ChargeEvent(OrderEvent, frozen=True, kw_only=True):
    """A fact about the one charge of an order."""

    TOPIC: ClassVar = TOPIC
    charge_id: UUID


class PaymentConfirmed(ChargeEvent, frozen=True, kw_only=True):
    """The money is in: the order is PAID, its hold becomes a sale (or its stock is held now)."""

    TYPE: ClassVar = "payment.confirmed"
    transaction_id: str
    amount_minor: int
    currency: str
    payment_method: str
    lines: tuple[Line, ...]
    customer: str = ""
    """As in order.created."""
    contact: str = ""
    """As in order.created."""


class PaymentFailed(ChargeEvent, frozen=True, kw_only=True):
    """The gateway refused: the order is cancelled with its reason."""

    TYPE: ClassVar = "payment.failed"
    reason: str


class PaymentActionRequired(ChargeEvent, frozen=True, kw_only=True):
    """The buyer has to confirm the payment (3-D Secure): the order's page asks for it."""

    TYPE: ClassVar = "payment.action_required"
    url: str
    until: datetime | None = None
    """After this it is too late."""


class PaymentUnknown(ChargeEvent, frozen=True, kw_only=True):
    """The gateway did not answer, so nobody knows yet whether money moved: the order waits, and says so."""

    TYPE: ClassVar = "payment.unknown"


class PaymentNotified(ChargeEvent, frozen=True, kw_only=True):
    """A genuine webhook came: payments asks the gateway how the charge stands."""

    TYPE: ClassVar = "payment.notified"
    notice_id: str
    """The gateway's id of what it told."""


class PaymentRefunded(ChargeEvent, frozen=True, kw_only=True):
    """Money went back: the order's page and a mail say so."""

    TYPE: ClassVar = "payment.refunded"
    refund_id: UUID
    amount_minor: int
    currency: str
    reason: str
    left_minor: int = 0
    """What we still have of the charge: more than 0 as long as only a part of it went back."""
    number: int = 1
    """1 for the first refund of the charge that went through, and so on."""
