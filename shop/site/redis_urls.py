"""Addresses of Redis databases."""

from urllib.parse import urlsplit, urlunsplit


def with_database(url: str, number: int) -> str:
    """The same server, another database: `redis://host:port` or `unix:///path` with database `number`."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return f"unix://{parts.path}?db={number}"
    return urlunsplit(parts._replace(path=f"/{number}"))
