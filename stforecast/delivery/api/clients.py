"""Who asks, and by which name of the service."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit


def limited_as(host: str) -> str:
    """Whom a rate limit holds for: an address, of IPv6 its network of 64 bits, which one client has to itself."""
    address = address_in(host)
    return address.packed[:8].hex() if isinstance(address, IPv6Address) else host


def host_allowed(header: str, names: frozenset[str]) -> bool:
    """Whether a Host header is a plain address, localhost or one of `names` (lower case).

    A page from elsewhere that has its own name resolve to this machine is thus not answered.
    """
    try:
        name = urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return False
    return name == "localhost" or name in names or address_in(name) is not None


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    address = address_in(host)
    return host == "localhost" if address is None else address.is_loopback


def address_in(text: str) -> IPv4Address | IPv6Address | None:
    """The IP address that a text spells, if it does."""
    try:
        return ip_address(text)
    except ValueError:
        return None
