"""What an order costs as its page, its mails and staff are shown it, and what of it goes back."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import money
from orders.models import Order, OrderLine


@dataclass(frozen=True, kw_only=True, slots=True)
class Prices:
    """The sums below the lines of an order, in minor units; copies that were cancelled are no part of them.

    goods - discount + shipping (+ tax, where it is added) = total.
    """

    goods_minor: int
    """Of the lines as they were shown."""
    discount_minor: int
    shipping_minor: int
    """As it was shown."""
    tax_minor: int
    is_tax_added: bool
    total_minor: int

    @property
    def has_parts(self) -> bool:
        """Whether there is more to show than lines and a total."""
        return bool(self.discount_minor or self.shipping_minor or self.tax_minor)


def of(order: Order, lines: Sequence[OrderLine]) -> Prices:
    """The sums of this order, whose lines these are."""
    tax_of_lines = sum(line.kept_tax_minor for line in lines)
    goods = sum(line.shown_minor for line in lines)
    added = tax_of_lines if order.is_tax_added else 0
    return Prices(
        goods_minor=goods,
        discount_minor=goods + added - sum(line.line_total_minor for line in lines),
        shipping_minor=order.shipping_minor - (order.shipping_tax_minor if order.is_tax_added else 0),
        tax_minor=tax_of_lines + order.shipping_tax_minor,
        is_tax_added=order.is_tax_added,
        total_minor=order.total_minor,
    )


def rows(order: Order, lines: Sequence[OrderLine]) -> list[str]:
    """What stands between the books and the total of an order, a line of text each; none where nothing does."""
    found, sums = [], of(order, lines)
    if not (sums.has_parts or order.shipping_method):
        return []
    if sums.discount_minor:
        found.append((f"Coupon {order.coupon_code}", -sums.discount_minor))
    found.append((order.shipping_method or "Shipping", sums.shipping_minor))
    if sums.tax_minor:
        found.append(("Tax" if sums.is_tax_added else "Tax in the total", sums.tax_minor))
    return [f"{name}: {money.format_plain(amount_minor, order.currency)}" for name, amount_minor in found]


def placed_minor(order: Order, lines: Iterable[OrderLine]) -> int:
    """What the order came to when it was placed, and was charged."""
    return sum(line.paid_minor for line in lines) + order.shipping_minor


def goes_back_minor(order: Order, lines: Sequence[OrderLine], units: Mapping[str, int]) -> int:
    """What is paid back if these units, by sku, are returned: with the last ones also what was paid for shipping."""
    back = sum(line.next_cost_minor(units[line.sku]) for line in lines if line.sku in units)
    is_all = all(line.left == units.get(line.sku, 0) for line in lines)
    return back + order.shipping_minor if is_all else back


def money_back(order: Order, lines: Sequence[OrderLine]) -> tuple[int, int]:
    """What the cancelled and what the returned units cost; all of it goes back, or has."""
    returned = sum(line.returned_minor for line in lines)
    if any(line.returned for line in lines) and not any(line.left for line in lines):
        returned += order.shipping_minor
    return sum(line.cancelled_minor for line in lines), returned
