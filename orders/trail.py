"""How an order's trail calls what was done to it, and how it tells copies and amounts."""

from collections.abc import Mapping

REDUCED = "reduced"
"""Some copies of an order were cancelled."""
RETURN_ASKED = "return asked for"
"""The buyer wants to send copies back."""
RETURNED = "returned"
"""Copies that had left are paid back."""
RETURN_DECLINED = "return declined"
"""Staff do not take back what the buyer wanted to send."""


def counted(units: Mapping[str, int]) -> str:
    """So many copies of each sku."""
    return ", ".join(f"{number} x {sku}" for sku, number in units.items())


def money(amount_minor: int, currency: str) -> str:
    """In major units."""
    return f"{amount_minor / 100:.2f} {currency}"
