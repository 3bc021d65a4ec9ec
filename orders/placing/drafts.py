"""An order as it was asked for, priced by the server, before it is saved."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from uuid import UUID

import msgspec

from events import catalogue
from money import breakdown
from orders.coupons import uses
from orders.models import new_id

QUANTITY_MAX = 20
LINES_MAX = 50


class InvalidDraft(ValueError):
    """The order asks for something impossible; the message says what."""


@dataclass(frozen=True, kw_only=True)
class DraftLine:
    """So many of one book at the price the server found; minor units."""

    sku: str
    title: str
    unit_price_minor: int
    quantity: int
    sale_id: int | None = None
    """The sale whose units these are, if the book is in one."""


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What an order costs besides its books, and what is taken off."""

    discount_minor: int = 0
    """Of the books."""
    shipping_minor: int = 0
    """Without tax that is added."""
    shipping_method: str = ""
    tax: breakdown.Tax = breakdown.NO_TAX

    def costs_of(self, prices: Sequence[int]) -> breakdown.Breakdown:
        """What lines with these prices come to, part by part.

        Raises:
            ValueError: more is taken off than they cost.
        """
        return breakdown.work_out(
            prices, shipping_minor=self.shipping_minor, discount_minor=self.discount_minor, tax=self.tax
        )


@dataclass(frozen=True, kw_only=True)
class Draft:
    """An order as it was asked for, priced by the server."""

    idempotency_key: UUID
    lines: tuple[DraftLine, ...]
    currency: str
    flow: str
    payment_method: str
    name: str
    email: str
    address_line1: str
    address_line2: str = ""
    city: str
    postcode: str
    country: str
    user_id: int | None = None
    customer: str = ""
    """A pseudonym of the buyer, where a sale has a limit per customer."""
    contact: str = ""
    """The same for the mail address alone."""
    visitor: str = ""
    """A pseudonym of who orders, in every order."""
    network: str = ""
    """A pseudonym of the network that the order comes from."""
    owner: str = ""
    """Whose the idempotency key is: an account's or a session's. Empty for a program, which tells nobody its key."""
    terms: Terms = Terms()
    shipping_wanted: str = ""
    """The way of shipping that was asked for, as the shop calls it; "" for whichever it takes."""
    coupon_code: str = ""
    """The code that was typed."""
    claim: uses.Claim | None = None
    """The coupon that gives the discount in `terms`; None without one, or where the order is known to be placed."""

    order_id: UUID = field(default_factory=new_id, compare=False)

    @cached_property
    def costs(self) -> breakdown.Breakdown:
        """What the order comes to, part by part."""
        return self.terms.costs_of([line.unit_price_minor * line.quantity for line in self.lines])

    @property
    def total_minor(self) -> int:
        """What the buyer pays, in minor units."""
        return self.costs.total_minor

    def digest(self) -> str:
        """SHA-256 of what the buyer asked for; prices and the flow are the shop's, and may differ at a second try."""
        asked = [
            [(line.sku, line.quantity) for line in self.lines],
            self.currency, self.payment_method, self.name, self.email, self.address_line1, self.address_line2,
            self.city, self.postcode, self.country, self.user_id,
            *([self.owner] if self.owner else []),
            *([{"shipping": self.shipping_wanted}] if self.shipping_wanted else []),
            *([{"coupon": self.coupon_code}] if self.coupon_code else []),
        ]  # fmt: skip
        return hashlib.sha256(msgspec.json.encode(asked)).hexdigest()


def validate(draft: Draft) -> None:
    """Check what the database would refuse anyway, with words for people.

    Raises:
        InvalidDraft: see its message.
    """
    if not 1 <= len(draft.lines) <= LINES_MAX:
        raise InvalidDraft(f"An order has 1 to {LINES_MAX} lines.")
    if len({line.sku for line in draft.lines}) != len(draft.lines):
        raise InvalidDraft("Each book may stand on one line only.")
    for line in draft.lines:
        if not 1 <= line.quantity <= QUANTITY_MAX:
            raise InvalidDraft(f"{line.title}: the quantity must be 1 to {QUANTITY_MAX}, not {line.quantity}.")
        if line.unit_price_minor < 0:
            raise InvalidDraft(f"{line.title}: the price cannot be negative.")
    if draft.terms.shipping_minor < 0 or not 0 <= draft.terms.discount_minor <= sum(
        line.unit_price_minor * line.quantity for line in draft.lines
    ):
        raise InvalidDraft("Shipping cannot cost less than nothing, nor more be taken off than the books cost.")
    if draft.flow not in catalogue.FLOWS:
        raise InvalidDraft(f"The flow must be one of {', '.join(catalogue.FLOWS)}, not {draft.flow!r}.")
