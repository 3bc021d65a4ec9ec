"""Flash sales: creating them, changing what may still change, ending them early. Saving a sale sets its units aside."""

from datetime import UTC
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.db import transaction
from django.db.models import (
    CharField,
    Count,
    ExpressionWrapper,
    F,
    IntegerField,
    OuterRef,
    QuerySet,
    Subquery,
    Sum,
    Value,
)
from django.db.models.functions import Cast, Coalesce, Concat
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from unfold.admin import TabularInline

import money
from inventory.models import Stock
from kafka_bridge import admin as facts
from shop.admin.sales import flash_sale_forms
from shop.admin.site import navigation, stale_forms
from shop.admin.stock import stock_queries
from shop.books import pricing
from shop.flashsales import flash_sales
from shop.flashsales.flash_sales import Phase, phase_of
from shop.models import FlashSale, FlashSaleBook
from shop.operations import activity_log
from shop.waiting_room import rooms
from shop.waiting_room.tables import WaitingMode

PHASE_COLOURS = {Phase.UPCOMING: "info", Phase.RUNNING: "success", Phase.OVER: ""}
"""Colours for `facts.label`."""
FREE = ExpressionWrapper(F("received") - F("held") - F("sold"), output_field=IntegerField())


class SaleBookInline(stale_forms.CheckedInline, TabularInline):  # type: ignore[misc]  # the theme has no types
    """The books of a sale, with the counts of their units."""

    model = FlashSaleBook
    form = flash_sale_forms.SaleBookForm
    formset = flash_sale_forms.SaleBookFormSet
    fields = ("book", "price", "units", "left", "held", "sold")
    readonly_fields = ("left", "held", "sold")
    autocomplete_fields = ("book",)
    extra = 0
    min_num = 1
    hide_title = True
    verbose_name = "book"
    verbose_name_plural = "books"

    def get_queryset(self, request: HttpRequest) -> QuerySet[FlashSaleBook]:
        """Rows with the counts of their stock pools."""
        name = Concat(OuterRef("book__isbn"), Value("@"), Cast(OuterRef("sale_id"), CharField()))
        stock = Stock.objects.filter(bin=name)
        rows: QuerySet[FlashSaleBook] = super().get_queryset(request)
        return rows.select_related("book", "sale").annotate(
            free_units=Subquery(stock.values_list(FREE)[:1]),
            held_units=Subquery(stock.values("held")[:1]),
            sold_units=Subquery(stock.values("sold")[:1]),
        )

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Without the links that add or change a book; here one is only chosen."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name == "book":
            widget = field.widget
            widget.can_add_related = widget.can_change_related = widget.can_view_related = False
        return field

    def get_fields(self, request: HttpRequest, obj: FlashSale | None = None) -> tuple[str, ...]:
        """Users who may only view get the price as text; a new sale has no counts."""
        if not self._may_save(request, obj):
            return ("book", "price_words", "units", "left", "held", "sold")
        return self.fields if obj else ("book", "price", "units")

    def get_readonly_fields(self, request: HttpRequest, obj: FlashSale | None = None) -> tuple[str, ...]:
        """See `get_fields`."""
        return (*self.readonly_fields, "price_words")

    def has_add_permission(self, request: HttpRequest, obj: FlashSale | None = None) -> bool:
        """The permission to save the sale."""
        return self._may_save(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: FlashSale | None = None) -> bool:
        """The permission to save the sale."""
        return self._may_save(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: FlashSale | None = None) -> bool:
        """The permission to save the sale."""
        return self._may_save(request, obj)

    def has_view_permission(self, request: HttpRequest, obj: FlashSale | None = None) -> bool:
        """The permission to view the sale."""
        return navigation.may_see(request, "shop", "flashsale")

    @admin.display(description="price")
    def price_words(self, row: FlashSaleBook) -> str:
        """In the shop's currency."""
        return money.format_amount(row.price_minor, settings.CURRENCY)

    @admin.display(description="left", empty_value="")
    def left(self, row: FlashSaleBook) -> Any:
        """Units that can still be ordered."""
        free = getattr(row, "free_units", None)
        return None if free is None else stock_queries.free_label(free)

    @admin.display(description="held", empty_value="")
    def held(self, row: FlashSaleBook) -> Any:
        """Units of orders that are under way."""
        return getattr(row, "held_units", None)

    @admin.display(description="sold", empty_value="")
    def sold(self, row: FlashSaleBook) -> Any:
        """Units of orders that are paid."""
        return getattr(row, "sold_units", None)

    def _may_save(self, request: HttpRequest, obj: FlashSale | None) -> bool:
        pages: Any = self.admin_site._registry[FlashSale]
        return bool(pages.has_change_permission(request, obj) if obj else pages.has_add_permission(request))


class PhaseFilter(admin.SimpleListFilter):
    """Upcoming, running or over."""

    title = "phase"
    parameter_name = "phase"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The choices."""
        return [(phase.value, phase.value.capitalize()) for phase in Phase]

    def queryset(self, request: HttpRequest, queryset: QuerySet[FlashSale]) -> QuerySet[FlashSale]:
        """The sales of the chosen phase."""
        now = timezone.now()
        match self.value():
            case Phase.UPCOMING:
                return queryset.filter(starts_at__gt=now)
            case Phase.RUNNING:
                return queryset.filter(starts_at__lte=now, ends_at__gt=now)
            case Phase.OVER:
                return queryset.filter(ends_at__lte=now)
        return queryset


def _name(request: HttpRequest) -> str:
    """The user name, cut to the length of the ledger's column."""
    return navigation.person(request).get_username()[:80]


def _state(sale: FlashSale) -> dict[str, Any]:
    """What the activity log records of a sale."""
    books = {
        row.book.isbn: {"price_minor": row.price_minor, "units": row.units}
        for row in sale.books.select_related("book").order_by("id")
    }
    return {
        "start": f"{sale.starts_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC",
        "end": f"{sale.ends_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC",
        "customer limit": sale.customer_limit,
        "hold seconds": sale.hold_seconds,
        "waiting room": sale.waiting_room,
        "seconds to order": sale.waiting_pass_seconds,
        "books": books,
    }


def _record(request: HttpRequest, what: str, sale: FlashSale, *, before: dict[str, Any], after: dict[str, Any]) -> None:
    if before != after:
        activity_log.record(user=navigation.person(request), what=what, subject=sale.name, before=before, after=after)


def _pool_sum(expression: Any) -> Coalesce:
    """A sum over all stock pools of a sale."""
    stock = Stock.objects.filter(sale_id=OuterRef("pk")).order_by().values("sale_id")
    return Coalesce(Subquery(stock.annotate(sum=Sum(expression)).values("sum")), 0)


@admin.register(FlashSale)
class FlashSaleAdmin(stale_forms.CheckedAdmin):
    """Sales with their books. A sale that is over cannot be changed; one that has started cannot be deleted."""

    form = flash_sale_forms.SaleForm
    inlines = (SaleBookInline,)
    list_display = ("name", "phase", "start", "end", "titles", "units", "left", "held", "sold", "queue")
    list_filter = (PhaseFilter,)
    search_fields = ("name", "books__book__search_text")
    search_help_text = "Name, or a book's title, author or ISBN"
    sortable_by = ()
    actions = ("end_now",)
    fields = (
        "name",
        "starts_at",
        "ends_at",
        "customer_limit",
        "hold_seconds",
        "waiting_room",
        "waiting_pass_seconds",
    )
    readonly_fields = ("start", "end")

    def get_queryset(self, request: HttpRequest) -> QuerySet[FlashSale]:
        """Sales with the sums of their books and stock pools."""
        rows: QuerySet[FlashSale] = super().get_queryset(request)
        return rows.annotate(
            book_count=Count("books"),
            all_units=Coalesce(Sum("books__units"), 0),
            free_units=_pool_sum(FREE),
            held_units=_pool_sum("held"),
            sold_units=_pool_sum("sold"),
        )

    def get_fields(self, request: HttpRequest, obj: FlashSale | None = None) -> tuple[str, ...]:
        """A start in the past cannot be edited; users who may only view get all times as the list shows them."""
        name, *times = self.fields[:3]
        if obj and not self.has_change_permission(request, obj):
            times = ["start", "end"]
        elif obj and flash_sales.phase_of(obj) is not Phase.UPCOMING:
            times = ["start", "ends_at"]
        return (name, *times, *self.fields[3:])

    def has_change_permission(self, request: HttpRequest, obj: FlashSale | None = None) -> bool:
        """A sale that is over cannot be changed."""
        allowed = bool(super().has_change_permission(request, obj))
        return allowed and (obj is None or phase_of(obj) is not Phase.OVER)

    def has_delete_permission(self, request: HttpRequest, obj: FlashSale | None = None) -> bool:
        """Only a sale that has not started can be deleted: orders refer to the others."""
        allowed = obj is not None and bool(super().has_delete_permission(request, obj))
        return allowed and obj is not None and phase_of(obj) is Phase.UPCOMING

    def save_model(self, request: HttpRequest, obj: FlashSale, form: Any, change: bool) -> None:
        """Save, and keep the previous state until the books are saved as well, for the activity log."""
        form.was = _state(FlashSale.objects.get(pk=obj.pk)) if change else {}
        super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Save the books, and set their units aside or give them back."""
        (books,) = formsets or (None,)
        leaving = [row.instance.book.isbn for row in books.deleted_forms if row.instance.pk] if books else []
        super().save_related(request, form, formsets, change)
        by = _name(request)
        flash_sales.give_back(form.instance, leaving, by=by)
        flash_sales.set_aside(form.instance, by=by)
        rooms.open_room(form.instance)
        _record(request, "sale changed", form.instance, before=form.was, after=_state(form.instance))
        transaction.on_commit(pricing.forget)

    def delete_model(self, request: HttpRequest, obj: FlashSale) -> None:
        """Give the units back first."""
        skus = list(obj.books.values_list("book__isbn", flat=True))
        flash_sales.give_back(obj, skus, by=_name(request))
        _record(request, "sale deleted", obj, before=_state(obj), after={})
        super().delete_model(request, obj)
        transaction.on_commit(pricing.forget)

    @admin.action(description="End now", permissions=["change"])
    def end_now(self, request: HttpRequest, queryset: QuerySet[FlashSale]) -> None:
        """End the chosen sales that are running."""
        user = navigation.person(request)
        for pk in queryset.values_list("pk", flat=True):
            with transaction.atomic():
                sale = FlashSale.objects.select_for_update().get(pk=pk)
                if is_running := phase_of(sale) is Phase.RUNNING:
                    before = _state(sale)
                    flash_sales.end_now(sale, by=_name(request))
                    _record(request, "sale ended", sale, before=before, after=_state(sale))
                    LogEntry.objects.log_actions(user.pk, [sale], CHANGE, "Ended early.")
            if is_running:
                messages.success(request, f"“{sale}” has ended. Unsold copies return to normal sale.")
            else:
                messages.warning(request, f"“{sale}” was not changed: it is not running.")
        transaction.on_commit(pricing.forget)

    @admin.display(description="phase")
    def phase(self, sale: FlashSale) -> str:
        """Upcoming, running or over."""
        phase = phase_of(sale)
        return facts.label(phase.value, PHASE_COLOURS[phase])

    @admin.display(description="waiting room", empty_value="")
    def queue(self, sale: FlashSale) -> Any:
        """A link to the queue, where there is one."""
        if sale.waiting_room == WaitingMode.OFF:
            return None
        return format_html('<a href="{}">See the queue</a>', reverse("admin:queue", args=[sale.pk]))

    @admin.display(description="start", ordering="starts_at")
    def start(self, sale: FlashSale) -> str:
        """When it starts."""
        return facts.moment(sale.starts_at)

    @admin.display(description="end", ordering="ends_at")
    def end(self, sale: FlashSale) -> str:
        """When it ends."""
        return facts.moment(sale.ends_at)

    @admin.display(description="books")
    def titles(self, sale: FlashSale) -> int:
        """How many books it has."""
        return int(getattr(sale, "book_count", 0))

    @admin.display(description="set aside")
    def units(self, sale: FlashSale) -> int:
        """Units of all its books."""
        return int(getattr(sale, "all_units", 0))

    @admin.display(description="left")
    def left(self, sale: FlashSale) -> str:
        """Units that can still be ordered; of a sale that is over, units not returned to normal sale yet."""
        free = getattr(sale, "free_units", 0)
        return str(free) if flash_sales.phase_of(sale) is Phase.OVER else stock_queries.free_label(free)

    @admin.display(description="held")
    def held(self, sale: FlashSale) -> int:
        """Units of orders that are under way."""
        return int(getattr(sale, "held_units", 0))

    @admin.display(description="sold")
    def sold(self, sale: FlashSale) -> int:
        """Units of orders that are paid."""
        return int(getattr(sale, "sold_units", 0))
