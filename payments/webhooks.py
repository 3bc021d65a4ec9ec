"""What the gateway tells by itself.

# Note [A knock]
A webhook is believed in one thing only: that something happened to a payment. It is stored and stated as
`payment.notified` in one transaction and answered at once; payments hears that and asks the gateway how the payment
stands. So it does not matter what a webhook claims, in which order webhooks come, how often, or whether they come at
all: without them the cashier asks too, only later.
"""

from uuid import UUID

from django.db import connection

from events import catalogue
from kafka_bridge.publishing import outbox
from kafka_bridge.runtime import transactions
from payments import reviews
from payments.gateways import NotGenuine, WebhookEvent
from payments.models import Charge, GatewayNotice, Review

_STORE = """
INSERT INTO payments_gatewaynotice (event_id, kind, transaction_id, charge_id, body, happened_at)
VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (event_id) DO NOTHING
"""


def receive(*, notice: WebhookEvent, body: bytes) -> bool:
    """Store a genuine notice and state that the gateway knocked; False if this one was stored before.

    A payment that we did not ask for is no knock: a review is opened, for it is money without an order.

    Raises:
        NotGenuine: its fields cannot be stored.
    """
    transactions.require("webhooks.receive")
    _require_storable(notice)
    charge = _charge_of(notice)
    if not _store(notice, charge, body):
        return False
    if charge is None or _is_another_payment(charge, notice):
        _have_it_reviewed(notice, charge)
    if charge is not None:
        outbox.publish(
            catalogue.PaymentNotified(
                order_id=charge.order_id, flow=charge.flow, charge_id=charge.pk, notice_id=notice.event_id
            )
        )
    return True


def _charge_of(notice: WebhookEvent) -> Charge | None:
    """By our own key first: a webhook may overtake the answer that tells us the gateway's name for the payment."""
    try:
        found = Charge.objects.filter(pk=UUID(notice.key)).first()
    except ValueError:
        found = None
    if found is None and notice.transaction_id:
        found = Charge.objects.filter(transaction_id=notice.transaction_id).first()
    return found


def _store(notice: WebhookEvent, charge: Charge | None, body: bytes) -> bool:
    """Whether it is new. Of two deliveries at the same time one waits here for the other's end."""
    text = body.decode(errors="replace").replace("\0", "")
    with connection.cursor() as cursor:
        cursor.execute(
            _STORE,
            [notice.event_id, notice.kind, notice.transaction_id, charge.pk if charge else None, text, notice.at],
        )
        return bool(cursor.rowcount == 1)


def _is_another_payment(charge: Charge, notice: WebhookEvent) -> bool:
    """Whether the gateway has a second payment under the key of this charge."""
    return bool(charge.transaction_id and notice.transaction_id and charge.transaction_id != notice.transaction_id)


def _have_it_reviewed(notice: WebhookEvent, charge: Charge | None) -> None:
    subject = notice.transaction_id or notice.key or notice.event_id
    known = f"Our charge {charge.pk} is {charge.transaction_id} there." if charge else "No charge of ours is behind it."
    reviews.open_review(
        kind=Review.Kind.STRANGER,
        subject=subject,
        detail=f"The gateway told of {subject} ({notice.kind}). {known}",
        charge=charge,
        order_id=charge.order_id if charge else None,
    )


def _require_storable(notice: WebhookEvent) -> None:
    for name, value in (
        ("event_id", notice.event_id),
        ("kind", notice.kind),
        ("transaction_id", notice.transaction_id),
    ):
        longest = GatewayNotice._meta.get_field(name).max_length or 0  # type: ignore[union-attr]
        if len(value) > longest or "\0" in value:
            raise NotGenuine(f"its {name} cannot be stored")
    if not notice.event_id:
        raise NotGenuine("it has no id")
