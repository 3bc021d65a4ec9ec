"""Silences in the admin: nobody is told of an alert for a while."""

from datetime import timedelta

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from kafka_bridge import admin as facts
from shop.admin.site import navigation
from shop.models import AlertSilence
from shop.operations.alerts import board
from shop.operations.alerts.rules import RULES
from shop.typed.fields import TypedTextField

_HOURS = {1: "an hour", 4: "4 hours", 12: "12 hours", 24: "a day", 72: "3 days", 168: "a week"}


class SilenceForm(forms.Form):
    """Of what nobody is to be told, for how long, and why."""

    name = forms.ChoiceField(
        label="Alert", choices=[(rule.name, rule.name) for rule in RULES], widget=UnfoldAdminSelectWidget
    )
    subject = TypedTextField(
        max_length=120,
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="Such as a group or a role. Leave empty for all of this name.",
    )
    hours = forms.TypedChoiceField(
        label="For", coerce=int, choices=list(_HOURS.items()), initial=1, widget=UnfoldAdminSelectWidget
    )
    reason = TypedTextField(
        max_length=500, widget=UnfoldAdminTextInputWidget, help_text="Others see it beside the alert."
    )


@admin.register(AlertSilence)
class AlertSilenceAdmin(facts.FactsAdmin):
    """One row for each silence, newest first."""

    list_display = ("state", "name", "subject", "ends", "who", "reason", "began")
    list_display_links = ("state", "name")
    list_before_template = "admin/shop/silence_new.html"
    change_form_outer_before_template = "admin/shop/silence_end.html"
    ordering = ("-id",)
    fields = readonly_fields = ("state", "name", "subject", "ends", "who", "reason", "began")

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, object] | None = None) -> HttpResponse:
        """The list, with the button for a new one."""
        url = reverse("admin:shop_alertsilence_new") if self.has_silence_permission(request) else ""
        response: HttpResponse = super().changelist_view(request, {**(extra_context or {}), "silence_url": url})
        return response

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, object] | None = None
    ) -> HttpResponse:
        """One silence, with the button that ends it."""
        silence = AlertSilence.objects.filter(pk=object_id, until__gt=timezone.now()).first()
        can_end = silence is not None and self.has_silence_permission(request)
        url = reverse("admin:shop_alertsilence_end", args=[object_id]) if can_end else ""
        response: HttpResponse = super().change_view(
            request, object_id, form_url, {**(extra_context or {}), "end_url": url}
        )
        return response

    def has_silence_permission(self, request: HttpRequest) -> bool:
        """Whether this user may silence alerts, and end that."""
        return request.user.has_perm("shop.add_alertsilence")

    def get_urls(self) -> list[URLPattern]:
        """The usual pages, the form for a new one, and the act that ends one."""
        wrap = self.admin_site.admin_view
        return [
            path("new/", wrap(self.new_view), name="shop_alertsilence_new"),
            path("<int:silence_id>/end/", wrap(self.end_view), name="shop_alertsilence_end"),
            *super().get_urls(),
        ]

    def new_view(self, request: HttpRequest) -> HttpResponse:
        """The form, and what is done with it."""
        if not self.has_silence_permission(request):
            raise PermissionDenied
        asked = {name: request.GET.get(name, "") for name in ("name", "subject")}
        form = SilenceForm(request.POST if request.method == "POST" else None, initial=asked)
        if request.method == "POST" and form.is_valid():
            said = form.cleaned_data
            until = timezone.now() + timedelta(hours=said["hours"])
            board.silence(said["name"], said["subject"], until, navigation.person(request), said["reason"])
            messages.success(request, f"Nobody is told of {said['name']} for {_HOURS[said['hours']]}.")
            return HttpResponseRedirect(reverse("admin:shop_alertsilence_changelist"))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Silence an alert",
            "form": form,
            "back_url": reverse("admin:shop_alertrecord_changelist"),
        }
        return TemplateResponse(request, "admin/shop/silence.html", context)

    def end_view(self, request: HttpRequest, silence_id: int) -> HttpResponse:
        """People are told again."""
        if not self.has_silence_permission(request):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        board.end_silence(get_object_or_404(AlertSilence, pk=silence_id), who=navigation.person(request))
        messages.success(request, "People are told again.")
        return HttpResponseRedirect(reverse("admin:shop_alertsilence_changelist"))

    @admin.display(description="state")
    def state(self, silence: AlertSilence) -> str:
        """Whether it holds."""
        return facts.label("silent", "warning") if silence.until > timezone.now() else facts.label("over")

    @admin.display(description="until")
    def ends(self, silence: AlertSilence) -> str:
        """When it ends, or ended."""
        return facts.moment(silence.until)

    @admin.display(description="from")
    def began(self, silence: AlertSilence) -> str:
        """When it was made."""
        return facts.moment(silence.at)
