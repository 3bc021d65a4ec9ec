"""Django's view of the site."""

from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in


class ShopConfig(AppConfig):
    """Hooks that must exist before the first request."""

    name = "shop"
    verbose_name = "Bookshop"

    def ready(self) -> None:
        """Bring a guest's cart along when they sign in."""
        from shop.cart import carts  # noqa: PLC0415 - models must be loaded first

        user_logged_in.connect(carts.merge_on_sign_in, dispatch_uid="shop.cart.merge_on_sign_in")
