"""Return requests: refunding or declining them."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join

import money
from kafka_bridge import admin as facts
from orders import prices
from orders.actions import returns
from orders.models import Order, OrderLine, ReturnRequest
from payments.models import Charge
from shop.admin.orders import quantity_form, refunding
from shop.admin.site import navigation

State = ReturnRequest.State
STATE_COLOURS = {State.ASKED: "warning", State.WITHDRAWN: "warning", State.ACCEPTED: "success", State.DECLINED: ""}


@dataclass(frozen=True, kw_only=True)
class ReturnRow:
    """A line of the form."""

    line: OrderLine
    left: int
    field: forms.BoundField | None
    """None if no more copies of this line can be refunded."""


@admin.register(ReturnRequest)
class ReturnRequestAdmin(facts.FactsAdmin):
    """Return requests of buyers; the open ones come first."""

    list_display = ("of_order", "state_label", "copies", "why", "asked", "answered")
    list_display_links = None
    list_filter = ("state",)
    list_select_related = ("order",)
    search_fields = ("order__reference",)
    search_help_text = "Complete order reference or ID"
    ordering = (F("answered_at").desc(nulls_first=True), "-id")
    fieldsets = (
        (None, {"fields": ("of_order", "state_label", "copies", "reason", "asked")}),
        ("The answer", {"fields": ("what_now", "answer", "answered", "answered_by")}),
    )
    readonly_fields = ("of_order", "state_label", "copies", "asked", "answered", "what_now")

    def has_act_permission(self, request: HttpRequest) -> bool:
        """Whether this user may refund and decline: the permission to act on orders."""
        return request.user.has_perm("orders.change_order")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ReturnRequest]:
        """Return requests with the lines of their orders, for the titles."""
        rows: QuerySet[ReturnRequest] = super().get_queryset(request)
        return rows.prefetch_related("order__lines")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[ReturnRequest], search_term: str
    ) -> tuple[QuerySet[ReturnRequest], bool]:
        """The return requests of an order."""
        if not (term := search_term.strip().replace("\x00", "")):
            return queryset, False
        if key := facts.as_uuid(term):
            return queryset.filter(order=key), False
        return queryset.filter(order__reference=term.upper()), False

    def get_fieldsets(self, request: HttpRequest, obj: ReturnRequest | None = None) -> Any:
        """What can be done, while it is open and if permitted; afterwards the answer."""
        first, (title, _) = self.fieldsets
        if obj and obj.state in ReturnRequest.OPEN:
            return (first, (title, {"fields": ("what_now",)})) if self.has_act_permission(request) else (first,)
        return (first, (title, {"fields": ("answer", "answered", "answered_by")}))

    def get_urls(self) -> list[URLPattern]:
        """The usual pages, and those for refunding and declining."""
        refund, decline = self.admin_site.admin_view(self.refund_view), self.admin_site.admin_view(self.decline_view)
        return [
            path("refund/<uuid:order_id>/", refund, name="orders_returnrequest_refund"),
            path("<int:request_id>/decline/", decline, name="orders_returnrequest_decline"),
            *super().get_urls(),
        ]

    # -- Paying back, declining ----------------------------------------------------------------------
    def refund_view(self, request: HttpRequest, order_id: UUID) -> HttpResponse:
        """The refund form. The first POST shows the amount; a POST that confirms the same amount refunds it."""
        if not self.has_act_permission(request):
            raise PermissionDenied
        order = get_object_or_404(Order, pk=order_id)
        lines, return_request = list(order.lines.all()), refunding.open_request_of(order_id)
        begin = refunding.initial(lines, return_request, everything="all" in request.GET)
        form = refunding.CopiesForm(request.POST or None, lines=lines, initial=begin)
        sums = refunding.sums_of(Charge.objects.filter(order_id=order_id).first())
        amount_minor = 0
        if request.method == "POST" and form.is_valid():
            amount_minor = prices.goes_back_minor(order, lines, form.cleaned_data["units"])
            if amount_minor > sums.left_minor:
                left = money.format_amount(sums.left_minor, order.currency)
                form.add_error(None, f"Only {left} can still be refunded, and these copies cost more.")
            elif request.POST.get("confirmed") == str(amount_minor) and self._pay_back(
                request, order, form, return_request
            ):
                return HttpResponseRedirect(facts.page_of(Order, order_id))
        context = {
            "title": f"Refund: {order.reference}",
            "order": order,
            "return_request": return_request,
            "copies": words_of(return_request, lines) if return_request else "",
            "form": form,
            "rows": _rows(form, lines),
            "sums": sums,
            "amount_minor": 0 if form.errors else amount_minor,
            "stays_minor": sums.left_minor - amount_minor,
            "obstacle": refunding.obstacle(order, lines),
            "back_url": facts.page_of(Order, order_id),
        }
        return self._page(request, "refund", context)

    def _pay_back(
        self, request: HttpRequest, order: Order, form: refunding.CopiesForm, return_request: ReturnRequest | None
    ) -> bool:
        try:
            done = refunding.pay_back(
                order_id=order.pk,
                units=form.cleaned_data["units"],
                reason=form.cleaned_data["reason"],
                user=navigation.person(request),
                request_id=return_request.pk if return_request else None,
            )
        except returns.CannotReturn as error:
            form.add_error(None, str(error))
            return False
        messages.success(request, done)
        return True

    def decline_view(self, request: HttpRequest, request_id: int) -> HttpResponse:
        """The form for the answer to the buyer; a POST declines the return."""
        if not self.has_act_permission(request):
            raise PermissionDenied
        return_request = get_object_or_404(ReturnRequest.objects.select_related("order"), pk=request_id)
        form = refunding.AnswerForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                done = refunding.decline(
                    request_id=request_id, answer=form.cleaned_data["answer"], user=navigation.person(request)
                )
            except returns.CannotReturn as error:
                form.add_error(None, str(error))
            else:
                messages.success(request, done)
                return HttpResponseRedirect(facts.page_of(Order, return_request.order_id))
        context = {
            "title": f"Decline the return: {return_request.order.reference}",
            "return_request": return_request,
            "copies": words_of(return_request, list(return_request.order.lines.all())),
            "form": form,
            "obstacle": ""
            if return_request.state == State.ASKED
            else f"It is {return_request.get_state_display().lower()} already.",
            "back_url": facts.page_of(Order, return_request.order_id),
        }
        return self._page(request, "decline", context)

    def _page(self, request: HttpRequest, template: str, context: dict[str, Any]) -> TemplateResponse:
        whole = {**self.admin_site.each_context(request), "opts": self.opts, **context}
        return TemplateResponse(request, f"admin/orders/returnrequest/{template}.html", whole)

    # -- In words ----------------------------------------------------------------------------------
    @admin.display(description="order")
    def of_order(self, return_request: ReturnRequest) -> str:
        """The order's reference, linked to its page."""
        return facts.link(facts.page_of(Order, return_request.order_id), return_request.order.reference)

    @admin.display(description="state")
    def state_label(self, return_request: ReturnRequest) -> str:
        """The state, linked to the request's page."""
        return format_html(
            '<a href="{}">{}</a>', facts.page_of(ReturnRequest, return_request.pk), state_label(return_request)
        )

    @admin.display(description="copies")
    def copies(self, return_request: ReturnRequest) -> str:
        """How many of which books."""
        return words_of(return_request, list(return_request.order.lines.all()))

    @admin.display(description="why")
    def why(self, return_request: ReturnRequest) -> str:
        """The buyer's reason, shortened."""
        return return_request.reason if len(return_request.reason) <= 80 else f"{return_request.reason[:79]}…"

    @admin.display(description="asked for")
    def asked(self, return_request: ReturnRequest) -> str:
        """When the buyer asked."""
        return facts.moment(return_request.asked_at)

    @admin.display(description="answered", empty_value="")
    def answered(self, return_request: ReturnRequest) -> str | None:
        """When staff answered."""
        return facts.moment(return_request.answered_at) or None

    @admin.display(description="what you can do")
    def what_now(self, return_request: ReturnRequest) -> str:
        """Buttons for refunding (in whole or in part) and declining."""
        if return_request.state == State.WITHDRAWN:
            return format_html(
                "The buyer has withdrawn: nothing is to be decided. Once the books are here, at the latest 14 days "
                'after the withdrawal: <a class="br-button" data-kind="main" href="{}">Refund…</a>',
                refund_url(return_request.order_id),
            )
        return format_html(
            '<span class="br-inline"><a class="br-button" data-kind="main" href="{}">Refund…</a>'
            '<a class="br-button" data-kind="danger" href="{}">Decline…</a></span>',
            refund_url(return_request.order_id),
            decline_url(return_request),
        )


def state_label(return_request: ReturnRequest) -> str:
    """The state as a coloured word."""
    return facts.label(return_request.get_state_display(), STATE_COLOURS[State(return_request.state)])


def words_of(return_request: ReturnRequest, lines: list[OrderLine]) -> str:
    """How many of which books, a line for each."""
    titles = {line.sku: line.title for line in lines}
    rows = ((number, titles.get(sku, sku)) for sku, number in return_request.units.items())
    return format_html("<div>{}</div>", format_html_join("", "<div>{} × {}</div>", rows))  # noqa: RUF001


def refund_url(order_id: UUID) -> str:
    """The refund page of this order."""
    return reverse("admin:orders_returnrequest_refund", args=[order_id])


def decline_url(return_request: ReturnRequest) -> str:
    """The page for declining this return request."""
    return reverse("admin:orders_returnrequest_decline", args=[return_request.pk])


def _rows(form: refunding.CopiesForm, lines: list[OrderLine]) -> list[ReturnRow]:
    left = refunding.left_of(lines)
    names = {line.sku: quantity_form.field_of(line.sku) for line in lines}
    return [
        ReturnRow(
            line=line, left=left[line.sku], field=form[names[line.sku]] if names[line.sku] in form.fields else None
        )
        for line in lines
    ]
