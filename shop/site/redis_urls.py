"""Addresses of Redis databases."""

from urllib.parse import quote, urlsplit, urlunsplit


def with_database(url: str, number: int) -> str:
    """The same server, another database: `redis://host:port` or `unix:///path` with database `number`."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return f"unix://{parts.netloc}{parts.path}?db={number}"
    return urlunsplit(parts._replace(path=f"/{number}"))


def signed_in(url: str, name: str, password: str) -> str:
    """The same server, as a user of Redis; an address that names one already keeps it, and so does one without name."""
    parts = urlsplit(url)
    if not name or "@" in parts.netloc:
        return url
    return urlunsplit(parts._replace(netloc=f"{quote(name)}:{quote(password)}@{parts.netloc}"))
