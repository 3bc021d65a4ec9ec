"""Shipping and tax: rates that staff edit, each change with a line in the log of who did what."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.db import transaction
from django.db.models import Count, Model, QuerySet
from django.http import HttpRequest
from unfold.admin import TabularInline

import money
from shop.admin.sales import price_field
from shop.admin.site import navigation, stale_forms
from shop.checkout import countries
from shop.models import ShippingMethod, ShippingRate, TaxRate
from shop.operations import activity_log
from shop.prices import rates
from shop.typed import fields as typed


class RateForm(forms.ModelForm):  # type: ignore[type-arg]  # no generic at run time
    """A rate with its prices in major units."""

    price = price_field.PriceField(least_minor=0)
    free_from = price_field.PriceField(required=False)

    class Meta:
        model = ShippingRate
        fields = ("country", "upto_grams")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["price"].label = f"Price in {settings.CURRENCY}"
        self.fields["free_from"].label = "Free from"
        self.fields["free_from"].help_text = "When the books, less the discount, come to so much. Empty: never."
        if self.instance.pk:
            self.fields["price"].initial = price_field.shown(self.instance.price_minor)
            if self.instance.free_from_minor is not None:
                self.fields["free_from"].initial = price_field.shown(self.instance.free_from_minor)

    def clean(self) -> dict[str, Any] | None:
        """Store prices in minor units, as the table does."""
        cleaned = super().clean()
        if (price := self.cleaned_data.get("price")) is not None:
            self.instance.price_minor = price_field.kept(price)
        free_from = self.cleaned_data.get("free_from")
        self.instance.free_from_minor = None if free_from is None else price_field.kept(free_from)
        return cleaned


class RateInline(stale_forms.CheckedInline, TabularInline):  # type: ignore[misc]  # the theme has no types
    """What a method costs where."""

    model = ShippingRate
    form = RateForm
    fields = ("country", "upto_grams", "price", "free_from")
    extra = 0
    min_num = 1
    hide_title = True

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        """Users who may only view get the prices as text."""
        if self.has_change_permission(request, obj):
            return self.fields
        return ("country", "upto_grams", "price_words", "free_from_words")

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        """See `get_fields`."""
        return ("price_words", "free_from_words")

    @admin.display(description="price")
    def price_words(self, rate: ShippingRate) -> str:
        """In the shop's currency."""
        return money.format_amount(rate.price_minor, settings.CURRENCY)

    @admin.display(description="free from", empty_value="never")
    def free_from_words(self, rate: ShippingRate) -> str | None:
        """In the shop's currency."""
        return None if rate.free_from_minor is None else money.format_amount(rate.free_from_minor, settings.CURRENCY)


class _Logged(stale_forms.CheckedAdmin):
    """Saves, records who did what, and lets this process read the rates anew."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Also the rows below; then all of it is written down as it is now."""
        super().save_related(request, form, formsets, change)
        self._log(
            request, form.instance, "rates changed" if change else "rates added", after=self._words(form.instance)
        )
        transaction.on_commit(rates.forget)

    def delete_model(self, request: HttpRequest, obj: Model) -> None:
        """Delete, and write down what it was."""
        self._log(request, obj, "rates deleted", before=self._words(obj))
        super().delete_model(request, obj)
        transaction.on_commit(rates.forget)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """The same for each of several."""
        for obj in queryset:
            self.delete_model(request, obj)

    def _log(self, request: HttpRequest, obj: Model, what: str, **states: Any) -> None:
        activity_log.record(user=navigation.person(request), what=what, subject=str(obj), **states)

    def _words(self, obj: Any) -> dict[str, Any]:
        raise NotImplementedError


class MethodForm(forms.ModelForm):  # type: ignore[type-arg]  # no generic at run time
    """A method without its rates."""

    class Meta:
        model = ShippingMethod
        fields = ("name", "code", "position", "is_active")
        field_classes = {"name": typed.TypedTextField}  # noqa: RUF012 - as Django reads it


@admin.register(ShippingMethod)
class ShippingMethodAdmin(_Logged):
    """Ways of shipping. As long as there is none, shipping is free."""

    form = MethodForm
    list_display = ("name", "code", "places", "position", "is_active")
    inlines = (RateInline,)
    prepopulated_fields = {"code": ("name",)}  # noqa: RUF012 - the admin's own form

    def get_queryset(self, request: HttpRequest) -> QuerySet[ShippingMethod]:
        """With the number of their rates."""
        rows: QuerySet[ShippingMethod] = super().get_queryset(request)
        return rows.annotate(rates_count=Count("rates"))

    @admin.display(description="rates")
    def places(self, method: ShippingMethod) -> int:
        """How many it has."""
        return int(getattr(method, "rates_count", 0))

    def _words(self, obj: ShippingMethod) -> dict[str, Any]:
        found = ShippingRate.objects.filter(method=obj).order_by("country", "upto_grams")
        columns = ("country", "upto_grams", "price_minor", "free_from_minor")
        return {"name": obj.name, "active": obj.is_active, "rates": list(found.values(*columns))}


@admin.register(TaxRate)
class TaxRateAdmin(_Logged):
    """What tax is on books and on their shipping, by country and from which day on."""

    list_display = ("place", "valid_from", "books_percent", "shipping_percent", "is_added")
    list_filter = ("is_added",)
    fields = ("country", "valid_from", ("books_percent", "shipping_percent"), "is_added")

    @admin.display(description="country", ordering="country")
    def place(self, rate: TaxRate) -> str:
        """Its name."""
        return countries.name_of(rate.country) if rate.country else "Everywhere else"

    def _words(self, obj: TaxRate) -> dict[str, Any]:
        rates_of = {"books %": str(obj.books_percent), "shipping %": str(obj.shipping_percent), "added": obj.is_added}
        return {"country": obj.country, "from": obj.valid_from.isoformat(), **rates_of}
