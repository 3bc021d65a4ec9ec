"""What people and the carrier may do to an order, and what not."""

from typing import Any

import pytest
from django.core import mail
from django.core.mail.backends.base import BaseEmailBackend
from django.db import transaction

from devtools.testing.shop.orders import SKU, draft
from events import catalogue
from kafka_bridge import testing
from orders.actions import cancellation, parcels
from orders.mailing import mail_sending, mails
from orders.models import IllegalMove, Order, OrderMail, Shipment, Status
from orders.placing import placement

pytestmark = pytest.mark.django_db(transaction=True)


def confirmed_order() -> Order:
    """Paid, held, and packed."""
    order = Order.objects.get(pk=placement.place(draft()).order_id)
    with transaction.atomic():
        order.move_to(Status.PAID, at=order.placed_at)
        order.held_at = order.confirmed_at = order.placed_at
        Order.objects.write([order])
        parcels.pack(order_ids=[order.pk])
    return order


def test_a_parcel_goes_out_and_arrives_once(settings: Any) -> None:
    settings.CARRIER_SHIP_DELAY_SECONDS = settings.CARRIER_DELIVER_DELAY_SECONDS = 0
    order = confirmed_order()
    while parcels.move_parcels():
        pass
    order.refresh_from_db()
    assert (order.status, Shipment.objects.get().state) == (Status.DELIVERED, "delivered")
    said = testing.stated(catalogue.OrderShipped, catalogue.OrderDelivered)
    assert said == [
        catalogue.OrderShipped(
            order_id=order.pk, flow=order.flow, tracking_number=Shipment.objects.get().tracking_number
        ),
        catalogue.OrderDelivered(order_id=order.pk, flow=order.flow),
    ]


def test_a_parcel_that_is_not_due_stays() -> None:
    confirmed_order()
    assert parcels.move_parcels() is False


def test_only_what_is_paid_and_held_is_shipped() -> None:
    pending = Order.objects.get(pk=placement.place(draft()).order_id)
    with transaction.atomic():
        assert parcels.ship(order_ids=[pending.pk], by="staff") == []
        assert parcels.deliver(order_ids=[confirmed_order().pk], by="staff") == []


def test_a_cancelled_order_is_not_shipped_and_cannot_be_cancelled_again(settings: Any) -> None:
    settings.CARRIER_SHIP_DELAY_SECONDS = 0
    order = confirmed_order()
    with transaction.atomic():
        cancellation.cancel(order_id=order.pk, reason="changed my mind", by="ada")
    assert parcels.move_parcels() is False
    assert Shipment.objects.get().state == "stopped"
    with pytest.raises(cancellation.CannotCancel, match="is CANCELLED"), transaction.atomic():
        cancellation.cancel(order_id=order.pk, reason="again", by="ada")
    [fact] = testing.stated(catalogue.OrderCancelled)
    assert fact == catalogue.OrderCancelled(
        order_id=order.pk, flow=order.flow, reason="changed my mind", total_minor=1250, currency="USD",
        was_confirmed=True, lines=(catalogue.Line(sku=SKU, quantity=1, unit_price_minor=1250),),
    )  # fmt: skip


def test_a_shipped_order_cannot_be_cancelled() -> None:
    order = confirmed_order()
    with transaction.atomic():
        parcels.ship(order_ids=[order.pk], by="staff")
    with pytest.raises(cancellation.CannotCancel, match="is SHIPPED"), transaction.atomic():
        cancellation.cancel(order_id=order.pk, reason="too late", by="ada")


def test_a_status_moves_only_along_its_table() -> None:
    order = Order.objects.get(pk=placement.place(draft()).order_id)
    with pytest.raises(IllegalMove, match="cannot go from PENDING to SHIPPED"):
        order.move_to(Status.SHIPPED, at=order.placed_at)


def test_two_changes_at_once_are_not_both_written() -> None:
    first = Order.objects.get(pk=placement.place(draft()).order_id)
    second = Order.objects.get(pk=first.pk)
    with transaction.atomic():
        first.move_to(Status.PAID, at=first.placed_at)
        Order.objects.write([first])
    with pytest.raises(RuntimeError, match="changed while they were being written"), transaction.atomic():
        second.move_to(Status.CANCELLED, at=second.placed_at)
        Order.objects.write([second])


def test_a_mail_that_cannot_be_sent_is_tried_again(settings: Any) -> None:
    order = confirmed_order()
    with transaction.atomic():
        mails.queue(order_ids=[order.pk, order.pk], kind=OrderMail.Kind.CONFIRMED)
    settings.EMAIL_BACKEND = f"{__name__}.BrokenBackend"
    mail_sending.send_due()
    owed = OrderMail.objects.get()
    assert (owed.sent_at, owed.attempts) == (None, 1)
    OrderMail.objects.update(next_attempt_at=owed.created_at)
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    mail_sending.send_due()
    assert mail_sending.send_due() is False
    owed.refresh_from_db()
    assert (owed.sent_at is not None, owed.attempts) == (True, 2)
    [sent] = mail.outbox
    assert (sent.to, sent.subject) == ([order.email], f"Order confirmed: {order.reference}")
    assert "Total: 12.50 USD" in sent.body
    assert "1 × Book 9780000000019" in sent.body  # noqa: RUF001 - as the mail writes it


class BrokenBackend(BaseEmailBackend):
    """A mail server that takes nothing at the moment."""

    def send_messages(self, _: Any) -> int:
        raise ConnectionRefusedError("no mail server")
