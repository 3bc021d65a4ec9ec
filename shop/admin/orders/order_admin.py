"""Orders: the list, the page of one order (see `order_page.py`), and the actions of staff."""

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
from django.utils.html import format_html
from unfold.widgets import UnfoldAdminTextInputWidget

import money
from kafka_bridge import admin as facts
from orders.actions import cancellation
from orders.models import Order
from shop.admin.orders import filters, order_actions, order_labels, order_page, reducing, search
from shop.admin.site import dated_change_list, navigation
from shop.typed import fields


class ReasonForm(forms.Form):
    """Why an order is cancelled."""

    reason = fields.TypedTextField(
        max_length=120,
        widget=UnfoldAdminTextInputWidget,
        help_text="The buyer reads it on the order's page and in a mail.",
    )


@admin.register(Order)
class OrderAdmin(facts.FactsAdmin):
    """Read-only; an order changes only through the actions of staff."""

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
        """Whether this user may ship, deliver and cancel. Nobody may edit the fields of an order."""
        return request.user.has_perm("orders.change_order")

    # -- The list ----------------------------------------------------------------------------------
    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[dated_change_list.DatedChangeList]:
        """The list's view of itself."""
        return dated_change_list.DatedChangeList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Order], search_term: str
    ) -> tuple[QuerySet[Order], bool]:
        """Orders by reference, buyer, tracking number, book or any ID."""
        return search.orders_matching(queryset, search_term), False

    @admin.display(description="reference")
    def reference_words(self, order: Order) -> str:
        """The order's reference."""
        return format_html('<span class="br-nowrap">{}</span>', order.reference)

    @admin.display(description="status")
    def status_words(self, order: Order) -> str:
        """The status; how long the order is stuck, or why it was cancelled."""
        why = format_html('<span class="br-soft">{}</span>', order.cancel_reason) if order.cancel_reason else ""
        return format_html(
            '<span class="br-inline">{} {} {}</span>',
            order_labels.status_label(order),
            order_labels.stuck_label(order),
            why,
        )

    @admin.display(description="flow")
    def flow_words(self, order: Order) -> str:
        """Which of stock and money comes first."""
        return format_html('<span class="br-nowrap">{}</span>', order.get_flow_display())

    @admin.display(description="buyer")
    def buyer(self, order: Order) -> str:
        """The buyer's email address; name and account as a tooltip."""
        account = f"account {order.user.get_username()}" if order.user else "guest"
        return format_html('<span title="{}, {}">{}</span>', order.name, account, order.email)

    @admin.display(description="total")
    def total_words(self, order: Order) -> str:
        """With the currency."""
        return money.format_amount(order.total_minor, order.currency)

    @admin.display(description="placed", ordering="placed_at")
    def placed(self, order: Order) -> str:
        """When the order was placed."""
        return facts.moment(order.placed_at)

    # -- Actions -------------------------------------------------------------------------------------
    @admin.action(permissions=["act"], description="Ship now")
    def ship_selected(self, request: HttpRequest, queryset: QuerySet[Order]) -> None:
        """Mark these orders as shipped."""
        self._carry_out(request, order_actions.SHIP, _ids(queryset))

    @admin.action(permissions=["act"], description="Deliver now")
    def deliver_selected(self, request: HttpRequest, queryset: QuerySet[Order]) -> None:
        """Mark these orders as delivered."""
        self._carry_out(request, order_actions.DELIVER, _ids(queryset))

    @admin.action(permissions=["act"], description="Cancel…")
    def cancel_selected(self, request: HttpRequest, queryset: QuerySet[Order]) -> HttpResponse | None:
        """Cancel these orders, after asking for a reason."""
        order_ids = _ids(queryset)
        if len(order_ids) > order_actions.MOST_AT_ONCE:
            self._carry_out(request, order_actions.CANCEL, order_ids)  # shows that these are too many
            return None
        return self._confirmation(request, order_actions.CANCEL, order_ids, ReasonForm())

    def get_urls(self) -> list[URLPattern]:
        """The usual pages, and the confirmation pages of the actions."""
        action, reduce = self.admin_site.admin_view(self.act_view), self.admin_site.admin_view(self.reduce_view)
        return [
            path("act/<slug:name>/", action, name="orders_order_act"),
            path("<uuid:order_id>/reduce/", reduce, name="orders_order_reduce"),
            *super().get_urls(),
        ]

    def act_view(self, request: HttpRequest, name: str) -> HttpResponse:
        """The confirmation page for the orders `?order=…`; a POST carries the action out."""
        if not self.has_act_permission(request):
            raise PermissionDenied
        action, order_ids = order_actions.ACTIONS.get(name), _asked_for(request)
        if action is None or not order_ids:
            raise Http404
        form = ReasonForm(request.POST or None) if action.wants_reason else forms.Form(request.POST or None)
        if request.method != "POST" or not form.is_valid():
            return self._confirmation(request, action, order_ids, form)
        self._carry_out(request, action, order_ids, reason=form.cleaned_data.get("reason", ""))
        if len(order_ids) == 1 and Order.objects.filter(pk=order_ids[0]).exists():
            return HttpResponseRedirect(facts.page_of(Order, order_ids[0]))
        return HttpResponseRedirect(reverse("admin:orders_order_changelist"))

    def reduce_view(self, request: HttpRequest, order_id: UUID) -> HttpResponse:
        """The form for cancelling copies of an order; a POST cancels them."""
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
        self, request: HttpRequest, action: order_actions.OrderAction, order_ids: list[UUID], *, reason: str = ""
    ) -> None:
        try:
            report = order_actions.carry_out(
                action, order_ids=order_ids, user=navigation.person(request), reason=reason
            )
        except order_actions.TooMany as error:
            messages.error(request, str(error))
            return
        done, left = report.in_words()
        if done:
            messages.success(request, done)
        for sentence in left:
            messages.warning(request, sentence)

    def _confirmation(
        self, request: HttpRequest, action: order_actions.OrderAction, order_ids: list[UUID], form: forms.Form
    ) -> TemplateResponse:
        orders = list(Order.objects.filter(pk__in=order_ids).select_related("shipment").order_by("-placed_at"))
        candidates = [(order, order_labels.status_label(order), action.obstacle(order)) for order in orders]
        context = {
            **self.admin_site.each_context(request),
            "title": f"{action.title} {'order' if len(orders) == 1 else 'orders'}",
            "opts": self.opts,
            "action": action,
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
        may_see_letters = navigation.may_see(request, "kafka_bridge", "deadletter")
        may_act = self.has_act_permission(request)
        page = (
            order_page.order_page_of(order, may_act=may_act, may_see_log=may_see_log, may_see_letters=may_see_letters)
            if order
            else None
        )
        response: HttpResponse = super().change_view(
            request, object_id, form_url, {**(extra_context or {}), "page": page, "title": "Order"}
        )
        return response


def _ids(queryset: QuerySet[Order]) -> list[UUID]:
    """IDs of the selected orders, up to one more than allowed, which is enough to refuse them."""
    return list(queryset.values_list("pk", flat=True)[: order_actions.MOST_AT_ONCE + 1])


def _asked_for(request: HttpRequest) -> list[UUID]:
    """The IDs in the parameter `order`."""
    given = request.POST if request.method == "POST" else request.GET
    return [order_id for text in given.getlist("order") if (order_id := facts.as_uuid(text))]
