"""The draw: in which sequence those are served who had a place before the sale started.

# Note [The draw]
A place's number is HMAC-SHA256 of its id under the room's seed; they are served by it, the smallest first. The seed is
made before anybody has a place, its SHA-256 is shown before the start and the seed itself afterwards, so anybody can
repeat the draw. Before the start nobody outside can compute a number, and so come early, often or late alike. Redis
sorts by doubles, so of the number its first 52 bits count, and the id where these are equal.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterable

_HEX_DIGITS = 13
SERVED_AFTER_DRAWN = 2**52
"""The numbers of places that were given after the start begin above this."""


def new_seed() -> str:
    """32 random bytes in hex."""
    return secrets.token_hex(32)


def commitment(seed: str) -> str:
    """What is shown of a seed before the start: the SHA-256 of its 32 bytes, in hex.

    Raises:
        ValueError: it is not in hex.
    """
    return hashlib.sha256(bytes.fromhex(seed)).hexdigest()


def number(seed: str, place: str) -> int:
    """The number of a place in the draw, from 0 up to 2**52, excluded. See Note [The draw]."""
    drawn = hmac.new(bytes.fromhex(seed), place.encode(), hashlib.sha256).hexdigest()
    return int(drawn[:_HEX_DIGITS], 16)


def in_sequence(seed: str, places: Iterable[str]) -> list[str]:
    """The places as they are served."""
    return [place for _, place in sorted((number(seed, place), place) for place in places)]
