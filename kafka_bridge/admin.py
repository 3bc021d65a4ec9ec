"""The outbox in the admin; and what all pages of facts share: they are read by whoever may, and edited by nobody.

# Note [Nothing is counted to the end]
The admin's usual pages count all rows of a table, twice, and list the distinct values of a column. That is quick on the
day a shop opens and takes it down on the day of its flash sale. So here counting stops at `COUNT_LIMIT`, the choices of
a filter come from the code, a search looks up what has an index, and rows are shown newest first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import F, Model, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin, TabularInline
from unfold.views import ChangeList

from kafka_bridge import catalogue, registry
from kafka_bridge.models import InboxRow, OutboxRow

COUNT_LIMIT = 10_000
subject_pages: dict[str, str] = {}
"""By topic: the admin page (its URL's name, which takes the event's key) of what events there are about. The site,
which knows the other apps' pages, fills it."""


# -- How facts are shown -------------------------------------------------------------------------------
def label(text: str, kind: str = "", *, title: str = "") -> SafeString:
    """A coloured word; `kind` is info, success, warning, danger, primary, or nothing for grey."""
    return render_to_string("unfold/helpers/label.html", {"text": text, "type": kind, "label_title": title})


def link(url: str, text: object) -> SafeString:
    """A link inside a table or among the fields of a page."""
    return format_html('<a class="br-link" href="{}">{}</a>', url, text)


def page_of(model: type[Model], pk: object) -> str:
    """Address of a row's page in the admin."""
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[pk])


def short_link(url: str, key: UUID) -> SafeString:
    """A link that shows the end of an id: ids of one hour begin alike."""
    return format_html('<a class="br-link br-nowrap" href="{}" title="{}">…{}</a>', url, key, str(key)[-12:])


def moment(at: datetime | None) -> str:
    """A time to the second on one line; nothing for none."""
    if at is None:
        return ""
    local = timezone.localtime(at)
    words = f"{local.day} {local:%b, %H:%M:%S}"
    return format_html('<time class="br-nowrap" datetime="{0}" title="{0}">{1}</time>', local.isoformat(), words)


def as_age(span: timedelta) -> str:
    """A span of time in one unit: "340 ms", "1.4 s", "12 s", "5 min", "3 h", "2 d"."""
    seconds = max(span.total_seconds(), 0.0)
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    for unit, size, limit in (("s", 1, 120), ("min", 60, 7200), ("h", 3600, 172_800)):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86_400:.0f} d"


def as_uuid(text: str) -> UUID | None:
    """The text as an id, if it is one."""
    try:
        return UUID(text.strip())
    except ValueError:
        return None


def as_json(body: bytes | memoryview) -> str:
    """An event's body, indented for people; what is no JSON is shown as it is."""
    try:
        return msgspec.json.format(bytes(body), indent=2).decode()
    except msgspec.DecodeError:
        return bytes(body).decode(errors="replace")


# -- Pages of facts --------------------------------------------------------------------------------------
class CappedPaginator(Paginator):  # type: ignore[type-arg]  # no generic at run time
    """Pages through the first `COUNT_LIMIT` rows; see Note [Nothing is counted to the end]."""

    template_name = "admin/capped_pagination.html"

    @cached_property
    def count(self) -> int:
        """The number of rows, or `COUNT_LIMIT` if there are more."""
        return min(self._counted, COUNT_LIMIT)

    @property
    def is_capped(self) -> bool:
        """Whether there are more rows than were counted."""
        return self._counted > COUNT_LIMIT

    @cached_property
    def _counted(self) -> int:
        rows: Any = self.object_list
        return int(rows.order_by()[: COUNT_LIMIT + 1].count())


class FactsChangeList(ChangeList):  # type: ignore[misc]  # the theme has no types
    """A list that does not pretend to know how many rows there are in all."""

    def get_results(self, request: HttpRequest) -> None:
        """Read one page of rows."""
        super().get_results(request)
        narrowed = bool(self.query) or self.has_active_filters
        if self.paginator.is_capped or not narrowed:
            # Where the two are the same, the theme's headline says nothing about a number of results.
            self.full_result_count = self.result_count


class PlainAdmin(ModelAdmin):  # type: ignore[misc]  # the theme has no types
    """Lists that stay fast however long their tables grow."""

    paginator = CappedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    list_max_show_all = 0

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[FactsChangeList]:
        """The list's view of itself."""
        return FactsChangeList


class FactsAdmin(PlainAdmin):
    """Rows that say what happened: nobody adds, changes or deletes them here. Shown in one order, newest first."""

    sortable_by: Sequence[str] | None = ()

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Facts are stated by services."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """What happened cannot be edited."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """What happened cannot be undone by forgetting it."""
        return False


class FactsInline(TabularInline):  # type: ignore[misc]  # the theme has no types
    """Facts below the fact that they belong to."""

    extra = 0
    can_delete = False
    show_change_link = False

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Facts are stated by services."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """What happened cannot be edited."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """What happened cannot be undone by forgetting it."""
        return False


# -- The outbox --------------------------------------------------------------------------------------------
@dataclass(frozen=True, kw_only=True)
class Backlog:
    """What waits for the relay."""

    rows: int
    oldest: timedelta | None
    """How long the first of them has waited; None where nothing waits."""

    @property
    def age(self) -> str:
        """How long the first of them has waited, in words."""
        return "" if self.oldest is None else as_age(self.oldest)


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
    """Whether the event means something to the group in this flow; if not, the group only notes that it passed by."""

    @property
    def delay(self) -> str:
        """From the fact's own time to the note in the group's inbox, in words."""
        return "" if self.handled_at is None else as_age(self.handled_at - self.stated_at)


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
    event = catalogue.BY_TYPE_AND_VERSION.get((row.type, row.version))
    if event is None:
        return []
    return registry.listeners(event, str(msgspec.json.decode(bytes(row.body)).get("flow", "")))


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
        return [(topic.name, topic.name) for topic in catalogue.TOPICS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[OutboxRow]) -> QuerySet[OutboxRow]:
        """The rows of the choice."""
        return queryset.filter(topic=self.value()) if self.value() else queryset


class TypeFilter(admin.SimpleListFilter):
    """By the event's type; the choices are the catalogue's."""

    title = "event"
    parameter_name = "type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The choices."""
        return [(event.TYPE, event.TYPE) for event in catalogue.EVENTS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[OutboxRow]) -> QuerySet[OutboxRow]:
        """The rows of the choice."""
        return queryset.filter(type=self.value()) if self.value() else queryset


@admin.register(OutboxRow)
class OutboxRowAdmin(FactsAdmin):
    """Every fact that was stated, whether it is in Kafka yet, and who has had it."""

    list_display = ("id", "event", "subject", "place", "delay", "stated")
    list_display_links = ("id", "event")
    list_filter = (PublishedFilter, TopicFilter, TypeFilter)
    list_before_template = "admin/kafka_bridge/backlog.html"
    search_fields = ("key",)
    search_help_text = "Key (order id) or event id, complete"
    ordering = ("-id",)
    fieldsets = (
        (None, {"fields": ("event", "subject", "place", "heard_by")}),
        ("Body", {"fields": ("pretty_body",)}),
        ("Envelope", {"fields": ("event_id", "version", "correlation_id", "cause", "traceparent")}),
        ("Time", {"fields": ("stated", "published", "delay")}),
    )
    readonly_fields = ("event", "subject", "place", "heard_by", "pretty_body", "cause", "stated", "published", "delay")

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
        event_id = as_uuid(term)
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
        page = subject_pages.get(row.topic)
        return row.key if page is None else link(reverse(page, args=[row.key]), row.key)

    @admin.display(description="topic · partition · offset")
    def place(self, row: OutboxRow) -> str:
        """Where the event lies in Kafka."""
        if row.published_at is None:
            return format_html("{} {}", row.topic, label(f"waits for the relay, {as_age(_age(row))}", "warning"))
        return f"{row.topic} · {row.partition} · {row.offset}"

    @admin.display(description="stated to published")
    def delay(self, row: OutboxRow) -> str:
        """How long it waited for the relay."""
        return "" if row.published_at is None else as_age(row.published_at - row.created_at)

    @admin.display(description="stated")
    def stated(self, row: OutboxRow) -> str:
        """When it was stated."""
        return moment(row.created_at)

    @admin.display(description="published")
    def published(self, row: OutboxRow) -> str:
        """When Kafka had acknowledged it."""
        return moment(row.published_at)

    @admin.display(description="heard by")
    def heard_by(self, row: OutboxRow) -> str:
        """Groups that have had the event, and those that have not."""
        return render_to_string("admin/kafka_bridge/hearings.html", {"hearings": hearings([row])[row.event_id]})

    @admin.display(description="body")
    def pretty_body(self, row: OutboxRow) -> str:
        """The event's fields."""
        return format_html('<pre class="br-json">{}</pre>', as_json(row.body))

    @admin.display(description="caused by event")
    def cause(self, row: OutboxRow) -> str:
        """The event in answer to which this one was stated."""
        if row.causation_id is None:
            return ""
        # Looked for among the rows of the same key: that column has an index, and a story stays with its key.
        found = OutboxRow.objects.filter(key=row.key, event_id=row.causation_id).first()
        return str(row.causation_id) if found is None else link(page_of(OutboxRow, found.pk), found.type)


def _age(row: OutboxRow) -> timedelta:
    age: timedelta = getattr(row, "age", timedelta())
    return age
