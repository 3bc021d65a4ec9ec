"""Stock with titles, and the one thing that may be done to it here: units arrive."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import PermissionDenied
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import transaction
from django.db.models import ExpressionWrapper, F, IntegerField, OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminTextInputWidget

from inventory import services
from inventory.models import Stock
from kafka_bridge import admin as facts
from shop import pricing
from shop.admin import site
from shop.models import Book
from shop.templatetags.shop_words import FEW

MOST_AT_ONCE = 100_000
FREE = ExpressionWrapper(F("received") - F("held") - F("sold"), output_field=IntegerField())


class ReceiveForm(forms.Form):
    """Units that have arrived."""

    sku = forms.CharField(label="ISBN", max_length=20, widget=UnfoldAdminTextInputWidget)
    units = forms.IntegerField(
        widget=UnfoldAdminIntegerFieldWidget,
        validators=[MinValueValidator(1), MaxValueValidator(MOST_AT_ONCE)],
        help_text=f"1 to {MOST_AT_ONCE:,}",
    )
    reason = forms.CharField(
        max_length=120, widget=UnfoldAdminTextInputWidget, help_text="Where they come from; kept in the history."
    )

    def clean_sku(self) -> str:
        """Digits only, and of a book that there is."""
        sku = str(self.cleaned_data["sku"]).replace("-", "").replace(" ", "")
        if not Book.objects.filter(isbn=sku).exists() and not Stock.objects.filter(sku=sku).exists():
            raise forms.ValidationError(f"There is no book with the ISBN {sku}. Add the book first.")
        return sku


class LevelFilter(admin.SimpleListFilter):
    """How much is free."""

    title = "free"
    parameter_name = "level"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The choices."""
        return [("none", "None"), ("few", f"1 to {FEW}"), ("low", f"{FEW} or fewer"), ("enough", f"More than {FEW}")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Stock]) -> QuerySet[Stock]:
        """The stock of the choice."""
        match self.value():
            case "none":
                return queryset.filter(at_most(0))
            case "few":
                return queryset.filter(at_most(FEW)).exclude(at_most(0))
            case "low":
                return queryset.filter(at_most(FEW))
            case "enough":
                return queryset.exclude(at_most(FEW))
        return queryset


def at_most(free: int) -> Q:
    """Stock of which no more than this is free."""
    return Q(received__lte=F("held") + F("sold") + free)


def with_titles(rows: QuerySet[Stock]) -> QuerySet[Stock]:
    """Stock with the catalogue's titles and the free units, as `title` and `free_units`."""
    title = Book.objects.filter(isbn=OuterRef("sku")).values("title")[:1]
    return rows.annotate(title=Subquery(title), free_units=FREE)


@admin.register(Stock)
class StockAdmin(facts.FactsAdmin):
    """Units of each title: received, held by orders under way, sold, and free to order."""

    list_display = ("sku", "title", "free_label", "held", "sold", "received", "changed")
    list_display_links = ("sku", "title")
    list_filter = (LevelFilter,)
    list_before_template = "admin/inventory/receive_link.html"
    change_form_outer_before_template = "admin/inventory/receive_link.html"
    search_fields = ("sku", "title")
    search_help_text = "Title or ISBN"
    sortable_by = None
    fields = readonly_fields = ("sku", "book", "free_label", "held", "sold", "received", "changed")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Stock]:
        """Stock with titles."""
        return with_titles(super().get_queryset(request))

    def get_urls(self) -> list[URLPattern]:
        """The usual pages, and the one on which units arrive."""
        receive = path("receive/", self.admin_site.admin_view(self.receive_view), name="inventory_stock_receive")
        return [receive, *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The list, with a way to receive units for those who may."""
        extra = {**(extra_context or {}), "receive_url": self._receive_url(request)}
        response: HttpResponse = super().changelist_view(request, extra)
        return response

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """One title's stock, with a way to receive units for those who may."""
        extra = {**(extra_context or {}), "receive_url": self._receive_url(request, object_id)}
        response: HttpResponse = super().change_view(request, object_id, form_url, extra)
        return response

    def receive_view(self, request: HttpRequest) -> HttpResponse:
        """Ask which units have arrived, and let inventory count them."""
        if not may_receive(request):
            raise PermissionDenied
        form = ReceiveForm(request.POST or None, initial={"sku": request.GET.get("sku", "")})
        if request.method == "POST" and form.is_valid():
            stock = receive(user=site.person(request), **form.cleaned_data)
            messages.success(
                request,
                f"{form.cleaned_data['units']:,} units of {stock.sku} received; {stock.free:,} are free to order now.",
            )
            return HttpResponseRedirect(facts.page_of(Stock, stock.pk))
        context = {**self.admin_site.each_context(request), "title": "Receive units", "opts": self.opts, "form": form}
        return TemplateResponse(request, "admin/inventory/receive.html", context)

    @admin.display(description="title", ordering="title", empty_value="not in the catalogue")
    def title(self, stock: Stock) -> Any:
        """What the catalogue calls it."""
        return getattr(stock, "title", None)

    @admin.display(description="book", empty_value="not in the catalogue")
    def book(self, stock: Stock) -> Any:
        """The book's page."""
        book = Book.objects.filter(isbn=stock.sku).first()
        return None if book is None else facts.link(facts.page_of(Book, book.pk), book)

    @admin.display(description="free", ordering="free_units")
    def free_label(self, stock: Stock) -> str:
        """Units that can still be ordered."""
        return free_label(stock.free)

    @admin.display(description="changed", ordering="updated_at")
    def changed(self, stock: Stock) -> str:
        """When a count last changed."""
        return facts.moment(stock.updated_at)

    def _receive_url(self, request: HttpRequest, sku: str = "") -> str:
        return receive_url(sku) if may_receive(request) else ""


def may_receive(request: HttpRequest) -> bool:
    """Whether this person may let units arrive."""
    return request.user.has_perm("inventory.change_stock")


def receive_url(sku: str = "") -> str:
    """Where units arrive, of this book or of one to be named."""
    return reverse("admin:inventory_stock_receive") + (f"?sku={sku}" if sku else "")


def receive(*, user: AbstractBaseUser, sku: str, units: int, reason: str) -> Stock:
    """Let inventory count the units, and note in the history who said so; one transaction."""
    with transaction.atomic(durable=True):
        services.receive(quantities={sku: units}, reason=reason)
        stock = Stock.objects.get(sku=sku)
        LogEntry.objects.log_actions(user.pk, [stock], CHANGE, f"Received {units:,} units: {reason}")
    pricing.forget()
    return stock


def free_label(free: int) -> str:
    """Free units, coloured when they are few or none."""
    if free <= 0:
        return facts.label("none", "danger")
    return facts.label(f"{free:,}", "warning" if free <= FEW else "success")
