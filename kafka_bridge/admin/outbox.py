"""The outbox in the admin: every fact that was stated, whether it is in Kafka yet, and who has had it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from django.contrib import admin
from django.db.models import F, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html

from kafka_bridge import theme
from kafka_bridge.admin import pages
from kafka_bridge.consuming import registry
from kafka_bridge.models import InboxRow, OutboxRow
from kafka_bridge.wire import event_types


@dataclass(frozen=True, kw_only=True)
class Backlog:
    """What waits for the relay."""

    rows: int
    oldest: timedelta | None
    """How long the first of them has waited; None where nothing waits."""

    @property
    def age(self) -> str:
        """How long the first of them has waited, in words."""
        return "" if self.oldest is None else pages.as_age(self.oldest)


def backlog() -> Backlog:
    """Count what waits for the relay; reads only the index of unpublished rows, and the clock of the database."""
    waiting = OutboxRow.objects.filter(published_at=None)
    ages = waiting.order_by("id").values_list(Now() - F("created_at"), flat=True)
    return Backlog(rows=waiting.count(), oldest=ages.first())


@dataclass(frozen=True, kw_only=True)
class Hearing:
    """A group that should hear an event, or has had it."""

    group: str
    handled_at: datetime | None
    """When its effects were committed; None if it has not had it yet."""
    stated_at: datetime
    is_wanted: bool
    """Whether the event means something to the group; if not, the group only notes that it passed by."""

    @property
    def delay(self) -> str:
        """From the fact's own time to the note in the group's inbox, in words."""
        return "" if self.handled_at is None else pages.as_age(self.handled_at - self.stated_at)


def hearings(rows: Sequence[OutboxRow]) -> dict[UUID, list[Hearing]]:
    """By event id: which groups have had each of these events, and which that should hear it have not. One query."""
    groups = [group.name for group in registry.groups()]
    # The inbox's key begins with the group, so all groups are named for the index to be used.
    had = InboxRow.objects.filter(group__in=groups, event_id__in=[row.event_id for row in rows])
    handled = {(group, event_id): at for group, event_id, at in had.values_list("group", "event_id", "handled_at")}
    found: dict[UUID, list[Hearing]] = {}
    for row in rows:
        wanted = _listeners(row)
        passed_by = [name for name in groups if name not in wanted and (name, row.event_id) in handled]
        found[row.event_id] = [
            Hearing(
                group=name,
                handled_at=handled.get((name, row.event_id)),
                stated_at=row.created_at,
                is_wanted=name in wanted,
            )
            for name in [*wanted, *passed_by]
        ]
    return found


def _listeners(row: OutboxRow) -> list[str]:
    """Groups to which this event means something; none for an event that this code no longer knows."""
    event = event_types.find(row.type, row.version)
    if event is None:
        return []
    return registry.listeners(event, msgspec.json.decode(bytes(row.body)))


class PublishedFilter(admin.SimpleListFilter):
    """Whether the relay has brought the row to Kafka."""

    title = "relay"
    parameter_name = "relay"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The choices."""
        return [("waiting", "Waiting for the relay"), ("published", "In Kafka")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[OutboxRow]) -> QuerySet[OutboxRow]:
        """The rows of the choice."""
        if self.value() is None:
            return queryset
        return queryset.filter(published_at__isnull=self.value() == "waiting")


class TopicFilter(admin.SimpleListFilter):
    """By topic; the choices are the catalogue's, so that no table is read for them."""

    title = "topic"
    parameter_name = "topic"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The choices."""
        return [(topic.name, topic.name) for topic in event_types.topics()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[OutboxRow]) -> QuerySet[OutboxRow]:
        """The rows of the choice."""
        return queryset.filter(topic=self.value()) if self.value() else queryset


class TypeFilter(admin.SimpleListFilter):
    """By the event's type; the choices are the catalogue's."""

    title = "event"
    parameter_name = "type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The choices."""
        return [(event.TYPE, event.TYPE) for event in event_types.registered()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[OutboxRow]) -> QuerySet[OutboxRow]:
        """The rows of the choice."""
        return queryset.filter(type=self.value()) if self.value() else queryset


@admin.register(OutboxRow)
class OutboxRowAdmin(pages.FactsAdmin):
    """Every fact that was stated, whether it is in Kafka yet, and who has had it."""

    list_display = ("id", "event", "subject", "place", "delay", "stated")
    list_display_links = ("id", "event")
    list_filter = (PublishedFilter, TopicFilter, TypeFilter)
    list_before_template = "admin/kafka_bridge/backlog.html"
    change_list_template = theme.LIST_TEMPLATE
    search_fields = ("key",)
    search_help_text = "Key or event id, complete"
    ordering = ("-id",)
    fieldsets = (
        (None, {"fields": ("event", "subject", "place", "heard_by")}),
        ("Body", {"fields": ("pretty_body",)}),
        ("Envelope", {"fields": ("event_id", "version", "correlation_id", "cause", "traceparent")}),
        ("Time", {"fields": ("stated", "published", "delay")}),
    )
    readonly_fields = ("event", "subject", "place", "heard_by", "pretty_body", "cause", "stated", "published", "delay")

    class Media:
        """What the pages need besides the admin's own styles."""

        css = theme.STYLES

    def get_queryset(self, request: HttpRequest) -> QuerySet[OutboxRow]:
        """Rows with their ages by the clock of the database."""
        rows: QuerySet[OutboxRow] = super().get_queryset(request)
        return rows.annotate(age=Now() - F("created_at"))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[OutboxRow], search_term: str
    ) -> tuple[QuerySet[OutboxRow], bool]:
        """The rows of one key, or the row of one event; the first has an index, so it is asked first."""
        if not (term := search_term.strip()):
            return queryset, False
        by_key = queryset.filter(key=term.lower())
        event_id = pages.as_uuid(term)
        if event_id is None or by_key.exists():
            return by_key, False
        return queryset.filter(event_id=event_id), False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The list, below the backlog."""
        response: HttpResponse = super().changelist_view(request, {**(extra_context or {}), "backlog": backlog()})
        return response

    @admin.display(description="event", ordering="type")
    def event(self, row: OutboxRow) -> str:
        """What happened."""
        return row.type

    @admin.display(description="key")
    def subject(self, row: OutboxRow) -> str:
        """What it happened to, with a link to its page."""
        page = pages.subject_pages.get(row.topic)
        return row.key if page is None else pages.link(reverse(page, args=[row.key]), row.key)

    @admin.display(description="topic · partition · offset")
    def place(self, row: OutboxRow) -> str:
        """Where the event lies in Kafka."""
        if row.published_at is None:
            return format_html(
                "{} {}", row.topic, pages.label(f"waits for the relay, {pages.as_age(_age(row))}", "warning")
            )
        return f"{row.topic} · {row.partition} · {row.offset}"

    @admin.display(description="stated to published")
    def delay(self, row: OutboxRow) -> str:
        """How long it waited for the relay."""
        return "" if row.published_at is None else pages.as_age(row.published_at - row.created_at)

    @admin.display(description="stated")
    def stated(self, row: OutboxRow) -> str:
        """When it was stated."""
        return pages.moment(row.created_at)

    @admin.display(description="published")
    def published(self, row: OutboxRow) -> str:
        """When Kafka had acknowledged it."""
        return pages.moment(row.published_at)

    @admin.display(description="heard by")
    def heard_by(self, row: OutboxRow) -> str:
        """Groups that have had the event, and those that have not."""
        return render_to_string("admin/kafka_bridge/hearings.html", {"hearings": hearings([row])[row.event_id]})

    @admin.display(description="body")
    def pretty_body(self, row: OutboxRow) -> str:
        """The event's fields."""
        return format_html('<pre class="br-json">{}</pre>', pages.as_json(row.body))

    @admin.display(description="caused by event")
    def cause(self, row: OutboxRow) -> str:
        """The event in answer to which this one was stated."""
        if row.causation_id is None:
            return ""
        # Looked for among the rows of the same key: that column has an index, and a story stays with its key.
        found = OutboxRow.objects.filter(key=row.key, event_id=row.causation_id).first()
        return str(row.causation_id) if found is None else pages.link(pages.page_of(OutboxRow, found.pk), found.type)


def _age(row: OutboxRow) -> timedelta:
    age: timedelta = getattr(row, "age", timedelta())
    return age
