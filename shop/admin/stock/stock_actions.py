"""What staff do to stock in the admin: receive units, and correct a wrong count. Inventory records who and why."""

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
from shop.typed import fields
from shop.waitlist import serving

MOST_AT_ONCE = 100_000
"""More is a typing error."""
REASON_LENGTH = 120
_NAME_LENGTH = 80


class RecordsChanged(Exception):
    """Copies were sold or received while staff were counting; the message has the current number. Count again."""


class ReceiveForm(forms.Form):
    """Units that have arrived."""

    sku = forms.CharField(label="ISBN", max_length=20, widget=UnfoldAdminTextInputWidget)
    units = forms.IntegerField(
        widget=UnfoldAdminIntegerFieldWidget,
        validators=[MinValueValidator(1), MaxValueValidator(MOST_AT_ONCE)],
        help_text=f"1 to {MOST_AT_ONCE:,}",
    )
    reason = fields.TypedTextField(
        max_length=REASON_LENGTH,
        widget=UnfoldAdminTextInputWidget,
        help_text="Where they come from. Recorded in the ledger.",
    )

    def clean_sku(self) -> str:
        """The digits of the ISBN, which must be of a book in the catalogue."""
        sku = str(self.cleaned_data["sku"]).replace("-", "").replace(" ", "")
        if not Book.objects.filter(isbn=sku).exists() and not Stock.objects.filter(sku=sku).exists():
            raise forms.ValidationError(f"There is no book with the ISBN {sku}. Add the book first.")
        return sku


class CorrectForm(forms.Form):
    """By how much the records are wrong: entered directly, or found by counting."""

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
    reason = fields.TypedTextField(
        max_length=REASON_LENGTH, widget=UnfoldAdminTextInputWidget, help_text="What happened. Recorded in the ledger."
    )
    expected = forms.IntegerField(widget=forms.HiddenInput)

    def __init__(self, *args: Any, expected: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["expected"] = expected
        self.fields["counted"].help_text = (
            f"The records say {expected:,} copies: all received and not sold, including those that are held or set "
            "aside for a sale. Open this page before you count."
        )

    def clean(self) -> dict[str, Any]:
        """Exactly one of the two numbers, and it must change something."""
        cleaned: dict[str, Any] = super().clean() or {}
        change, counted = cleaned.get("change"), cleaned.get("counted")
        if not self.errors and (change is None) == (counted is None):
            raise forms.ValidationError("Enter either a difference or a count.")
        if change == 0 or (counted is not None and counted == cleaned.get("expected")):
            raise forms.ValidationError("The records already say so. There is nothing to correct.")
        return cleaned


def on_the_shelf(sku: str) -> int:
    """Copies on the shelf by the records: received in all pools, and not sold."""
    return int(Stock.objects.filter(sku=sku).aggregate(n=Sum(F("received") - F("sold")))["n"] or 0)


def receive(*, user: AbstractBaseUser, sku: str, units: int, reason: str) -> Stock:
    """Receive the units, and record who did it; one transaction."""
    with transaction.atomic():
        stock_adjustments.receive(quantities={sku: units}, reason=reason, by=_name(user))
        stock = Stock.objects.get(bin=sku)
        # Those who wait come first: nobody else can order these units before the transaction ends.
        serving.serve(skus=[sku])
        _record(user, "stock received", sku, units=units, reason=reason)
        LogEntry.objects.log_actions(user.pk, [stock], CHANGE, f"Received {units:,} units: {reason}")
    transaction.on_commit(pricing.forget)
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
    """Correct the records by `change`, or to `counted` (made when they said `expected`); one transaction.

    Returns the change.

    Raises:
        stock_adjustments.NotEnough: fewer copies are free than would be taken away.
        RecordsChanged: see there; nothing was changed.
    """
    with transaction.atomic():
        # All pools are locked, in the usual sequence, so nothing is sold meanwhile.
        list(Stock.objects.filter(sku=sku).order_by("bin").select_for_update())
        if change is None:
            change = _difference(sku, counted or 0, expected)
        stock_adjustments.correct(sku=sku, change=change, reason=reason, by=_name(user))
        _record(user, "stock corrected", sku, units=change, reason=reason)
        LogEntry.objects.log_actions(
            user.pk, [Stock.objects.get(bin=sku)], CHANGE, f"Corrected by {change:+,} units: {reason}"
        )
    transaction.on_commit(pricing.forget)
    return change


def _record(user: AbstractBaseUser, what: str, sku: str, *, units: int, reason: str) -> None:
    """Record it afterwards. The pools are locked, so these sums are exactly what was found and left."""
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
            f"The records changed while you were counting: they now say {now:,} copies. Check the number, and count "
            "again if you are not sure."
        )
    return counted - now


def _name(user: AbstractBaseUser) -> str:
    return user.get_username()[:_NAME_LENGTH]
