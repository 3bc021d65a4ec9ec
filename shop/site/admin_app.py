"""How the admin is an app here: its pages come with the URLs, not with every process."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.contrib import admin
from django.contrib.admin import checks as admin_checks
from django.contrib.admin.apps import SimpleAdminConfig
from django.core import checks


class AdminConfig(SimpleAdminConfig):
    """The admin, whose pages `shop.urls` loads: most roles serve none, and start a third sooner without them."""

    def ready(self) -> None:
        """Have the pages checked by `manage.py check`, which asks before the URLs are loaded."""
        checks.register(admin_checks.check_dependencies, checks.Tags.admin)
        checks.register(_check_pages, checks.Tags.admin)


def _check_pages(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[checks.CheckMessage]:
    admin.autodiscover()
    return admin_checks.check_admin_app(app_configs, **kwargs)
