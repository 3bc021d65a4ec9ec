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
