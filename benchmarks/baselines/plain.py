"""The usual way: one order, one transaction, Django's ORM. What group commit is measured against."""

from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from uuid_utils.compat import uuid7

from benchmarks import drafts
from kafka_bridge.models import OutboxRow
from kafka_bridge.publishing import outbox
from kafka_bridge.wire import envelope
from orders.models import Order, OrderLine, Status, TrailEntry
from orders.placing import placement


def place(draft: placement.Draft) -> placement.Placed:
    """Save the order, its lines, its trail and its outbox row as rows of their models, in a transaction of their own.

    The rows are the same that `checkout.place` writes. Nobody is notified, which spares this way something.
    """
    with transaction.atomic():
        order = Order.objects.create(
            id=draft.order_id,
            reference=placement.new_reference(),
            user_id=draft.user_id,
            flow=draft.flow,
            name=draft.name,
            email=draft.email,
            address_line1=draft.address_line1,
            address_line2=draft.address_line2,
            city=draft.city,
            postcode=draft.postcode,
            country=draft.country,
            currency=draft.currency,
            total_minor=draft.total_minor,
            payment_method=draft.payment_method,
            deadline_at=timezone.now() + timedelta(seconds=settings.ORDER_DEADLINE_SECONDS),
            idempotency_key=draft.idempotency_key,
            request_digest=draft.digest(),
        )
        OrderLine.objects.bulk_create(
            [
                OrderLine(
                    order=order,
                    sku=line.sku,
                    title=line.title,
                    unit_price_minor=line.unit_price_minor,
                    quantity=line.quantity,
                )
                for line in draft.lines
            ]
        )
        TrailEntry.objects.create(order=order, version=1, what="order.created", answer="move", status=Status.PENDING)
        _state(draft)
    return placement.Placed(order.pk, order.reference, True)


def _state(draft: placement.Draft) -> None:
    event = drafts.created(draft)
    event_id = uuid7()
    OutboxRow.objects.create(
        event_id=event_id,
        topic=event.TOPIC.name,
        key=event.key,
        type=event.TYPE,
        version=event.VERSION,
        correlation_id=event.correlation_id,
        traceparent=outbox.traceparent(event.correlation_id, event_id),
        body=envelope.encode_body(event),
    )
