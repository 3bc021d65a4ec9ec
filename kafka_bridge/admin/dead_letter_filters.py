"""By what dead letters are filtered in the admin."""

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from kafka_bridge.consuming import registry
from kafka_bridge.dead_letters import error_kinds
from kafka_bridge.models import DeadLetter

_AGES = {"1": "Over an hour ago", "24": "Over a day ago", "168": "Over a week ago"}


class GroupFilter(admin.SimpleListFilter):
    """By consumer group; the choices are those of the code."""

    title = "group"
    parameter_name = "group"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The choices."""
        return [(group.name, group.name) for group in registry.groups()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> QuerySet[DeadLetter]:
        """The letters of the choice."""
        return queryset.filter(group=self.value()) if self.value() else queryset


class KindFilter(admin.SimpleListFilter):
    """By kind of error; the choices are the most frequent kinds of those that wait."""

    title = "error"
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The choices, and the kind that is chosen already."""
        found = [(kind.fingerprint, kind.error[:60]) for kind in error_kinds.waiting(limit=12)]
        chosen = request.GET.get(self.parameter_name, "")
        return found if not chosen or chosen in dict(found) else [*found, (chosen, f"kind {chosen[:16]}")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> QuerySet[DeadLetter]:
        """The letters of the choice."""
        return queryset.filter(fingerprint=self.value()) if self.value() else queryset


class AgeFilter(admin.SimpleListFilter):
    """By how long ago the group gave up."""

    title = "age"
    parameter_name = "hours"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The choices."""
        return list(_AGES.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> QuerySet[DeadLetter]:
        """The letters of the choice."""
        hours = self.value()
        return queryset.filter(died_at__lt=timezone.now() - timedelta(hours=int(hours))) if hours in _AGES else queryset
