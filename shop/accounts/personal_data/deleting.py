"""An account goes, its orders stay: without the person.

# Note [What stays of a person]
Books of what was sold, paid and refunded have to be kept for years. They need amounts, dates and the country, not a
name: so the account is deleted with all that hangs on it, and in its orders a pseudonym takes the place of name, street
and mail address. Parcels, payments and events only ever had ids. The activity log cannot be changed; in it the person
is their user name, which says nothing for accounts that were made by mail address.

Nothing is deleted while an order is under way: its mails, its parcel and its refund need the person.
"""

from django.contrib.auth.models import User
from django.db import transaction

from orders.actions import buyers
from orders.models import Order
from payments.models import Refund
from shop.accounts import mails
from shop.operations import activity_log
from shop.site.pseudonyms import pseudonym


class NotYet(Exception):
    """Orders are under way, or the account is one of staff; the message says what to wait for or whom to ask."""


def what_prevents(user: User) -> str:
    """Why the account cannot be deleted now, in a sentence; empty if it can."""
    if user.is_staff:
        return "This is an account of staff. Ask who looks after accounts to close it."
    if waiting := [order.reference for order in buyers.unfinished(user.pk)] or _with_refunds(user.pk):
        which = ", ".join(waiting[:5]) + (" and others" if len(waiting) > 5 else "")
        return f"These orders are still under way: {which}. You can delete the account once they are finished."
    return ""


def delete(user: User) -> None:
    """Take the person out of their orders, and delete the account.

    Raises:
        NotYet: see its message; nothing was changed.
    """
    with transaction.atomic():
        User.objects.select_for_update().get(pk=user.pk)
        list(Order.objects.filter(user_id=user.pk).order_by("pk").select_for_update().values_list("pk"))
        if reason := what_prevents(user):
            raise NotYet(reason)
        known_as = pseudonym("shop.accounts.deleting", str(user.pk))
        count = buyers.forget_buyer(user_id=user.pk, pseudonym=known_as)
        activity_log.record(user=None, who=known_as, what="account deleted", subject=known_as, after={"orders": count})
        if user.email:
            mails.queue(to=user.email, name="account_deleted", context={"count": count})
        user.delete()


def _with_refunds(user_id: int) -> list[str]:
    """References of orders whose money is on its way back."""
    order_ids = list(Order.objects.filter(user_id=user_id).values_list("pk", flat=True))
    due = Refund.objects.filter(state=Refund.State.REQUESTED, charge__order_id__in=order_ids)
    ids = set(due.values_list("charge__order_id", flat=True))
    return list(Order.objects.filter(pk__in=ids).values_list("reference", flat=True))
