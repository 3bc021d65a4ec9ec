"""Whose an order is: orders of guests become an account's, and a person is taken out of theirs."""

from collections.abc import Collection
from uuid import UUID

from django.db.models import Q

from orders.models import Order, OrderMail, ReturnRequest, Status

GONE = "deleted account"
"""What stands in the place of a name and an address that are gone."""


def claim(*, order_ids: Collection[UUID], user_id: int) -> int:
    """Give these orders to the account, those that have none yet; returns how many."""
    return Order.objects.filter(pk__in=order_ids, user=None).update(user_id=user_id)


def claimable(address: str) -> list[UUID]:
    """The orders that guests placed with this mail address, the newest hundred."""
    found = Order.objects.filter(email__iexact=address, user=None).order_by("-placed_at")
    return list(found.values_list("pk", flat=True)[:100])


def unfinished(user_id: int) -> list[Order]:
    """The account's orders that are not at their end: under way, with an open return, or with a mail owed."""
    of_account = Order.objects.filter(user_id=user_id)
    under_way = ~Q(status__in=(Status.DELIVERED, Status.CANCELLED))
    owes_money = Q(status=Status.CANCELLED, refunded_at=None) & ~Q(payment_reference="")
    returned = Q(pk__in=ReturnRequest.objects.filter(order__user_id=user_id, state="asked").values("order"))
    owes_mail = Q(pk__in=OrderMail.objects.filter(order__user_id=user_id, sent_at=None, failed_at=None).values("order"))
    return list(of_account.filter(under_way | owes_money | returned | owes_mail))


def forget_buyer(*, user_id: int, pseudonym: str) -> int:
    """Take the person out of the account's orders, which stay; returns how many. The country stays, for taxes.

    What is stated about orders never named anybody, so nothing is stated about this.
    """
    orders = Order.objects.filter(user_id=user_id)
    OrderMail.objects.filter(order__user_id=user_id).update(last_error="")
    ReturnRequest.objects.filter(order__user_id=user_id).update(reason=GONE)
    return orders.update(
        user_id=None,
        name=GONE,
        email=f"{pseudonym}@deleted.invalid",
        address_line1=GONE,
        address_line2="",
        city=GONE,
        postcode="",
    )
