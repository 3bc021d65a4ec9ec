"""The facts that payments states."""

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from events.base import Line, OrderEvent
from kafka_bridge.wire.events import Topic

TOPIC = Topic(name="payments.events", owner="payments")


class PaymentConfirmed(OrderEvent, frozen=True, kw_only=True):
    """The money is in: the order is PAID, its hold becomes a sale (or its stock is held now)."""

    TYPE: ClassVar = "payment.confirmed"
    TOPIC: ClassVar = TOPIC
    charge_id: UUID
    transaction_id: str
    amount_minor: int
    currency: str
    payment_method: str
    lines: tuple[Line, ...]
    customer: str = ""
    """As in order.created."""


class PaymentFailed(OrderEvent, frozen=True, kw_only=True):
    """The gateway refused: the order is cancelled with its reason."""

    TYPE: ClassVar = "payment.failed"
    TOPIC: ClassVar = TOPIC
    charge_id: UUID
    reason: str


class PaymentActionRequired(OrderEvent, frozen=True, kw_only=True):
    """The buyer has to confirm the payment (3-D Secure): the order's page asks for it."""

    TYPE: ClassVar = "payment.action_required"
    TOPIC: ClassVar = TOPIC
    charge_id: UUID
    url: str
    until: datetime | None = None
    """After this it is too late."""


class PaymentUnknown(OrderEvent, frozen=True, kw_only=True):
    """The gateway did not answer, so nobody knows yet whether money moved: the order waits, and says so."""

    TYPE: ClassVar = "payment.unknown"
    TOPIC: ClassVar = TOPIC
    charge_id: UUID


class PaymentNotified(OrderEvent, frozen=True, kw_only=True):
    """A genuine webhook came: payments asks the gateway how the charge stands."""

    TYPE: ClassVar = "payment.notified"
    TOPIC: ClassVar = TOPIC
    charge_id: UUID
    notice_id: str
    """The gateway's id of what it told."""


class PaymentRefunded(OrderEvent, frozen=True, kw_only=True):
    """Money went back: the order's page and a mail say so."""

    TYPE: ClassVar = "payment.refunded"
    TOPIC: ClassVar = TOPIC
    charge_id: UUID
    refund_id: UUID
    amount_minor: int
    currency: str
    reason: str
    left_minor: int = 0
    """What we still have of the charge: more than 0 as long as only a part of it went back."""
    number: int = 1
    """1 for the first refund of the charge that went through, and so on."""
