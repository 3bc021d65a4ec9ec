"""Events for the bridge's tests."""

from uuid import UUID, uuid4

from events import catalogue


def created(order_id: UUID | None = None, **changes: object) -> catalogue.OrderCreated:
    """An order.created with one line."""
    fields: dict[str, object] = {
        "order_id": order_id or uuid4(),
        "flow": catalogue.RESERVE_FIRST,
        "lines": (catalogue.Line(sku="9780000000019", quantity=1, unit_price_minor=1250),),
        "total_minor": 1250,
        "currency": "USD",
        "payment_method": "pm_success",
    }
    return catalogue.OrderCreated(**(fields | changes))  # type: ignore[arg-type]


def delivered(order_id: UUID | None = None) -> catalogue.OrderDelivered:
    """An order.delivered."""
    return catalogue.OrderDelivered(order_id=order_id or uuid4(), flow=catalogue.RESERVE_FIRST)


def cancelled(order_id: UUID | None = None) -> catalogue.OrderCancelled:
    """An order.cancelled."""
    return catalogue.OrderCancelled(
        order_id=order_id or uuid4(), flow=catalogue.RESERVE_FIRST, reason="test", total_minor=1250, currency="USD",
        was_confirmed=False,
    )  # fmt: skip


def payment_failed(order_id: UUID, reason: str = "test") -> catalogue.PaymentFailed:
    """A payment.failed, which comes from another topic."""
    return catalogue.PaymentFailed(order_id=order_id, flow=catalogue.RESERVE_FIRST, charge_id=uuid4(), reason=reason)
