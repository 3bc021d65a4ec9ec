"""Template filters for amounts, stock, times and ISBNs."""

from datetime import date, datetime, timedelta

from django import template
from django.conf import settings
from django.utils import timezone

import money
from shop.checkout import countries

register = template.Library()

# Up to this number of copies the page says how many are left.
FEW = 5


@register.filter
def price(amount_minor: int, currency: str = "") -> str:
    """An amount of minor units in the order's currency, or in the shop's."""
    return money.format_amount(amount_minor, currency or settings.CURRENCY)


@register.filter
def stock_in_words(free: int | None) -> str:
    """The stock in a buyer's words; None for a book that never had stock."""
    if free is None:
        return "Not in stock yet"
    if free <= 0:
        return "Sold out"
    if free == 1:
        return "Last copy"
    return f"Only {free} left" if free <= FEW else "In stock"


@register.filter
def stock_level(free: int | None) -> str:
    """The stock level for the style sheet: none, few or enough."""
    if free is None or free <= 0:
        return "none"
    return "few" if free <= FEW else "enough"


@register.filter
def left_of(left: int | None, units: int) -> str:
    """What is left of the units of a sale."""
    return "Sold out" if left is None or left <= 0 else f"{left:,} of {units:,} left"


@register.filter
def until(at: datetime) -> str:
    """The time from now until then in one unit, rounded up: "4 minutes"; "1 second" at least."""
    seconds = max(1, -((timezone.now() - at) // timedelta(seconds=1)))
    for unit, size in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= 2 * size:
            return f"{-(-seconds // size)} {unit}s"
    return f"{seconds} second{'' if seconds == 1 else 's'}"


@register.filter
def last_day(end: datetime) -> date:
    """The last day of a period that ends at midnight."""
    return timezone.localdate(end - timedelta(seconds=1))


@register.filter
def hyphenated(isbn: str) -> str:
    """An ISBN in readable groups: prefix, then groups of two to four, then the check digit."""
    return f"{isbn[:3]}-{isbn[3:7]}-{isbn[7:10]}-{isbn[10:12]}-{isbn[12:]}" if len(isbn) == 13 else isbn


@register.filter
def country_name(code: str) -> str:
    """A country's name by its ISO code."""
    return countries.name_of(code)


@register.filter
def of(mapping: dict[str, object], key: str) -> object:
    """The value of a mapping for a key in a template variable."""
    return mapping.get(key)
