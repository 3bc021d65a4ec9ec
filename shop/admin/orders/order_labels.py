"""An order's status, and how long it has been stuck, as coloured words."""

from django.utils import timezone

from kafka_bridge import admin as facts
from orders.models import Order, Status
from shop.admin.orders import filters

STATUS_COLOURS = {
    Status.PENDING: "warning",
    Status.PAID: "info",
    Status.SHIPPED: "primary",
    Status.DELIVERED: "success",
    Status.CANCELLED: "danger",
}


def status_label(order: Order) -> str:
    """The status as a coloured word."""
    return facts.label(order.get_status_display(), STATUS_COLOURS[Status(order.status)])


def stuck_label(order: Order) -> str:
    """The age of an order that is neither confirmed nor cancelled; coloured if it is stuck, or why it is not."""
    if order.confirmed_at or order.status == Status.CANCELLED:
        return ""
    age = timezone.now() - order.placed_at
    if filters.is_at_the_bank(order):
        return facts.label(
            f"at the bank {facts.as_age(age)}", "info", title="Waits for the buyer to confirm the payment"
        )
    if age.total_seconds() > filters.STUCK_SECONDS:
        return facts.label(f"stuck {facts.as_age(age)}", "danger", title="Neither confirmed nor cancelled since then")
    return facts.label(facts.as_age(age), title="Neither confirmed nor cancelled yet")
