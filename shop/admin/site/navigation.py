"""The frame around all admin pages: what the side bar lists, and the shop's mark. `settings.UNFOLD` points here."""

from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse
from django.utils.text import capfirst

from shop.operations.pages import passes

admin.site.index_title = "Start"

# Title, icon (of Material Symbols), app and model, by heading.
_PAGES = {
    "Sales": [
        ("Orders", "receipt_long", "orders", "order"),
        ("Flash sales", "bolt", "shop", "flashsale"),
        ("Parcels", "local_shipping", "orders", "shipment"),
        ("Returns", "assignment_return", "orders", "returnrequest"),
        ("Mails", "mail", "orders", "ordermail"),
        ("Sales by day", "bar_chart", "shop", "dailysales"),
        ("Sales by book", "trending_up", "shop", "booksales"),
    ],
    "Pages": [
        ("Pages of the shop", "article", "shop", "shoppage"),
    ],
    "Catalogue": [
        ("Books", "menu_book", "shop", "book"),
        ("Changes of books", "price_change", "shop", "bookprice"),
        ("Categories", "shelves", "shop", "category"),
    ],
    "Prices": [
        ("Shipping", "package_2", "shop", "shippingmethod"),
        ("Tax", "percent", "shop", "taxrate"),
        ("Coupons", "redeem", "orders", "coupon"),
    ],
    "Stock": [
        ("Stock", "inventory_2", "inventory", "stock"),
        ("Reservations", "bookmark_added", "inventory", "reservation"),
        ("Waiting buyers", "notifications_active", "shop", "waitlistentry"),
    ],
    "Payments": [
        ("Needs a person", "support_agent", "payments", "review"),
        ("Charges", "credit_card", "payments", "charge"),
        ("Refunds", "undo", "payments", "refund"),
        ("Webhooks", "webhook", "payments", "gatewaynotice"),
    ],
    "Kafka": [
        ("Outbox", "outbox", "kafka_bridge", "outboxrow"),
        ("Dead letters", "mark_email_unread", "kafka_bridge", "deadletter"),
        ("Refused messages", "gpp_bad", "kafka_bridge", "refusedmessage"),
        ("Controls of groups", "pause_circle", "kafka_bridge", "groupcontrol"),
    ],
    "Control": [
        ("Alerts", "notifications", "shop", "alertrecord"),
        ("Silences", "notifications_off", "shop", "alertsilence"),
        ("Audits", "fact_check", "shop", "auditrun"),
        ("Who did what", "history_edu", "shop", "auditentry"),
    ],
    "People": [
        ("Accounts", "person", "auth", "user"),
        ("Groups", "group", "auth", "group"),
    ],
}


def icon(request: HttpRequest) -> str:
    """URL of the shop's logo."""
    return static("shop/mark.svg")


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """The sidebar: the pages that this user may see, under headings."""
    headings: list[dict[str, Any]] = [
        {"items": [{"title": "Start", "icon": "space_dashboard", "link": reverse("admin:index")}]}
    ]
    if request.user.has_perm(passes.PERMISSION):
        link = reverse("admin:operations")
        headings[0]["items"].append({"title": "Operations", "icon": "monitor_heart", "link": link})
        window = {"title": "Watch Kafka", "icon": "stacks", "link": reverse("admin:kafka_window")}
        headings[0]["items"].append(window)
    if may_see(request, "shop", "dailysales"):
        looks = {"title": "From look to order", "icon": "filter_alt", "link": reverse("admin:funnel")}
        headings[0]["items"].append(looks)
    for heading, pages in (*_PAGES.items(), ("Added services", _added_pages())):
        items = [
            {"title": title, "icon": symbol, "link": reverse(f"admin:{app}_{model}_changelist")}
            for title, symbol, app, model in pages
            if may_see(request, app, model)
        ]
        if items:
            headings.append({"title": heading, "separator": True, "items": items})
    return headings


def _added_pages() -> list[tuple[str, str, str, str]]:
    """Of the apps in `EXTRA_APPS`, what they have registered with the admin."""
    tables = (model._meta for model in admin.site._registry)
    return [
        (capfirst(str(table.verbose_name_plural)), "extension", table.app_label, table.model_name or "")
        for table in tables
        if apps.get_app_config(table.app_label).name in settings.EXTRA_APPS
    ]


def may_see(request: HttpRequest, app: str, model: str) -> bool:
    """Whether this user may view or change these rows."""
    user = request.user
    return user.has_perm(f"{app}.view_{model}") or user.has_perm(f"{app}.change_{model}")


def person(request: HttpRequest) -> AbstractBaseUser:
    """The user of the request.

    Raises:
        PermissionDenied: not signed in.
    """
    if not isinstance(request.user, AbstractBaseUser):
        raise PermissionDenied
    return request.user
