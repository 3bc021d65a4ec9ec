"""Middleware for all responses of the shop."""

from collections.abc import Callable

from csp.middleware import CSPMiddleware
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from shop.site import errors, limits

# Content types that a browser never executes as a document.
_NO_DOCUMENT = ("application/json", "text/plain")


class PagePolicyMiddleware(CSPMiddleware):
    """Adds the Content-Security-Policy to everything that a browser could show as a page.

    Building the header costs about a quarter of a small request, so responses for programs go without it.
    """

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Add the policy, unless the answer is JSON or plain text."""
        if response.headers.get("Content-Type", "").startswith(_NO_DOCUMENT):
            return response
        answer: HttpResponseBase = super().process_response(request, response)
        return answer


class LimitsMiddleware:
    """Answers 429 where a view met a limit (`limits.Refused`), with the time to wait."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Nothing before and after the view."""
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """The page that says what was too much and when to come back."""
        return errors.too_many(request, exception) if isinstance(exception, limits.Refused) else None
