"""The orders app."""

from django.apps import AppConfig


class OrdersConfig(AppConfig):
    """Orders and their state machine."""

    name = "orders"

    def ready(self) -> None:
        """Connect the signals."""
        from orders import signals  # noqa: F401, PLC0415 - models must be loaded first
