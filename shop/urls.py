"""Every address of the shop."""

from django.contrib import admin
from django.urls import path, register_converter

from shop import health
from shop.views import accounts, api, book, cart, catalogue, checkout, orders, webhooks


class IsbnConverter:
    """Thirteen digits."""

    regex = "[0-9]{13}"

    def to_python(self, value: str) -> str:
        """As it is."""
        return value

    def to_url(self, value: str) -> str:
        """As it is."""
        return value


register_converter(IsbnConverter, "isbn")

urlpatterns = [
    # First, because addresses are tried in turn and a rush of orders comes through here.
    path("api/orders/", api.place_order, name="api_orders"),
    path("api/orders/<uuid:order_id>/", api.order_state, name="api_order"),
    path("", catalogue.catalogue_page, name="catalogue"),
    path("books/<isbn:isbn>-<slug:slug>/", book.book_page, name="book"),
    path("books/<isbn:isbn>/panel/", book.book_panel, name="book_panel"),
    path("covers/<isbn:isbn>.svg", book.cover, name="cover"),
    path("cart/", cart.cart_page, name="cart"),
    path("cart/add/", cart.add, name="cart_add"),
    path("cart/change/", cart.change, name="cart_change"),
    path("checkout/", checkout.checkout_page, name="checkout"),
    path("orders/", orders.my_orders, name="my_orders"),
    path("orders/<uuid:order_id>/", orders.order_page, name="order"),
    path("orders/<uuid:order_id>/fragment/", orders.order_fragment, name="order_fragment"),
    path("orders/<uuid:order_id>/again/", orders.order_again, name="order_again"),
    path("orders/<uuid:order_id>/pay/", orders.order_pay, name="order_pay"),
    path("orders/<uuid:order_id>/cancel/", orders.order_cancel, name="order_cancel"),
    path("orders/<uuid:order_id>/return/", orders.order_return, name="order_return"),
    path("sign-in/", accounts.SignIn.as_view(), name="sign_in"),
    path("sign-out/", accounts.SignOut.as_view(), name="sign_out"),
    path("sign-up/", accounts.sign_up, name="sign_up"),
    path("webhooks/payments/", webhooks.payment_webhook, name="payment_webhook"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("admin/", admin.site.urls),
]

handler400 = "shop.views.errors.bad_request"
handler403 = "shop.views.errors.forbidden"
handler404 = "shop.views.errors.not_found"
handler500 = "shop.views.errors.server_error"
