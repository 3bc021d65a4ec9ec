"""The error pages."""

import logging
import sys
from typing import Any

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.template import loader

from shop.checkout import ordering
from shop.limits import limits
from shop.site import problems

log = logging.getLogger(__name__)


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """404: also for what belongs to another user, so that the answer does not reveal that it exists."""
    return page(
        status=404,
        heading="This page is out of print",
        sentence="There is nothing at this address, or it is not yours to see.",
        code="not_found",
        request=request,
    )


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """403: known, but not allowed."""
    return page(
        status=403,
        heading="Staff only beyond this point",
        sentence="You are not allowed to do this. Perhaps another account may.",
        code="forbidden",
        request=request,
    )


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """403: the form is not from one of our pages, or from one that has expired."""
    return page(
        status=403,
        heading="That form has expired",
        sentence="It was open for too long, or cookies are switched off. Go back, reload the page and send it again.",
        code="form_expired",
        request=request,
    )


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """400: the request cannot have come from our pages; or 503 if what a session says could not be saved."""
    if _is_outage(exception):
        return _unavailable(request)
    sentence = "The request was damaged on its way. Try again."
    if problems.wanted(request):
        return problems.Problem(400, "bad_request", sentence).response()
    return page(status=400, heading="We could not read that", sentence=sentence)


def too_many(request: HttpRequest, refused: limits.Refused) -> HttpResponse:
    """429: a limit is reached."""
    response = page(status=429, heading="Not so fast", sentence=str(refused), request=request)
    response["Retry-After"] = str(refused.retry_after_seconds)
    return response


def server_error(request: HttpRequest) -> HttpResponse:
    """500, or 503 if the database is unavailable. Uses nothing that may be broken as well."""
    if _is_outage(sys.exc_info()[1]):
        return _unavailable(request)
    if problems.wanted(request):
        sentence = "Something went wrong on our side. Try again in a moment, an order with the same key."
        return problems.Problem(500, "internal", sentence).response()
    return page(
        status=500,
        heading="We dropped a shelf",
        sentence="Something went wrong on our side, and we have been told about it. Please try again in a moment.",
    )


def _is_outage(error: BaseException | None) -> bool:
    """Whether the database was unavailable, or that led to the error."""
    while error is not None:
        if isinstance(error, OperationalError | InterfaceError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _unavailable(request: HttpRequest) -> HttpResponse:
    if not problems.wanted(request):
        return unavailable()
    response = problems.Problem(503, "unavailable", "The shop cannot reach its records. Try again.").response()
    response["Retry-After"] = str(ordering.RETRY_AFTER_SECONDS)
    return response


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
    *, status: int, heading: str, sentence: str, code: str = "", request: HttpRequest | None = None, **context: Any
) -> HttpResponse:
    """An error page in the shop's look; without a request it needs neither session nor database. For programs, JSON."""
    if request is not None and problems.wanted(request):
        return problems.Problem(status, code, sentence).response()
    context = {"status": status, "heading": heading, "sentence": sentence, **context}
    return HttpResponse(loader.render_to_string("errors/error.html", context, request), status=status)
