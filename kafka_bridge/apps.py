"""Finds the handlers and checks that they fit the catalogue."""

from django.apps import AppConfig
from django.core import checks
from django.utils.module_loading import autodiscover_modules


class KafkaBridgeConfig(AppConfig):
    """The bridge looks for these modules in every app; it never imports upward by name."""

    name = "kafka_bridge"
    verbose_name = "Kafka bridge"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Load every app's events, handlers, previews and jobs, then let `manage.py check` judge them."""
        autodiscover_modules("events", "handlers", "previews", "jobs")
        from kafka_bridge import checks as own  # noqa: PLC0415 - apps must be loaded first
        from kafka_bridge.consuming import registry  # noqa: PLC0415 - apps must be loaded first
        from kafka_bridge.runtime import housekeeping  # noqa: PLC0415 - apps must be loaded first
        from kafka_bridge.runtime.postgresql import database_bounds  # noqa: PLC0415 - apps must be loaded first

        database_bounds.refuse_read_only()
        checks.register(own.check_settings)
        checks.register(registry.check_registry)
        checks.register(housekeeping.check_retention)
