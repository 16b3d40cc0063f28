"""Judges addresses: a webhook reaches the public Internet, and nothing of the network that it is sent from.

The tables are IANA's special-purpose registries of IPv4 and IPv6 and its list of multicast; they stand here, so that
the version of Python makes no difference. An IPv4 address inside an IPv6 one is judged as itself.
"""

import re
import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final
from urllib.parse import urlsplit

URL_LENGTH_MAX: Final = 2_000
_HOST = re.compile(
    r"(?=.{1,253}\Z)[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*\.?"
)
_VISIBLE = re.compile(r"[\x21-\x7e]+")

_NOT_GLOBAL_4 = tuple(
    map(
        IPv4Network,
        """0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24
        192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4""".split(),
    )
)
_GLOBAL_4 = (IPv4Network("192.0.0.9/32"), IPv4Network("192.0.0.10/32"))
_UNICAST_6 = IPv6Network("2000::/3")
_NOT_GLOBAL_6 = tuple(map(IPv6Network, "2001::/23 2001:db8::/32 2002::/16 3fff::/20".split()))
_GLOBAL_6 = tuple(
    map(
        IPv6Network,
        """2001:1::1/128 2001:1::2/128 2001:1::3/128 2001:3::/32 2001:4:112::/48 2001:20::/28 2001:30::/28""".split(),
    )
)
_LOW_96 = tuple(map(IPv6Network, ("::/96", "::ffff:0:0/96", "64:ff9b::/96")))
"""IPv4-compatible, IPv4-mapped and NAT64 addresses, which have an IPv4 address in their last 32 bits."""
_6TO4 = IPv6Network("2002::/16")


def is_globally_reachable(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address is one of the public Internet."""
    if isinstance(address, IPv6Address):
        if (inner := _inner(address)) is None:
            in_none = not any(address in network for network in _NOT_GLOBAL_6)
            return address in _UNICAST_6 and (in_none or any(address in network for network in _GLOBAL_6))
        address = inner
    in_none = not any(address in network for network in _NOT_GLOBAL_4)
    return in_none or any(address in network for network in _GLOBAL_4)


def _inner(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address inside an IPv6 address."""
    if any(address in network for network in _LOW_96):
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    if address in _6TO4:
        return IPv4Address(int(address) >> 80 & 0xFFFF_FFFF)
    return None


def fault_of_url(url: str, *, allow_private: bool) -> str | None:
    """Say what is wrong with the address of an endpoint, or return None. Names are judged when they are resolved."""
    if len(url) > URL_LENGTH_MAX or not _VISIBLE.fullmatch(url):
        return f"must be an address of at most {URL_LENGTH_MAX:,} visible ASCII characters"
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname or ""
    except ValueError:
        return "must be an address such as https://example.com/hooks"
    if parts.scheme not in {"http", "https"}:
        return "must begin with https:// or http://"
    if parts.username is not None or parts.password is not None or "\\" in url or "%" in host or parts.fragment:
        return "must have no user, password, zone or fragment"
    if port == 0:
        return "must have a port from 1 to 65535"
    address = _literal(host)
    if address is None and not _HOST.fullmatch(host):
        return "must name a host, one beyond ASCII in its form with xn--"
    if allow_private:
        return None
    if host.rstrip(".").lower() == "localhost" or host.rstrip(".").lower().endswith(".localhost"):
        return "must not be an address of this machine"
    if address is not None and not is_globally_reachable(address):
        return "must be globally reachable: it is a private, loopback, link-local or otherwise special address"
    return None


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    """Return the address that a host is, in any form that a resolver takes for one, such as 127.1 or 0x7f000001."""
    try:
        return ip_address(host)
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(host.rstrip(".")))
    except (OSError, ValueError):
        return None
