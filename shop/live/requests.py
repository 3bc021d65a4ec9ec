"""What a request to the role live says, read without Django's handlers: who asks, for what, and from where."""

from collections.abc import Collection, Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl

from django.conf import settings
from django.http.request import split_domain_port, validate_host

from shop.operations.pages import passes
from shop.operations.pages.passes import Pass

_COOKIES_LENGTH_MAX = 8000


def may_look(scope: Mapping[str, Any], checks: passes.Checks, *, cookie: str = passes.COOKIE) -> bool:
    """Whether who asks holds a pass that counts, in the cookie of that name."""
    held = pass_of(scope, cookie)
    return held is not None and checks.is_good(held)


def pass_of(scope: Mapping[str, Any], cookie: str) -> Pass | None:
    """The pass in the cookies, if it is ours and not over."""
    cookies: SimpleCookie = SimpleCookie()
    try:
        cookies.load(header_of(scope, b"cookie")[:_COOKIES_LENGTH_MAX])
    except CookieError:
        return None
    found = cookies.get(cookie)
    return passes.read(found.value) if found else None


def host_of(scope: Mapping[str, Any]) -> str:
    """The Host header, if it is one of ours; else empty."""
    host = header_of(scope, b"host").lower()
    domain, _ = split_domain_port(host)
    return host if domain and validate_host(domain, settings.ALLOWED_HOSTS) else ""


def web_origin(scope: Mapping[str, Any]) -> str:
    """Where the role web is for this browser; empty where it has the same origin (behind a proxy)."""
    if not settings.LIVE_PORT:
        return ""
    _, _, port = settings.SHOP_URL.rpartition(":")
    domain, _ = split_domain_port(host_of(scope))
    scheme = settings.SHOP_URL.partition(":")[0]
    return f"{scheme}://{domain}:{port}" if port.isdigit() else settings.SHOP_URL


def query_of(
    scope: Mapping[str, Any],
    known_names: Collection[str],
    length_max: int,
) -> dict[str, str]:
    """What the address says beside the path, as far as pages know it."""
    try:
        pairs = parse_qsl(scope["query_string"].decode("ascii"), max_num_fields=10)
    except ValueError:
        return {}
    known = (pair for pair in pairs if pair[0] in known_names)
    return {name: value for name, value in known if len(value) <= length_max}


def header_of(scope: Mapping[str, Any], name: bytes) -> str:
    """A header's value; empty where there is none."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")
