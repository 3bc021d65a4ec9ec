"""The app configuration of the shop."""

from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in


class ShopConfig(AppConfig):
    """Connects what must be connected before the first request."""

    name = "shop"
    verbose_name = "Bookshop"

    def ready(self) -> None:
        """Merge a guest's cart when they sign in; log what is done to an order's messages."""
        from kafka_bridge.dead_letters import acts  # noqa: PLC0415 - models must be loaded first
        from shop.cart import carts  # noqa: PLC0415 - models must be loaded first
        from shop.operations import letter_log  # noqa: PLC0415 - models must be loaded first

        acts.noted.connect(letter_log.record, dispatch_uid="shop.operations.letter_log.record")
        user_logged_in.connect(carts.merge_on_sign_in, dispatch_uid="shop.cart.merge_on_sign_in")
