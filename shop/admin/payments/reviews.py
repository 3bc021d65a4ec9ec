"""Payment reviews: what is wrong, what to do about it, and closing it afterwards."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import F, OuterRef, Q, QuerySet, Subquery
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from unfold.widgets import UnfoldAdminTextInputWidget

from kafka_bridge import admin as facts
from orders.models import Order
from payments import reviews
from payments.models import Charge, Review
from shop.admin.site import navigation
from shop.operations import activity_log
from shop.typed import fields

Kind = Review.Kind
MOST_AT_ONCE = 100
WHAT_TO_DO = {
    Kind.UNKNOWN: (
        "Open the charge and press “Ask the gateway now”; the key stays the same, so nothing can be captured twice. "
        "If the gateway does not answer at all, look up the charge's ID in its dashboard, or contact its support. The "
        "review closes by itself as soon as the gateway answers."
    ),
    Kind.REFUND_REFUSED: (
        "The buyer is still owed this money. Find out in the gateway's dashboard why it refuses (closed card, "
        "dispute, too long ago). The refund is retried at least every hour, and the review closes by itself once it "
        "succeeds. If you pay the buyer in another way, note how, close the review, and stop the refund at the "
        "gateway."
    ),
    Kind.VOID_REFUSED: (
        "The order is over, but the gateway does not release the authorization on the buyer's card. Look up the "
        "payment there: if it was captured, refund it; if the authorization has expired, there is nothing to do. Then "
        "close the review."
    ),
    Kind.MISMATCH: (
        "Compare the charge with the payment in the gateway's dashboard, and find out which of the two is right. "
        "Refund what was captured in excess, or note why the difference is correct. The review closes by itself once "
        "both agree."
    ),
    Kind.ORPHAN_PAYMENT: (
        "No order of ours asked for this payment. Find out on the gateway's own pages who paid and for what; give the "
        "money back there if it is not ours. Then close it."
    ),
    Kind.KEPT: (
        "The shop keeps money that no order costs. Open the charge and press “Refund what is too much”, or note why it "
        "is right. The review closes by itself once the refund is requested."
    ),
    Kind.EVENT_REFUSED: (
        "Nothing was paid, and no order has changed. Find out who wrote the event to Kafka: its position is on the "
        "order's timeline. If it was not our payments group, someone has access who should not."
    ),
}
"""What to do about a review of each kind."""


class NoteForm(forms.Form):
    """How it was settled."""

    note = fields.TypedTextField(
        max_length=500,
        widget=UnfoldAdminTextInputWidget,
        help_text="How it was settled. Kept permanently, with your name.",
    )


class OpenFilter(admin.SimpleListFilter):
    """Open or closed."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The choices."""
        return [("open", "Open"), ("person", "Closed by staff"), ("itself", "Closed automatically")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Review]) -> QuerySet[Review]:
        """The reviews of the choice."""
        match self.value():
            case "open":
                return queryset.filter(closed_at=None)
            case "person":
                return queryset.exclude(closed_at=None).exclude(closed_by="")
            case "itself":
                return queryset.exclude(closed_at=None).filter(closed_by="")
        return queryset


@admin.register(Review)
class ReviewAdmin(facts.FactsAdmin):
    """Reviews are opened by the shop, never by staff. Open ones come first, the oldest at the top."""

    list_display = ("what", "detail", "of_order", "of_charge", "since", "settled")
    list_display_links = ("what",)
    list_filter = (OpenFilter, "kind")
    list_select_related = ("charge",)
    search_fields = ("subject",)
    search_help_text = "Complete order reference or ID, charge ID, or the gateway's payment ID"
    ordering = (F("closed_at").desc(nulls_first=True), "opened_at")
    actions = ("close_selected",)
    fieldsets = (
        (None, {"fields": ("what", "detail", "to_do", "of_order", "of_charge", "subject")}),
        ("How it went", {"fields": ("since", "settled", "closed_by", "note")}),
    )
    readonly_fields = ("what", "to_do", "of_order", "of_charge", "since", "settled")
    change_form_outer_before_template = "admin/payments/close_link.html"

    def has_close_permission(self, request: HttpRequest) -> bool:
        """Whether this user may close reviews. Nobody may edit their fields."""
        return request.user.has_perm("payments.change_review")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Review]:
        """Reviews with the references of their orders."""
        rows: QuerySet[Review] = super().get_queryset(request)
        named = Order.objects.filter(pk=OuterRef("order_id")).values("reference")
        return rows.annotate(reference=Subquery(named))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Review], search_term: str
    ) -> tuple[QuerySet[Review], bool]:
        """Reviews by order, charge or payment."""
        if not (term := search_term.strip().replace("\x00", "")):
            return queryset, False
        if key := facts.as_uuid(term):
            return queryset.filter(Q(order_id=key) | Q(charge=key) | Q(subject=str(key))), False
        named = Order.objects.filter(reference=term.upper()).values_list("pk", flat=True)
        return queryset.filter(Q(subject=term) | Q(order_id__in=list(named))), False

    # -- Closing -----------------------------------------------------------------------------------
    @admin.action(permissions=["close"], description="Close with a note…")
    def close_selected(self, request: HttpRequest, queryset: QuerySet[Review]) -> HttpResponse:
        """Close these reviews, after asking for a note."""
        ids = list(queryset.values_list("pk", flat=True)[:MOST_AT_ONCE])
        return self._ask(request, ids, NoteForm())

    def get_urls(self) -> list[URLPattern]:
        """The usual pages, and the form for the note."""
        close = path("close/", self.admin_site.admin_view(self.close_view), name="payments_review_close")
        return [close, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The page; with a link to close the review, if permitted."""
        is_open = object_id.isdigit() and Review.objects.filter(pk=object_id, closed_at=None).exists()
        may_close = is_open and self.has_close_permission(request)
        close_url = f"{reverse('admin:payments_review_close')}?review={object_id}" if may_close else ""
        response: HttpResponse = super().change_view(
            request, object_id, form_url, {**(extra_context or {}), "close_url": close_url}
        )
        return response

    def close_view(self, request: HttpRequest) -> HttpResponse:
        """The form for the note about the reviews `?review=…`; a POST closes them."""
        if not self.has_close_permission(request):
            raise PermissionDenied
        given = request.POST if request.method == "POST" else request.GET
        ids = [int(text) for text in given.getlist("review")[:MOST_AT_ONCE] if text.isdigit()]
        if not ids:
            raise Http404
        form = NoteForm(request.POST or None)
        if request.method != "POST" or not form.is_valid():
            return self._ask(request, ids, form)
        done, left = close(review_ids=ids, note=form.cleaned_data["note"], user=navigation.person(request))
        if done:
            messages.success(request, f"{_number(done)} closed.")
        if left:
            messages.warning(request, f"{_number(left)} already closed.")
        return HttpResponseRedirect(reverse("admin:payments_review_changelist"))

    def _ask(self, request: HttpRequest, ids: list[int], form: forms.Form) -> TemplateResponse:
        rows = list(self.get_queryset(request).filter(pk__in=ids, closed_at=None).order_by("opened_at"))
        context = {
            **self.admin_site.each_context(request),
            "title": "Close with a note",
            "opts": self.opts,
            "form": form,
            "rows": [(review, self.what(review), self.of_order(review)) for review in rows],
            "back_url": reverse("admin:payments_review_changelist"),
        }
        return TemplateResponse(request, "admin/payments/close.html", context)

    # -- In words ----------------------------------------------------------------------------------
    @admin.display(description="what")
    def what(self, review: Review) -> str:
        """The kind of review; coloured while it is open."""
        return facts.label(review.get_kind_display(), "" if review.closed_at else "danger")

    @admin.display(description="what to do")
    def to_do(self, review: Review) -> str:
        """What to do about it."""
        return WHAT_TO_DO[Kind(review.kind)]

    @admin.display(description="order", empty_value="")
    def of_order(self, review: Review) -> str | None:
        """The order's reference, linked to its page."""
        if review.order_id is None:
            return None
        reference = getattr(review, "reference", None)
        if not reference:
            return str(review.order_id)
        return format_html(
            '<span class="br-nowrap">{}</span>', facts.link(facts.page_of(Order, review.order_id), reference)
        )

    @admin.display(description="charge", empty_value="")
    def of_charge(self, review: Review) -> str | None:
        """The charge, linked to its page."""
        return facts.link(facts.page_of(Charge, review.charge.pk), review.charge) if review.charge else None

    @admin.display(description="open since")
    def since(self, review: Review) -> str:
        """When it was opened, and for how long it has been open, or was."""
        age = (review.closed_at or timezone.now()) - review.opened_at
        words = "for" if review.closed_at else "open for"
        return format_html(
            '{} <span class="br-soft">{} {}</span>', facts.moment(review.opened_at), words, facts.as_age(age)
        )

    @admin.display(description="settled", empty_value="")
    def settled(self, review: Review) -> str | None:
        """When it was closed, and by whom."""
        if review.closed_at is None:
            return None
        if not review.closed_by:
            return format_html("{} automatically", facts.moment(review.closed_at))
        return format_html("{} by {}", facts.moment(review.closed_at), review.closed_by)


def close(*, review_ids: list[int], note: str, user: AbstractBaseUser) -> tuple[int, int]:
    """Close these with a note; returns how many were closed, and how many were closed already (or do not exist)."""
    done = 0
    for review_id in sorted(set(review_ids)):
        try:
            with transaction.atomic():
                reviews.close(review_id=review_id, by=user.get_username(), note=note)
                _record(Review.objects.get(pk=review_id), user, note)
        except reviews.NotOpen:
            continue
        done += 1
    return done, len(set(review_ids)) - done


def _record(review: Review, user: AbstractBaseUser, note: str) -> None:
    LogEntry.objects.log_actions(user.pk, [review], CHANGE, f"Closed: {note}")
    what = {"kind": review.kind, "detail": review.detail}
    activity_log.record(
        user=user,
        what="review closed",
        subject=review.subject,
        order_id=review.order_id,
        reason=note,
        before={"state": "open", **what},
        after={"state": "closed", **what},
    )


def open_of(order_id: UUID) -> list[Review]:
    """The open reviews about an order."""
    return list(Review.objects.filter(order_id=order_id, closed_at=None).order_by("opened_at"))


def _number(count: int) -> str:
    return "1 review" if count == 1 else f"{count} reviews"
