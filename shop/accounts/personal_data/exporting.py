"""Everything that there is about an account, as plain values for a JSON file."""

import json
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from allauth.account.models import EmailAddress
from django.contrib.auth.models import User

from kafka_bridge.models import OutboxRow
from orders.models import Order
from payments.models import Charge
from shop.accounts import address_book
from shop.checkout import owners
from shop.models import AuditEntry, CartLine, SavedAddress

_ORDER = (
    "id", "reference", "status", "placed_at", "name", "email", "address_line1", "address_line2", "city", "postcode",
    "country", "currency", "total_minor", "confirmed_at", "shipped_at", "delivered_at", "cancelled_at", "refunded_at",
    "cancel_reason",
)  # fmt: skip

_ADDRESS = (*address_book.FIELDS, "is_default", "added_at")
_PAYMENT = ("order_id", "state", "amount_minor", "currency", "created_at")


def everything_about(user: User) -> dict[str, Any]:
    """The person's data by subject; times are datetimes, amounts minor units."""
    orders = list(
        Order.objects.filter(user_id=user.pk).prefetch_related("lines", "trail", "mails", "return_requests", "shipment")
    )
    return {
        "account": _account(user),
        "mail_addresses": _rows(EmailAddress.objects.filter(user=user), "email", "verified", "primary"),
        "saved_addresses": _rows(SavedAddress.objects.filter(user=user), *_ADDRESS),
        "cart": _rows(CartLine.objects.filter(user=user), "sku", "quantity", "seen_price_minor", "added_at"),
        "orders": [_order(order) for order in orders],
        "payments": _payments([order.pk for order in orders]),
        "pseudonym_in_events": owners.pseudonym_of(f"account:{user.pk}"),
        "events": _events([order.pk for order in orders]),
        "activity_log": _rows(
            AuditEntry.objects.filter(user_id=user.pk), "at", "who", "what", "subject", "reason", "before", "after"
        ),
    }


def _account(user: User) -> dict[str, Any]:
    names = ("username", "email", "first_name", "last_name", "date_joined", "last_login")
    return {name: getattr(user, name) for name in names}


def _rows(found: Any, *names: str) -> list[dict[str, Any]]:
    return list(found.values(*names))


def _of(row: object, *names: str) -> dict[str, Any]:
    return {name: getattr(row, name) for name in names}


def _order(order: Order) -> dict[str, Any]:
    shipment = getattr(order, "shipment", None)
    return {
        **_of(order, *_ORDER),
        "lines": [
            _of(line, "sku", "title", "unit_price_minor", "quantity", "cancelled", "returned")
            for line in order.lines.all()
        ],
        "trail": [_of(entry, "at", "what", "answer", "status", "detail") for entry in order.trail.all()],
        "parcel": _of(shipment, "carrier", "tracking_number", "state", "created_at") if shipment else None,
        "mails": [
            _of(mail, "kind", "number", "created_at", "sent_at", "amount_minor", "reason") for mail in order.mails.all()
        ],
        "returns": [
            _of(asked, "units", "reason", "state", "answer", "asked_at", "answered_at")
            for asked in order.return_requests.all()
        ],
    }


def _payments(order_ids: Iterable[UUID]) -> list[dict[str, Any]]:
    return _rows(Charge.objects.filter(order_id__in=list(order_ids)), *_PAYMENT)


def _events(order_ids: Iterable[UUID]) -> list[dict[str, Any]]:
    """What was stated about the orders and is still kept, as it went to Kafka."""
    rows = OutboxRow.objects.filter(key__in=[str(order_id) for order_id in order_ids]).order_by("pk")
    return [
        {**_of(row, "event_id", "type", "topic", "created_at"), "body": json.loads(bytes(row.body))} for row in rows
    ]
