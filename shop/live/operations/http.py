"""The operations page over HTTP, served beside the sockets: from memory, to those who hold a pass.

No part of it goes through Django's handlers, whose threads may be waiting for a database that is away.
"""

from collections.abc import Collection, Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl

from django.conf import settings
from django.http.request import split_domain_port, validate_host
from django.template.loader import render_to_string

from shop.live.operations.feed import Feed, StaticFiles
from shop.operations.pages import passes, rendering
from shop.operations.pages.passes import Pass

Answer = tuple[int, dict[str, str], bytes]
"""Status, headers, body."""
PREFIX = "/ops/"
_STATIC = f"{PREFIX}static/"
_COOKIES_LENGTH_MAX = 8000
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
    "connect-src 'self' {socket}; base-uri 'none'; form-action {form}; frame-ancestors 'none'"
)


class Ops:
    """Answers everything below /ops/ but the sockets."""

    def __init__(self, feed: Feed, checks: passes.Checks) -> None:
        self._feed, self._checks = feed, checks
        self._files = StaticFiles()

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        status, headers, body = await self._answer(scope)
        await send({"type": "http.response.start", "status": status, "headers": encoded(headers)})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def _answer(self, scope: dict[str, Any]) -> Answer:
        host, path = host_of(scope), scope["path"]
        if not host:
            return self._page(400, "That address is not ours", "Open the page by a name of ALLOWED_HOSTS.", scope)
        if scope["method"] not in ("GET", "HEAD"):
            return 405, {"allow": "GET, HEAD"}, b""
        if path == PREFIX.rstrip("/"):
            return 308, {"location": PREFIX}, b""
        if path.startswith(_STATIC):
            return file_answer(self._files, path.removeprefix(_STATIC), scope)
        if not may_look(scope, self._checks):
            return self._page(
                403, "Sign in to see this page",
                "It is for staff. Open it from the admin, which lets you in for twelve hours.", scope,
            )  # fmt: skip
        page = rendering.find(path.removeprefix(PREFIX).removesuffix("/"))
        if page is None or page.url != path:
            return self._page(404, "There is no such page", "Go to the overview.", scope)
        web = web_origin(scope)
        inner = await self._feed.fragment(page, query_of(scope), web=web)
        whole = rendering.whole(page, inner, web=web, version=self._files.version)
        return 200, page_headers(scope), whole.encode()

    def _page(self, status: int, heading: str, sentence: str, scope: dict[str, Any]) -> Answer:
        """A page of one sentence."""
        context = {"heading": heading, "sentence": sentence, "status": status, "web": web_origin(scope)}
        context |= {"styles": rendering.STYLES, "v": self._files.version}
        return status, page_headers(scope), render_to_string("ops/message.html", context).encode()


_SAFE = {"x-content-type-options": "nosniff", "cross-origin-resource-policy": "same-origin"}


def file_answer(files: StaticFiles, name: str, scope: Mapping[str, Any]) -> Answer:
    """A static file, or that the browser's copy is still right."""
    found = files.find(name)
    if found is None:
        return 404, {"content-type": "text/plain"}, b"There is no such file.\n"
    contents, content_type = found
    etag = f'"{files.version}"'
    headers = {"content-type": content_type, "etag": etag, "cache-control": "no-cache", **_SAFE}
    if header_of(scope, b"if-none-match") == etag:
        return 304, headers, b""
    return 200, headers, contents


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
    known_names: Collection[str] = rendering.QUERY_NAMES,
    length_max: int = rendering.QUERY_LENGTH_MAX,
) -> dict[str, str]:
    """What the address says beside the path, as far as pages know it."""
    try:
        pairs = parse_qsl(scope["query_string"].decode("ascii"), max_num_fields=10)
    except ValueError:
        return {}
    known = (pair for pair in pairs if pair[0] in known_names)
    return {name: value for name, value in known if len(value) <= length_max}


def page_headers(scope: Mapping[str, Any], *, form_action: str = "'none'") -> dict[str, str]:
    """What a page is sent with. `form_action` is where its forms may go, in the words of a content security policy."""
    scheme = "wss" if settings.BEHIND_TLS else "ws"
    headers = {
        "content-type": "text/html; charset=utf-8",
        "cache-control": "no-store",
        "content-security-policy": _POLICY.format(
            socket=f"{scheme}://{host_of(scope)}" if host_of(scope) else "", form=form_action
        ),
        "x-frame-options": "DENY",
        "referrer-policy": "same-origin",
        **_SAFE,
    }
    if settings.BEHIND_TLS:
        headers["strict-transport-security"] = f"max-age={settings.SECURE_HSTS_SECONDS}; includeSubDomains"
    return headers


def header_of(scope: Mapping[str, Any], name: bytes) -> str:
    """A header's value; empty where there is none."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


def encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Headers as ASGI wants them."""
    return [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
