"""The cart's page, and adding, changing and removing books."""

from dataclasses import dataclass

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.html import format_html
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from orders.placing.placement import LINES_MAX, QUANTITY_MAX
from shop.activity import noting
from shop.activity.counting import View
from shop.books import pricing
from shop.cart import carts, forms
from shop.checkout import price_check
from shop.prices import rates
from shop.site.same_origin import same_origin
from shop.waitlist import kept


@dataclass(frozen=True, kw_only=True)
class CartRow:
    """A row of the cart's page; without an offer the book is no longer for sale."""

    sku: str
    quantity: int
    offer: pricing.Offer | None
    left: int
    notices: tuple[price_check.PriceOrStockChange, ...]

    @property
    def total_minor(self) -> int:
        """The current price of the copies that are available."""
        return self.offer.price_minor * min(self.quantity, self.most) if self.offer else 0

    @property
    def most(self) -> int:
        """The most copies that one order may have right now."""
        return price_check.most(self.offer, self.left) if self.offer else 0

    @property
    def quantity_max(self) -> int:
        """The most copies that one order may have, whatever the stock."""
        return price_check.most_with(self.offer) if self.offer else QUANTITY_MAX


def rows(entries: list[carts.CartEntry], copies: kept.Kept = kept.NOTHING) -> list[CartRow]:
    """The cart at current prices, with what has changed since the books were added; `copies` are kept for its owner."""
    offers = kept.applied(pricing.offers([entry.sku for entry in entries]), copies)
    free = pricing.free(offers)
    return [
        CartRow(
            sku=entry.sku,
            quantity=entry.quantity,
            offer=offers.get(entry.sku),
            left=free.get(entry.sku, 0),
            notices=tuple(price_check.differences_from([wanted(entry)], offers)),
        )
        for entry in entries
    ]


def wanted(entry: carts.CartEntry) -> price_check.WantedLine:
    """A cart entry as an order line at the price that the buyer saw."""
    return price_check.WantedLine(sku=entry.sku, quantity=entry.quantity, expected_price_minor=entry.seen_price_minor)


@never_cache
@require_safe
def cart_page(request: HttpRequest) -> HttpResponse:
    """All books in the cart, and what prevents ordering them."""
    lines = rows(carts.cart_of(request).entries(), kept.of_visitor(request.session))
    noting.page_shown(request, View("cart"))
    context = {
        "lines": lines,
        "total_minor": sum(line.total_minor for line in lines),
        "extra_costs": rates.now().depend_on_country,
        "blocked": any(line.most < line.quantity for line in lines),
    }
    return render(request, "shop/cart.html", context)


@same_origin
@require_POST
def add(request: HttpRequest) -> HttpResponse:
    """Add copies of a book; `then=checkout` (Buy now) continues to the checkout."""
    form = forms.CartForm(request.POST)
    offer = pricing.offer(request.POST.get("sku", ""))
    if offer is None:
        messages.error(request, "That book is not for sale.")
        return redirect("cart")
    if not form.is_valid():
        messages.error(request, _first_error(form))
        return HttpResponseRedirect(offer.url)
    buy_now = request.POST.get("then") == "checkout"
    asked = form.cleaned_data["quantity"]
    basket = carts.cart_of(request)
    already = next((entry.quantity for entry in basket.entries() if entry.sku == offer.sku), 0)
    # Buy now a second time, after a detour, must not buy twice as many.
    total = max(already, asked) if buy_now else already + asked
    most = price_check.most_with(offer)
    entry = carts.CartEntry(sku=offer.sku, quantity=min(total, most), seen_price_minor=offer.price_minor)
    try:
        carts.put_in(basket, entry)
    except carts.CartFull:
        messages.error(request, f"Your cart already has {LINES_MAX} different books. Please order these first.")
        return redirect("cart")
    noting.cart_changed(request, sku=offer.sku, before=already, after=entry.quantity)
    if buy_now:
        return redirect("checkout")
    if total > most:
        copies = "1 copy" if most == 1 else f"{most} copies"
        messages.warning(request, f"Your cart has {copies} of “{offer.title}”, the maximum for one order.")
    else:
        words = '“{}” is in your cart. <a href="{}">See the cart</a>'
        messages.success(request, format_html(words, offer.title, reverse("cart")))
    return HttpResponseRedirect(offer.url)


@require_POST
def change(request: HttpRequest) -> HttpResponse:
    """Change the quantity of a book in the cart, or remove it."""
    basket = carts.cart_of(request)
    sku = request.POST.get("sku", "")
    before = next((entry.quantity for entry in basket.entries() if entry.sku == sku), 0)
    if "remove" in request.POST:
        basket.take_out([sku])
        noting.cart_changed(request, sku=sku, before=before, after=0)
        return redirect("cart")
    form = forms.CartForm(request.POST)
    offer = pricing.offer(sku)
    if not form.is_valid():
        messages.error(request, _first_error(form))
    elif offer is not None and before:
        quantity = form.cleaned_data["quantity"]
        basket.put(carts.CartEntry(sku=sku, quantity=quantity, seen_price_minor=offer.price_minor))
        noting.cart_changed(request, sku=sku, before=before, after=quantity)
    return redirect("cart")


def _first_error(form: forms.CartForm) -> str:
    return next(str(error) for errors in form.errors.values() for error in errors)
