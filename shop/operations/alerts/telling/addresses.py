"""Addresses that notices are sent to. Only who runs the shop names them, in its settings."""

from urllib.parse import urlsplit


class BadAddress(ValueError):
    """A setting is no address that notices can be sent to; the message says which and why."""


def checked(setting: str, url: str) -> str:
    """This address, or nothing.

    Raises:
        BadAddress: it is no http(s) address. The message does not show it: what is secret in it stays so.
    """
    if not url:
        return ""
    try:
        there = urlsplit(url)
        is_whole = there.scheme in ("http", "https") and bool(there.hostname) and there.port != 0
    except ValueError:
        is_whole = False
    if not is_whole or not url.isascii() or any(char.isspace() for char in url):
        raise BadAddress(f"{setting} is no address such as https://example.com/hook.")
    if there.username is not None or there.password is not None:
        raise BadAddress(f"{setting} has a user name in it; put what is secret into the path or the query.")
    return url


def secret_for(url: str, secret: str) -> str:
    """What the webhook is signed with, if there is one.

    Raises:
        BadAddress: it would not be signed.
    """
    if url and not secret:
        raise BadAddress("ALERT_WEBHOOK_URL is set and ALERT_WEBHOOK_SECRET is not: nobody could tell who calls there.")
    return secret


def mail_addresses(found: list[str]) -> list[str]:
    """These addresses.

    Raises:
        BadAddress: one of them is none.
    """
    if wrong := [each for each in found if not all(each.strip().rpartition("@")[::2])]:
        raise BadAddress(f"ALERT_MAIL_TO: {wrong[0]!r} is no mail address.")
    return [each.strip() for each in found]
