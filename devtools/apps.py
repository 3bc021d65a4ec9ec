"""The app behind `manage.py demo` and `manage.py run_drill`; it has no tables."""

from django.apps import AppConfig


class DevtoolsConfig(AppConfig):
    """Installed only if this folder exists: see `INSTALLED_APPS`."""

    name = "devtools"
    verbose_name = "Development tools"
