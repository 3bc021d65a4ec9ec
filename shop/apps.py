"""The app configuration of the shop."""

import gc

from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in
from django.core import checks as checks_registry
from django.db.models.signals import post_save


class ShopConfig(AppConfig):
    """Connects what must be connected before the first request."""

    name = "shop"
    verbose_name = "Bookshop"

    def ready(self) -> None:
        """Connect what follows a sign-in, a new account, and what is done to messages and groups; check the wiring.

        Then what is loaded is put aside from the garbage: manage.py, Note [No garbage while loading].
        """
        from kafka_bridge.consuming import controls  # noqa: PLC0415 - models must be loaded first
        from kafka_bridge.dead_letters import acts  # noqa: PLC0415 - models must be loaded first
        from kafka_bridge.replaying import offset_resets  # noqa: PLC0415
        from shop.accounts import names  # noqa: PLC0415
        from shop.cart import carts  # noqa: PLC0415
        from shop.operations import control_log, letter_log, reset_log  # noqa: PLC0415
        from shop.operations.processes import expected  # noqa: PLC0415
        from shop.site import checks  # noqa: F401, PLC0415

        checks_registry.register(expected.check_setting)
        acts.noted.connect(letter_log.record, dispatch_uid="shop.operations.letter_log.record")
        controls.noted.connect(control_log.record, dispatch_uid="shop.operations.control_log.record")
        offset_resets.noted.connect(reset_log.record, dispatch_uid="shop.operations.reset_log.record")
        user_logged_in.connect(carts.merge_on_sign_in, dispatch_uid="shop.cart.merge_on_sign_in")
        post_save.connect(names.note_on_save, sender="auth.User", dispatch_uid="shop.accounts.note_on_save")
        gc.freeze()
        gc.enable()
