"""Whole answers that anybody without cookies may get, kept for a moment: see Note [Shared pages] in `shared_pages`."""

import hashlib
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from kafka_bridge.telemetry import metrics
from shop.activity import noting
from shop.activity.counting import View

ANSWER_SECONDS = 0.2
# Addresses are anybody's to make up, and an answer is some tens of kilobytes.
ANSWERS_MAX = 500
IS_SHARED = "X-Is-Shared"
"""The header by which the web process knows such an answer, and what it shows; it does not leave the process."""
Header = tuple[str, str]
MARK = (IS_SHARED, "1")
"""On an answer that is none of a page."""
_SENT = metrics.counter("http_shared_answers", "Pages sent from memory, which Django was not asked for", by="web")
Address = tuple[str, ...]
"""All that such an answer depends on: scheme, host, path, query."""


def is_stranger(cookies: str) -> bool:
    """Whether nothing in a Cookie header says anything about what its sender may see."""
    return f"{settings.SESSION_COOKIE_NAME}=" not in cookies and "messages=" not in cookies


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer that anybody without cookies may get."""

    headers: list[Header]
    body: bytes
    etag: str
    made_at: float
    view: View | None
    """What it is counted as, if it is a page."""


class Answers:
    """By address, the last answer; used from the loop and from all threads."""

    def __init__(self) -> None:
        self._held: OrderedDict[Address, Answer] = OrderedDict()
        self._asked: dict[Address, float] = {}
        self._lock = threading.Lock()

    def find(self, address: Address) -> Answer | None:
        """The answer, unless it is too old. At half of its time one caller is told that there is none, and makes it."""
        answer = self._held.get(address)
        if answer is None:
            return None
        now = time.monotonic()
        age = now - answer.made_at
        if age > ANSWER_SECONDS:
            return None
        if age > ANSWER_SECONDS / 2 and now - self._asked.get(address, 0.0) > ANSWER_SECONDS:
            self._asked[address] = now
            return None
        return answer

    def keep(self, address: Address, headers: list[Header], body: bytes, view: View | None = None) -> Answer:
        """Keep an answer for those who come soon after."""
        etag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
        answer = Answer([*headers, ("ETag", etag)], body, etag, time.monotonic(), view)
        with self._lock:
            self._held[address] = answer
            self._held.move_to_end(address)
            if len(self._held) > ANSWERS_MAX:
                gone, _ = self._held.popitem(last=False)
                self._asked.pop(gone, None)
        return answer

    def forget(self) -> None:
        """Drop all of them."""
        with self._lock:
            self._held.clear()
            self._asked.clear()


answers = Answers()


def find(scope: Any) -> Answer | None:
    """For a request (an RSGI scope), what was answered a moment ago to somebody else without cookies."""
    headers = scope.headers
    if scope.method != "GET" or "hx-request" in headers or not is_stranger(headers.get("cookie") or ""):
        return None
    answer = answers.find(_address(scope))
    if answer is not None:
        _SENT.inc()
        if answer.view is not None:
            noting.page_sent(headers.get, answer.view)
    return answer


def keep(scope: Any, status: int, headers: list[Header], body: bytes) -> Answer | None:
    """Keep an answer that others may get; None if this is none. The header that says so is removed."""
    shown = next((header for header in headers if header[0] == IS_SHARED), None)
    if shown is None:
        return None
    headers.remove(shown)
    sets_cookies = any(name.lower() == "set-cookie" for name, _ in headers)
    if scope.method != "GET" or status != 200 or sets_cookies:
        return None
    return answers.keep(_address(scope), headers, body, _view(shown))


def send(protocol: Any, scope: Any, answer: Answer) -> None:
    """Send it, or that the browser has it already."""
    if scope.headers.get("if-none-match") == answer.etag:
        protocol.response_empty(304, [header for header in answer.headers if header[0].lower() != "content-length"])
    else:
        protocol.response_bytes(200, answer.headers, answer.body)


def mark(view: View) -> str:
    """The value of the header: what the answer shows."""
    return " ".join(filter(None, view))


def _view(header: Header) -> View:
    return View(*header[1].split(" "))


def _address(scope: Any) -> Address:
    """Whoever forwards says the scheme in a header."""
    headers = scope.headers
    host = headers.get("host") or scope.authority
    return scope.scheme, headers.get("x-forwarded-proto") or "", host or "", scope.path, scope.query_string
