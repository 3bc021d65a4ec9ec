"""Who waits for books that are sold out: demand, by book and one by one."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.urls import reverse

from kafka_bridge import admin as facts
from shop.models import Book, WaitlistEntry

State = WaitlistEntry.State
_COLOURS = {State.ASKED: "", State.WAITING: "warning", State.TOLD: "success", State.OVER: "", State.STOPPED: ""}


@admin.register(WaitlistEntry)
class WaitlistAdmin(facts.FactsAdmin):
    """Buyers enter and leave by themselves."""

    list_display = ("title", "state_label", "email", "asked", "confirmed", "told", "kept_until")
    list_display_links = None
    list_filter = ("state",)
    search_fields = ("sku", "email")
    search_help_text = "ISBN or mail address, complete"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[WaitlistEntry], search_term: str
    ) -> tuple[QuerySet[WaitlistEntry], bool]:
        """Those who wait for a book, or an address."""
        if not (term := search_term.strip().replace("\x00", "")):
            return queryset, False
        if (digits := term.replace("-", "")).isdigit():
            return queryset.filter(sku=digits), False
        return queryset.filter(email__iexact=term), False

    def get_queryset(self, request: HttpRequest) -> QuerySet[WaitlistEntry]:
        """With the titles."""
        rows: QuerySet[WaitlistEntry] = super().get_queryset(request)
        return rows.annotate(book_title=Subquery(_titles()))

    @admin.display(description="book")
    def title(self, entry: WaitlistEntry) -> str:
        """The title, or the ISBN of a book that was deleted."""
        return str(getattr(entry, "book_title", None) or entry.sku)

    @admin.display(description="state")
    def state_label(self, entry: WaitlistEntry) -> str:
        """The state as a coloured word."""
        return facts.label(entry.get_state_display(), _COLOURS[State(entry.state)])

    @admin.display(description="asked")
    def asked(self, entry: WaitlistEntry) -> str:
        """When."""
        return facts.moment(entry.asked_at)

    @admin.display(description="confirmed", empty_value="")
    def confirmed(self, entry: WaitlistEntry) -> str | None:
        """When; it gives the place in the queue."""
        return facts.moment(entry.confirmed_at) or None

    @admin.display(description="told", empty_value="")
    def told(self, entry: WaitlistEntry) -> str | None:
        """When a copy was kept."""
        return facts.moment(entry.told_at) or None

    @admin.display(description="kept until", empty_value="")
    def kept_until(self, entry: WaitlistEntry) -> str | None:
        """Until when."""
        return facts.moment(entry.held_until) or None


def count_of(isbn: Any) -> Coalesce:
    """Annotation: how many wait for the book."""
    waiting = WaitlistEntry.objects.filter(sku=isbn, state=State.WAITING).order_by().values("sku")
    return Coalesce(Subquery(waiting.annotate(n=Count("pk")).values("n"), output_field=IntegerField()), 0)


def label(isbn: str, waiting: int) -> str:
    """How many wait, linked to them."""
    if not waiting:
        return ""
    url = f"{reverse('admin:shop_waitlistentry_changelist')}?q={isbn}&state__exact={State.WAITING}"
    return facts.link(url, f"{waiting:,}")


def _titles() -> Any:
    return Book.objects.filter(isbn=OuterRef("sku")).values("title")[:1]
