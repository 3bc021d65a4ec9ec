"""A date hierarchy for long lists: years, months and days above the list.

Django's date hierarchy lists the days that have rows, and reads the whole table for that. This one reads only the first
and the last date, from the index, and offers every period between them.
"""

import calendar
from dataclasses import dataclass
from datetime import date, datetime

from django.contrib.admin.views.main import ChangeList
from django.db.models import Max, Min
from django.utils import timezone

from kafka_bridge import admin as facts

_FIELDS = ("year", "month", "day")


@dataclass(frozen=True, kw_only=True)
class Span:
    """A period, and the query string for its list."""

    title: str
    query: str


@dataclass(frozen=True, kw_only=True)
class DateHierarchy:
    """The period that is shown, wider ones to go back to, and narrower ones to choose from."""

    wider: list[Span]
    current: str
    narrower: list[Span]


class DatedChangeList(facts.FactsChangeList):
    """A list with years, months and days above it."""

    def drill_down(self) -> DateHierarchy | None:
        """The periods for the template."""
        return date_hierarchy_of(self)


def date_hierarchy_of(changes: ChangeList) -> DateHierarchy | None:
    """The periods around what the list shows; None for an empty table."""
    chosen = _chosen(changes)
    bounds = changes.root_queryset.order_by().aggregate(
        first=Min(changes.date_hierarchy), last=Max(changes.date_hierarchy)
    )
    if bounds["first"] is None:
        return None
    first, last = _day(bounds["first"]), _day(bounds["last"])
    wider = [Span(title="All", query=_query(changes, ()))] if chosen else []
    wider += [Span(title=_title(chosen[:n]), query=_query(changes, chosen[:n])) for n in range(1, len(chosen))]
    return DateHierarchy(
        wider=wider,
        current=_title(chosen),
        narrower=[
            Span(title=_title(span), query=_query(changes, span)) for span in _within(chosen, first=first, last=last)
        ],
    )


def _chosen(changes: ChangeList) -> tuple[int, ...]:
    """The year, month and day in the query string, as far as they form a date."""
    found: list[int] = []
    for name in _FIELDS:
        value = changes.params.get(f"{changes.date_hierarchy}__{name}", "")
        text = value[-1] if isinstance(value, list) and value else str(value)
        if not text.isdigit():
            break
        found.append(int(text))
    return tuple(found)


def _within(chosen: tuple[int, ...], *, first: date, last: date) -> list[tuple[int, ...]]:
    """The next narrower periods between the first and the last day."""
    match chosen:
        case ():
            if first.year == last.year:
                return _within((first.year,), first=first, last=last)
            return [(year,) for year in range(first.year, last.year + 1)]
        case (year,):
            low, high = (first.year, first.month), (last.year, last.month)
            months = [month for month in range(1, 13) if low <= (year, month) <= high]
            if len(months) == 1:
                return _within((year, months[0]), first=first, last=last)
            return [(year, month) for month in months]
        case (year, month) if 1 <= month <= 12:
            days = range(1, calendar.monthrange(year, month)[1] + 1)
            return [(year, month, day) for day in days if first <= date(year, month, day) <= last]
    return []


def _title(span: tuple[int, ...]) -> str:
    match span:
        case (year,):
            return str(year)
        case (year, month) if 1 <= month <= 12:
            return f"{calendar.month_abbr[month]} {year}"
        case (year, month, day) if 1 <= month <= 12:
            return f"{day} {calendar.month_abbr[month]} {year}"
    return ""


def _query(changes: ChangeList, span: tuple[int, ...]) -> str:
    """The list's query string with this period."""
    names = [f"{changes.date_hierarchy}__{name}" for name in _FIELDS]
    query = changes.get_query_string(dict(zip(names, map(str, span), strict=False)), names)
    return str(query)


def _day(at: datetime) -> date:
    return timezone.localtime(at).date()
