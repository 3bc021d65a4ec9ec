"""What people may do to stock here: units arrive, and a wrong count is put right. Inventory does it and keeps why."""

from typing import Any

from django import forms
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import AbstractBaseUser
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import transaction
from django.db.models import F, Sum
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminTextInputWidget

from inventory import stock_adjustments
from inventory.models import Stock
from shop.books import pricing
from shop.models import Book
from shop.operations import activity_log

MOST_AT_ONCE = 100_000
"""More is a slip of the finger."""
REASON_LENGTH = 120
_NAME_LENGTH = 80


class RecordsChanged(Exception):
    """While somebody counted, copies were sold or arrived; the message says what the records say now. Count again."""


class ReceiveForm(forms.Form):
    """Units that have arrived."""

    sku = forms.CharField(label="ISBN", max_length=20, widget=UnfoldAdminTextInputWidget)
    units = forms.IntegerField(
        widget=UnfoldAdminIntegerFieldWidget,
        validators=[MinValueValidator(1), MaxValueValidator(MOST_AT_ONCE)],
        help_text=f"1 to {MOST_AT_ONCE:,}",
    )
    reason = forms.CharField(
        max_length=REASON_LENGTH,
        widget=UnfoldAdminTextInputWidget,
        help_text="Where they come from; kept in the ledger.",
    )

    def clean_sku(self) -> str:
        """Digits only, and of a book that there is."""
        sku = str(self.cleaned_data["sku"]).replace("-", "").replace(" ", "")
        if not Book.objects.filter(isbn=sku).exists() and not Stock.objects.filter(sku=sku).exists():
            raise forms.ValidationError(f"There is no book with the ISBN {sku}. Add the book first.")
        return sku


class CorrectForm(forms.Form):
    """By how much the records are wrong: said outright, or found by counting."""

    change = forms.IntegerField(
        label="Copies more or fewer",
        required=False,
        widget=UnfoldAdminIntegerFieldWidget,
        validators=[MinValueValidator(-MOST_AT_ONCE), MaxValueValidator(MOST_AT_ONCE)],
        help_text="For example -2 for two that are damaged, or 1 for one that turned up.",
    )
    counted = forms.IntegerField(
        label="Or: copies counted on the shelf",
        required=False,
        widget=UnfoldAdminIntegerFieldWidget,
        validators=[MinValueValidator(0), MaxValueValidator(10 * MOST_AT_ONCE)],
    )
    reason = forms.CharField(
        max_length=REASON_LENGTH, widget=UnfoldAdminTextInputWidget, help_text="What happened; kept in the ledger."
    )
    expected = forms.IntegerField(widget=forms.HiddenInput)

    def __init__(self, *args: Any, expected: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["expected"] = expected
        self.fields["counted"].help_text = (
            f"By the records {expected:,} copies lie there: all that were received and are not sold, also those "
            "that are held or set aside for a sale. Open this page, then count."
        )

    def clean(self) -> dict[str, Any]:
        """One of the two numbers, and one that changes something."""
        cleaned: dict[str, Any] = super().clean() or {}
        change, counted = cleaned.get("change"), cleaned.get("counted")
        if not self.errors and (change is None) == (counted is None):
            raise forms.ValidationError("Give one of the two: by how many copies the records are wrong, or a count.")
        if change == 0 or (counted is not None and counted == cleaned.get("expected")):
            raise forms.ValidationError("The records say so already; there is nothing to correct.")
        return cleaned


def on_the_shelf(sku: str) -> int:
    """Copies that lie there by the records: received in all bins, and not sold."""
    return int(Stock.objects.filter(sku=sku).aggregate(n=Sum(F("received") - F("sold")))["n"] or 0)


def receive(*, user: AbstractBaseUser, sku: str, units: int, reason: str) -> Stock:
    """Let inventory count the units, and note in the history who said so; one transaction."""
    with transaction.atomic(durable=True):
        stock_adjustments.receive(quantities={sku: units}, reason=reason, by=_name(user))
        stock = Stock.objects.get(bin=sku)
        _record(user, "stock received", sku, units=units, reason=reason)
        LogEntry.objects.log_actions(user.pk, [stock], CHANGE, f"Received {units:,} units: {reason}")
    pricing.forget()
    return stock


def correct(
    *,
    user: AbstractBaseUser,
    sku: str,
    reason: str,
    expected: int,
    change: int | None = None,
    counted: int | None = None,
) -> int:
    """Put the records right by a number, or to a count that was made when they said `expected`; one transaction.

    Returns the change.

    Raises:
        shelving.NotEnough: fewer copies are free than would go.
        RecordsChanged: see there; nothing was changed.
    """
    with transaction.atomic(durable=True):
        # All bins are locked, in the sequence in which everybody locks them: nothing is sold meanwhile.
        list(Stock.objects.filter(sku=sku).order_by("bin").select_for_update())
        if change is None:
            change = _difference(sku, counted or 0, expected)
        stock_adjustments.correct(sku=sku, change=change, reason=reason, by=_name(user))
        _record(user, "stock corrected", sku, units=change, reason=reason)
        LogEntry.objects.log_actions(
            user.pk, [Stock.objects.get(bin=sku)], CHANGE, f"Corrected by {change:+,} units: {reason}"
        )
    pricing.forget()
    return change


def _record(user: AbstractBaseUser, what: str, sku: str, *, units: int, reason: str) -> None:
    """Note it, once it is done: the bins are locked, so that these sums are what the act found and left."""
    received = Stock.objects.filter(sku=sku).aggregate(n=Sum("received"))["n"]
    activity_log.record(
        user=user,
        what=what,
        subject=sku,
        reason=reason,
        before={"received": received - units},
        after={"received": received},
    )


def _difference(sku: str, counted: int, expected: int) -> int:
    now = on_the_shelf(sku)
    if now != expected:
        raise RecordsChanged(
            f"While you counted, the records changed: they say {now:,} copies now. Please look again, and count again "
            "if you are not sure."
        )
    return counted - now


def _name(user: AbstractBaseUser) -> str:
    return user.get_username()[:_NAME_LENGTH]
