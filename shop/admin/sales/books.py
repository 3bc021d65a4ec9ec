"""Books and categories: what the shop offers, at which price. Their stock is inventory's."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.db import transaction
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest
from django.template.loader import render_to_string

import money
from inventory.models import Stock
from orders.models import OrderLine
from shop import models
from shop.admin.sales import price_field
from shop.admin.site import navigation, stale_forms
from shop.admin.stock import stock_admin, stock_queries, waitlist
from shop.books import pricing, updates
from shop.models import Book, BookSales, Category
from shop.operations import activity_log
from shop.typed import fields as typed


class BookForm(forms.ModelForm):  # type: ignore[type-arg]  # no generic at run time
    """A book, with its price in major units."""

    price = price_field.PriceField()

    class Meta:
        model = Book
        fields = (
            "isbn", "title", "author", "series", "series_number", "category", "publisher", "year", "pages", "format",
            "language", "blurb", "is_listed",
        )  # fmt: skip
        field_classes = dict.fromkeys(("title", "author", "series", "publisher", "blurb"), typed.TypedTextField)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Missing for users who may only view.
        if price := self.fields.get("price"):
            price.help_text = f"In {settings.CURRENCY}. Orders that are placed keep the price they were placed at."
            if self.instance.pk:
                price.initial = price_field.shown(self.instance.price_minor)

    def clean(self) -> dict[str, Any] | None:
        """Store the price in minor units, as the table does."""
        cleaned = super().clean()
        if (price := self.cleaned_data.get("price")) is not None:
            self.instance.price_minor = price_field.kept(price)
        return cleaned


@admin.register(Book)
class BookAdmin(stale_forms.CheckedAdmin):
    """The catalogue. The ISBN identifies the book everywhere else, so it cannot change."""

    form = BookForm
    list_display = ("title", "author", "category", "price_words", "free", "held", "sold", "waiting", "is_listed")
    list_editable = ("is_listed",)
    list_filter = ("is_listed", ("category", admin.RelatedOnlyFieldListFilter), "format", "language", "year")
    list_select_related = ("category",)
    search_fields = ("search_text",)
    search_help_text = "Title, author or ISBN"
    fieldsets = (
        (None, {"fields": ("title", "author", "series", "series_number", "isbn", "category")}),
        ("Offer", {"fields": ("price", "is_listed", "stock")}),
        ("About the book", {"fields": ("publisher", "year", "pages", "weight_grams", "format", "language", "blurb")}),
    )
    readonly_fields = ("stock",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Book]:
        """Books with their stock."""
        stock = Stock.objects.filter(sku=OuterRef("isbn"))
        rows: QuerySet[Book] = super().get_queryset(request)
        return rows.annotate(
            **stock_queries.sums_of(OuterRef("isbn")),
            all_waiting=waitlist.count_of(OuterRef("isbn")),
            is_known=Exists(stock) | Exists(OrderLine.objects.filter(sku=OuterRef("isbn"))),
        )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Book], search_term: str
    ) -> tuple[QuerySet[Book], bool]:
        """Books by words, with or without accents, as in the shop."""
        for word in models.searchable(search_term).split():
            queryset = queryset.filter(search_text__contains=word.replace("-", "") if _is_isbn(word) else word)
        return queryset, False

    def get_readonly_fields(self, request: HttpRequest, obj: Book | None = None) -> tuple[str, ...]:
        """The ISBN of an existing book cannot change; users who may only view get the price as text."""
        fixed = ("isbn",) if obj else ()
        return (*self.readonly_fields, *fixed, *(() if self._may_save(request, obj) else ("price_words",)))

    def get_fieldsets(self, request: HttpRequest, obj: Book | None = None) -> Any:
        """The page; users who may only view get the price as text."""
        if self._may_save(request, obj):
            return self.fieldsets
        main, _, about = self.fieldsets
        return (main, ("Offer", {"fields": ("price_words", "is_listed", "stock")}), about)

    def has_delete_permission(self, request: HttpRequest, obj: Book | None = None) -> bool:
        """Only a book without stock and orders can be deleted; any other is taken off sale instead."""
        allowed = obj is not None and super().has_delete_permission(request, obj)
        return allowed and not getattr(obj, "is_known", True)

    def save_model(self, request: HttpRequest, obj: Book, form: Any, change: bool) -> None:
        """Save, record what changed, state it, and drop this process's cached prices."""
        known = Book.objects.filter(pk=obj.pk).select_for_update().first()
        super().save_model(request, obj, form, change)
        updates.state(known, obj)
        before, after = updates.offer_of(known), updates.offer_of(obj)
        if before != after:
            user = navigation.person(request)
            activity_log.record(user=user, what="book changed", subject=obj.isbn, before=before, after=after)
        transaction.on_commit(pricing.forget)

    def delete_model(self, request: HttpRequest, obj: Book) -> None:
        """Delete, state that it is for sale no more, and record what it was."""
        updates.state_gone(obj)
        activity_log.record(
            user=navigation.person(request), what="book deleted", subject=obj.isbn, before=updates.offer_of(obj)
        )
        super().delete_model(request, obj)

    @admin.display(description="price", ordering="price_minor")
    def price_words(self, book: Book) -> str:
        """In the shop's currency."""
        return money.format_amount(book.price_minor, settings.CURRENCY)

    @admin.display(description="free", ordering="all_free")
    def free(self, book: Book) -> str:
        """Units that can still be ordered, those of sales included."""
        return stock_queries.free_label(getattr(book, "all_free", 0))

    @admin.display(description="held", ordering="all_held")
    def held(self, book: Book) -> int:
        """Units of orders that are under way."""
        return int(getattr(book, "all_held", 0))

    @admin.display(description="sold", ordering="all_sold")
    def sold(self, book: Book) -> int:
        """Units of orders that are paid."""
        return int(getattr(book, "all_sold", 0))

    @admin.display(description="waiting", ordering="all_waiting")
    def waiting(self, book: Book) -> str:
        """Buyers who wait for it, linked to them."""
        return waitlist.label(book.isbn, int(getattr(book, "all_waiting", 0)))

    @admin.display(description="stock")
    def stock(self, book: Book) -> str:
        """All counts of the book, its sales, and a link to receive more."""
        if not book.pk:
            return "None yet. Save the book first, then receive units on the stock page."
        context = {
            "stock": stock_queries.by_book(Stock.objects.filter(sku=book.isbn)).first(),
            "sales": BookSales.objects.filter(sku=book.isbn).first(),
            "receive_url": stock_admin.receive_url(book.isbn),
        }
        return render_to_string("admin/shop/book_stock.html", context)

    def _may_save(self, request: HttpRequest, obj: Book | None) -> bool:
        return bool(self.has_change_permission(request, obj) if obj else self.has_add_permission(request))


@admin.register(Category)
class CategoryAdmin(stale_forms.CheckedAdmin):
    """The shelves of the shop, in display order."""

    list_display = ("name", "tagline", "position", "listed")
    list_editable = ("position",)
    prepopulated_fields = {"slug": ("name",)}  # noqa: RUF012 - the admin's own form

    def get_queryset(self, request: HttpRequest) -> QuerySet[Category]:
        """Categories with the number of their books."""
        rows: QuerySet[Category] = super().get_queryset(request)
        return rows.annotate(listed_books=Count("books", filter=Q(books__is_listed=True)))

    @admin.display(description="books for sale", ordering="listed_books")
    def listed(self, category: Category) -> int:
        """Books that the shop shows on this shelf."""
        return int(getattr(category, "listed_books", 0))


def _is_isbn(word: str) -> bool:
    return word.replace("-", "").isdigit()
