"""What orders, shipping and notifications do when they hear an event."""

from collections.abc import Sequence

from events import catalogue
from kafka_bridge.believing import books
from kafka_bridge.consuming import registry
from orders.actions import parcels
from orders.mailing import mail_sending, mails
from orders.models import OrderMail
from orders.state_machine import apply_events

orders = registry.Group("orders", believes=books.stated)  # manage.py run_consumer orders
# Nobody waits for a parcel or a mail by the second, and what is done together costs a fraction of what is done alone.
# shipping, notifications: manage.py run_consumer shipping …
shipping_group = registry.Group("shipping", believes=books.stated, patience_seconds=0.5)
notifications = registry.Group("notifications", believes=books.stated, patience_seconds=0.5)


# -- orders: the state machine ---------------------------------------------------------------------
@orders.on_batch(catalogue.InventoryReserved)
def note_hold(events: Sequence[catalogue.InventoryReserved]) -> None:
    """Held and paid makes confirmed: whichever comes second says so."""
    apply_events.record_held(facts=events)


@orders.on_batch(catalogue.InventoryInsufficient)
def cancel_as_out_of_stock(events: Sequence[catalogue.InventoryInsufficient]) -> None:
    """The order ends; if it was paid (payment first), the money goes back."""
    apply_events.record_missing(facts=events)


@orders.on_batch(catalogue.InventoryExpired, flow=catalogue.RESERVE_FIRST)
def cancel_as_expired(events: Sequence[catalogue.InventoryExpired]) -> None:
    """The order ends; what is on the shelf again may have another buyer by now."""
    apply_events.record_expired(facts=events)


@orders.on_batch(catalogue.PaymentActionRequired)
def ask_buyer(events: Sequence[catalogue.PaymentActionRequired]) -> None:
    """The order's page asks the buyer to confirm the payment."""
    apply_events.record_action_required(facts=events)


@orders.on_batch(catalogue.PaymentUnknown)
def note_unknown(events: Sequence[catalogue.PaymentUnknown]) -> None:
    """The order's page says that the bank has not answered yet."""
    apply_events.record_payment_unknown(facts=events)


@orders.on_batch(catalogue.PaymentConfirmed)
def mark_paid(events: Sequence[catalogue.PaymentConfirmed]) -> None:
    """PENDING becomes PAID; money for an order that is over goes back."""
    apply_events.record_paid(facts=events)


@orders.on_batch(catalogue.PaymentFailed)
def cancel_as_unpaid(events: Sequence[catalogue.PaymentFailed]) -> None:
    """The order ends with the gateway's reason; what was held is released."""
    apply_events.record_payment_failed(facts=events)


@orders.on_batch(catalogue.PaymentRefunded)
def note_refund(events: Sequence[catalogue.PaymentRefunded]) -> None:
    """The buyer sees that the money is on its way back."""
    apply_events.record_refunded(facts=events)


# -- shipping: the parcel ----------------------------------------------------------------------------
@shipping_group.on_batch(catalogue.OrderConfirmed)
def pack(events: Sequence[catalogue.OrderConfirmed]) -> None:
    """A confirmed order gets a parcel; the carrier comes for it later."""
    parcels.pack(order_ids=[event.order_id for event in events])


shipping_group.worker(parcels.move_parcels)


# -- notifications: the mails ------------------------------------------------------------------------
@notifications.on_batch(catalogue.OrderConfirmed)
def mail_confirmed(events: Sequence[catalogue.OrderConfirmed]) -> None:
    """Thank the buyer."""
    mails.queue(order_ids=[event.order_id for event in events], kind=OrderMail.Kind.CONFIRMED)


@notifications.on_batch(catalogue.PaymentActionRequired)
def mail_action_required(events: Sequence[catalogue.PaymentActionRequired]) -> None:
    """Remind the buyer that the payment has to be confirmed."""
    mails.queue(order_ids=[event.order_id for event in events], kind=OrderMail.Kind.CONFIRM_PAYMENT)


@notifications.on_batch(catalogue.OrderReturned)
def mail_returned(events: Sequence[catalogue.OrderReturned]) -> None:
    """Tell what is paid back."""
    mails.queue_each(
        requests=[
            mails.MailRequest(
                order_id=event.order_id,
                kind=OrderMail.Kind.RETURN_ACCEPTED,
                number=event.number,
                amount_minor=event.amount_minor,
                reason=event.reason,
            )
            for event in events
        ]
    )


@notifications.on_batch(catalogue.OrderShipped)
def mail_shipped(events: Sequence[catalogue.OrderShipped]) -> None:
    """Tell the tracking number."""
    mails.queue(order_ids=[event.order_id for event in events], kind=OrderMail.Kind.SHIPPED)


@notifications.on_batch(catalogue.OrderDelivered)
def mail_delivered(events: Sequence[catalogue.OrderDelivered]) -> None:
    """Tell that the parcel is there."""
    mails.queue(order_ids=[event.order_id for event in events], kind=OrderMail.Kind.DELIVERED)


@notifications.on_batch(catalogue.OrderReduced)
def mail_reduced(events: Sequence[catalogue.OrderReduced]) -> None:
    """Tell which copies will not come, and that their money goes back."""
    mails.queue_each(
        requests=[
            mails.MailRequest(
                order_id=event.order_id,
                kind=OrderMail.Kind.REDUCED,
                number=event.reduction,
                amount_minor=event.amount_minor,
                reason=event.reason,
            )
            for event in events
        ]
    )


@notifications.on_batch(catalogue.OrderCancelled)
def mail_cancelled(events: Sequence[catalogue.OrderCancelled]) -> None:
    """Tell why, and what happens to the money."""
    mails.queue(order_ids=[event.order_id for event in events], kind=OrderMail.Kind.CANCELLED)


@notifications.on_batch(catalogue.PaymentRefunded)
def mail_refunded(events: Sequence[catalogue.PaymentRefunded]) -> None:
    """Tell that the money is on its way back."""
    mails.queue_each(
        requests=[
            mails.MailRequest(
                order_id=event.order_id,
                kind=OrderMail.Kind.REFUNDED,
                number=event.number,
                amount_minor=event.amount_minor,
            )
            for event in events
        ]
    )


notifications.worker(mail_sending.send_due)
