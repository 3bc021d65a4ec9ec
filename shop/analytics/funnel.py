"""What analytics has counted by the hour, read for people: the funnel, what sells, and what is searched for in vain."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Sum
from django.utils import timezone

from shop.models import Book, BookHour, SearchHour

HOURS = 24
SHOWN = 10
_STEPS = (
    ("seen", "Seen", "looks at the page of a book"),
    ("carted", "In a cart", "put into a cart that did not have it"),
    ("ordered", "Ordered", "in an order that was placed"),
    ("paid", "Paid", "in an order that was confirmed"),
)


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of the funnel, and how many of the step before got there."""

    name: str
    meaning: str
    count: int
    of_before: float | None
    """In percent; None for the first step, and where more got here than to the step before: programs order by JSON."""
    width: int
    """In percent of the widest step."""


@dataclass(frozen=True, kw_only=True)
class Hour:
    """One hour, for the table."""

    begins: datetime
    seen: int
    carted: int
    ordered: int
    paid: int


@dataclass(frozen=True, kw_only=True)
class Seller:
    """A book that was sold within the hour; without a title it is in the catalogue no more."""

    sku: str
    title: str
    units: int
    seen: int


@dataclass(frozen=True, kw_only=True)
class Missed:
    """Words that found nothing, and how often; empty words are those that are not told."""

    words: str
    times: int


@dataclass(frozen=True, kw_only=True)
class Funnel:
    """Everything the page shows."""

    read_at: datetime
    hour: datetime
    """The hour under way (UTC)."""
    now: Sequence[Step]
    day: Sequence[Step]
    hours: Sequence[Hour]
    """Those of the last 24 in which something happened, the newest first."""
    sellers: Sequence[Seller]
    missed: Sequence[Missed]
    searches: int


def read() -> Funnel:
    """The hour under way, and the 24 that end with it."""
    read_at = timezone.now()
    hour = read_at.replace(minute=0, second=0, microsecond=0)
    since = hour - timedelta(hours=HOURS - 1)
    hours = _hours(since)
    return Funnel(
        read_at=read_at,
        hour=hour,
        now=_steps([one for one in hours if one.begins == hour]),
        day=_steps(hours),
        hours=hours,
        sellers=_sellers(hour),
        missed=_missed(since),
        searches=SearchHour.objects.filter(hour__gte=since).aggregate(all=Sum("times"))["all"] or 0,
    )


def _hours(since: datetime) -> list[Hour]:
    names = [name for name, *_ in _STEPS]
    rows = BookHour.objects.filter(hour__gte=since).order_by("-hour").values_list("hour")
    return [
        Hour(begins=begins, **dict(zip(names, sums, strict=True)))
        for begins, *sums in rows.annotate(*(Sum(name) for name in names))
    ]


def _steps(hours: Sequence[Hour]) -> list[Step]:
    counts = [sum(getattr(hour, name) for hour in hours) for name, *_ in _STEPS]
    widest = max(counts) or 1
    return [
        Step(
            name=title,
            meaning=meaning,
            count=count,
            of_before=100 * count / before if before >= count and before else None,
            width=round(100 * count / widest),
        )
        for (_, title, meaning), count, before in zip(_STEPS, counts, [0, *counts], strict=False)
    ]


def _sellers(hour: datetime) -> list[Seller]:
    rows = list(BookHour.objects.filter(hour=hour, units__gt=0).order_by("-units", "sku")[:SHOWN])
    titles = dict(Book.objects.filter(isbn__in=[row.sku for row in rows]).values_list("isbn", "title"))
    return [Seller(sku=row.sku, title=titles.get(row.sku, ""), units=row.units, seen=row.seen) for row in rows]


def _missed(since: datetime) -> list[Missed]:
    rows = SearchHour.objects.filter(hour__gte=since, without_result__gt=0).order_by().values_list("words")
    found = rows.annotate(times=Sum("without_result")).order_by("-times", "words")
    return [Missed(words=words, times=times) for words, times in found[:SHOWN]]
