"""`/metrics` of the roles web and live, for those who know the token; each process shows the same on METRICS_PORT.

# Note [Never by where a request comes from]
Behind a proxy on the same machine every request comes from loopback. So nobody is let in for that: whoever sends the
token reads metrics, and without a token nobody does, as if there was no such page.
"""

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from kafka_bridge.telemetry import metrics


@never_cache
@require_safe
def show_metrics(request: HttpRequest) -> HttpResponse:
    """What this process has counted, in Prometheus' form.

    Raises:
        Http404: the token is missing or wrong, or the shop has none.
    """
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    is_known = scheme == "Bearer" and constant_time_compare(token, settings.METRICS_TOKEN)
    if not (settings.METRICS_TOKEN and is_known):
        raise Http404
    return HttpResponse(generate_latest(metrics.Prefixed()), content_type=CONTENT_TYPE_LATEST)
