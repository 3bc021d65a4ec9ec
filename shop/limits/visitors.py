"""Where a request comes from: the visitor's network, as limits count it."""

import ipaddress
from functools import lru_cache

from django.conf import settings
from django.http import HttpRequest

from shop.site.pseudonyms import pseudonym

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
# One household or office gets a /64 of IPv6, and may use any of its addresses for each request.
_IPV6_PREFIX = 64
UNKNOWN = "0.0.0.0"  # noqa: S104 - no address to bind to


def network_of(request: HttpRequest) -> str:
    """The visitor's IPv4 address, or the first address of an IPv6 visitor's /64; `UNKNOWN` where there is none.

    # Note [Who is believed about addresses]
    X-Forwarded-For is anybody's to write. It is read only if the connection comes from `settings.PROXY_NETWORKS`, and
    from its right end: what a proxy of ours appended is true, and the first address that is none of ours is the
    visitor's. What stands to the left of that, the visitor wrote.
    """
    return _network(request.META.get("REMOTE_ADDR", ""), request.META.get("HTTP_X_FORWARDED_FOR", "")[-500:])


def pseudonym_of(request: HttpRequest) -> str:
    """The network as 32 hex digits that do not reveal it, for events and stock."""
    return pseudonym("shop.site.visitors", network_of(request))


@lru_cache(maxsize=4096)
def _network(peer: str, forwarded: str) -> str:
    address = _parse(peer)
    for text in reversed(forwarded.split(",")):
        if address is None or not is_in(address, settings.PROXY_NETWORKS):
            break
        address = _parse(text.strip()) or address
    if address is None:
        return UNKNOWN
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, _IPV6_PREFIX), strict=False).network_address)
    return str(address)


def is_in(address: Address | str, networks: list[str]) -> bool:
    """Whether the address is in one of these networks."""
    found = ipaddress.ip_address(address)
    return any(found in ipaddress.ip_network(network) for network in networks)


def _parse(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    # An IPv4 visitor at a socket that speaks both.
    return getattr(address, "ipv4_mapped", None) or address
