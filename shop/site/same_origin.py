"""Forms without a token, on pages that many share: taken if the browser says that one of our pages sent them.

Every browser says where a form comes from: `Sec-Fetch-Site` over TLS and on this machine, `Origin` with every POST. A
page cannot change either. A request with neither is no browser's, and so carries nobody's cookies but its own.
"""

from collections.abc import Callable
from functools import wraps

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

from shop.site import errors

View = Callable[..., HttpResponseBase]


def same_origin(view: View) -> View:
    """Answer 403 to a form that another site sent. Use it only where a forged form could do no more than annoy."""

    @csrf_exempt
    @wraps(view)
    def checked(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponseBase:
        return view(request, *args, **kwargs) if _is_ours(request) else errors.csrf_failure(request)

    return checked


def _is_ours(request: HttpRequest) -> bool:
    origin = request.headers.get("Origin")
    if origin in settings.CSRF_TRUSTED_ORIGINS:
        return True
    if site := request.headers.get("Sec-Fetch-Site"):
        return site in ("same-origin", "none")
    return origin is None or origin == f"{request.scheme}://{request.get_host()}"
