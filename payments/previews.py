"""What payments would make of an event now, in a sentence: for people who decide about dead letters."""

from django.db.models import Sum

import money
from events import catalogue
from payments import queries
from payments.handlers import group
from payments.models import Refund


def preview_cancelled(event: catalogue.OrderCancelled) -> str:
    """Whether money was taken that would go back, and how much of it is still with us."""
    taken = queries.captured([event.order_id]).get(event.order_id)
    if taken is None:
        return "no money was taken by our books: would see to it that none ever is"
    charge_id, amount_minor, currency = taken
    going_back = Refund.objects.filter(charge_id=charge_id).aggregate(Sum("amount_minor"))["amount_minor__sum"] or 0
    if going_back >= amount_minor:
        return "all money that was taken is back or on its way back: would change nothing"
    left = amount_minor - going_back
    return f"would refund {money.format_with_code(left, currency)}"


group.preview[catalogue.OrderCancelled] = preview_cancelled
