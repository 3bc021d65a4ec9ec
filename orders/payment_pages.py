"""Pages on which buyers confirm payments: the gateway's own, and nobody else's, whatever an event says."""

from urllib.parse import urlsplit

from django.conf import settings


def is_gateways(url: str) -> bool:
    """Whether this address has one of the origins (scheme, host, port) of `settings.PAYMENT_CONFIRM_ORIGINS`.

    Nothing that browsers read otherwise than Python passes: no name before an @, no backslash, no hidden character.
    """
    if not url.isprintable() or " " in url or "\\" in url:
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    allowed = {origin.lower().rstrip("/") for origin in settings.PAYMENT_CONFIRM_ORIGINS}
    return f"{parts.scheme}://{parts.netloc.lower()}" in allowed
