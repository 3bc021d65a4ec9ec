"""Whole answers that anybody without cookies may get, kept for a moment: see Note [Shared pages] in `shared_pages`."""

import hashlib
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

from django.conf import settings

ANSWER_SECONDS = 0.2
# Addresses are anybody's to make up, and an answer is some tens of kilobytes.
ANSWERS_MAX = 500
IS_SHARED = "X-Is-Shared"
"""The header by which the web process knows such an answer; it does not leave the process."""
Header = tuple[str, str]
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

    def keep(self, address: Address, headers: list[Header], body: bytes) -> Answer:
        """Keep an answer for those who come soon after."""
        etag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
        answer = Answer([*headers, ("ETag", etag)], body, etag, time.monotonic())
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
