"""Coupons, and each time that one was used."""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.core import validators
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.functions import Now

CODE_LENGTH = 30
_CODE = re.compile(r"[0-9A-Z][0-9A-Z-]{2,29}", re.ASCII)
PERCENT_MOST = 90
"""An order that costs nothing could not be charged."""


def code_of(typed: str) -> str:
    """A code as it is kept, however it was typed; "" for what cannot be one."""
    code = "".join(typed.split()).upper()
    return code if _CODE.fullmatch(code) else ""


def validate_code(code: str) -> None:
    """Refuse what nobody could type.

    Raises:
        ValidationError: see its message.
    """
    if code_of(code) != code:
        raise ValidationError("Use 3 to 30 capital letters without accents, digits and hyphens, such as SPRING-10.")


class Coupon(models.Model):
    """A code that takes something off an order, within its limits."""

    class Kind(models.TextChoices):
        """What is taken off."""

        PERCENT = "percent", "Per cent of the books"
        AMOUNT = "amount", "An amount"
        SHIPPING = "shipping", "Shipping is free"

    code = models.CharField(
        max_length=CODE_LENGTH, unique=True, validators=[validate_code], help_text="Buyers type it in any case."
    )
    kind = models.CharField(max_length=10, choices=Kind.choices)
    percent = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        validators=[validators.MinValueValidator(1), validators.MaxValueValidator(PERCENT_MOST)],
        help_text=f"1 to {PERCENT_MOST}.",
    )
    amount_minor = models.PositiveIntegerField(null=True, blank=True)
    """In minor units of the shop's currency."""
    minimum_minor = models.PositiveIntegerField(default=0)
    """What the books must cost at least, in minor units."""
    starts_at = models.DateTimeField("from", null=True, blank=True)
    ends_at = models.DateTimeField("until", null=True, blank=True)
    limit = models.PositiveIntegerField(
        "limit in all", null=True, blank=True, help_text="Orders. Those that are cancelled do not count."
    )
    limit_each = models.PositiveIntegerField(
        "limit per person", null=True, blank=True, help_text="Orders of one account or email address."
    )
    is_active = models.BooleanField("can be used", default=True)
    used = models.PositiveIntegerField(default=0, editable=False)
    """Orders that have it and were not cancelled; written by `uses` alone, under the row's lock."""
    version = models.PositiveIntegerField(default=1, editable=False)
    """Grows with every change: a discount is worked out before the order is saved, and holds for this version."""
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-id",)
        constraints = (
            # So that something is left to pay, whatever is in the order.
            models.CheckConstraint(
                condition=models.Q(
                    kind="percent",
                    percent__isnull=False,
                    percent__gte=1,
                    percent__lte=PERCENT_MOST,
                    amount_minor=None,
                )
                | models.Q(
                    kind="amount",
                    percent=None,
                    amount_minor__isnull=False,
                    amount_minor__gte=1,
                    minimum_minor__gt=models.F("amount_minor"),
                )
                | models.Q(kind="shipping", percent=None, amount_minor=None),
                name="coupon_takes_off_a_part",
            ),
        )

    def __str__(self) -> str:
        return self.code

    def save(self, *args: Any, update_fields: Iterable[str] | None = None, **kwargs: Any) -> None:
        """Save as a new version, and leave alone how often it was used."""
        if not self._state.adding:
            self.version += 1
            named = [field.name for field in self._meta.concrete_fields if not field.primary_key]
            update_fields = {*(update_fields or named), "version"} - {"used"}
        super().save(*args, update_fields=update_fields, **kwargs)

    def discount_minor(self, goods_minor: int) -> int:
        """What it takes off books that cost so much together; free shipping takes off nothing of them."""
        if self.kind == self.Kind.PERCENT:
            return goods_minor * (self.percent or 0) // 100
        return self.amount_minor or 0 if self.kind == self.Kind.AMOUNT else 0

    def is_valid_at(self, now: datetime) -> bool:
        """Whether it can be used at this moment, as far as the clock and staff are concerned."""
        has_begun = self.starts_at is None or self.starts_at <= now
        return self.is_active and has_begun and (self.ends_at is None or now < self.ends_at)


class CouponUse(models.Model):
    """An order that was placed with a coupon."""

    coupon = models.ForeignKey(Coupon, on_delete=models.PROTECT, related_name="uses", db_index=False)
    order = models.OneToOneField("orders.Order", on_delete=models.CASCADE, related_name="+")
    customer = models.CharField(max_length=32, blank=True)
    """A pseudonym of the account; empty for a guest."""
    contact = models.CharField(max_length=32)
    """A pseudonym of the mail address."""
    at = models.DateTimeField(db_default=Now())
    given_back_at = models.DateTimeField(null=True, blank=True)
    """When its order was cancelled: it does not count any more."""

    class Meta:
        ordering = ("-id",)
        indexes = (
            models.Index(fields=["coupon", "contact"], name="coupon_by_contact"),
            models.Index(fields=["coupon", "customer"], name="coupon_by_customer", condition=~models.Q(customer="")),
        )

    def __str__(self) -> str:
        return f"{self.coupon} {self.order_id}"
