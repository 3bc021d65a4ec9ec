"""Addresses of Redis databases, and how connections notice that nobody is there any more."""

import socket
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit


def with_database(url: str, number: int) -> str:
    """The same server, another database: `redis://host:port` or `unix:///path` with database `number`."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return f"unix://{parts.netloc}{parts.path}?db={number}"
    return urlunsplit(parts._replace(path=f"/{number}"))


def keepalive(url: str) -> dict[str, Any]:
    """Options of a connection over which one may listen for long: a network that drops everything is noticed after ten
    seconds. Empty for a Unix socket.
    """
    if urlsplit(url).scheme == "unix":
        return {}
    options = {"TCP_KEEPIDLE": 4, "TCP_KEEPINTVL": 2, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 10_000}
    known = {getattr(socket, name): value for name, value in options.items() if hasattr(socket, name)}
    return {"socket_keepalive": True, "socket_keepalive_options": known}


def signed_in(url: str, name: str, password: str) -> str:
    """The same server, as a user of Redis; an address that names one already keeps it, and so does one without name."""
    parts = urlsplit(url)
    if not name or "@" in parts.netloc:
        return url
    return urlunsplit(parts._replace(netloc=f"{quote(name)}:{quote(password)}@{parts.netloc}"))
