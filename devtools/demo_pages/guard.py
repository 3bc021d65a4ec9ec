"""Who may open these pages: a browser on the demo's own machine."""

import functools
import ipaddress
from collections.abc import Callable

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache

View = Callable[[HttpRequest], HttpResponse]


def from_this_machine(view: View) -> View:
    """Whoever asks from elsewhere, or through a proxy, is turned away: also where the demo listens for all."""

    @never_cache
    @functools.wraps(view)
    def guarded(request: HttpRequest) -> HttpResponse:
        if not _is_here(request):
            raise PermissionDenied("Only from the machine on which the demo runs.")
        return view(request)

    return guarded


def _is_here(request: HttpRequest) -> bool:
    if "HTTP_X_FORWARDED_FOR" in request.META or "HTTP_FORWARDED" in request.META:
        return False
    try:
        address = ipaddress.ip_address(request.META.get("REMOTE_ADDR", ""))
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
