"""Coupons: made and changed by staff; how often each was used is counted with its orders."""

import secrets
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest

import money
from orders.coupons.tables import Coupon, code_of
from orders.placing import placement
from shop.admin.sales import price_field
from shop.admin.site import navigation, stale_forms
from shop.operations import activity_log

Kind = Coupon.Kind
CODE_LETTERS = 8
"""Of 32, so 40 bits: more than anybody guesses."""


class CouponForm(forms.ModelForm):  # type: ignore[type-arg]  # no generic at run time
    """A coupon with its amounts in major units."""

    amount = price_field.PriceField(required=False)
    minimum = price_field.PriceField(least_minor=0, required=False)

    class Meta:
        model = Coupon
        fields = ("code", "kind", "percent", "starts_at", "ends_at", "limit", "limit_each", "is_active")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "amount" not in self.fields:  # users who may only view
            return
        self.fields["amount"].help_text = f"In {settings.CURRENCY}, off the books."
        self.fields["minimum"].help_text = (
            f"In {settings.CURRENCY}. What the books must cost at least; more than the amount, so that something "
            "is left to pay."
        )
        if not self.instance.pk:
            self.fields["code"].initial = "".join(secrets.choice(placement.ALPHABET) for _ in range(CODE_LETTERS))
            return
        for name in ("amount", "minimum"):
            if (amount_minor := getattr(self.instance, f"{name}_minor")) is not None:
                self.fields[name].initial = price_field.shown(amount_minor)

    def clean_code(self) -> str:
        """As it is kept."""
        return code_of(self.cleaned_data["code"]) or str(self.cleaned_data["code"])

    def clean(self) -> dict[str, Any] | None:
        """Each kind has its number and no other; the end is after the start."""
        cleaned, data = super().clean(), self.cleaned_data
        amount, percent, minimum = (data.get(name) for name in ("amount", "percent", "minimum"))
        kind = data.get("kind")
        if kind == Kind.PERCENT and not percent and "percent" not in self.errors:
            self.add_error("percent", "Enter how many per cent.")
        if kind == Kind.AMOUNT and amount is None and "amount" not in self.errors:
            self.add_error("amount", "Enter the amount.")
        if kind == Kind.AMOUNT and amount is not None and (minimum is None or minimum <= amount):
            self.add_error("minimum", "It must be more than the amount, so that something is left to pay.")
        if kind != Kind.PERCENT:
            data["percent"] = self.instance.percent = None
        self.instance.amount_minor = price_field.kept(amount) if kind == Kind.AMOUNT and amount is not None else None
        self.instance.minimum_minor = price_field.kept(minimum) if minimum is not None else 0
        starts_at, ends_at = data.get("starts_at"), data.get("ends_at")
        if starts_at and ends_at and ends_at <= starts_at:
            self.add_error("ends_at", "The end must be after the start.")
        return cleaned


@admin.register(Coupon)
class CouponAdmin(stale_forms.CheckedAdmin):
    """Codes that take something off an order."""

    form = CouponForm
    list_display = ("code", "takes_off", "from_so_much", "starts_at", "ends_at", "used_words", "is_active")
    list_filter = ("kind", "is_active")
    search_fields = ("code",)
    search_help_text = "Code"
    fieldsets = (
        (None, {"fields": ("code", "is_active", "used_words")}),
        ("What it takes off", {"fields": ("kind", "percent", "amount", "minimum")}),
        ("When, and how often", {"fields": (("starts_at", "ends_at"), ("limit", "limit_each"))}),
    )
    readonly_fields = ("used_words",)

    def get_readonly_fields(self, request: HttpRequest, obj: Coupon | None = None) -> tuple[str, ...]:
        """Orders name it by its code, so that stays; users who may only view get amounts as text."""
        fixed = ("code",) if obj is not None and obj.used else ()
        return (*self.readonly_fields, *fixed, "takes_off", "from_so_much")

    def get_fieldsets(self, request: HttpRequest, obj: Coupon | None = None) -> Any:
        """The page; users who may only view get amounts as text."""
        if self.has_change_permission(request, obj) if obj else self.has_add_permission(request):
            return self.fieldsets
        main, _, when = self.fieldsets
        return (main, ("What it takes off", {"fields": ("takes_off", "from_so_much")}), when)

    def has_delete_permission(self, request: HttpRequest, obj: Coupon | None = None) -> bool:
        """One that an order has is switched off instead."""
        allowed = obj is not None and super().has_delete_permission(request, obj)
        return bool(allowed) and obj is not None and not obj.uses.exists()

    def save_model(self, request: HttpRequest, obj: Coupon, form: Any, change: bool) -> None:
        """Save, and record what it is now."""
        super().save_model(request, obj, form, change)
        after = {
            "takes off": self.takes_off(obj), "from": self.from_so_much(obj), "limit": obj.limit,
            "per person": obj.limit_each, "active": obj.is_active,
        }  # fmt: skip
        what = "coupon changed" if change else "coupon made"
        activity_log.record(user=navigation.person(request), what=what, subject=obj.code, after=after)

    @admin.display(description="takes off")
    def takes_off(self, coupon: Coupon) -> str:
        """In words."""
        if coupon.kind == Kind.PERCENT:
            return f"{coupon.percent} %"
        return money.format_amount(coupon.amount_minor or 0, settings.CURRENCY) if coupon.amount_minor else "shipping"

    @admin.display(description="from")
    def from_so_much(self, coupon: Coupon) -> str:
        """What the books must cost at least."""
        return money.format_amount(coupon.minimum_minor, settings.CURRENCY) if coupon.minimum_minor else "any order"

    @admin.display(description="used")
    def used_words(self, coupon: Coupon) -> str:
        """How often, and how often it can be."""
        return f"{coupon.used:,} of {coupon.limit:,}" if coupon.limit is not None else f"{coupon.used:,}"
