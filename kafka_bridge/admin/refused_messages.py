"""Refused messages in the admin: why each was not believed, and what it would have done; people close them."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import F, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join

from kafka_bridge import theme
from kafka_bridge.admin import outbox, pages
from kafka_bridge.admin.dead_letter_actions import ReasonForm
from kafka_bridge.admin.dead_letter_filters import GroupFilter
from kafka_bridge.believing import refusals
from kafka_bridge.dead_letters import letter_store
from kafka_bridge.models import RefusedMessage

MOST_AT_ONCE = 500
_CLOSE = "kafka_bridge_refusedmessage_close"


class OpenFilter(admin.SimpleListFilter):
    """Whether somebody has looked at it."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The choices."""
        return [("open", "Open"), ("closed", "Closed")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[RefusedMessage]) -> QuerySet[RefusedMessage]:
        """The messages of the choice."""
        return queryset.filter(closed_at__isnull=self.value() == "open") if self.value() else queryset


@admin.register(RefusedMessage)
class RefusedMessageAdmin(pages.FactsAdmin):
    """Messages that were not believed; open ones first. Read by who may view them, closed by who may change them."""

    list_display = ("id", "status", "event", "subject", "group", "would_have", "why", "refused")
    list_display_links = ("id", "event")
    list_filter = (OpenFilter, GroupFilter, outbox.TypeFilter)
    search_fields = ("key",)
    search_help_text = "Key or event id, complete"
    ordering = (F("closed_at").desc(nulls_first=True), "-id")
    actions = ("close_selected",)
    fieldsets = (
        (None, {"fields": ("status", "event", "subject", "group", "why", "would_have")}),
        ("Message", {"fields": ("place", "event_id", "pretty_body", "shown_headers")}),
        ("How it went", {"fields": ("refused", "closed", "note")}),
    )
    readonly_fields = ("status", "event", "subject", "would_have", "place", "pretty_body", "shown_headers", "refused",
                       "closed")  # fmt: skip

    class Media:
        """What the pages need besides the admin's own styles."""

        css = theme.STYLES

    def has_close_permission(self, request: HttpRequest) -> bool:
        """Whether this person may close them; what was refused nobody may change."""
        return request.user.has_perm("kafka_bridge.change_refusedmessage")

    def get_queryset(self, request: HttpRequest) -> QuerySet[RefusedMessage]:
        """Without the contents: they may be long."""
        rows: QuerySet[RefusedMessage] = super().get_queryset(request)
        return rows.defer("value", "headers")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[RefusedMessage], search_term: str
    ) -> tuple[QuerySet[RefusedMessage], bool]:
        """Those of one key."""
        term = search_term.strip().replace("\x00", "")
        return (queryset.filter(key=term.lower()) if term else queryset), False

    # -- Closing -------------------------------------------------------------------------------------
    @admin.action(permissions=["close"], description="Close with a note…")
    def close_selected(self, request: HttpRequest, queryset: QuerySet[RefusedMessage]) -> HttpResponse:
        """Close these, after asking for a note."""
        return self._ask(request, list(queryset.values_list("pk", flat=True)[:MOST_AT_ONCE]), ReasonForm())

    def get_urls(self) -> list[URLPattern]:
        """The usual pages, and the form for the note."""
        return [path("close/", self.admin_site.admin_view(self.close_view), name=_CLOSE), *super().get_urls()]

    def close_view(self, request: HttpRequest) -> HttpResponse:
        """Ask for a note about the messages `?message=…`; on POST close them with it."""
        if not self.has_close_permission(request):
            raise PermissionDenied
        given = request.POST if request.method == "POST" else request.GET
        ids = [int(text) for text in given.getlist("message")[:MOST_AT_ONCE] if text.isdigit() and len(text) < 19]
        if not ids:
            raise Http404
        form = ReasonForm(request.POST or None)
        if request.method != "POST" or not form.is_valid():
            return self._ask(request, ids, form)
        closed = refusals.close(ids=ids, by=request.user.get_username(), note=form.cleaned_data["reason"])
        messages.success(request, f"{closed} closed.")
        return HttpResponseRedirect(reverse("admin:kafka_bridge_refusedmessage_changelist"))

    def _ask(self, request: HttpRequest, ids: list[int], form: forms.Form) -> TemplateResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": "Close with a note",
            "opts": self.opts,
            "media": self.media,
            "form": form,
            "rows": refusals.open_messages().filter(pk__in=ids).order_by("id"),
            "close_url": reverse(f"admin:{_CLOSE}"),
            "back_url": reverse("admin:kafka_bridge_refusedmessage_changelist"),
        }
        return TemplateResponse(request, "admin/kafka_bridge/refused_messages_close.html", context)

    # -- In words ------------------------------------------------------------------------------------
    @admin.display(description="state")
    def status(self, message: RefusedMessage) -> str:
        """Whether somebody has looked at it."""
        return pages.label("Closed") if message.closed_at else pages.label("Open", "danger")

    @admin.display(description="event")
    def event(self, message: RefusedMessage) -> str:
        """What it says it is."""
        return message.type

    @admin.display(description="key")
    def subject(self, message: RefusedMessage) -> str:
        """What it is about, with a link to its page."""
        page, key = pages.subject_pages.get(message.topic), pages.as_uuid(message.key)
        return message.key if page is None or key is None else pages.short_link(reverse(page, args=[key]), key)

    @admin.display(description="would have")
    def would_have(self, message: RefusedMessage) -> str:
        """What its handler would have done."""
        return message.undone

    @admin.display(description="topic · partition · offset")
    def place(self, message: RefusedMessage) -> str:
        """Where it lies in Kafka."""
        return f"{message.topic} · {message.partition} · {message.offset}"

    @admin.display(description="body")
    def pretty_body(self, message: RefusedMessage) -> str:
        """Its fields."""
        return format_html('<pre class="br-json">{}</pre>', pages.as_json(message.value))

    @admin.display(description="headers")
    def shown_headers(self, message: RefusedMessage) -> str:
        """As they came."""
        found = [(name, value.decode(errors="replace")) for name, value in letter_store.unpack(message.headers)]
        return format_html_join("", '<div class="br-break">{}: {}</div>', found)

    @admin.display(description="refused")
    def refused(self, message: RefusedMessage) -> str:
        """When."""
        return pages.moment(message.refused_at)

    @admin.display(description="closed", empty_value="")
    def closed(self, message: RefusedMessage) -> str | None:
        """When, and by whom."""
        if message.closed_at is None:
            return None
        return format_html("{} by {}", pages.moment(message.closed_at), message.closed_by)
