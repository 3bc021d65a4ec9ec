"""Finding orders by reference, buyer, tracking number, book or any ID: the form of the term tells which it is."""

import re
from uuid import UUID

from django.db.models import Q, QuerySet

from kafka_bridge import admin as facts
from kafka_bridge.models import OutboxRow
from orders.models import Order, OrderLine
from payments.models import Charge, Refund
from shop.models import Book, searchable

HELP = "Reference, e-mail, tracking number, ISBN, title, or the id of an order, event, charge or transaction"
# The beginning of one, with its dashes; or a whole one, with or without.
_REFERENCE = re.compile(r"BR-[0-9A-Z]{1,5}(-[0-9A-Z]{0,5})?|BR[0-9A-Z]{10}")
_TRACKING = re.compile(r"[A-Z]{2}\d{10}")
_ISBN = re.compile(r"[\d -]{10,17}")


def orders_matching(queryset: QuerySet[Order], words: str) -> QuerySet[Order]:
    """The orders that match the search term; all if it is empty.

    IDs, references, tracking numbers and ISBNs are looked up in an index. Of an email address the beginning is enough.
    Anything else is a transaction ID or words of titles.
    """
    term = words.strip().replace("\x00", "")
    if not term:
        return queryset
    upper = term.upper()
    if key := facts.as_uuid(term):
        return queryset.filter(pk__in=_orders_of_id(key))
    if _REFERENCE.fullmatch(upper):
        return queryset.filter(reference__startswith=_as_reference(upper))
    if _TRACKING.fullmatch(upper):
        return queryset.filter(shipment__tracking_number=upper)
    if "@" in term:
        return queryset.filter(email__istartswith=term)
    if _ISBN.fullmatch(term):
        return queryset.filter(pk__in=_with_skus([re.sub(r"\D", "", term)]))
    return queryset.filter(Q(payment_reference=term) | Q(pk__in=_refunded_by(term)) | Q(pk__in=_with_titles(term)))


def _orders_of_id(key: UUID) -> list[UUID | str]:
    """IDs of the orders with this ID, or with a charge, refund or event of this ID; the cheapest look-up first."""
    if Order.objects.filter(pk=key).exists():
        return [key]
    if charge := Charge.objects.filter(Q(pk=key) | Q(refunds=key)).first():
        return [charge.order_id]
    return list(OutboxRow.objects.filter(event_id=key).values_list("key", flat=True))


def _as_reference(text: str) -> str:
    """As in the table: BR-XXXXX-XXXXX, with letters that look like digits as digits."""
    code = text.removeprefix("BR").replace("-", "").translate(str.maketrans("OIL", "011"))
    return f"BR-{code[:5]}-{code[5:]}" if len(code) > 5 else f"BR-{code}"


def _with_skus(skus: list[str]) -> QuerySet[OrderLine, object]:
    return OrderLine.objects.filter(sku__in=skus).values("order_id")


def _refunded_by(transaction_id: str) -> QuerySet[Refund, object]:
    return Refund.objects.filter(transaction_id=transaction_id).values("charge__order_id")


def _with_titles(text: str) -> QuerySet[OrderLine, object]:
    """Lines of books with these words. The catalogue is searched first, because it is much smaller than the lines."""
    words = searchable(text).split()
    named = Book.objects.all()
    for word in words:
        named = named.filter(search_text__contains=word)
    if skus := list(named.values_list("isbn", flat=True)):
        return _with_skus(skus)
    lines = OrderLine.objects.all()
    for word in words:
        lines = lines.filter(title__icontains=word)
    return lines.values("order_id")
