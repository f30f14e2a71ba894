"""Addresses that accounts give us to dial: which of them may be dialled at all."""

import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from domain.refusals import FieldError, Invalid

MAX_URL = 2048
PLAIN = frozenset(map(chr, range(33, 127)))

# IANA's special-purpose registries, as of 2025: what is not for everybody. `ipaddress` knows fewer in older Pythons.
_CLOSED_4 = [
    IPv4Network(network)
    for network in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24"),
        *("192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
        *("224.0.0.0/4", "240.0.0.0/4"),
        *(
            "168.63.129.16/32",
            "100.100.100.200/32",
        ),  # where clouds keep their metadata, though the first is public
    )
]
_OPEN_6 = IPv6Network("2000::/3")
_CLOSED_6 = [
    IPv6Network(network)
    for network in ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")
]
_NAT64 = IPv6Network("64:ff9b::/96")  # how networks without IPv4 reach it: the last 32 bits are the address


def is_public(address: str) -> bool:
    """Whether an IP address is anybody's on the open internet: no loopback, private, link-local, multicast ..."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return _public_4(parsed) if isinstance(parsed, IPv4Address) else _public_6(parsed)


def checked_url(url: str, *, private: bool) -> str:
    """Raises Invalid unless it is the URL of a web server. `private`: our own network may be named.

    Where a name leads is looked at when it is dialled, each time.
    """
    fault = _fault(url, private=private)
    if fault is not None:
        raise Invalid("The URL cannot be used.", FieldError("url", fault))
    return url


def _fault(url: str, *, private: bool) -> str | None:
    if len(url) > MAX_URL or not set(url) <= PLAIN:
        return f"It must have {MAX_URL} printable ASCII characters at most."
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "It is no URL."
    if parts.scheme not in ("http", "https") or not host or port == 0:
        return "It must begin with https:// or http:// and a host."
    if parts.username is not None or parts.password is not None:
        return "It must not hold a user name or a password."
    if parts.fragment or "\\" in url:
        return "It must not hold a fragment or a backslash."
    if not private and _closed(host):
        return "It leads into a private network."
    return None


def _closed(host: str) -> bool:
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    literal = _literal(name)
    return literal is not None and not is_public(literal)


def _literal(host: str) -> str | None:
    """The address that a host spells out, also as 0x7f.1 or 2130706433."""
    if ":" in host:
        return host
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except OSError:
        return None


def _public_4(address: IPv4Address) -> bool:
    return not any(address in network for network in _CLOSED_4)


def _public_6(address: IPv6Address) -> bool:
    if address.scope_id is not None:
        return False
    if address in _NAT64:
        return _public_4(IPv4Address(int(address) & 0xFFFF_FFFF))
    return address in _OPEN_6 and not any(address in network for network in _CLOSED_6)
