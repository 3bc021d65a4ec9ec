"""What payments would make of an event now, in a sentence: for people who decide about dead letters."""

from kafka_bridge import catalogue
from payments import queries
from payments.handlers import group


def preview_cancelled(event: catalogue.OrderCancelled) -> str:
    """Whether money was taken that would go back."""
    taken = queries.captured([event.order_id]).get(event.order_id)
    if taken is None:
        return "no money was taken by our books: would see to it that none ever is"
    _, amount_minor, currency = taken
    amount = f"{amount_minor // 100:,}.{amount_minor % 100:02d} {currency}"
    return f"{amount} were taken: would refund what of it is neither back nor on its way back"


group.preview[catalogue.OrderCancelled] = preview_cancelled
