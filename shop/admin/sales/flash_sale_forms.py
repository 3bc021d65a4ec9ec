"""The forms of a flash sale, and their checks.

# Note [Checked and saved in one transaction]
The admin checks and saves a form in one transaction. The check locks the books first and their stock second. So between
the check and the saving no book can enter a second sale, and no order can hold the units that are to be set aside.
"""

from datetime import datetime
from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.forms.formsets import DELETION_FIELD_NAME
from django.forms.models import BaseInlineFormSet
from django.utils import timezone
from unfold.widgets import UnfoldAdminSelectWidget

import money
from inventory import ledger
from inventory.models import Stock
from shop.admin.sales import price_field
from shop.flashsales import flash_sales
from shop.flashsales.flash_sales import Phase
from shop.models import Book, FlashSale, FlashSaleBook
from shop.typed import fields as typed
from shop.waiting_room.tables import WaitingMode


class SaleForm(forms.ModelForm):  # type: ignore[type-arg]  # no generic at run time
    """A sale without its books."""

    class Meta:
        model = FlashSale
        fields = (
            "name",
            "starts_at",
            "ends_at",
            "customer_limit",
            "hold_seconds",
            "waiting_room",
            "waiting_pass_seconds",
        )
        field_classes = {"name": typed.TypedTextField}  # noqa: RUF012 - as Django reads it

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        zone = f"Local time ({timezone.get_current_timezone_name()})."
        words = {
            "starts_at": f"{zone} Once the sale has started, prices and start time cannot be changed.",
            "ends_at": f"{zone} Unsold copies then return to normal sale.",
            "customer_limit": (
                "Copies of each book per customer, over all orders. Leave empty for no limit. "
                "While a sale is running the limit can only be raised."
            ),
            "hold_seconds": (
                "How many seconds a copy is held for an unpaid order, at least 10. "
                f"Leave empty for the usual {settings.HOLD_SECONDS}."
            ),
            "waiting_room": (
                "Whether buyers wait for their turn. Those who come before the start are drawn, the others follow. "
                "Once the sale has started it can only be switched off."
            ),
            "waiting_pass_seconds": "How long somebody whom the waiting room admits has for an order, at least 30.",
        }
        for name, text in words.items():
            # Missing for users who may only view, and when it is too late to change.
            if name in self.fields:
                self.fields[name].help_text = text

    def clean(self) -> dict[str, Any] | None:
        """The end must be after the start and in the future; the limit of a running sale must not be lowered."""
        cleaned = super().clean()
        if "customer_limit" in self.changed_data and self.instance.pk is not None:
            self._check_limit()
        if "waiting_room" in self.changed_data and self.cleaned_data.get("waiting_room") != WaitingMode.OFF:
            self._check_waiting_room()
        starts_at = self.cleaned_data.get("starts_at", self.instance.starts_at)
        ends_at: datetime | None = self.cleaned_data.get("ends_at")
        if ends_at is not None and starts_at is not None:
            if ends_at <= starts_at:
                self.add_error("ends_at", "The end must be after the start.")
            elif ends_at <= timezone.now():
                self.add_error("ends_at", "The end must be in the future. To end a sale at once, use End now.")
        return cleaned

    def _check_limit(self) -> None:
        limit, before = self.cleaned_data.get("customer_limit"), self.initial["customer_limit"]
        is_lower = limit is not None and (before is None or limit < before)
        if is_lower and flash_sales.phase_of(self.instance) is not Phase.UPCOMING:
            self.add_error("customer_limit", "The sale is running: the limit can only be raised or removed.")

    def _check_waiting_room(self) -> None:
        if flash_sales.phase_of(self.instance) is not Phase.UPCOMING:
            self.add_error("waiting_room", "The sale is running: its waiting room can only be switched off.")


class SaleBookForm(forms.ModelForm):  # type: ignore[type-arg]  # no generic at run time
    """A book of a sale, with its price in major units."""

    price = price_field.PriceField()

    class Meta:
        model = FlashSaleBook
        fields = ("book", "units")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        price = self.fields["price"]
        price.label = f"Price in {settings.CURRENCY}"
        if self.instance.pk:
            price.initial = price_field.shown(self.instance.price_minor)
            price.disabled = flash_sales.phase_of(self.instance.sale) is not Phase.UPCOMING
            # Another book is another row with another stock pool, so this one offers a single choice.
            book = self.instance.book
            self.fields["book"].disabled = True
            self.fields["book"].widget = UnfoldAdminSelectWidget(choices=[(book.pk, str(book))])

    def clean(self) -> dict[str, Any] | None:
        """Store the price in minor units, as the table does; it must be below the usual price."""
        cleaned = super().clean()
        price, book = self.cleaned_data.get("price"), self.cleaned_data.get("book")
        if price is not None:
            self.instance.price_minor = price_field.kept(price)
            if book is not None and "price" in self.changed_data and self.instance.price_minor >= book.price_minor:
                usual = money.format_amount(book.price_minor, settings.CURRENCY)
                self.add_error("price", f"Not below the usual price of {usual}.")
        return cleaned


class SaleBookFormSet(BaseInlineFormSet):  # type: ignore[type-arg]  # no generic at run time
    """All books of one sale. See Note [Checked and saved in one transaction]."""

    def clean(self) -> None:
        """Each book is in one sale at a time, and enough units are free to set aside."""
        super().clean()
        used = [form for form in self.forms if form.instance.pk is not None or form.has_changed()]
        kept = [form for form in used if not form.cleaned_data.get(DELETION_FIELD_NAME)]
        if not kept and not any(self.errors):
            raise ValidationError("A sale needs at least one book.")
        sale = self.instance
        if sale.starts_at is None or sale.ends_at is None or sale.ends_at <= sale.starts_at:
            return
        rows = [form for form in kept if not form.errors]
        leaving = [form.instance for form in used if form not in kept and form.instance.pk is not None]
        _lock([form.instance.book for form in rows] + [row.book for row in leaving])
        taken = _taken(sale, [form.instance.book for form in rows])
        for form in rows:
            if other := taken.get(form.instance.book_id):
                form.add_error("book", f"This book is in the sale “{other}” at that time.")
        self._check_units(sale, rows, leaving)

    def _check_units(self, sale: FlashSale, rows: list[Any], leaving: list[FlashSaleBook]) -> None:
        for form in rows:
            if not form.errors:
                (allotment,) = flash_sales.allotments(sale, [form.instance])
                if obstacle := flash_sales.obstacle(allotment):
                    form.add_error("units", obstacle)
        for row in leaving:
            row.units = 0
            (allotment,) = flash_sales.allotments(sale, [row])
            if flash_sales.obstacle(allotment):
                raise ValidationError(f"“{row.book.title}” cannot be removed: copies are already held or sold.")


def _lock(books: list[Book]) -> None:
    """Lock these books and their stock until the transaction ends, against other sales and orders."""
    list(Book.objects.filter(pk__in=[book.pk for book in books]).order_by("pk").select_for_update(no_key=True))
    ledger.lock(Stock.objects.filter(sku__in=[book.isbn for book in books]).values_list("bin", flat=True))


def _taken(sale: FlashSale, books: list[Book]) -> dict[int, str]:
    """Those of these books that are in another sale at that time: its name by book id."""
    others = FlashSaleBook.objects.filter(
        book__in=books, sale__starts_at__lt=sale.ends_at, sale__ends_at__gt=sale.starts_at
    )
    if sale.pk:
        others = others.exclude(sale=sale)
    return dict(others.values_list("book_id", "sale__name"))
