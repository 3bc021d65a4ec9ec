"""The error pages."""

import logging
import sys
from typing import Any

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.template import loader

from shop.checkout import ordering
from shop.site import limits

log = logging.getLogger(__name__)


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """404: also for what belongs to another user, so that the answer does not reveal that it exists."""
    return page(
        status=404,
        heading="This page is out of print",
        sentence="There is nothing at this address, or it is not yours to see.",
        request=request,
    )


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """403: known, but not allowed."""
    return page(
        status=403,
        heading="Staff only beyond this point",
        sentence="You are not allowed to do this. Perhaps another account may.",
        request=request,
    )


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """403: the form is not from one of our pages, or from one that has expired."""
    return page(
        status=403,
        heading="That form has expired",
        sentence="It was open for too long, or cookies are switched off. Go back, reload the page and send it again.",
        request=request,
    )


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """400: the request cannot have come from our pages."""
    return page(status=400, heading="We could not read that", sentence="The request was damaged on its way. Try again.")


def too_many(request: HttpRequest, refused: limits.Refused) -> HttpResponse:
    """429: a limit is reached."""
    response = page(status=429, heading="Not so fast", sentence=str(refused), request=request)
    response["Retry-After"] = str(refused.retry_after_seconds)
    return response


def server_error(request: HttpRequest) -> HttpResponse:
    """500, or 503 if the database is unavailable. Uses nothing that may be broken as well."""
    if isinstance(sys.exc_info()[1], OperationalError | InterfaceError):
        return unavailable()
    return page(
        status=500,
        heading="We dropped a shelf",
        sentence="Something went wrong on our side, and we have been told about it. Please try again in a moment.",
    )


def unavailable() -> HttpResponse:
    """503: the database is unavailable."""
    response = page(
        status=503,
        heading="The shop is catching its breath",
        sentence="We cannot reach our records right now. Nothing is lost; please try again in a few seconds.",
    )
    response["Retry-After"] = str(ordering.RETRY_AFTER_SECONDS)
    return response


def page(
    *, status: int, heading: str, sentence: str, request: HttpRequest | None = None, **context: Any
) -> HttpResponse:
    """An error page in the shop's look; without a request it needs neither session nor database."""
    context = {"status": status, "heading": heading, "sentence": sentence, **context}
    return HttpResponse(loader.render_to_string("errors/error.html", context, request), status=status)
