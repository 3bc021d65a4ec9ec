"""All URLs of the shop."""

from allauth.account.models import EmailAddress
from django.apps import apps
from django.contrib import admin
from django.urls import include, path, register_converter

from shop import webhooks
from shop.accounts import account_views, password_views, profile_views
from shop.admin.operations import group_acts, offset_reset, operations_page
from shop.admin.sales import funnel_page, queue_page
from shop.books import book_views, catalogue_views
from shop.cart import cart_views
from shop.checkout import api, checkout_views
from shop.contracts import contract_views
from shop.operations import health
from shop.operations.processes import metrics_view
from shop.orderpages import guest_views, order_views, withdrawal_views
from shop.pages import page_views
from shop.search_engines import sitemaps
from shop.waiting_room import views as waiting_room_views
from shop.waitlist import waitlist_views


class IsbnConverter:
    """Thirteen digits."""

    regex = "[0-9]{13}"

    def to_python(self, value: str) -> str:
        """As it is."""
        return value

    def to_url(self, value: str) -> str:
        """As it is."""
        return value


class LettersConverter(IsbnConverter):
    """Letters and digits of ASCII: an account's id in a link, which ends at the first hyphen."""

    regex = "[0-9A-Za-z]+"


register_converter(IsbnConverter, "isbn")
register_converter(LettersConverter, "alnum")
admin.autodiscover()
admin.site.unregister(EmailAddress)  # in another look, and a user's page has the address

# Acts before pages, whose names an address ends with.
_operations = [*group_acts.urlpatterns, *offset_reset.urlpatterns, *operations_page.urlpatterns]
_pages = [*_operations, *funnel_page.urlpatterns, *queue_page.urlpatterns]
# Other names of the same pages, by which django-allauth leads to them.
_as_allauth_calls_them = [
    path("sign-in/", account_views.SignIn.as_view(), name="account_login"),
    path("sign-up/", account_views.SignUp.as_view(), name="account_signup"),
]
urlpatterns = [
    # First, because Django tries URLs in sequence and a rush of orders comes through here.
    path("api/orders/", api.place_order, name="api_orders"),
    path("api/orders/<uuid:order_id>/", api.order_state, name="api_order"),
    # The same without the slash, for programs: a redirect would turn their POST into a GET.
    path("api/orders", api.place_order, name="api_orders_bare"),
    path("api/orders/<uuid:order_id>", api.order_state, name="api_order_bare"),
    path("api/sales/<int:sale_id>/place/", waiting_room_views.api_place, name="api_place"),
    path("sales/<int:sale_id>/queue/", waiting_room_views.waiting_room_page, name="waiting_room"),
    path("", catalogue_views.catalogue_page, name="catalogue"),
    path("pages/<slug:slug>/", page_views.page, name="page"),
    path("<slug:language>/pages/<slug:slug>/", page_views.page, name="page_in"),
    path("authors/<slug:slug>/", catalogue_views.author_page, name="author"),
    path("series/<slug:slug>/", catalogue_views.series_page, name="series"),
    path("robots.txt", sitemaps.robots, name="robots"),
    path("sitemap.xml", sitemaps.sitemap_index, name="sitemap"),
    path("sitemap-<slug:section>.xml", sitemaps.sitemap_part, name="sitemap_part"),
    path("suggest/", catalogue_views.suggest, name="suggest"),
    path("books/<isbn:isbn>-<slug:slug>/", book_views.book_page, name="book"),
    path("books/<isbn:isbn>/panel/", book_views.book_panel, name="book_panel"),
    path("covers/<isbn:isbn>.svg", book_views.cover, name="cover"),
    path("cart/", cart_views.cart_page, name="cart"),
    path("cart/add/", cart_views.add, name="cart_add"),
    path("cart/change/", cart_views.change, name="cart_change"),
    path("checkout/", checkout_views.checkout_page, name="checkout"),
    path("orders/", order_views.my_orders, name="my_orders"),
    path("orders/<uuid:order_id>/", order_views.order_page, name="order"),
    path("orders/<uuid:order_id>/fragment/", order_views.order_fragment, name="order_fragment"),
    path("orders/<uuid:order_id>/again/", order_views.order_again, name="order_again"),
    path("orders/<uuid:order_id>/pay/", order_views.order_pay, name="order_pay"),
    path("orders/<uuid:order_id>/cancel/", order_views.order_cancel, name="order_cancel"),
    path("orders/<uuid:order_id>/return/", order_views.order_return, name="order_return"),
    path("orders/claim/", guest_views.claim_orders, name="claim_orders"),
    path("find-order/", guest_views.find_order, name="find_order"),
    path("find-order/sent/", guest_views.find_order_sent, name="find_order_sent"),
    path("orders/<uuid:order_id>/withdraw/", withdrawal_views.order_withdraw, name="order_withdraw"),
    path("waitlist/", waitlist_views.join, name="waitlist_join"),
    path("waitlist/<int:entry_id>/<str:key>/", waitlist_views.entry_page, name="waitlist_entry"),
    path("withdraw/", withdrawal_views.withdraw, name="withdraw"),
    path("sign-in/", account_views.SignIn.as_view(), name="sign_in"),
    path("sign-out/", account_views.SignOut.as_view(), name="sign_out"),
    path("sign-up/", account_views.SignUp.as_view(), name="sign_up"),
    path("", include(_as_allauth_calls_them)),
    path("sign-up/sent/", account_views.ConfirmationSent.as_view(), name="account_email_verification_sent"),
    path("confirm-address/<str:key>/", account_views.ConfirmAddress.as_view(), name="account_confirm_email"),
    path("reset-password/", password_views.AskReset.as_view(), name="account_reset_password"),
    path("reset-password/sent/", password_views.ResetAsked.as_view(), name="account_reset_password_done"),
    path(
        "reset-password/<alnum:uidb36>-<str:key>/",
        password_views.ChooseAnew.as_view(),
        name="account_reset_password_from_key",
    ),
    path("reset-password/done/", password_views.Chosen.as_view(), name="account_reset_password_from_key_done"),
    path("account/", profile_views.account_page, name="account"),
    path("account/email/", profile_views.ChangeAddress.as_view(), name="account_email"),
    path("account/password/", password_views.ChangePassword.as_view(), name="account_change_password"),
    path("account/addresses/", profile_views.addresses_page, name="account_addresses"),
    path("account/data/", profile_views.export_data, name="account_data"),
    path("account/delete/", profile_views.delete_account, name="account_delete"),
    path("webhooks/payments/", webhooks.payment_webhook, name="payment_webhook"),
    path("contracts/", contract_views.contracts_page, name="contracts"),
    path("contracts/asyncapi.json", contract_views.contract_document, {"name": "asyncapi"}, name="asyncapi"),
    path("contracts/openapi.json", contract_views.contract_document, {"name": "openapi"}, name="openapi"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", metrics_view.show_metrics, name="metrics"),
    # Of apps that bring pages of their own; production has none.
    *(pattern for app in apps.get_app_configs() for pattern in getattr(app, "urlpatterns", ())),
    path("admin/", ([*_pages, *admin.site.urls[0]], "admin", admin.site.name)),
]

handler400 = "shop.site.errors.bad_request"
handler403 = "shop.site.errors.forbidden"
handler404 = "shop.site.errors.not_found"
handler500 = "shop.site.errors.server_error"
