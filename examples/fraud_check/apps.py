"""The app; the bridge finds its handlers and previews by itself."""

from django.apps import AppConfig


class FraudCheckConfig(AppConfig):
    """Installed by its name."""

    name = "examples.fraud_check"
    default_auto_field = "django.db.models.BigAutoField"
