"""Checks of the site's wiring, for `manage.py check --deploy`."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core import checks


@checks.register(checks.Tags.security, deploy=True)
def check_proxies(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[checks.CheckMessage]:
    """Behind a proxy that is not believed, all visitors would have one address, and share the limits of it."""
    if not settings.BEHIND_TLS or settings.PROXY_NETWORKS:
        return []
    return [
        checks.Warning(
            "BEHIND_TLS is set and PROXY_NETWORKS is not: all visitors would count as one address.",
            hint="Name the networks of your proxy, such as PROXY_NETWORKS=10.0.0.0/8.",
            id="shop.W001",
        )
    ]
