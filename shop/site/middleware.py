"""Middleware for all responses of the shop."""

from csp.middleware import CSPMiddleware, PolicyParts
from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

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
