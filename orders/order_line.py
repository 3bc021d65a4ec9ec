"""A line of an order, and what so many of its units cost."""

from django.db import models

from events import catalogue
from money import breakdown

AMOUNT_SQL = "coalesce(amount_minor, unit_price_minor::bigint * quantity)"
"""`OrderLine.paid_minor` for PostgreSQL, whose whole numbers divide as `breakdown.first_units` does."""


class OrderLine(models.Model):
    """So many of one book, as it was called and priced when it was ordered."""

    order = models.ForeignKey("orders.Order", on_delete=models.CASCADE, related_name="lines", db_index=False)
    sku = models.CharField(max_length=20, db_index=True)
    title = models.CharField(max_length=200)
    unit_price_minor = models.PositiveIntegerField()
    """As it was shown: before a discount, without tax that is added."""
    quantity = models.PositiveSmallIntegerField()
    cancelled = models.PositiveSmallIntegerField(default=0)
    """Of these units, those that the order was reduced by."""
    returned = models.PositiveSmallIntegerField(default=0, db_default=0)
    """Of the other units, those that were paid back after they had left."""
    sale_id = models.BigIntegerField(null=True, blank=True)
    """The sale in which it was bought, if it was one."""
    amount_minor = models.BigIntegerField(null=True, blank=True)
    """What all its units cost together; None where that is quantity times price."""
    discount_minor = models.BigIntegerField(default=0, db_default=0)
    """The line's share of what a coupon took off."""
    tax_minor = models.BigIntegerField(default=0, db_default=0)
    """The tax in what all its units cost."""

    class Meta:
        ordering = ("id",)
        constraints = (
            models.UniqueConstraint(fields=["order", "sku"], name="line_once_per_sku"),
            models.CheckConstraint(
                condition=models.Q(cancelled__lte=models.F("quantity")), name="line_cancels_no_more_than_it_has"
            ),
            models.CheckConstraint(
                condition=models.Q(returned__lte=models.F("quantity") - models.F("cancelled")),
                name="line_returns_no_more_than_it_has",
            ),
            models.CheckConstraint(condition=models.Q(quantity__gte=1, quantity__lte=20), name="line_quantity_1_to_20"),
        )

    def __str__(self) -> str:
        return f"{self.quantity} x {self.title}"

    @property
    def kept(self) -> int:
        """The units that were not cancelled."""
        return self.quantity - self.cancelled

    @property
    def left(self) -> int:
        """The units that were neither cancelled nor paid back."""
        return self.kept - self.returned

    @property
    def paid_minor(self) -> int:
        """What all its units cost together when it was ordered, with discount and tax, in minor units."""
        return self.unit_price_minor * self.quantity if self.amount_minor is None else self.amount_minor

    def cost_minor(self, units: int, *, after: int = 0) -> int:
        """What so many of its units cost once `after` others have gone back; see Note [Parts] of `breakdown`."""
        upto, before = (breakdown.first_units(self.paid_minor, n, self.quantity) for n in (after + units, after))
        return upto - before

    def next_cost_minor(self, units: int) -> int:
        """What so many of its units cost that are the next to go back."""
        return self.cost_minor(units, after=self.cancelled + self.returned)

    @property
    def shown_minor(self) -> int:
        """What the units that were not cancelled cost as they were shown, in minor units."""
        return self.unit_price_minor * self.kept

    @property
    def kept_tax_minor(self) -> int:
        """The tax in what the units cost that were not cancelled."""
        return self.tax_minor - breakdown.first_units(self.tax_minor, self.cancelled, self.quantity)

    @property
    def line_total_minor(self) -> int:
        """What is to be paid for it, in minor units; cancelled units are no part of it."""
        return self.cost_minor(self.kept, after=self.cancelled)

    @property
    def returned_minor(self) -> int:
        """What the returned units cost, in minor units."""
        return self.cost_minor(self.returned, after=self.cancelled)

    @property
    def cancelled_minor(self) -> int:
        """What the cancelled units cost, in minor units."""
        return self.cost_minor(self.cancelled)

    def units(self, number: int, *, after: int = 0) -> catalogue.Line:
        """So many of its units, once `after` others have gone back, as events tell them."""
        return catalogue.Line(
            sku=self.sku,
            quantity=number,
            unit_price_minor=self.unit_price_minor,
            sale_id=self.sale_id,
            amount_minor=None if self.amount_minor is None else self.cost_minor(number, after=after),
        )
