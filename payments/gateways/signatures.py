"""The signature of a webhook: who sent these bytes, and when.

The header reads `t=<unix seconds>,v1=<hex>`, where v1 is the HMAC-SHA256 of `<t>.<body>`. It is Stripe's scheme
(https://docs.stripe.com/webhooks#verify-manually), and the sandbox signs by it too. The signature is over the bytes as
they came: a body that was parsed and written again is another body.
"""

import hmac
import time
from collections.abc import Sequence

from payments.gateways import NotGenuine

SCHEME = "v1"
LONGEST_HEADER = 4096


def sign(body: bytes, *, secret: str, at: int) -> str:
    """The header's value for this body, sent at this time (unix seconds)."""
    return f"t={at},{SCHEME}={_digest(body, secret=secret, at=at)}"


def verify(
    body: bytes, header: str, *, secrets: Sequence[str], tolerance_seconds: int = 300, now: float | None = None
) -> None:
    """Accept a body that was signed with any of the secrets, at most so long ago (or ahead, as clocks differ).

    Any of several signatures will do: while a secret is changed, the sender may sign with the old one and the new one.

    Raises:
        NotGenuine: with the reason.
    """
    at, signatures = _parse(header)
    usable = [secret for secret in secrets if secret]
    if not usable:
        raise NotGenuine("no webhook secret is set, so no webhook can be believed")
    if not any(_is_any_of(_digest(body, secret=secret, at=at), signatures) for secret in usable):
        raise NotGenuine("the signature does not belong to this body")
    if abs((time.time() if now is None else now) - at) > tolerance_seconds:
        raise NotGenuine("signed too long ago, or in the future")


def _digest(body: bytes, *, secret: str, at: int) -> str:
    return hmac.digest(secret.encode(), f"{at}.".encode() + body, "sha256").hex()


def _is_any_of(expected: str, signatures: Sequence[bytes]) -> bool:
    """Compared in constant time, and as bytes: `compare_digest` refuses text that is not ASCII."""
    return any(hmac.compare_digest(expected.encode(), signature) for signature in signatures)


def _parse(header: str) -> tuple[int, list[bytes]]:
    if not header:
        raise NotGenuine("it is not signed")
    if len(header) > LONGEST_HEADER:
        raise NotGenuine("the signature's header is too long")
    times: list[str] = []
    signatures: list[bytes] = []
    for part in header.split(","):
        name, _, value = part.strip().partition("=")
        if name == "t":
            times.append(value)
        elif name == SCHEME:
            signatures.append(value.encode(errors="replace"))
    if len(times) != 1 or not (times[0].isascii() and times[0].isdigit()) or len(times[0]) > 12:
        raise NotGenuine("the signature does not say when it was made")
    if not signatures:
        raise NotGenuine(f"there is no {SCHEME} signature")
    return int(times[0]), signatures
