"""Decides which hosts we connect to; without it what somebody typed would lead into the clinic's own network.

A name is looked up once, every address it has is checked, and the connection is made to a checked one: a name that
means another address a moment later changes nothing. `CARERELAY_EGRESS_ALLOW` names what else may be reached.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

MOST_ADDRESSES = 3  # of one host that are tried
ALLOW, ENV = "CARERELAY_EGRESS_ALLOW", "CARERELAY_ENV"
HERE = "127.0.0.0/8,::1,localhost"  # what development and tests may reach beside
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")  # all that is given out to anybody
AZURE = "168.63.129.16/32"  # looks public, and is answered by the host of a virtual machine, keys among the answers
NOT_GIVEN_OUT = tuple(map(ipaddress.ip_network, ("192.0.0.0/24", "192.88.99.0/24", "3fff::/20", AZURE)))
OTHER_WAYS_TO_IPV4 = tuple(map(ipaddress.IPv6Network, ("64:ff9b:1::/48", "2002::/16", "::/96", "2001::/32")))
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Forbidden(OSError):
    """The host is in a private network that is not allowed, or nobody can tell; says neither its name nor address."""

    def __init__(self, why: str = f"an address of a private network that {ALLOW} does not name") -> None:
        super().__init__(why)


@dataclass(frozen=True, slots=True)
class Rules:
    """What may be reached beside public addresses: networks, and hosts by name, each at one port or (0) at any."""

    networks: tuple[tuple[Network, int], ...] = ()
    names: frozenset[tuple[str, int]] = frozenset()

    def allow(self, host: str, port: int, address: Address) -> bool:
        """Tell whether a host may be reached at this address, one of those its name means."""
        if is_public(address) or {(host.lower().rstrip("."), number) for number in (0, port)} & self.names:
            return True
        plain = getattr(address, "ipv4_mapped", None) or address
        return any(plain in network and number in (0, port) for network, number in self.networks)


def rules(environ: Mapping[str, str] = os.environ) -> Rules:
    """Return the rules of this machine.

    Raises:
        ValueError: the variable cannot be meant; the message says which part of it.
    """
    usual = "" if environ.get(ENV) == "production" else HERE
    return _read(environ.get(ALLOW, usual))


@lru_cache(maxsize=8)
def _read(text: str) -> Rules:
    networks, names = list[tuple[Network, int]](), set[tuple[str, int]]()
    for number, part in enumerate(filter(None, map(str.strip, text.split(","))), start=1):
        host, port = _part(part, number)
        try:
            networks.append((ipaddress.ip_network(host), port))
        except ValueError:
            if "/" in host or not host.replace("-", "a").replace(".", "a").replace("_", "a").isalnum():
                raise ValueError(f"{ALLOW}: part {number} is no network and no name of a host") from None
            names.add((host.lower().rstrip("."), port))
    return Rules(tuple(networks), frozenset(names))


def _part(text: str, number: int) -> tuple[str, int]:
    """Return the host or network and the port of "10.1.2.0/24", "lab.local:2576", "[fd00::1]:2576" or "fd00::/64"."""
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        port = port.removeprefix(":")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    else:
        host, port = text, ""
    if port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"{ALLOW}: the port of part {number} is none")
    return host, int(port or 0)


def is_public(address: Address | str) -> bool:
    """Tell whether an address is one of the public network, by whichever way it is written."""
    ip = ipaddress.ip_address(address.partition("%")[0]) if isinstance(address, str) else address
    if isinstance(ip, ipaddress.IPv6Address):
        if any(ip in network for network in OTHER_WAYS_TO_IPV4) and not ip.ipv4_mapped:
            return False
        ip = ip.ipv4_mapped or (ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF) if ip in NAT64 else ip)
    if ip.version == 6 and ip not in GLOBAL_V6:
        return False
    return ip.is_global and not ip.is_multicast and not any(ip in network for network in NOT_GIVEN_OUT)


def addresses(host: str, port: int) -> list[tuple[socket.AddressFamily, tuple[str, int]]]:
    """Return where a host is, each address checked; a form such as 0x7f.1 or 2130706433 is what the system makes of it.

    Raises:
        Forbidden: one of them may not be reached; then none is, for the name is not what it seems. Or the rules of
            this machine cannot be read.
        OSError: the name means nothing.
    """
    try:
        allowed = rules()
    except ValueError as error:
        raise Forbidden(str(error)) from None
    found = list[tuple[socket.AddressFamily, tuple[str, int]]]()
    for family, _, _, _, where in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        if not allowed.allow(host, port, ipaddress.ip_address(str(where[0]).partition("%")[0])):
            raise Forbidden
        found.append((family, where))  # type: ignore[arg-type]  # of IPv6 it has two more places
    return found


def check_literal(host: str, port: int) -> None:
    """Raise Forbidden for an address, or this machine's name, that may not be reached; for where a proxy connects.

    Any other name is looked up by the proxy, which has rules of its own.
    """
    try:
        socket.inet_aton(host)
    except OSError:
        is_literal = ":" in host or host.lower().rstrip(".").rpartition(".")[2] == "localhost"
    else:
        is_literal = True
    if is_literal:
        addresses(host, port)


def connected(address: tuple[str, int], wait_s: float, source: tuple[str, int] | None = None) -> socket.socket:
    """Connect as `socket.create_connection` does, but to checked addresses, few of them, within `wait_s` all told.

    Raises:
        Forbidden: the host may not be reached.
        OSError: none of its addresses answered in time. The look-up of the name keeps its own time.
    """
    where = addresses(*address)
    return _first(where[:MOST_ADDRESSES], time.monotonic() + wait_s, wait_s, source)


def _first(
    where: Iterable[tuple[socket.AddressFamily, tuple[str, int]]],
    until_s: float,
    wait_s: float,
    source: tuple[str, int] | None,
) -> socket.socket:
    failure = OSError("a host without an address")
    for family, at in where:
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.settimeout(max(until_s - time.monotonic(), 0.001))
            if source:
                sock.bind(source)
            sock.connect(at)
        except OSError as error:
            sock.close()
            failure = error
        else:
            sock.settimeout(wait_s)
            return sock
    raise failure
