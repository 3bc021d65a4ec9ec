"""The app behind `manage.py demo` and `manage.py run_drill`; it has no tables."""

from django.apps import AppConfig


class DevtoolsConfig(AppConfig):
    """Only there where the folder is: see `INSTALLED_APPS`."""

    name = "devtools"
    verbose_name = "Development tools"
