"""Charges and refunds: what was asked of the gateway, and what it answered."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html

from kafka_bridge import admin as facts
from payments.models import Charge, ChargeEntry, GatewayNotice, Refund, Review

State = Charge.State
CHARGE_COLOURS = {
    State.REQUESTED: "warning",
    State.ACTION_REQUIRED: "info",
    State.AUTHORIZED: "info",
    State.CAPTURING: "warning",
    State.SUCCEEDED: "success",
    State.FAILED: "danger",
    State.VOIDING: "warning",
    State.CANCELLED: "",
}
REFUND_COLOURS = {Refund.State.REQUESTED: "warning", Refund.State.SUCCEEDED: "success"}
_ASKED_FOR = {
    State.REQUESTED: "to authorize it",
    State.ACTION_REQUIRED: "whether the buyer has confirmed it",
    State.AUTHORIZED: "to capture it",
    State.CAPTURING: "to capture it",
    State.VOIDING: "to let go of what is set aside",
}
"""What the gateway is asked next, by the charge's state."""


def _order_page(order_id: UUID) -> str:
    return reverse("admin:orders_order_change", args=[order_id])


def _nowrap(words: str) -> str:
    return format_html('<span class="br-nowrap">{}</span>', words)


def _sum(amount_minor: int | None, currency: str) -> str:
    return "" if amount_minor is None else _nowrap(f"{amount_minor / 100:,.2f} {currency}")


# -- In words --------------------------------------------------------------------------------------------
def waits(charge: Charge) -> str:
    """What an open charge waits for, in a sentence or two; "" for one that is over."""
    state = State(charge.state)
    if state not in Charge.OPEN:
        return ""
    if state is State.ACTION_REQUIRED:
        until = f" until {_clock(charge.act_by)}" if charge.act_by else ""
        sentence = f"The buyer has to confirm the payment at the bank{until}."
    elif charge.unknown_since:
        sentence = f"Since {_clock(charge.unknown_since)} nobody knows whether the gateway did what it was asked."
    else:
        sentence = _PROGRESS[state]
    return " ".join(filter(None, (sentence, asked_next(charge), _if_it_is_barred(charge))))


_PROGRESS = {
    State.REQUESTED: "The money has not been set aside yet.",
    State.AUTHORIZED: "The money is set aside on the buyer's card, and not captured yet.",
    State.CAPTURING: "The money is being captured.",
    State.VOIDING: "The charge is barred; what is set aside on the buyer's card is let go.",
}


def asked_next(charge: Charge) -> str:
    """What the gateway is asked next, and when; "" for a charge that is over."""
    asked = _ASKED_FOR.get(State(charge.state))
    if asked is None:
        return ""
    return f"The gateway is asked {asked} {_when(charge.next_attempt_at)}{_after_calls(charge)}."


def refund_waits(refund: Refund) -> str:
    """What a refund that is not through waits for, in a sentence."""
    what = f"to give {refund.amount:,.2f} {refund.charge.currency} back"
    return f"The gateway is asked {what} {_when(refund.next_attempt_at)}{_after_calls(refund)}."


def state_label(charge: Charge) -> str:
    """How far the charge is, as a coloured word."""
    return facts.label(charge.get_state_display(), CHARGE_COLOURS[State(charge.state)])


def _when(at: datetime) -> str:
    return "now" if at <= timezone.now() else f"at {_clock(at)}"


def _after_calls(row: Charge | Refund) -> str:
    if not row.attempts:
        return ""
    calls = "1 call" if row.attempts == 1 else f"{row.attempts} calls"
    return f", after {calls} ({row.last_error})" if row.last_error else f", after {calls}"


def _if_it_is_barred(charge: Charge) -> str:
    match State(charge.state):
        case State.CAPTURING if charge.cancel_requested:
            return "The order is over, so what gets captured goes back at once."
        case State.REQUESTED | State.ACTION_REQUIRED if charge.cancel_requested:
            return "The order is over, so what gets set aside is let go."
    return ""


def _clock(at: datetime) -> str:
    """The time of day; with the day, if that is another one."""
    local = timezone.localtime(at)
    return f"{local:%H:%M:%S}" if local.date() == timezone.localdate() else f"{local.day} {local:%b, %H:%M}"


# -- Below a charge -------------------------------------------------------------------------------------
class HistoryInline(facts.FactsInline):
    """All that was asked, answered and done, in its order."""

    model = ChargeEntry
    hide_title = True
    verbose_name_plural = "history"
    ordering = ("id",)
    fields = readonly_fields = ("when", "what", "state", "sum", "detail")

    @admin.display(description="when")
    def when(self, entry: ChargeEntry) -> str:
        """To the second."""
        return facts.moment(entry.at)

    @admin.display(description="amount", empty_value="")
    def sum(self, entry: ChargeEntry) -> str | None:
        """In major units, with the currency."""
        return _sum(entry.amount_minor, entry.charge.currency) or None

    def get_queryset(self, request: HttpRequest) -> QuerySet[ChargeEntry]:
        """Lines with their charge, for its currency."""
        rows: QuerySet[ChargeEntry] = super().get_queryset(request)
        return rows.select_related("charge")


class NoticeInline(facts.FactsInline):
    """Webhooks about a charge."""

    model = GatewayNotice
    hide_title = True
    verbose_name_plural = "webhooks"
    ordering = ("id",)
    fields = readonly_fields = ("received", "kind", "happened", "event_id")

    @admin.display(description="received")
    def received(self, notice: GatewayNotice) -> str:
        """When it came in."""
        return facts.moment(notice.received_at)

    @admin.display(description="happened")
    def happened(self, notice: GatewayNotice) -> str:
        """When the gateway says that it happened."""
        return facts.moment(notice.happened_at)


class ReviewInline(facts.FactsInline):
    """What of a charge needs, or needed, a person."""

    model = Review
    hide_title = True
    verbose_name_plural = "money that needs a person"
    fields = readonly_fields = ("page", "detail", "opened", "closed", "closed_by", "note")

    @admin.display(description="what")
    def page(self, review: Review) -> str:
        """What is wrong, with a link to its page."""
        return facts.link(facts.page_of(Review, review.pk), review.get_kind_display())

    @admin.display(description="opened")
    def opened(self, review: Review) -> str:
        """When it was found."""
        return facts.moment(review.opened_at)

    @admin.display(description="closed", empty_value="open")
    def closed(self, review: Review) -> str | None:
        """When it was settled."""
        return facts.moment(review.closed_at) or None


class RefundInline(facts.FactsInline):
    """What went back of a charge."""

    model = Refund
    hide_title = True
    fields = readonly_fields = (
        "amount",
        "reason",
        "state",
        "transaction_id",
        "attempts",
        "last_error",
        "created_at",
        "settled_at",
    )


class ProgressFilter(admin.SimpleListFilter):
    """Whether something is still to come of the charge."""

    title = "progress"
    parameter_name = "progress"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The choices."""
        return [
            ("open", "Not settled yet"),
            ("unknown", "Outcome unknown"),
            ("barred", "Order over, not settled yet"),
            ("refunded", "Money went back, or is to"),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Charge]) -> QuerySet[Charge]:
        """The charges of the choice."""
        is_open = Q(state__in=list(Charge.OPEN))
        match self.value():
            case "open":
                return queryset.filter(is_open)
            case "unknown":
                return queryset.filter(is_open, unknown_since__isnull=False)
            case "barred":
                return queryset.filter(is_open, Q(cancel_requested=True) | Q(state=State.VOIDING))
            case "refunded":
                return queryset.filter(refunded_minor__gt=0)
        return queryset


@admin.register(Charge)
class ChargeAdmin(facts.FactsAdmin):
    """The one charge of each order."""

    list_display = ("made", "sum", "state_label", "of_order", "payment_method", "attempts", "trouble", "back")
    list_display_links = ("made", "sum")
    list_filter = ("state", ProgressFilter)
    search_fields = ("order_id",)
    search_help_text = "Order id, charge id or transaction id, complete"
    ordering = ("-id",)  # the ids grow with time, and the key has an index
    fieldsets = (
        (None, {"fields": ("order", "sum", "state_label", "refunded", "transaction_id", "payment_method", "flow")}),
        (
            "The gateway",
            {"fields": ("next_step", "attempts", "unknown", "failure_reason", "last_error", "confirm_by", "barred")},
        ),
        ("Time", {"fields": ("made", "settled")}),
    )
    readonly_fields = (
        "order", "sum", "state_label", "refunded", "next_step", "unknown", "confirm_by", "barred", "made", "settled",
    )  # fmt: skip
    inlines = (HistoryInline, RefundInline, NoticeInline, ReviewInline)

    def get_inlines(self, request: HttpRequest, obj: Charge | None) -> list[type[facts.FactsInline]]:
        """Those that have something to show."""
        if obj is None:
            return []
        return [inline for inline in self.inlines if inline.model.objects.filter(charge=obj).exists()]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Charge]:
        """Charges with their refunds."""
        rows: QuerySet[Charge] = super().get_queryset(request)
        return rows.prefetch_related("refunds")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Charge], search_term: str
    ) -> tuple[QuerySet[Charge], bool]:
        """Charges by one of their ids."""
        if not (term := search_term.strip()):
            return queryset, False
        key = facts.as_uuid(term)
        if key is None:
            return queryset.filter(transaction_id=term), False
        return queryset.filter(order_id=key) | queryset.filter(pk=key), False

    @admin.display(description="order")
    def order(self, charge: Charge) -> str:
        """The order's id, with a link to its page."""
        return facts.link(_order_page(charge.order_id), charge.order_id)

    @admin.display(description="order")
    def of_order(self, charge: Charge) -> str:
        """The end of the order's id, with a link to its page."""
        return facts.short_link(_order_page(charge.order_id), charge.order_id)

    @admin.display(description="asked for")
    def made(self, charge: Charge) -> str:
        """When it was asked for."""
        return facts.moment(charge.created_at)

    @admin.display(description="settled", empty_value="")
    def settled(self, charge: Charge) -> str | None:
        """When the gateway's answer was written down."""
        return facts.moment(charge.settled_at) or None

    @admin.display(description="amount", ordering="amount_minor")
    def sum(self, charge: Charge) -> str:
        """In major units, with the currency."""
        return _nowrap(f"{charge.amount:,.2f} {charge.currency}")

    @admin.display(description="state", ordering="state")
    def state_label(self, charge: Charge) -> str:
        """How far it is."""
        return state_label(charge)

    @admin.display(description="refunded", empty_value="nothing")
    def refunded(self, charge: Charge) -> str | None:
        """What went back, or is on its way back."""
        return _sum(charge.refunded_minor or None, charge.currency) or None

    @admin.display(description="asked next", empty_value="nothing; it is settled")
    def next_step(self, charge: Charge) -> str | None:
        """What it waits for, and what the gateway is asked next and when."""
        return waits(charge) or None

    @admin.display(description="outcome unknown since", empty_value="")
    def unknown(self, charge: Charge) -> str | None:
        """Since when nobody knows whether the gateway did what it was asked."""
        return facts.moment(charge.unknown_since) or None

    @admin.display(description="to be confirmed by", empty_value="")
    def confirm_by(self, charge: Charge) -> str | None:
        """Until when the buyer may confirm it; the bank's page is for the buyer alone, so there is no link."""
        return facts.moment(charge.act_by) if charge.state == State.ACTION_REQUIRED else None

    @admin.display(description="order is over")
    def barred(self, charge: Charge) -> str:
        """Whether no money shall be taken any more, or what was taken shall go back."""
        return "yes; nothing more is taken, and what was taken goes back" if charge.cancel_requested else "no"

    @admin.display(description="trouble", empty_value="")
    def trouble(self, charge: Charge) -> Any:
        """Why the gateway refused, or why its answer is not known yet."""
        return charge.failure_reason or charge.last_error or None

    @admin.display(description="refunded", empty_value="")
    def back(self, charge: Charge) -> Any:
        """Whether money went back, or is to."""
        states = [refund.get_state_display().lower() for refund in charge.refunds.all()]
        return ", ".join(states) or None


@admin.register(Refund)
class RefundAdmin(facts.FactsAdmin):
    """Money that goes back; one that the gateway keeps refusing needs a person."""

    list_display = ("made", "sum", "state_label", "of_order", "reason", "attempts", "last_error", "settled")
    list_display_links = ("made", "sum")
    list_filter = ("state",)
    search_fields = ("charge__order_id",)
    search_help_text = "Order id, refund id or transaction id, complete"
    ordering = ("-id",)
    fieldsets = (
        (None, {"fields": ("order", "of_charge", "sum", "reason", "state_label", "transaction_id")}),
        ("The gateway", {"fields": ("attempts", "last_error", "next_attempt_at")}),
        ("Time", {"fields": ("made", "settled")}),
    )
    readonly_fields = ("order", "of_charge", "sum", "state_label", "made", "settled")
    list_select_related = ("charge",)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Refund], search_term: str
    ) -> tuple[QuerySet[Refund], bool]:
        """Refunds by one of their ids."""
        if not (term := search_term.strip()):
            return queryset, False
        key = facts.as_uuid(term)
        if key is None:
            return queryset.filter(transaction_id=term), False
        return queryset.filter(charge__order_id=key) | queryset.filter(pk=key), False

    @admin.display(description="order")
    def order(self, refund: Refund) -> str:
        """The order's id, with a link to its page."""
        return facts.link(_order_page(refund.charge.order_id), refund.charge.order_id)

    @admin.display(description="order")
    def of_order(self, refund: Refund) -> str:
        """The end of the order's id, with a link to its page."""
        return facts.short_link(_order_page(refund.charge.order_id), refund.charge.order_id)

    @admin.display(description="asked for")
    def made(self, refund: Refund) -> str:
        """When it was asked for."""
        return facts.moment(refund.created_at)

    @admin.display(description="settled", empty_value="")
    def settled(self, refund: Refund) -> str | None:
        """When the gateway's answer was written down."""
        return facts.moment(refund.settled_at) or None

    @admin.display(description="charge")
    def of_charge(self, refund: Refund) -> str:
        """The charge that it undoes, with a link to its page."""
        return facts.link(facts.page_of(Charge, refund.charge_id), refund.charge)

    @admin.display(description="amount", ordering="amount_minor")
    def sum(self, refund: Refund) -> str:
        """In major units, with the currency."""
        return _nowrap(f"{refund.amount:,.2f} {refund.charge.currency}")

    @admin.display(description="state", ordering="state")
    def state_label(self, refund: Refund) -> str:
        """How far it is."""
        return facts.label(refund.get_state_display(), REFUND_COLOURS[Refund.State(refund.state)])


class StrangerFilter(admin.SimpleListFilter):
    """Whether we know the charge that a webhook is about."""

    title = "charge"
    parameter_name = "charge_known"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The choices."""
        return [("no", "About no charge of ours"), ("yes", "About a charge")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[GatewayNotice]) -> QuerySet[GatewayNotice]:
        """The webhooks of the choice."""
        if self.value() is None:
            return queryset
        return queryset.filter(charge__isnull=self.value() == "no")


@admin.register(GatewayNotice)
class GatewayNoticeAdmin(facts.FactsAdmin):
    """Genuine webhooks, as they came in. What they say is never believed: the gateway is asked."""

    list_display = ("received", "kind", "of_charge", "transaction_id", "event_id")
    list_filter = (StrangerFilter,)
    list_select_related = ("charge",)
    search_fields = ("event_id",)
    search_help_text = "Event id, order id, charge id or transaction id, complete"
    ordering = ("-id",)
    fields = readonly_fields = ("event_id", "kind", "of_charge", "transaction_id", "happened", "received", "contents")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[GatewayNotice], search_term: str
    ) -> tuple[QuerySet[GatewayNotice], bool]:
        """The webhook of this event, or those about this charge; a transaction is looked up among the charges."""
        if not (term := search_term.strip().replace("\x00", "")):
            return queryset, False
        if key := facts.as_uuid(term):
            charges = Charge.objects.filter(Q(pk=key) | Q(order_id=key))
        else:
            charges = Charge.objects.filter(transaction_id=term)
        return queryset.filter(Q(event_id=term) | Q(charge__in=list(charges.values_list("pk", flat=True)))), False

    @admin.display(description="charge", empty_value="none of ours")
    def of_charge(self, notice: GatewayNotice) -> str | None:
        """The charge that it is about, with a link to its page."""
        if notice.charge is None:
            return None
        return facts.link(facts.page_of(Charge, notice.charge.pk), notice.charge)

    @admin.display(description="happened")
    def happened(self, notice: GatewayNotice) -> str:
        """When the gateway says that it happened."""
        return facts.moment(notice.happened_at)

    @admin.display(description="received")
    def received(self, notice: GatewayNotice) -> str:
        """When it came in."""
        return facts.moment(notice.received_at)

    @admin.display(description="contents")
    def contents(self, notice: GatewayNotice) -> str:
        """As they were signed."""
        return format_html('<pre class="br-json">{}</pre>', facts.as_json(notice.body.encode()))
