"""The inventory app."""

from django.apps import AppConfig


class InventoryConfig(AppConfig):
    """Stock, holds and sales."""

    name = "inventory"
