"""The app behind `manage.py demo`, `run_drill` and `experiment`; it has no tables."""

from django.apps import AppConfig
from django.conf import settings
from django.urls import URLPattern, URLResolver, include, path


class DevtoolsConfig(AppConfig):
    """Installed only if this folder exists: see `INSTALLED_APPS`."""

    name = "devtools"
    verbose_name = "Development tools"

    @property
    def urlpatterns(self) -> list[URLPattern | URLResolver]:
        """Pages that only a running demo has; see `shop/urls.py`."""
        if not settings.SHOW_DEMO_HINTS:
            return []
        return [path("kafka/", include("devtools.demo_pages.urls"))]
