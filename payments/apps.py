"""The payments app."""

from django.apps import AppConfig


class PaymentsConfig(AppConfig):
    """Charges and refunds."""

    name = "payments"
