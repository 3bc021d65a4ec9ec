"""Stock by book: how much there is, the Redis counters, the ledger; receiving units and correcting counts."""

from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Page
from django.db.models import Max, OuterRef, QuerySet, Subquery
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from inventory import stock_adjustments
from inventory.models import Movement, Stock
from kafka_bridge import admin as facts
from shop.admin.site import navigation
from shop.admin.stock import stock_actions, stock_queries
from shop.models import Book
from shop.templatetags.shop_words import FEW


class LevelFilter(admin.SimpleListFilter):
    """By the free units, over all stock pools."""

    title = "free"
    parameter_name = "level"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The choices."""
        return [("none", "None"), ("few", f"1 to {FEW}"), ("low", f"{FEW} or fewer"), ("enough", f"More than {FEW}")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The stock rows of the chosen level."""
        match self.value():
            case "none":
                return queryset.filter(all_free__lte=0)
            case "few":
                return queryset.filter(all_free__range=(1, FEW))
            case "low":
                return queryset.filter(all_free__lte=FEW)
            case "enough":
                return queryset.filter(all_free__gt=FEW)
        return queryset


class StockChangeList(facts.FactsChangeList):
    """A page of books, with their Redis counters."""

    result_list: Any

    def get_results(self, request: HttpRequest) -> None:
        """Read one page of rows, and their counters in one round trip."""
        super().get_results(request)
        rows: list[Any] = list(self.result_list)
        labels = stock_queries.counter_labels_by_book([stock.sku for stock in rows])
        for stock in rows:
            stock.counter_label = labels[stock.sku]
        self.result_list = rows


@dataclass(frozen=True, kw_only=True)
class BookPage:
    """What the stock page of one book shows."""

    stock: Stock
    book: Book | None
    free: str
    pools: list[stock_queries.PoolRow]
    entries: list[stock_queries.MovementLine]
    ledger: "Page[Movement]"
    count: str
    """The number of movements, counted to a limit."""
    kind: str
    kinds: list[tuple[str, str]]


@admin.register(Stock)
class StockAdmin(facts.FactsAdmin):
    """One row for each book, with its units over all stock pools. The ledger is on the page of the book."""

    list_display = (
        "sku",
        "title",
        "free_words",
        "aside",
        "counter",
        "held_units",
        "sold_units",
        "received_units",
        "changed",
    )
    list_display_links = ("sku", "title")
    list_filter = (LevelFilter,)
    list_before_template = "admin/inventory/receive_link.html"
    search_fields = ("sku", "title")
    search_help_text = "Title or ISBN"
    ordering = ("sku",)
    sortable_by = None
    fields = readonly_fields = ("sku",)
    change_form_template = "admin/inventory/book.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Books with their sums and titles."""
        changed = Stock.objects.filter(sku=OuterRef("sku")).order_by().values("sku").annotate(at=Max("updated_at"))
        rows: QuerySet[Any] = stock_queries.by_book(super().get_queryset(request))
        annotated: QuerySet[Any] = rows.annotate(changed_at=Subquery(changed.values("at")))
        return annotated

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[StockChangeList]:
        """The list's view of itself."""
        return StockChangeList

    def get_urls(self) -> list[URLPattern]:
        """The usual pages, and those for receiving units and correcting a count."""
        receive = path("receive/", self.admin_site.admin_view(self.receive_view), name="inventory_stock_receive")
        correct = path("correct/", self.admin_site.admin_view(self.correct_view), name="inventory_stock_correct")
        return [receive, correct, *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The list, with a link to receive units, if permitted."""
        extra = {**(extra_context or {}), "receive_url": receive_url() if may_receive(request) else ""}
        response: HttpResponse = super().changelist_view(request, extra)
        return response

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """One book: its stock pools and its ledger; with links to receive and correct, if permitted."""
        stock = stock_queries.by_book(Stock.objects.filter(bin=object_id)).first()
        extra = {
            **(extra_context or {}),
            "page": None if stock is None else page_of(stock, request),
            "receive_url": receive_url(object_id) if may_receive(request) else "",
            "correct_url": correct_url(object_id) if may_receive(request) else "",
            "title": "Stock",
        }
        response: HttpResponse = super().change_view(request, object_id, form_url, extra)
        return response

    def receive_view(self, request: HttpRequest) -> HttpResponse:
        """The form for units that have arrived; a POST records them."""
        if not may_receive(request):
            raise PermissionDenied
        form = stock_actions.ReceiveForm(request.POST or None, initial={"sku": request.GET.get("sku", "")})
        if request.method == "POST" and form.is_valid():
            stock = stock_actions.receive(user=navigation.person(request), **form.cleaned_data)
            units = form.cleaned_data["units"]
            messages.success(request, f"{units:,} units of {stock.sku} received; {_free(stock.sku):,} are free now.")
            return HttpResponseRedirect(facts.page_of(Stock, stock.sku))
        return self._ask(request, form, title="Receive units", template="receive")

    def correct_view(self, request: HttpRequest) -> HttpResponse:
        """The form for a correction, by a difference or by a count; a POST records it."""
        if not may_receive(request):
            raise PermissionDenied
        sku = request.GET.get("sku", "")
        if not Stock.objects.filter(sku=sku).exists():
            raise Http404
        expected = stock_actions.on_the_shelf(sku)
        form = stock_actions.CorrectForm(request.POST or None, expected=expected)
        if request.method == "POST" and form.is_valid():
            try:
                change = stock_actions.correct(user=navigation.person(request), sku=sku, **form.cleaned_data)
            except stock_actions.RecordsChanged as error:
                # The next attempt starts from the records as this page shows them.
                form.data = {**request.POST.dict(), "expected": str(expected)}
                form.add_error("counted", str(error))
            except stock_adjustments.NotEnough as error:
                form.add_error(None, str(error))
            else:
                messages.success(request, f"{sku} corrected by {change:+,}; {_free(sku):,} are free now.")
                return HttpResponseRedirect(facts.page_of(Stock, sku))
        return self._ask(request, form, title="Correct a count", template="correct")

    def _ask(self, request: HttpRequest, form: forms.Form, *, title: str, template: str) -> HttpResponse:
        sku = request.GET.get("sku", "")
        context = {
            **self.admin_site.each_context(request),
            "title": title,
            "opts": self.opts,
            "form": form,
            "book": Book.objects.filter(isbn=sku).first() if sku else None,
            "back_url": facts.page_of(Stock, sku) if sku else reverse("admin:inventory_stock_changelist"),
        }
        return TemplateResponse(request, f"admin/inventory/{template}.html", context)

    @admin.display(description="title", ordering="title", empty_value="not in the catalogue")
    def title(self, stock: Stock) -> Any:
        """The title in the catalogue."""
        return getattr(stock, "title", None)

    @admin.display(description="free", ordering="all_free")
    def free_words(self, stock: Stock) -> str:
        """Units that can still be ordered, those of sales included."""
        return stock_queries.free_label(getattr(stock, "all_free", 0))

    @admin.display(description="set aside", ordering="set_aside")
    def aside(self, stock: Stock) -> Any:
        """Free units that are set aside for sales."""
        return getattr(stock, "set_aside", 0) or ""

    @admin.display(description="counter")
    def counter(self, stock: Stock) -> str:
        """The units that Redis admits."""
        return str(getattr(stock, "counter_label", ""))

    @admin.display(description="held", ordering="all_held")
    def held_units(self, stock: Stock) -> Any:
        """Units of orders that are under way."""
        return getattr(stock, "all_held", 0)

    @admin.display(description="sold", ordering="all_sold")
    def sold_units(self, stock: Stock) -> Any:
        """Units of orders that are paid."""
        return getattr(stock, "all_sold", 0)

    @admin.display(description="received", ordering="all_received")
    def received_units(self, stock: Stock) -> Any:
        """All units ever received, corrections included."""
        return getattr(stock, "all_received", 0)

    @admin.display(description="changed", ordering="changed_at")
    def changed(self, stock: Stock) -> str:
        """When a count of any of its pools last changed."""
        return facts.moment(getattr(stock, "changed_at", None))


def page_of(stock: Stock, request: HttpRequest) -> BookPage:
    """A book's stock pools and a page of its ledger (`?kind=…&p=…`); a fixed number of queries."""
    kind = request.GET.get("kind", "")
    if kind not in Movement.Kind.values:
        kind = ""
    paginator = facts.CappedPaginator(stock_queries.movements_of(stock.sku, kind), stock_queries.MOVEMENTS_A_PAGE)
    ledger = paginator.get_page(request.GET.get("p"))
    return BookPage(
        stock=stock,
        book=Book.objects.filter(isbn=stock.sku).first(),
        free=stock_queries.free_label(getattr(stock, "all_free", 0)),
        pools=stock_queries.pools_of(stock.sku),
        entries=stock_queries.entries(ledger),
        ledger=ledger,
        count=f"more than {paginator.count:,}" if paginator.is_capped else f"{paginator.count:,}",
        kind=kind,
        kinds=[("", "All"), *((found.value, str(found.label)) for found in Movement.Kind)],
    )


def may_receive(request: HttpRequest) -> bool:
    """Whether this user may receive units and correct counts."""
    return request.user.has_perm("inventory.change_stock")


def receive_url(sku: str = "") -> str:
    """The page for receiving units, of this book or of any."""
    return reverse("admin:inventory_stock_receive") + (f"?sku={sku}" if sku else "")


def correct_url(sku: str) -> str:
    """The page for correcting the count of this book."""
    return reverse("admin:inventory_stock_correct") + f"?sku={sku}"


def _free(sku: str) -> int:
    return sum(stock.free for stock in Stock.objects.filter(sku=sku))
