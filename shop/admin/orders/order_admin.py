"""Orders: the list, the page of one with all its apps' facts, and what staff may do to them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from unfold.widgets import UnfoldAdminTextInputWidget

import money
from inventory.models import Reservation
from kafka_bridge import admin as facts
from orders.actions import cancellation
from orders.models import Order, OrderLine, OrderMail, ReturnRequest, Shipment, Status
from payments import admin as payments_admin
from payments.models import Charge, Refund, Review
from shop.admin.operations import activity_log_admin
from shop.admin.orders import filters, order_actions, reducing, refunding, returns, search, timeline
from shop.admin.payments import reviews
from shop.admin.site import dated_change_list, navigation
from shop.checkout import countries
from shop.models import AuditEntry

STATUS_COLOURS = {
    Status.PENDING: "warning",
    Status.PAID: "info",
    Status.SHIPPED: "primary",
    Status.DELIVERED: "success",
    Status.CANCELLED: "danger",
}

_DEEDS_SHOWN = 5


class ReasonForm(forms.Form):
    """Why an order is cancelled."""

    reason = forms.CharField(
        max_length=120,
        widget=UnfoldAdminTextInputWidget,
        help_text="The buyer reads it on the order's page and in a mail.",
    )


@admin.register(Order)
class OrderAdmin(facts.FactsAdmin):
    """Read-only; orders move only through what may be done to them."""

    list_display = ("reference_words", "status_words", "buyer", "total_words", "placed", "flow_words")
    list_filter = ("status", "flow", filters.PaymentFilter, filters.StuckFilter, filters.PlacedFilter)
    date_hierarchy = "placed_at"
    ordering = ("-placed_at",)
    sortable_by = ("placed",)
    search_fields = ("reference",)
    search_help_text = search.HELP
    actions = ("ship_selected", "deliver_selected", "cancel_selected")
    fields = readonly_fields = ("reference",)
    change_list_template = "admin/orders/order/change_list.html"
    change_form_template = "admin/orders/order/change_form.html"

    # -- Who may -----------------------------------------------------------------------------------
    def has_act_permission(self, request: HttpRequest) -> bool:
        """Whether this person may ship, deliver and cancel; the fields of an order nobody may change."""
        return request.user.has_perm("orders.change_order")

    # -- The list ----------------------------------------------------------------------------------
    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[dated_change_list.DatedChangeList]:
        """The list's view of itself."""
        return dated_change_list.DatedChangeList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Order], search_term: str
    ) -> tuple[QuerySet[Order], bool]:
        """Orders by whatever somebody has in hand."""
        return search.orders_matching(queryset, search_term), False

    @admin.display(description="reference")
    def reference_words(self, order: Order) -> str:
        """What people call the order."""
        return format_html('<span class="br-nowrap">{}</span>', order.reference)

    @admin.display(description="status")
    def status_words(self, order: Order) -> str:
        """Where the order stands; how long it has waited, or why it was cancelled."""
        why = format_html('<span class="br-soft">{}</span>', order.cancel_reason) if order.cancel_reason else ""
        return format_html('<span class="br-inline">{} {} {}</span>', status_label(order), stuck_label(order), why)

    @admin.display(description="flow")
    def flow_words(self, order: Order) -> str:
        """Which of stock and money comes first."""
        return format_html('<span class="br-nowrap">{}</span>', order.get_flow_display())

    @admin.display(description="buyer")
    def buyer(self, order: Order) -> str:
        """Who ordered; with the account, if there is one."""
        account = f"account {order.user.get_username()}" if order.user else "guest"
        return format_html('<span title="{}, {}">{}</span>', order.name, account, order.email)

    @admin.display(description="total")
    def total_words(self, order: Order) -> str:
        """With the currency."""
        return money.format_amount(order.total_minor, order.currency)

    @admin.display(description="placed", ordering="placed_at")
    def placed(self, order: Order) -> str:
        """When the order came in."""
        return facts.moment(order.placed_at)

    # -- What may be done ----------------------------------------------------------------------------
    @admin.action(permissions=["act"], description="Ship now")
    def ship_selected(self, request: HttpRequest, queryset: QuerySet[Order]) -> None:
        """The parcels of these orders have left."""
        self._carry_out(request, order_actions.SHIP, _ids(queryset))

    @admin.action(permissions=["act"], description="Deliver now")
    def deliver_selected(self, request: HttpRequest, queryset: QuerySet[Order]) -> None:
        """The parcels of these orders have arrived."""
        self._carry_out(request, order_actions.DELIVER, _ids(queryset))

    @admin.action(permissions=["act"], description="Cancel…")
    def cancel_selected(self, request: HttpRequest, queryset: QuerySet[Order]) -> HttpResponse | None:
        """End these orders, once a reason is given."""
        order_ids = _ids(queryset)
        if len(order_ids) > order_actions.MOST_AT_ONCE:
            self._carry_out(request, order_actions.CANCEL, order_ids)  # says that these are too many
            return None
        return self._confirmation(request, order_actions.CANCEL, order_ids, ReasonForm())

    def get_urls(self) -> list[URLPattern]:
        """The usual pages, and those that ask before something is done."""
        act, reduce = self.admin_site.admin_view(self.act_view), self.admin_site.admin_view(self.reduce_view)
        return [
            path("act/<slug:name>/", act, name="orders_order_act"),
            path("<uuid:order_id>/reduce/", reduce, name="orders_order_reduce"),
            *super().get_urls(),
        ]

    def act_view(self, request: HttpRequest, name: str) -> HttpResponse:
        """Ask whether it is to be done to the orders `?order=…`, and on POST do it."""
        if not self.has_act_permission(request):
            raise PermissionDenied
        act, order_ids = order_actions.ACTS.get(name), _asked_for(request)
        if act is None or not order_ids:
            raise Http404
        form = ReasonForm(request.POST or None) if act.wants_reason else forms.Form(request.POST or None)
        if request.method != "POST" or not form.is_valid():
            return self._confirmation(request, act, order_ids, form)
        self._carry_out(request, act, order_ids, reason=form.cleaned_data.get("reason", ""))
        if len(order_ids) == 1 and Order.objects.filter(pk=order_ids[0]).exists():
            return HttpResponseRedirect(facts.page_of(Order, order_ids[0]))
        return HttpResponseRedirect(reverse("admin:orders_order_changelist"))

    def reduce_view(self, request: HttpRequest, order_id: UUID) -> HttpResponse:
        """Ask which copies of an order are to be cancelled, and on POST do it."""
        if not self.has_act_permission(request):
            raise PermissionDenied
        order = get_object_or_404(Order, pk=order_id)
        lines = list(order.lines.all())
        form = reducing.CopiesForm(request.POST or None, lines=lines)
        if request.method == "POST" and form.is_valid():
            units, reason = form.cleaned_data["units"], form.cleaned_data["reason"]
            try:
                done = reducing.carry_out(
                    order_id=order_id, units=units, reason=reason, user=navigation.person(request)
                )
            except cancellation.CannotCancel as error:
                form.add_error(None, str(error))
            else:
                messages.success(request, done)
                return HttpResponseRedirect(facts.page_of(Order, order_id))
        context = {
            **self.admin_site.each_context(request),
            "title": "Cancel some copies",
            "opts": self.opts,
            "order": order,
            "form": form,
            "obstacle": reducing.obstacle(order, lines),
            "back_url": facts.page_of(Order, order_id),
        }
        return TemplateResponse(request, "admin/orders/order/reduce.html", context)

    def _carry_out(
        self, request: HttpRequest, act: order_actions.OrderAction, order_ids: list[UUID], *, reason: str = ""
    ) -> None:
        try:
            report = order_actions.carry_out(act, order_ids=order_ids, user=navigation.person(request), reason=reason)
        except order_actions.TooMany as error:
            messages.error(request, str(error))
            return
        done, left = report.in_words()
        if done:
            messages.success(request, done)
        for sentence in left:
            messages.warning(request, sentence)

    def _confirmation(
        self, request: HttpRequest, act: order_actions.OrderAction, order_ids: list[UUID], form: forms.Form
    ) -> TemplateResponse:
        orders = list(Order.objects.filter(pk__in=order_ids).select_related("shipment").order_by("-placed_at"))
        candidates = [(order, status_label(order), act.obstacle(order)) for order in orders]
        context = {
            **self.admin_site.each_context(request),
            "title": f"{act.title} {'order' if len(orders) == 1 else 'orders'}",
            "opts": self.opts,
            "act": act,
            "form": form,
            "candidates": candidates,
            "possible": sum(not obstacle for _, _, obstacle in candidates),
            "back_url": facts.page_of(Order, orders[0].pk)
            if len(orders) == 1
            else reverse("admin:orders_order_changelist"),
        }
        return TemplateResponse(request, "admin/orders/order/act.html", context)

    # -- The page ----------------------------------------------------------------------------------
    def get_queryset(self, request: HttpRequest) -> QuerySet[Order]:
        """Orders with their buyers' accounts."""
        rows: QuerySet[Order] = super().get_queryset(request)
        return rows.select_related("user")

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Everything that is known about one order."""
        order_id = facts.as_uuid(object_id)
        order = Order.objects.filter(pk=order_id).select_related("user", "shipment").first() if order_id else None
        may_see_log = navigation.may_see(request, "shop", "auditentry")
        page = page_of(order, may_act=self.has_act_permission(request), may_see_log=may_see_log) if order else None
        response: HttpResponse = super().change_view(
            request, object_id, form_url, {**(extra_context or {}), "page": page, "title": "Order"}
        )
        return response


@dataclass(frozen=True, kw_only=True)
class Page:
    """What the page of an order shows."""

    order: Order
    lines: list[OrderLine]
    cancelled_minor: int
    """What the cancelled copies cost; it goes back, or has."""
    returned_minor: int
    """What the returned copies cost; it goes back, or has."""
    status: str
    stuck: str
    country: str
    buyers_url: str
    moments: list[timeline.Moment]
    waits: list[str]
    charge: Charge | None
    charge_label: str
    refunds: list[Refund]
    reviews: list[Review]
    """The open ones: what somebody has to look at."""
    returns: list[tuple[ReturnRequest, str, str]]
    """What the buyer asked to return: with its state as a coloured word, and the copies in words."""
    shipment: Shipment | None
    reservation: Reservation | None
    mails: list[OrderMail]
    acts: list[tuple[order_actions.OrderAction, str]]
    """What may be done now, each with the address of the page that asks before doing it."""
    reduce_url: str
    """Where single copies are cancelled; empty if that is not possible now, or not for this person."""
    refund_url: str
    """Where copies that have left are paid back; empty likewise."""
    decline_url: str
    """Where what the buyer asks to return is declined; empty likewise."""
    log: list[AuditEntry]
    """The last that people did to it."""
    log_url: str
    """Where all of that is; empty for who may not see it."""


def page_of(order: Order, *, may_act: bool, may_see_log: bool) -> Page:
    """Gather all apps' facts about an order (read with its shipment); a fixed number of queries."""
    charge = Charge.objects.filter(order_id=order.pk).prefetch_related("refunds").first()
    shipment = getattr(order, "shipment", None)
    mails = list(order.mails.order_by("pk"))
    moments = timeline.of(order)
    lines = list(order.lines.all())
    refunds = list(charge.refunds.all()) if charge else []
    wishes = list(order.return_requests.all())
    asked = next((wish for wish in wishes if wish.state == ReturnRequest.State.ASKED), None)
    may_reduce = may_act and not reducing.obstacle(order, lines)
    may_refund = may_act and not refunding.obstacle(order, lines)
    possible = [act for act in order_actions.ACTS.values() if not act.obstacle(order)] if may_act else []
    return Page(
        order=order,
        lines=lines,
        cancelled_minor=sum(line.cancelled_minor for line in lines),
        returned_minor=sum(line.returned_minor for line in lines),
        status=status_label(order),
        stuck=stuck_label(order),
        country=countries.name_of(order.country),
        buyers_url=reverse("order", args=[order.pk]),
        moments=moments,
        waits=[
            *_events_under_way(moments),
            *_money_under_way(charge, refunds),
            *_return_wishes(asked, lines),
            *_parcel_under_way(order, shipment),
            *_mails_under_way(mails),
        ],
        charge=charge,
        charge_label=payments_admin.state_label(charge) if charge else "",
        refunds=refunds,
        reviews=reviews.open_of(order.pk),
        returns=[(wish, returns.state_label(wish), returns.words_of(wish, lines)) for wish in wishes],
        shipment=shipment,
        reservation=Reservation.objects.filter(pk=order.pk).prefetch_related("holds").first(),
        mails=mails,
        acts=[(act, f"{reverse('admin:orders_order_act', args=[act.name])}?order={order.pk}") for act in possible],
        reduce_url=reverse("admin:orders_order_reduce", args=[order.pk]) if may_reduce else "",
        refund_url=returns.refund_url(order.pk) if may_refund else "",
        decline_url=returns.decline_url(asked) if asked and may_act else "",
        log=activity_log_admin.about(order.pk, limit=_DEEDS_SHOWN) if may_see_log else [],
        log_url=activity_log_admin.page_about(order) if may_see_log else "",
    )


# -- What an order waits for, as far as the tables tell; one sentence each ---------------------------------
def _events_under_way(moments: list[timeline.Moment]) -> Iterator[str]:
    for moment in moments:
        if moment.row is None:
            continue
        if moment.row.published_at is None:
            age = facts.as_age(timezone.now() - moment.at)
            yield f"The relay has not brought {moment.row.type} to Kafka yet; it was stated {age} ago."
        elif moment.missing:
            yield f"{' and '.join(moment.missing)}: {moment.row.type} has not been handled yet."


def _money_under_way(charge: Charge | None, refunds: list[Refund]) -> Iterator[str]:
    if charge and (sentence := payments_admin.waits(charge)):
        yield sentence
    for refund in refunds:
        if refund.state == Refund.State.REQUESTED:
            yield payments_admin.refund_waits(refund)


def _return_wishes(asked: ReturnRequest | None, lines: list[OrderLine]) -> Iterator[str]:
    if asked:
        titles = {line.sku: line.title for line in lines}
        wanted = ", ".join(f"{n} × {titles.get(sku, sku)}" for sku, n in asked.units.items())  # noqa: RUF001
        yield f"The buyer asks to return {wanted}, and waits for an answer."


def _parcel_under_way(order: Order, shipment: Shipment | None) -> Iterator[str]:
    if shipment and shipment.state == Shipment.State.PACKED and order.status == Status.PAID:
        yield f"The carrier comes for the parcel at {_clock(shipment.due_at)}."
    if shipment and shipment.state == Shipment.State.SHIPPED:
        yield f"The carrier brings the parcel at {_clock(shipment.due_at)}."


def _mails_under_way(mails: list[OrderMail]) -> Iterator[str]:
    for mail in mails:
        if mail.sent_at is None:
            tries = f" after {mail.attempts} tries" if mail.attempts else ""
            yield f"The mail “{mail.get_kind_display()}” is not sent yet{tries}."


def status_label(order: Order) -> str:
    """The status as a coloured word."""
    return facts.label(order.get_status_display(), STATUS_COLOURS[Status(order.status)])


def stuck_label(order: Order) -> str:
    """How long an order that is neither confirmed nor cancelled has waited; coloured when that is too long."""
    if order.confirmed_at or order.status == Status.CANCELLED:
        return ""
    age = timezone.now() - order.placed_at
    if age.total_seconds() > filters.STUCK_SECONDS:
        return facts.label(f"stuck {facts.as_age(age)}", "danger", title="Neither confirmed nor cancelled since then")
    return facts.label(facts.as_age(age), title="Neither confirmed nor cancelled yet")


def _ids(queryset: QuerySet[Order]) -> list[UUID]:
    """Ids of the chosen orders; one more than may be chosen tells that there are too many."""
    return list(queryset.values_list("pk", flat=True)[: order_actions.MOST_AT_ONCE + 1])


def _asked_for(request: HttpRequest) -> list[UUID]:
    """The ids `order` of the form, or of the address."""
    given = request.POST if request.method == "POST" else request.GET
    return [order_id for text in given.getlist("order") if (order_id := facts.as_uuid(text))]


def _clock(at: datetime) -> str:
    return f"{timezone.localtime(at):%H:%M:%S}"
