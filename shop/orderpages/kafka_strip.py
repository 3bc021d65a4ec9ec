"""An order's way through Kafka as a strip on its page: in a demo, and for those who may look at operations."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest
from django.http.request import split_domain_port
from django.urls import reverse
from django.utils.http import urlencode

from shop.kafka_window import stores
from shop.operations.pages import passes


def shown(request: HttpRequest, order_id: UUID) -> dict[str, Any]:
    """What the strip's template is given; nothing for everybody else."""
    if not (settings.SHOW_DEMO_HINTS or request.user.has_perm(passes.PERMISSION)):
        return {}
    return {"kafka_steps": stores.story(order_id), "kafka_url": _address(request, order_id)}


def _address(request: HttpRequest, order_id: UUID) -> str:
    """Where this visitor sees the window: staff by the admin, which gives them the pass."""
    query = urlencode({"order": str(order_id)})
    if not settings.SHOW_DEMO_HINTS:
        return f"{reverse('admin:kafka_window')}?{query}"
    if not settings.LIVE_PORT:
        return f"/kafka/?{query}"
    domain, _ = split_domain_port(request.get_host())
    return f"{request.scheme}://{domain}:{settings.LIVE_PORT}/kafka/?{query}"
