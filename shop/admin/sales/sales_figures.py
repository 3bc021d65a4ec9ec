"""The sales figures that the analytics group has counted; read-only."""

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest

import money
from kafka_bridge import admin as facts
from shop.models import Book, BookPrice, BookSales, DailySales


@admin.register(DailySales)
class DailySalesAdmin(facts.FactsAdmin):
    """Orders, units and revenue by day (UTC)."""

    list_display = ("day", "revenue", "units", "confirmed", "cancelled", "shipped", "delivered")
    fields = readonly_fields = list_display
    sortable_by = None

    @admin.display(description="revenue", ordering="revenue_minor")
    def revenue(self, sales: DailySales) -> str:
        """In the shop's currency."""
        return money.format_amount(sales.revenue_minor, settings.CURRENCY)


@admin.register(BookSales)
class BookSalesAdmin(facts.FactsAdmin):
    """Units and revenue by title, best first."""

    list_display = ("title", "sku", "units", "revenue")
    list_display_links = ("title", "sku")
    fields = readonly_fields = ("title", "sku", "units", "revenue")
    search_fields = ("sku", "title")
    search_help_text = "Title or ISBN"
    sortable_by = None

    def get_queryset(self, request: HttpRequest) -> QuerySet[BookSales]:
        """Figures with the titles of the current catalogue."""
        rows: QuerySet[BookSales] = super().get_queryset(request)
        return rows.annotate(title=Subquery(Book.objects.filter(isbn=OuterRef("sku")).values("title")[:1]))

    @admin.display(description="title", ordering="title", empty_value="not in the catalogue")
    def title(self, sales: BookSales) -> Any:
        """The title in the catalogue."""
        return getattr(sales, "title", None)

    @admin.display(description="revenue", ordering="revenue_minor")
    def revenue(self, sales: BookSales) -> str:
        """In the shop's currency."""
        return money.format_amount(sales.revenue_minor, settings.CURRENCY)


@admin.register(BookPrice)
class BookPriceAdmin(facts.FactsAdmin):
    """What books cost and did before, the last change first; only those that changed since the shop opened."""

    list_display = ("title", "sku", "price", "price_before", "is_listed", "changes", "changed_at")
    list_display_links = ("title", "sku")
    fields = readonly_fields = list_display
    search_fields = ("sku", "title")
    search_help_text = "Title or ISBN"
    sortable_by = None

    @admin.display(description="price", ordering="price_minor")
    def price(self, book: BookPrice) -> str:
        """In the shop's currency."""
        return money.format_amount(book.price_minor, settings.CURRENCY)

    @admin.display(description="before", empty_value="the same")
    def price_before(self, book: BookPrice) -> str | None:
        """In the shop's currency."""
        was = book.was_price_minor
        return None if was is None else money.format_amount(was, settings.CURRENCY)
