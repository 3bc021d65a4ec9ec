"""What shipping costs and how tax is taken, as it is now: read at most twice a second, whoever asks."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from django.db import InterfaceError, OperationalError
from django.utils import timezone

from money.breakdown import NO_TAX, Tax
from shop.prices.tables import ShippingMethod, TaxRate
from shop.site import ttl_cache

ELSEWHERE = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Way:
    """A way of shipping for one order, and what it costs there, in minor units."""

    code: str
    name: str
    price_minor: int


FREE = Way(code="", name="", price_minor=0)
"""The only way of a shop that has no rates."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tier:
    """The price of a method up to a weight."""

    upto_grams: int | None
    price_minor: int
    free_from_minor: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    """A way of shipping with its tiers by country, the lightest first."""

    code: str
    name: str
    tiers: Mapping[str, Sequence[Tier]]

    def way(self, country: str, grams: int, goods_minor: int) -> Way | None:
        """What it costs for books of this weight and price; None where it does not go."""
        for tier in self.tiers.get(country) or self.tiers.get(ELSEWHERE, ()):
            if tier.upto_grams is None or grams <= tier.upto_grams:
                is_free = tier.free_from_minor is not None and goods_minor >= tier.free_from_minor
                return Way(code=self.code, name=self.name, price_minor=0 if is_free else tier.price_minor)
        return None


@dataclass(frozen=True, kw_only=True, slots=True)
class Rates:
    """All rates, as they were at one moment."""

    methods: Sequence[Method]
    taxes: Mapping[str, Sequence[tuple[date, Tax]]]
    """By country, the newest first."""

    @property
    def depend_on_country(self) -> bool:
        """Whether somebody has to say where the parcel goes before there is a total."""
        return bool(self.methods or self.taxes)

    def ways(self, country: str, grams: int, goods_minor: int) -> list[Way]:
        """The ways to ship such books there; none where the shop does not ship to."""
        if not self.methods:
            return [FREE]
        found = (method.way(country, grams, goods_minor) for method in self.methods)
        return [way for way in found if way is not None]

    def tax(self, country: str, day: date) -> Tax:
        """How tax is taken there on this day."""
        for where in (country, ELSEWHERE):
            for since, tax in self.taxes.get(where, ()):
                if since <= day:
                    return tax
        return NO_TAX


def now() -> Rates:
    """The rates, at most half a second old: as old as prices of books may be."""
    return _rates.get()


def last_known() -> Rates:
    """What this process knows of them, of any age: for showing a page without the database, not for selling.

    Without the database a process that has just begun knows of none.
    """
    try:
        return _rates.last_known()
    except (OperationalError, InterfaceError):
        return Rates(methods=(), taxes={})


def forget() -> None:
    """Drop this process's rates, after a change."""
    _rates.forget()


def today() -> date:
    """The day whose tax counts, in the shop's time zone."""
    return timezone.localdate()


def _load() -> Rates:
    taxes: dict[str, list[tuple[date, Tax]]] = defaultdict(list)
    for row in TaxRate.objects.order_by("country", "-valid_from"):
        tax = Tax(
            books_ppm=int(row.books_percent * 10_000),
            shipping_ppm=int(row.shipping_percent * 10_000),
            is_added=row.is_added,
        )
        taxes[row.country].append((row.valid_from, tax))
    methods = ShippingMethod.objects.filter(is_active=True).prefetch_related("rates")
    return Rates(methods=[_method(row) for row in methods], taxes=taxes)


def _method(row: ShippingMethod) -> Method:
    tiers: dict[str, list[Tier]] = defaultdict(list)
    rates = sorted(row.rates.all(), key=lambda rate: (rate.upto_grams is None, rate.upto_grams or 0))
    for rate in rates:
        tiers[rate.country].append(
            Tier(upto_grams=rate.upto_grams, price_minor=rate.price_minor, free_from_minor=rate.free_from_minor)
        )
    return Method(code=row.code, name=row.name, tiers=dict(tiers))


_rates: ttl_cache.TtlCache[Rates] = ttl_cache.TtlCache(_load, max_age_seconds=0.5)
