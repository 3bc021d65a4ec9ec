"""From the cart to a placed order."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.contrib import messages
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.middleware import csrf
from django.shortcuts import redirect, render
from django.template import loader
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from orders import links
from orders import queries as order_queries
from orders.models import Order
from orders.placing import placement
from shop.accounts import address_book, mailboxes
from shop.activity import noting
from shop.activity.counting import View
from shop.books import pricing
from shop.cart import cart_views, carts
from shop.checkout import checkout_form, countries, ordering, owners, payment_form, price_check
from shop.limits import limits, visitors
from shop.models import SavedAddress
from shop.prices import coupons, quotes, rates
from shop.site import errors
from shop.waiting_room import guard, tokens
from shop.waitlist import kept

UNAVAILABLE = "We could not take your order just now, and nothing was charged. Please send it again in a few seconds."
# What a buyer need not type again from one order to the next.
_REMEMBERED = ("name", "email", "address_line1", "address_line2", "city", "postcode", "country")


@dataclass(frozen=True, kw_only=True)
class SummaryLine:
    """A book of the order as the summary shows it."""

    offer: pricing.Offer
    quantity: int

    @property
    def total_minor(self) -> int:
        """What the line costs now."""
        return self.offer.price_minor * self.quantity

    @property
    def value(self) -> str:
        """The hidden field that sends this line, at the price that is shown beside it."""
        return checkout_form.line_value(
            price_check.WantedLine(
                sku=self.offer.sku, quantity=self.quantity, expected_price_minor=self.offer.price_minor
            )
        )


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def checkout_page(request: HttpRequest) -> HttpResponse:
    """Show the form, or place the order and go to its page."""
    if request.method != "POST":
        return payment_form.allow_form(request, _show(request))
    return payment_form.allow_form(request, _work_out(request) if "update" in request.POST else _place(request))


def _show(request: HttpRequest) -> HttpResponse:
    rows = cart_views.rows(carts.cart_of(request).entries(), kept.of_visitor(request.session))
    if not rows:
        messages.info(request, "Your cart is empty. Put a book in first.")
        return redirect("cart")
    wanted = [price_check.WantedLine(sku=row.sku, quantity=row.quantity, expected_price_minor=None) for row in rows]
    noting.page_shown(request, View("checkout"))
    owners.owner_of(request)  # before the form is sent, so that a double click comes from one owner
    form = checkout_form.CheckoutForm(initial={"idempotency_key": uuid.uuid4(), **_known_of(request)})
    return _form_page(request, form, wanted, [notice for row in rows for notice in row.notices])


def _work_out(request: HttpRequest) -> HttpResponse:
    """The page again with what was typed and the total for it; what is missing is not complained of yet."""
    sent = checkout_form.CheckoutForm(request.POST)
    sent.is_valid()
    wanted = sent.cleaned_data.get("line") or [cart_views.wanted(entry) for entry in carts.cart_of(request).entries()]
    typed = {name: request.POST.get(name, "")[:500] for name in sent.fields if name != "line"}
    key = sent.cleaned_data.get("idempotency_key") or uuid.uuid4()
    form = checkout_form.CheckoutForm(initial={**typed, "idempotency_key": key})
    return _form_page(request, form, wanted, [])


def _place(request: HttpRequest) -> HttpResponse:
    form = checkout_form.CheckoutForm(request.POST)
    if not form.is_valid():
        wanted = form.cleaned_data.get("line") or [
            cart_views.wanted(entry) for entry in carts.cart_of(request).entries()
        ]
        return _form_page(request, form, wanted, [], status=422)
    wanted = form.cleaned_data["line"]
    who = owners.owner_of(request)
    try:
        asked = _wanted(request, form.cleaned_data)
        limits.take(request, (limits.ORDERS_VISITOR, who), (limits.ORDERS_NETWORK, visitors.network_of(request)))
        placed = ordering.place(
            idempotency_key=form.cleaned_data["idempotency_key"],
            lines=wanted,
            contact=form.contact(),
            payment_method=form.cleaned_data["payment_method"],
            user_id=request.user.pk,
            wanted=asked,
            expected_total_minor=form.cleaned_data["expected_total_minor"],
            owner=who,
            visitor=owners.pseudonym_of(who),
            network=visitors.pseudonym_of(request),
            copies=kept.of_visitor(request.session),
            places=tokens.shown(request),
        )
    except limits.Refused as refused:
        return _too_many(request, form, wanted, refused)
    except guard.NotAdmitted as refused:
        return _form_page(request, form, wanted, [], status=403, not_admitted=refused)
    except ordering.Changed as changed:
        refused_coupon = next((each.sentence for each in changed.differences if each.code == "coupon_refused"), "")
        return _form_page(request, form, wanted, changed.differences, status=422, refused=refused_coupon)
    except placement.IdempotencyConflict:
        return _conflict(request, form.cleaned_data["idempotency_key"])
    except (placement.CheckoutUnavailable, OperationalError, InterfaceError):
        return _unavailable(request, form, wanted)
    owners.remember(request, placed.order_id)
    carts.cart_of(request).take_out(line.sku for line in wanted)
    return HttpResponseRedirect(
        reverse("order", kwargs={"order_id": placed.order_id}, query=_key_query(request, placed.order_id))
    )


def _key_query(request: HttpRequest, order_id: uuid.UUID) -> dict[str, str]:
    """What the order's address needs besides: nothing where the session suffices, as a key outlives signing out."""
    user_id = request.user.pk
    is_owner = user_id is not None and Order.objects.filter(pk=order_id, user_id=user_id).exists()
    return {} if is_owner else {"key": links.key_for(order_id)}


def _form_page(
    request: HttpRequest,
    form: checkout_form.CheckoutForm,
    wanted: Sequence[price_check.WantedLine],
    differences: Sequence[price_check.PriceOrStockChange],
    *,
    status: int = 200,
    refused: str = "",
    not_admitted: guard.NotAdmitted | None = None,
) -> HttpResponse:
    """The form with everything that was typed, and the books as they can be ordered now.

    With `refused`, why the coupon cannot be used, the total is that without it.

    Quantities are lowered to what can be had and prices are today's, so that sending the form again agrees to
    exactly what the page shows.
    """
    offers = kept.applied(pricing.offers([line.sku for line in wanted]), kept.of_visitor(request.session))
    free = pricing.free(offers)
    lines = [
        SummaryLine(
            offer=offers[line.sku],
            quantity=min(line.quantity, price_check.most(offers[line.sku], free[line.sku])),
        )
        for line in wanted
        if line.sku in offers and free.get(line.sku, 0) > 0
    ]
    asked = _known_wanted(form)
    if not refused:
        try:
            asked = _wanted(request, _values(form))
        except limits.Refused as too_many:
            refused, status = str(too_many), 429
    quote = _quote(lines, asked)
    context = {
        **_context(form, lines, quote),
        "differences": differences,
        "saved_addresses": _saved_addresses(request),
        "not_admitted": not_admitted,
        "coupon_problem": refused or quote.coupon_problem,
    }
    return render(request, "shop/checkout.html", context, status=status)


def _values(form: checkout_form.CheckoutForm) -> dict[str, str]:
    """What the form has in the fields that prices depend on, right or wrong."""
    return {name: str(form[name].value() or "").strip() for name in ("country", "shipping", "coupon")}


def _wanted(request: HttpRequest, values: Mapping[str, Any]) -> quotes.Wanted:
    """What is asked for besides the books.

    Raises:
        shop.limits.limits.Refused: too many coupons were tried that there are not.
    """
    code = values["coupon"][: coupons.TYPED_LENGTH]
    return quotes.Wanted(
        country=values["country"] if values["country"] in countries.CODES else "",
        shipping=values["shipping"],
        code=code,
        coupon=coupons.find(request, code),
    )


def _quote(lines: Sequence[SummaryLine], asked: quotes.Wanted, known: rates.Rates | None = None) -> quotes.Quote:
    """What these lines come to; a way of shipping that does not go there is the first one that does."""
    books = [(line.offer, line.quantity) for line in lines]
    quote = quotes.of(books, asked, now=timezone.now(), known=known)
    if quote.way is None and quote.ways:
        quote = quotes.of(books, replace(asked, shipping=""), now=timezone.now(), known=known)
    return quote


def _unavailable(
    request: HttpRequest, form: checkout_form.CheckoutForm, wanted: Sequence[price_check.WantedLine]
) -> HttpResponse:
    """503 with all that was typed, made without session and database: they may be what is missing."""
    form.add_error(None, UNAVAILABLE)
    offers = pricing.last_known([line.sku for line in wanted])
    lines = [SummaryLine(offer=offers[line.sku], quantity=line.quantity) for line in wanted if line.sku in offers]
    context = {
        **_context(form, lines, _quote(lines, _known_wanted(form), rates.last_known())),
        "csrf_token": csrf.get_token(request),
        "is_sandbox": not payment_form.is_by_stripe(),
    }
    response = HttpResponse(loader.render_to_string("shop/checkout.html", context), status=503)
    response["Retry-After"] = str(ordering.RETRY_AFTER_SECONDS)
    return response


def _known_wanted(form: checkout_form.CheckoutForm) -> quotes.Wanted:
    """What is asked for, without looking a coupon up: its discount is told when the shop can be reached again."""
    values = _values(form)
    return quotes.Wanted(country=values["country"], shipping=values["shipping"])


def _too_many(
    request: HttpRequest,
    form: checkout_form.CheckoutForm,
    wanted: Sequence[price_check.WantedLine],
    refused: limits.Refused,
) -> HttpResponse:
    form.add_error(None, str(refused))
    is_coupon = refused.limit is limits.COUPONS
    response = _form_page(request, form, wanted, [], status=429, refused=str(refused) if is_coupon else "")
    response["Retry-After"] = str(refused.retry_after_seconds)
    return response


def _context(form: checkout_form.CheckoutForm, lines: Sequence[SummaryLine], quote: quotes.Quote) -> dict[str, Any]:
    return {
        "form": form,
        "lines": lines,
        "quote": quote,
        "total_minor": quote.total_minor,
        "coupon_typed": _values(form)["coupon"],
        "idempotency_key": form["idempotency_key"].value(),
        **payment_form.context(form["payment_method"].value() or ""),
    }


def _conflict(request: HttpRequest, idempotency_key: uuid.UUID) -> HttpResponse:
    found = Order.objects.filter(idempotency_key=idempotency_key).first()
    order = found if found is not None and owners.owns(request, found) else None
    return errors.page(
        status=409,
        heading="This form has already been used",
        sentence=(
            "An order was placed from it, and what you have sent now is a different one. So that nothing is bought by "
            "accident, one form makes one order."
        ),
        request=request,
        order=order,
        order_key=_key_query(request, order.pk).get("key", "") if order else "",
    )


def _known_of(request: HttpRequest) -> dict[str, Any]:
    """The address that a signed-in buyer has chosen here, or saved as the default, or had the last order sent to."""
    user = request.user
    if not user.is_authenticated:
        return {}
    last = order_queries.orders_of(user.pk).values(*_REMEMBERED).first()
    known = dict(last) if last else {"name": user.get_full_name(), "email": user.email}
    if address := _saved_address(request):
        known |= address_book.as_initial(address)
    if confirmed := mailboxes.confirmed_address(user.pk):
        known["email"] = confirmed
    return known


def _saved_address(request: HttpRequest) -> SavedAddress | None:
    """The one that `?address=` names, else the default one."""
    saved = _saved_addresses(request)
    chosen = request.GET.get("address", "")
    return next((address for address in saved if str(address.pk) == chosen), saved[0] if saved else None)


def _saved_addresses(request: HttpRequest) -> list[SavedAddress]:
    user_id = request.user.pk
    return address_book.of_account(user_id) if user_id is not None else []
