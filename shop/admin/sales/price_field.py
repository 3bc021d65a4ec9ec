"""A price as people write it, in the shop's currency."""

from decimal import Decimal

from django import forms
from django.conf import settings
from unfold.widgets import UnfoldAdminDecimalFieldWidget

import money


class PriceField(forms.DecimalField):
    """A price in major units, with the decimals that the currency has; tables keep minor units."""

    def __init__(self, *, least_minor: int = 1, required: bool = True) -> None:
        decimals = money.digits(settings.CURRENCY)
        smallest = Decimal(1).scaleb(-decimals)
        super().__init__(
            required=required,
            min_value=money.to_major(least_minor, settings.CURRENCY),
            max_digits=6 + decimals,
            decimal_places=decimals,
            widget=UnfoldAdminDecimalFieldWidget(
                attrs={"step": str(smallest), "min": str(money.to_major(least_minor, settings.CURRENCY))}
            ),
        )


def shown(price_minor: int) -> Decimal:
    """What the field shows of a price."""
    return money.to_major(price_minor, settings.CURRENCY)


def kept(price: Decimal) -> int:
    """What a table keeps of a price that was written in the field."""
    return money.to_minor(price, settings.CURRENCY)
