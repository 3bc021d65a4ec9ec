"""The activity log in the admin, read-only: who did what to orders, money and stock, with values before and after."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html, format_html_join

import money
from kafka_bridge import admin as facts
from orders.models import Order
from shop.admin.site import dated_change_list
from shop.models import AuditEntry
from shop.operations import activity_log

_MONEY = "_minor"


@dataclass(frozen=True, kw_only=True)
class Change:
    """One value that an action changed or kept: its name, and the value before and after, in words."""

    name: str
    before: str
    after: str

    @property
    def is_change(self) -> bool:
        """Whether the value changed."""
        return self.before != self.after


class WhoFilter(admin.SimpleListFilter):
    """By actor."""

    title = "who"
    parameter_name = "by"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The choices."""
        return [("me", "Me"), ("account", "Users with an account"), ("guest", "Guests")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        """The entries of the choice."""
        match self.value():
            case "me":
                return queryset.filter(who=request.user.get_username())
            case "account":
                return queryset.exclude(user_id=None)
            case "guest":
                return queryset.filter(who=activity_log.BUYER)
        return queryset


class WhatFilter(admin.SimpleListFilter):
    """By action. The options come from the code, so no query is needed."""

    title = "what"
    parameter_name = "what"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The choices."""
        return [(action, action.capitalize()) for action in activity_log.ACTIONS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        """The entries of the choice."""
        return queryset.filter(what=self.value()) if self.value() else queryset


@admin.register(AuditEntry)
class AuditEntryAdmin(facts.FactsAdmin):
    """One row for each action, newest first."""

    list_display = ("when", "who", "what", "of_what", "changed", "reason")
    list_display_links = ("when",)
    list_filter = (WhoFilter, WhatFilter)
    date_hierarchy = "at"
    change_list_template = "admin/orders/order/change_list.html"
    search_fields = ("subject",)
    search_help_text = "Complete order reference or ID, ISBN, or user name"
    ordering = ("-id",)
    fieldsets = (
        (None, {"fields": ("when", "who", "what", "of_what", "reason")}),
        ("Before and after", {"fields": ("changes",)}),
    )
    readonly_fields = ("when", "of_what", "changes")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[dated_change_list.DatedChangeList]:
        """The list's view of itself."""
        return dated_change_list.DatedChangeList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[AuditEntry], search_term: str
    ) -> tuple[QuerySet[AuditEntry], bool]:
        """Entries about an order or another subject, or by a user; each uses an index."""
        if not (term := search_term.strip().replace("\x00", "")):
            return queryset, False
        if key := facts.as_uuid(term):
            return queryset.filter(Q(order_id=key) | Q(subject=str(key))), False
        return queryset.filter(Q(subject=term) | Q(subject=term.upper()) | Q(who=term)), False

    @admin.display(description="when")
    def when(self, entry: AuditEntry) -> str:
        """When the action was carried out."""
        return facts.moment(entry.at)

    @admin.display(description="to what")
    def of_what(self, entry: AuditEntry) -> str:
        """The subject, linked to its order if there is one."""
        if entry.order_id is None:
            return format_html('<span class="br-break">{}</span>', entry.subject)
        return facts.link(facts.page_of(Order, entry.order_id), entry.subject)

    @admin.display(description="changed", empty_value="")
    def changed(self, entry: AuditEntry) -> str | None:
        """The changed values, in one cell."""
        found = [change for change in changes_of(entry) if change.is_change]
        if not found:
            return None
        rows = ((change.name, change.before or "nothing", change.after or "nothing") for change in found)
        return format_html("<div>{}</div>", format_html_join("", "<div>{} {} → {}</div>", rows))

    @admin.display(description="before and after")
    def changes(self, entry: AuditEntry) -> str:
        """All values, before and after."""
        return render_to_string("admin/shop/changes.html", {"changes": changes_of(entry)})


def changes_of(entry: AuditEntry) -> list[Change]:
    """Every recorded name with its value before and after; empty where there is none."""
    before, after = _flat(entry.before), _flat(entry.after)
    return [
        Change(name=_name(name), before=_words(name, before.get(name)), after=_words(name, after.get(name)))
        for name in [*before, *(name for name in after if name not in before)]
    ]


def page_about(order: Order) -> str:
    """The URL of the activity log of this order."""
    return f"{reverse('admin:shop_auditentry_changelist')}?q={order.pk}"


def about(order_id: UUID, *, limit: int) -> list[AuditEntry]:
    """The latest entries about this order, newest first."""
    return list(AuditEntry.objects.filter(order_id=order_id).order_by("-id")[:limit])


def _flat(side: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Without the inner maps: {"copies": {"978…": 2}} is {"copies 978…": 2}."""
    found: dict[str, Any] = {}
    for name, value in side.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{name} ")
        else:
            found[f"{prefix}{name}"] = value
    return found


def _name(name: str) -> str:
    return name.removesuffix(_MONEY).replace("_", " ")


def _words(name: str, value: Any) -> str:
    """A value in words; amounts of money, recognised by their names, in the shop's currency."""
    match value:
        case None | "":
            return ""
        case bool():
            return "yes" if value else "no"
        case int() if name.endswith(_MONEY):
            return money.format_amount(value, settings.CURRENCY)
        case str() | int():
            return str(value)
    return json.dumps(value, ensure_ascii=False)
