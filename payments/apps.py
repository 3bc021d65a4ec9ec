"""The payments app."""

from django.apps import AppConfig
from django.core import checks

from payments.checks import check_gateway


class PaymentsConfig(AppConfig):
    """Charges and refunds."""

    name = "payments"

    def ready(self) -> None:
        """Have what the gateway needs checked."""
        checks.register(check_gateway)
