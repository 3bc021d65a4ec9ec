"""The queue of a sale as staff see it: how many wait, are admitted, have bought, were told; and its pause."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods
from unfold.widgets import UnfoldAdminTextInputWidget

from shop.admin.site import navigation
from shop.operations import activity_log
from shop.typed.fields import TypedTextField
from shop.waiting_room import admission, rooms
from shop.waiting_room.tables import WaitingRoom

PERMISSION = "shop.change_flashsale"


class PauseForm(forms.Form):
    """Why the queue is paused, or goes on."""

    reason = TypedTextField(
        max_length=500, widget=UnfoldAdminTextInputWidget, help_text="Kept with your name, and shown to other staff."
    )


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def queue_page(request: HttpRequest, sale_id: int) -> HttpResponse:
    """For those who may see flash sales; it reads itself anew every few seconds. A POST pauses, or goes on."""
    if not navigation.may_see(request, "shop", "flashsale"):
        raise PermissionDenied
    row = get_object_or_404(WaitingRoom.objects.select_related("sale"), pk=sale_id)
    may_pause = request.user.has_perm(PERMISSION)
    form = PauseForm(request.POST or None)
    if request.method == "POST":
        if not may_pause:
            raise PermissionDenied
        if form.is_valid():
            messages.success(request, change_pause(request, sale_id, reason=form.cleaned_data["reason"]))
            return HttpResponseRedirect(request.path)
    context = {
        **admin.site.each_context(request),
        "title": f"Queue of “{row.sale}”",
        "row": row,
        "form": form if may_pause else None,
        "back_url": reverse("admin:shop_flashsale_changelist"),
        **_figures(sale_id),
    }
    return TemplateResponse(request, "admin/shop/queue.html", context)


def change_pause(request: HttpRequest, sale_id: int, *, reason: str) -> str:
    """Pause the queue, or let it go on; says what was done."""
    who = navigation.person(request)
    with transaction.atomic():
        row = WaitingRoom.objects.select_for_update(of=("self",)).select_related("sale").get(pk=sale_id)
        was_paused = row.paused_at is not None
        row.paused_at = None if was_paused else timezone.now()
        row.paused_by = "" if was_paused else who.get_username()
        row.paused_because = "" if was_paused else reason
        row.save(update_fields=["paused_at", "paused_by", "paused_because"])
        what = "queue resumed" if was_paused else "queue paused"
        activity_log.record(user=who, what=what, subject=row.sale.name, reason=reason)
        transaction.on_commit(rooms.forget)
    return "The queue goes on." if was_paused else "The queue is paused: nobody is admitted until it goes on."


def _figures(sale_id: int) -> dict[str, Any]:
    try:
        found = admission.find(sale_id)
    except admission.Unreachable:
        return {"is_away": True}
    if found is None:
        return {}
    _, queue = found
    return {
        "queue": queue,
        "figures": [
            ("Waiting", queue.waiting, "have a place, and wait for their turn"),
            ("Admitted", queue.admitted, "may order now"),
            ("Ordering", queue.buying, "have clicked; their order has no answer yet"),
            ("Bought", queue.bought, "have a copy, held or sold, since Redis was started last"),
            ("Passed", queue.passed, "did not order in time, and gave their chance back"),
            ("Told", queue.told, "were told that the last copy is sold"),
            ("Came back", queue.restored, "had a place that Redis had lost, and have it again"),
            ("Copies free", queue.free, ""),
            ("Copies held", queue.held, "for orders that are being paid"),
            ("Copies sold", queue.sold, ""),
        ],
    }


urlpatterns = [path("queue/<int:sale_id>/", admin.site.admin_view(queue_page), name="queue")]
