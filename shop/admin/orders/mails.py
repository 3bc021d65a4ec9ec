"""Mails that orders owe their buyers; what failed, why, and what a person can do about it."""

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from unfold.widgets import UnfoldAdminTextInputWidget

from kafka_bridge import admin as facts
from orders.actions import failed_mails
from orders.models import Order, OrderMail
from shop.admin.site import navigation
from shop.operations import activity_log
from shop.typed import fields


class SentFilter(admin.SimpleListFilter):
    """Whether the mail server has taken the mail."""

    title = "sending"
    parameter_name = "sending"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        """The choices."""
        return [("unsent", "Not sent yet"), ("failed", "Failed"), ("given_up", "Given up"), ("sent", "Sent")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[OrderMail]) -> QuerySet[OrderMail]:
        """The mails of the choice."""
        match self.value():
            case "unsent":
                return queryset.filter(sent_at=None, closed_at=None)
            case "failed":
                return queryset.filter(failed_at__isnull=False, closed_at=None)
            case "given_up":
                return queryset.filter(closed_at__isnull=False)
            case "sent":
                return queryset.filter(sent_at__isnull=False)
        return queryset


class AddressForm(forms.Form):
    """Where the order's mails go."""

    email = fields.AddressField(
        label="Address",
        widget=UnfoldAdminTextInputWidget,
        help_text="All further mails of this order go there as well.",
    )


@admin.register(OrderMail)
class OrderMailAdmin(facts.FactsAdmin):
    """Mails that orders owe their buyers."""

    list_display = ("kind", "of_order", "to", "owed", "sent", "attempts", "last_error")
    list_filter = (SentFilter, "kind")
    list_select_related = ("order",)
    ordering = ("-id",)
    fields = readonly_fields = (
        "kind", "of_order", "to", "owed", "sent", "attempts", "next_attempt", "last_error", "what_now",
    )  # fmt: skip

    def has_act_permission(self, request: HttpRequest) -> bool:
        """Whether this user may decide about failed mails: the permission to act on orders."""
        return request.user.has_perm("orders.change_order")

    def get_fields(self, request: HttpRequest, obj: OrderMail | None = None) -> tuple[str, ...]:
        """What can be done only where something can."""
        if obj and obj.has_failed and self.has_act_permission(request):
            return self.fields
        return tuple(name for name in self.fields if name != "what_now")

    def get_urls(self) -> list[URLPattern]:
        """The usual pages, and the one for deciding about a failed mail."""
        decide = self.admin_site.admin_view(self.decide_view)
        return [path("<int:mail_id>/decide/", decide, name="orders_ordermail_decide"), *super().get_urls()]

    # -- Deciding ------------------------------------------------------------------------------------
    def decide_view(self, request: HttpRequest, mail_id: int) -> HttpResponse:
        """The reason, and three buttons: try again, correct the address, give up."""
        if not self.has_act_permission(request):
            raise PermissionDenied
        mail = get_object_or_404(OrderMail.objects.select_related("order"), pk=mail_id)
        is_correcting = request.POST.get("do") == "correct"
        form = AddressForm(request.POST if is_correcting else None, initial={"email": mail.order.email})
        if request.method == "POST" and (not is_correcting or form.is_valid()):
            try:
                done = decide(
                    mail=mail, do=request.POST.get("do", ""), email=form.cleaned_data["email"] if is_correcting else "",
                    user=navigation.person(request),
                )  # fmt: skip
            except failed_mails.NotFailed as error:
                messages.warning(request, str(error))
            else:
                messages.success(request, done)
            return HttpResponseRedirect(facts.page_of(OrderMail, mail_id))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Failed mail: {mail.order.reference}",
            "mail": mail,
            "form": form,
            "back_url": facts.page_of(OrderMail, mail_id),
        }
        return TemplateResponse(request, "admin/orders/ordermail/decide.html", context)

    # -- In words ------------------------------------------------------------------------------------

    @admin.display(description="order")
    def of_order(self, mail: OrderMail) -> str:
        """The order's reference, with a link to its page."""
        return facts.link(facts.page_of(Order, mail.order_id), mail.order)

    @admin.display(description="to")
    def to(self, mail: OrderMail) -> str:
        """The buyer's address."""
        return mail.order.email

    @admin.display(description="next attempt", empty_value="none")
    def next_attempt(self, mail: OrderMail) -> str | None:
        """When it is tried again, if it is."""
        is_due = mail.sent_at is None and mail.failed_at is None
        return facts.moment(mail.next_attempt_at) if is_due else None

    @admin.display(description="owed since")
    def owed(self, mail: OrderMail) -> str:
        """When the event was heard that the mail tells of."""
        return facts.moment(mail.created_at)

    @admin.display(description="sent", empty_value="not yet")
    def sent(self, mail: OrderMail) -> str | None:
        """When the mail server took it; or that it never will."""
        if mail.closed_at:
            return facts.label("given up")
        if mail.has_failed:
            return facts.label("failed", "danger", title=mail.last_error)
        return facts.moment(mail.sent_at) or None

    @admin.display(description="what you can do")
    def what_now(self, mail: OrderMail) -> str:
        """The button that leads to the choice."""
        url = reverse("admin:orders_ordermail_decide", args=[mail.pk])
        return format_html('<a class="br-button" data-kind="main" href="{}">Try again, correct, give up…</a>', url)


def decide(*, mail: OrderMail, do: str, email: str, user: AbstractBaseUser) -> str:
    """Do what a person decided about a failed mail, and record who did; returns what was done, in words.

    `do` is `again`, `correct` (with a validated address) or `give-up`.

    Raises:
        NotFailed: somebody else has decided.
        Http404: there is no such choice.
    """
    with transaction.atomic():
        match do:
            case "again":
                failed_mails.try_again(mail_id=mail.pk)
                what, done = "mail tried again", "The mail is tried again."
            case "correct":
                failed_mails.correct_address(mail_id=mail.pk, email=email)
                what, done = (
                    "mail address corrected",
                    f"The order's mails go to {email} now; what failed is sent.",
                )
            case "give-up":
                failed_mails.give_up(mail_id=mail.pk)
                what, done = "mail given up", "The mail is not sent any more."
            case _:
                raise Http404
        is_new = do == "correct"
        activity_log.record(
            user=user, what=what, subject=mail.order.reference, order_id=mail.order_id, reason=mail.last_error,
            before={"email": mail.order.email} if is_new else None, after={"email": email} if is_new else None,
        )  # fmt: skip
    return done
