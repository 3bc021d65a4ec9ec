"""Pages that the role live serves by itself, beside the sockets: from memory, to those who may look.

No part of it goes through Django's handlers, whose threads may be waiting for a database that is away.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.template.loader import render_to_string

from shop.live import requests

Answer = tuple[int, dict[str, str], bytes]
"""Status, headers, body."""
FONTS = ("karla", "vollkorn-semibold", "vollkorn-medium-italic")
_FOLDER = Path(settings.BASE_DIR) / "shop" / "static" / "shop"
_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml",
          "woff2": "font/woff2"}  # fmt: skip
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
    "connect-src 'self' {socket}; base-uri 'none'; form-action {form}; frame-ancestors 'none'"
)
_SAFE = {"x-content-type-options": "nosniff", "cross-origin-resource-policy": "same-origin"}


class StaticFiles:
    """What pages need beside itself, from memory: it must not depend on the role web."""

    def __init__(self, names: Sequence[str]) -> None:
        self._contents = {name: (_FOLDER / name).read_bytes() for name in names}
        self.version = hashlib.sha256(b"".join(self._contents.values())).hexdigest()[:12]

    def find(self, name: str) -> tuple[bytes, str] | None:
        """Contents and content type of a file; None where there is no such file."""
        contents = self._contents.get(name)
        return None if contents is None else (contents, _TYPES[name.rpartition(".")[2]])


class Pages(ABC):
    """Answers everything below `prefix` but the sockets."""

    prefix: str
    sentence_template: str
    """A page of one sentence."""

    def __init__(self, *, styles: Sequence[str], scripts: Sequence[str]) -> None:
        self._styles = styles
        self._files = StaticFiles(
            [
                *(f"css/{name}.css" for name in styles),
                *(f"js/{name}.js" for name in scripts),
                *(f"fonts/{name}.woff2" for name in FONTS),
                "mark.svg",
            ]
        )

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        status, headers, body = await self._answer(scope)
        await send({"type": "http.response.start", "status": status, "headers": _encoded(headers)})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def _answer(self, scope: dict[str, Any]) -> Answer:
        path, static = scope["path"], f"{self.prefix}static/"
        if not requests.host_of(scope):
            return self._sentence(400, "That address is not ours", "Open the page by a name of ALLOWED_HOSTS.", scope)
        if scope["method"] not in ("GET", "HEAD"):
            return 405, {"allow": "GET, HEAD"}, b""
        if path == self.prefix.rstrip("/"):
            return 308, {"location": self.prefix}, b""
        if path.startswith(static):
            return _file_answer(self._files, path.removeprefix(static), scope)
        if not self._may_look(scope):
            sentence = "It is for staff. Open it from the admin, which lets you in for twelve hours."
            return self._sentence(403, "Sign in to see this page", sentence, scope)
        return await self._page(path, scope)

    @abstractmethod
    def _may_look(self, scope: Mapping[str, Any]) -> bool:
        """Whether who asks may see these pages."""

    @abstractmethod
    async def _page(self, path: str, scope: dict[str, Any]) -> Answer:
        """The page of that address."""

    def _sentence(self, status: int, heading: str, sentence: str, scope: dict[str, Any]) -> Answer:
        context = {"heading": heading, "sentence": sentence, "status": status, "web": requests.web_origin(scope)}
        context |= {"styles": self._styles, "v": self._files.version}
        return status, page_headers(scope), render_to_string(self.sentence_template, context).encode()


def page_headers(scope: Mapping[str, Any], *, form_action: str = "'none'") -> dict[str, str]:
    """What a page is sent with. `form_action` is where its forms may go, in the words of a content security policy."""
    scheme = "wss" if settings.BEHIND_TLS else "ws"
    headers = {
        "content-type": "text/html; charset=utf-8",
        "cache-control": "no-store",
        "content-security-policy": _POLICY.format(
            socket=f"{scheme}://{requests.host_of(scope)}" if requests.host_of(scope) else "", form=form_action
        ),
        "x-frame-options": "DENY",
        "referrer-policy": "same-origin",
        **_SAFE,
    }
    if settings.BEHIND_TLS:
        headers["strict-transport-security"] = f"max-age={settings.SECURE_HSTS_SECONDS}; includeSubDomains"
    return headers


def _file_answer(files: StaticFiles, name: str, scope: Mapping[str, Any]) -> Answer:
    """A static file, or that the browser's copy is still right."""
    found = files.find(name)
    if found is None:
        return 404, {"content-type": "text/plain"}, b"There is no such file.\n"
    contents, content_type = found
    etag = f'"{files.version}"'
    headers = {"content-type": content_type, "etag": etag, "cache-control": "no-cache", **_SAFE}
    if requests.header_of(scope, b"if-none-match") == etag:
        return 304, headers, b""
    return 200, headers, contents


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Headers as ASGI wants them."""
    return [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
