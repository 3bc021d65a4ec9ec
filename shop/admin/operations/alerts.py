"""Alerts in the admin: those that hold, those that are over, and how people were told."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode

from kafka_bridge import admin as facts
from shop.models import AlertNotice, AlertRecord

_COLOURS = {"critical": "danger", "warning": "warning"}


class StateFilter(admin.SimpleListFilter):
    """Whether it holds."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        """The choices."""
        return [("now", "Holds now"), ("over", "Over")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[AlertRecord]) -> QuerySet[AlertRecord]:
        """The alerts of the choice."""
        match self.value():
            case "now":
                return queryset.filter(cleared_at=None)
            case "over":
                return queryset.filter(cleared_at__isnull=False)
        return queryset


class NoticeInline(facts.FactsInline):
    """How people were told of one."""

    model = AlertNotice
    verbose_name_plural = "told to people"
    ordering = ("created_at", "channel")
    fields = readonly_fields = ("kind", "channel", "when", "sent", "attempts", "last_error")

    @admin.display(description="due")
    def when(self, notice: AlertNotice) -> str:
        """When it was to be told."""
        return facts.moment(notice.created_at)

    @admin.display(description="sent", empty_value="not yet")
    def sent(self, notice: AlertNotice) -> str | None:
        """When the channel took it."""
        return facts.label("given up", "danger") if notice.failed_at else facts.moment(notice.sent_at) or None


@admin.register(AlertRecord)
class AlertRecordAdmin(facts.FactsAdmin):
    """One row for each time that an alert was raised, newest first."""

    list_display = ("state", "name", "subject", "message", "begun", "ended", "told")
    list_display_links = ("state", "name")
    list_filter = (StateFilter, "severity")
    ordering = ("-raised_at",)
    inlines = (NoticeInline,)
    fields = readonly_fields = (
        "state", "name", "subject", "message", "advice", "more", "begun", "raised", "ended", "told", "what_now",
    )  # fmt: skip

    def get_fields(self, request: HttpRequest, obj: AlertRecord | None = None) -> tuple[str, ...]:
        """What can be done only where something can, by whom it can."""
        can = obj is not None and obj.cleared_at is None and request.user.has_perm("shop.add_alertsilence")
        return self.fields if can else tuple(name for name in self.fields if name != "what_now")

    @admin.display(description="state")
    def state(self, alert: AlertRecord) -> str:
        """How bad it is, or that it is over."""
        is_over = alert.cleared_at is not None
        return facts.label("over", "success") if is_over else facts.label(alert.severity, _COLOURS[alert.severity])

    @admin.display(description="since")
    def begun(self, alert: AlertRecord) -> str:
        """When the condition began to hold."""
        return facts.moment(alert.since)

    @admin.display(description="raised")
    def raised(self, alert: AlertRecord) -> str:
        """When it had held for long enough."""
        return facts.moment(alert.raised_at)

    @admin.display(description="over since", empty_value="holds")
    def ended(self, alert: AlertRecord) -> str | None:
        """When it was over."""
        return facts.moment(alert.cleared_at) or None

    @admin.display(description="told last", empty_value="not told")
    def told(self, alert: AlertRecord) -> str | None:
        """When people were told of it."""
        return facts.moment(alert.told_at) or None

    @admin.display(description="look at", empty_value="")
    def more(self, alert: AlertRecord) -> str | None:
        """The page that shows more."""
        return facts.link(alert.url, alert.url) if alert.url else None

    @admin.display(description="what you can do")
    def what_now(self, alert: AlertRecord) -> str:
        """The button that leads to a silence."""
        about: dict[str, Any] = {"name": alert.name, "subject": alert.subject}
        url = f"{reverse('admin:shop_alertsilence_new')}?{urlencode(about)}"
        return format_html('<a class="br-button" href="{}">Silence…</a>', url)
