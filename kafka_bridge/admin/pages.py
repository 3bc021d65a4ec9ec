"""What all pages of facts share: they are read by whoever may, and edited by nobody.

# Note [Nothing is counted to the end]
The admin's usual pages count all rows of a table, twice, and list the distinct values of a column. That is quick on the
first day and takes a site down on its busiest one. So here counting stops at `COUNT_LIMIT`, the choices of
a filter come from the code, a search looks up what has an index, and rows are shown newest first.
"""

import contextlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Model
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.safestring import SafeString

from kafka_bridge import theme

COUNT_LIMIT = 10_000
SHOWN_CHARACTERS = 50_000
# Arrays in arrays grow when they are indented: each level costs two bytes, and two spaces in each line below it.
_INDENTED_BYTES = 16 * 1024
_ModelAdmin = theme.either("unfold.admin.ModelAdmin", "django.contrib.admin.ModelAdmin")
_TabularInline = theme.either("unfold.admin.TabularInline", "django.contrib.admin.TabularInline")
_ChangeList = theme.either("unfold.views.ChangeList", "django.contrib.admin.views.main.ChangeList")
subject_pages: dict[str, str] = {}
"""By topic: the admin page (its URL's name, which takes the event's key) of what events there are about. The site,
which knows the other apps' pages, fills it."""


# -- How facts are shown -------------------------------------------------------------------------------
def label(text: str, kind: str = "", *, title: str = "") -> SafeString:
    """A coloured word; `kind` is info, success, warning, danger, primary, or nothing for grey."""
    return render_to_string(theme.LABEL_TEMPLATE, {"text": text, "type": kind, "label_title": title})


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
    """An event's body, indented for people; what is no JSON, or large, is as it came. Any bytes can be shown."""
    text = bytes(body)
    if len(text) <= _INDENTED_BYTES:
        with contextlib.suppress(msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return msgspec.json.format(text, indent=2).decode()
    return text.decode(errors="replace")


def excerpt(text: str) -> str:
    """As much of a text as a page can show, and how much there is of it."""
    if len(text) <= SHOWN_CHARACTERS:
        return text
    return f"{text[:SHOWN_CHARACTERS]}… ({len(text):,} characters in all; `manage.py dead_letters show` prints them)"


# -- Pages of facts --------------------------------------------------------------------------------------
class CappedPaginator(Paginator):  # type: ignore[type-arg]  # no generic at run time
    """Pages through the first `COUNT_LIMIT` rows; see Note [Nothing is counted to the end]."""

    template_name = "admin/kafka_bridge/unfold/pagination.html"

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


class FactsChangeList(_ChangeList):  # type: ignore[misc, valid-type]  # known at run time
    """A list that does not pretend to know how many rows there are in all."""

    def get_results(self, request: HttpRequest) -> None:
        """Read one page of rows."""
        super().get_results(request)
        narrowed = bool(self.query) or self.has_active_filters
        if self.paginator.is_capped or not narrowed:
            # Where the two are the same, the theme's headline says nothing about a number of results.
            self.full_result_count = self.result_count


class PlainAdmin(_ModelAdmin):  # type: ignore[misc, valid-type]  # known at run time
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


class FactsInline(_TabularInline):  # type: ignore[misc, valid-type]  # known at run time
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
