"""What an order comes to, part by part: its lines, its shipping, what a coupon takes off, the tax in or on each.

# Note [Parts]
Each line and the shipping is a *part* with an amount of its own: price, less its share of the discount, plus its tax
where tax is added. An order's total is the sum of its parts, so nothing is left over that belongs to none of them, and
what goes back for a part is counted by that part alone. Of several units in a part the first k cost the whole amount
times k by their number, rounded down (`first_units`): whichever units go back, in whichever steps, their sum is the
amount when the last one has gone.

Everything is whole numbers of the currency's smallest unit; nowhere is there a float or a fraction.
"""

from collections.abc import Sequence
from dataclasses import dataclass

MILLION = 1_000_000
"""Rates of tax are in millionths: 19 % is 190,000, and the 8.875 % of New York City is 88,750."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tax:
    """How a country taxes what is sent there; rates in millionths."""

    books_ppm: int = 0
    shipping_ppm: int = 0
    is_added: bool = False
    """Whether prices are shown without it, and it is added; otherwise it is in them."""


NO_TAX = Tax()


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """What is paid for one line or for the shipping, in minor units."""

    price_minor: int = 0
    """As it is shown: of all units, before the discount, without tax that is added."""
    discount_minor: int = 0
    tax_minor: int = 0
    """In the amount, whether it was in the price or was added."""
    is_tax_added: bool = False

    @property
    def amount_minor(self) -> int:
        """What the buyer pays for it."""
        return self.price_minor - self.discount_minor + (self.tax_minor if self.is_tax_added else 0)


NOTHING = Part()


@dataclass(frozen=True, kw_only=True, slots=True)
class Breakdown:
    """All parts of an order, and their sums; see Note [Parts]."""

    lines: tuple[Part, ...]
    shipping: Part = NOTHING

    @property
    def goods_minor(self) -> int:
        """What the books cost before the discount, as shown."""
        return sum(part.price_minor for part in self.lines)

    @property
    def discount_minor(self) -> int:
        """What is taken off."""
        return sum(part.discount_minor for part in self._parts)

    @property
    def tax_minor(self) -> int:
        """The tax in the total."""
        return sum(part.tax_minor for part in self._parts)

    @property
    def is_tax_added(self) -> bool:
        """Whether the tax comes on top of the prices."""
        return any(part.is_tax_added for part in self._parts)

    @property
    def total_minor(self) -> int:
        """What the buyer pays."""
        return sum(part.amount_minor for part in self._parts)

    @property
    def _parts(self) -> tuple[Part, ...]:
        return (*self.lines, self.shipping)


def work_out(
    prices: Sequence[int], *, shipping_minor: int = 0, discount_minor: int = 0, tax: Tax = NO_TAX
) -> Breakdown:
    """The breakdown of an order whose lines cost so much before the discount, which is spread over them.

    Raises:
        ValueError: the discount is more than the lines cost, or something is negative.
    """
    if min((*prices, shipping_minor, discount_minor)) < 0:
        raise ValueError("Prices, shipping and a discount cannot be negative.")
    shares = share(discount_minor, prices)
    lines = tuple(
        _part(price, off, tax.books_ppm, is_added=tax.is_added) for price, off in zip(prices, shares, strict=True)
    )
    return Breakdown(lines=lines, shipping=_part(shipping_minor, 0, tax.shipping_ppm, is_added=tax.is_added))


def share(amount_minor: int, weights: Sequence[int]) -> list[int]:
    """The amount in parts that are in proportion to the weights (largest remainder); a part is never above its weight.

    Raises:
        ValueError: the amount is more than the weights are together.
    """
    whole = sum(weights)
    if amount_minor > whole:
        raise ValueError(f"{amount_minor} cannot be taken off {whole}")
    if not amount_minor:
        return [0] * len(weights)
    parts = [amount_minor * weight // whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda at: -(amount_minor * weights[at] % whole))
    for at in by_remainder[: amount_minor - sum(parts)]:
        parts[at] += 1
    return parts


def first_units(amount_minor: int, units: int, of: int) -> int:
    """What the first `units` of a part with `of` units cost; see Note [Parts]."""
    return amount_minor * units // of


def _part(price_minor: int, discount_minor: int, rate_ppm: int, *, is_added: bool) -> Part:
    paid = price_minor - discount_minor
    # Half a unit and more is rounded up, here and nowhere else.
    base = MILLION if is_added else MILLION + rate_ppm
    tax_minor = (2 * paid * rate_ppm + base) // (2 * base)
    return Part(price_minor=price_minor, discount_minor=discount_minor, tax_minor=tax_minor, is_tax_added=is_added)
