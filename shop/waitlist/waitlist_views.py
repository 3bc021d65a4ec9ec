"""Asking for a mail when a book is back, and the page that the mails lead to."""

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from shop.books import pricing
from shop.cart import carts
from shop.limits import limits, visitors
from shop.models import WaitlistEntry
from shop.site.same_origin import same_origin
from shop.typed import fields
from shop.waitlist import joining, kept

State = WaitlistEntry.State
_ASKED = (
    "We have sent a mail to {}: please open its link to confirm. If that address waits for this book already, nothing "
    "is sent a second time."
)


class JoinForm(forms.Form):
    """A book and an address."""

    sku = forms.RegexField(r"\A[0-9]{13}\Z", error_messages={"invalid": "This is not a valid ISBN."})
    email = fields.AddressField(error_messages={"required": "Enter your mail address."})


@same_origin
@require_POST
def join(request: HttpRequest) -> HttpResponse:
    """Ask for a mail when the book is back.

    Raises:
        shop.limits.limits.Refused: from this network too many asked.
    """
    form = JoinForm(request.POST)
    offer = pricing.offer(request.POST.get("sku", ""))
    if offer is None:
        messages.error(request, "That book is not for sale.")
        return redirect("catalogue")
    if not form.is_valid():
        messages.error(request, next(str(error) for errors in form.errors.values() for error in errors))
    elif pricing.left_now(offer):
        messages.info(request, f"“{offer.title}” is in stock.")
    else:
        limits.take(request, (limits.WAITLIST, visitors.network_of(request)))
        joining.join(sku=offer.sku, email=form.cleaned_data["email"])
        messages.success(request, _ASKED.format(form.cleaned_data["email"]))
    return HttpResponseRedirect(offer.url)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def entry_page(request: HttpRequest, entry_id: int, key: str) -> HttpResponse:
    """What the holder of a mail's link can do: confirm, order the copy that is kept, leave. Programs that open links in
    mails do none of it, for each takes a button.

    Raises:
        Http404: the key does not open this entry, or it was deleted since.
    """
    entry = joining.find(entry_id, key)
    if entry is None:
        raise Http404
    offer = pricing.offer(entry.sku)
    if request.method == "POST":
        return _act(request, entry, offer)
    is_kept = entry.state == State.TOLD and entry.held_until is not None and entry.held_until > timezone.now()
    context = {"entry": entry, "offer": offer, "is_kept": is_kept, "before": _before(entry)}
    return render(request, "shop/waitlist_entry.html", context)


def _act(request: HttpRequest, entry: WaitlistEntry, offer: pricing.Offer | None) -> HttpResponse:
    if "leave" in request.POST:
        joining.leave(entry.pk)
    elif "confirm" in request.POST:
        joining.confirm(entry.pk)
    elif offer is not None and entry.state == State.TOLD:
        kept.remember(request.session, entry)
        try:
            carts.put_in(
                carts.cart_of(request),
                carts.CartEntry(sku=entry.sku, quantity=1, seen_price_minor=offer.price_minor),
            )
        except carts.CartFull:
            messages.error(
                request, "Your cart is full: order what is in it, or remove something, and open the link again."
            )
            return redirect("cart")
        return redirect("checkout")
    return redirect(request.path)


def _before(entry: WaitlistEntry) -> int:
    """How many are in line before this one."""
    if entry.state != State.WAITING or entry.confirmed_at is None:
        return 0
    waiting = WaitlistEntry.objects.filter(sku=entry.sku, state=State.WAITING)
    earlier = waiting.filter(confirmed_at=entry.confirmed_at, pk__lt=entry.pk).count()
    return waiting.filter(confirmed_at__lt=entry.confirmed_at).count() + earlier
