"""Places as buyers hold them: signed, so that a queue that Redis has lost is put together again from them.

Whoever holds a token holds the place: it may be taken to another browser, and there is one order for it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from django.core.signing import BadSignature, Signer
from django.http import HttpRequest

from shop.waiting_room import draw

_FORM = re.compile(r"([0-9]{1,18})\.([0-9a-f]{32})\.([0-9]{1,12})\.([0-9]{1,15})", re.ASCII)
LENGTH_MAX = 200
HEADER = "Waiting-Place"
_COOKIE = "place-"
_SHOWN_MAX = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Token:
    """A place that this shop gave."""

    sale_id: int
    place: str
    """32 hex digits."""
    number: int
    """From 1 on for places given after the start; 0 for those that are drawn."""
    until_ms: int = 0
    """Until when it is admitted, in milliseconds since 1970; 0 while it waits."""

    def number_in(self, seed: str) -> int:
        """By which it is served, with the seed of its room; a secret until the sale has started."""
        return draw.SERVED_AFTER_DRAWN + self.number if self.number else draw.number(seed, self.place)

    def __str__(self) -> str:
        return _signer().sign(f"{self.sale_id}.{self.place}.{self.number}.{self.until_ms}")


def read(text: str, *, sale_id: int) -> Token | None:
    """The token, if this shop signed it and it is of that sale."""
    if not 0 < len(text) <= LENGTH_MAX:
        return None
    try:
        found = _FORM.fullmatch(_signer().unsign(text))
    except BadSignature:
        return None
    if found is None or int(found[1]) != sale_id:
        return None
    return Token(sale_id=sale_id, place=found[2], number=int(found[3]), until_ms=int(found[4]))


def find(texts: Iterable[str], *, sale_id: int) -> Token | None:
    """The first of these that is a token of that sale."""
    return next(filter(None, (read(text, sale_id=sale_id) for text in texts)), None)


def shown(request: HttpRequest) -> list[str]:
    """What a request brings that may be tokens: in its header, its address and its cookies, in this sequence."""
    cookies = [text for name, text in request.COOKIES.items() if name.startswith(_COOKIE)]
    brought = [request.headers.get(HEADER, ""), request.GET.get("place", ""), *cookies]
    return [text for text in brought if text][:_SHOWN_MAX]


def cookie_name(sale_id: int) -> str:
    """Of the cookie that holds the token of a sale."""
    return f"{_COOKIE}{sale_id}"


def _signer() -> Signer:
    return Signer(salt="shop.waiting_room.place")
