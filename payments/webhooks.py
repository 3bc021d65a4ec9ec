"""What the gateway tells by itself.

# Note [A webhook is a hint]
A webhook is believed in one thing only: that something happened to a payment. It is stored and stated as
`payment.notified` in one transaction and answered at once; payments hears that and asks the gateway how the payment
stands. So it does not matter what a webhook claims, in which order webhooks come, how often, or whether they come at
all: without them the gateway worker asks too, only later.
"""

from collections.abc import Sequence
from uuid import UUID

from django.db import connection
from django.db.models.functions import Now

from events import catalogue
from kafka_bridge.publishing import outbox
from kafka_bridge.runtime.postgresql import transactions
from payments import reviews
from payments.gateways import NotGenuine, WebhookEvent
from payments.models import Charge, GatewayNotice, Refund, Review
from payments.state_machine import unit_of_work

_STORE = """
INSERT INTO payments_gatewaynotice (event_id, kind, transaction_id, charge_id, body, happened_at)
VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (event_id) DO NOTHING
"""


def receive(*, event: WebhookEvent, body: bytes) -> bool:
    """Store a genuine webhook and state that it came; False if this one was stored before.

    A payment that we did not ask for is an orphan: a review is opened, for it is money without an order.

    Raises:
        NotGenuine: its fields cannot be stored.
    """
    transactions.require("webhooks.receive")
    _require_storable(event)
    charge = _charge_of(event)
    if not _store(event, charge, body):
        return False
    if charge is None or _is_another_payment(charge, event):
        _have_it_reviewed(event, charge)
    if charge is not None:
        notified = catalogue.PaymentNotified(
            order_id=charge.order_id, flow=charge.flow, charge_id=charge.pk, notice_id=event.event_id
        )
        outbox.publish(outbox.Caused(notified, charge.caused_by))
    return True


def _charge_of(event: WebhookEvent) -> Charge | None:
    """By our own key first: a webhook may overtake the answer that tells us the gateway's name for the payment."""
    try:
        found = Charge.objects.filter(pk=UUID(event.key)).first()
    except ValueError:
        found = None
    if found is None and event.transaction_id:
        found = Charge.objects.filter(transaction_id=event.transaction_id).first()
    return found


def _store(event: WebhookEvent, charge: Charge | None, body: bytes) -> bool:
    """Whether it is new. Of two deliveries at the same time one waits here for the other's end."""
    text = body.decode(errors="replace").replace("\0", "")
    with connection.cursor() as cursor:
        cursor.execute(
            _STORE,
            [event.event_id, event.kind, event.transaction_id, charge.pk if charge else None, text, event.at],
        )
        return bool(cursor.rowcount == 1)


def _is_another_payment(charge: Charge, event: WebhookEvent) -> bool:
    """Whether the gateway has a second payment under the key of this charge."""
    return bool(charge.transaction_id and event.transaction_id and charge.transaction_id != event.transaction_id)


def _have_it_reviewed(event: WebhookEvent, charge: Charge | None) -> None:
    subject = event.transaction_id or event.key or event.event_id
    known = f"Our charge {charge.pk} is {charge.transaction_id} there." if charge else "No charge of ours is behind it."
    reviews.open_review(
        kind=Review.Kind.ORPHAN_PAYMENT,
        subject=subject,
        detail=f"The gateway told of {subject} ({event.kind}). {known}",
        charge=charge,
        order_id=charge.order_id if charge else None,
    )


def _require_storable(event: WebhookEvent) -> None:
    for name, value in (
        ("event_id", event.event_id),
        ("kind", event.kind),
        ("transaction_id", event.transaction_id),
    ):
        longest = GatewayNotice._meta.get_field(name).max_length or 0  # type: ignore[union-attr]
        # Names are shown to people, also in a terminal: nothing in them may steer it.
        if len(value) > longest or not value.isprintable():
            raise NotGenuine(f"its {name} cannot be stored")
    if not event.event_id:
        raise NotGenuine("it has no id")


def look_again(*, notified: Sequence[catalogue.PaymentNotified]) -> None:
    """A webhook came. What waits for the buyer, or for an answer that got lost, is asked about at once.

    A call that is under way is left alone: its answer tells, and a second one beside it would only be in its way.
    """
    work = unit_of_work.of_charges({event.charge_id for event in notified})
    told = GatewayNotice.objects.filter(event_id__in=[event.notice_id for event in notified])
    kinds = dict(told.values_list("event_id", "kind"))
    for event in notified:
        charge = work.charges.get(event.charge_id)
        if charge is None:
            continue
        if charge.state == Charge.State.ACTION_REQUIRED or (charge.state in Charge.OPEN and charge.last_error):
            charge.next_attempt_at = work.now
        work.note(charge, f"webhook {kinds.get(event.notice_id, '')}".strip(), event.notice_id)
    work.close()
    waiting = Refund.objects.filter(charge__in=list(work.charges), state=Refund.State.REQUESTED)
    waiting.exclude(last_error="").update(next_attempt_at=Now())
