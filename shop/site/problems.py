"""Errors for programs: problem details, RFC 9457."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import msgspec
from django.http import HttpRequest, HttpResponse

CONTENT_TYPE = "application/problem+json"
API_PREFIX = "/api/"
_encode = msgspec.json.Encoder().encode


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is not as the buyer saw it."""

    code: str
    """price_changed, over_limit, not_enough, sold_out or not_for_sale."""
    sku: str
    message: str
    left: int | None
    """Copies that can be had, where there are too few."""
    price_minor: int | None
    """What one costs now, where that is not what was expected."""


class ProblemBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Problem details (RFC 9457), as programs read them: the shape of `Problem.body`, for its description."""

    type: str
    """A URN that ends in the code."""
    title: str
    status: int
    detail: str
    """A sentence for people, which says what to do."""
    field: str = ""
    """The field that is wrong, as in `lines[0].quantity`."""
    problems: tuple[Difference, ...] = ()
    error: dict[str, Any] = {}
    """Code, message and the rest once more, under the names from before there was a standard."""


@dataclass(frozen=True)
class Problem:
    """What went wrong, and what to do about it."""

    status: int
    code: str
    """A word for programs; it does not change. The type is a URN that ends in it."""
    detail: str
    """A sentence for people, which says what to do."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """What belongs to this code, such as the field."""

    def body(self) -> bytes:
        """The JSON. `error` holds the same under the names from before there was a standard."""
        return _encode(
            {
                "type": f"urn:bookrush:problem:{self.code}",
                "title": HTTPStatus(self.status).phrase,
                "status": self.status,
                "detail": self.detail,
                **self.more,
                "error": {"code": self.code, "message": self.detail, **self.more},
            }
        )

    def response(self) -> HttpResponse:
        """The answer."""
        return HttpResponse(self.body(), status=self.status, content_type=CONTENT_TYPE)


def wanted(request: HttpRequest) -> bool:
    """Whether errors of this request are read by a program."""
    return request.path_info.startswith(API_PREFIX)
