"""Middleware for all responses of the shop."""

from collections.abc import Callable

from csp.middleware import CSPMiddleware, PolicyParts
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from shop.limits import limits
from shop.site import errors

# Content types that a browser never executes as a document.
_NO_DOCUMENT = ("application/json", "application/problem+json", "text/plain")


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

    def get_policy_parts(
        self, request: HttpRequest, response: HttpResponseBase, report_only: bool = False
    ) -> PolicyParts:
        """The admin has a policy of its own, as strict as its theme allows."""
        parts = super().get_policy_parts(request, response, report_only)
        if request.path_info.startswith("/admin/") and not report_only:
            parts.config = settings.ADMIN_CONTENT_SECURITY_POLICY
        return parts


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
