"""Finds out whose machine asks, also behind proxies; without it all patients behind one would share one limit."""

from __future__ import annotations

import ipaddress

from django.conf import settings
from django.http import HttpRequest


def client_of(request: HttpRequest) -> str:
    """Return the address of whoever asks: the connection's own, or what proxies we trust have written before it.

    `X-Forwarded-For` may begin with anything its sender likes, so it is read from its end, and no further than
    `settings.TRUSTED_PROXIES` reach: so many proxies, or the networks they stand in.
    """
    nearest = request.META.get("REMOTE_ADDR", "")
    trusted = settings.TRUSTED_PROXIES
    way = [_bare(part) for part in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",") if part.strip()]
    if isinstance(trusted, int):
        found = way[-trusted] if 0 < trusted <= len(way) else nearest
        return found if _ip(found) else nearest
    for before in reversed(way):
        if not any(_is_within(nearest, network) for network in trusted) or not _ip(before):
            break
        nearest = before
    return nearest


def _is_within(address: str, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    ip = _ip(address)
    return ip is not None and ip in network


def _ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _bare(text: str) -> str:
    """Return an address without the port some proxies write: "192.0.2.1:4711", "[2001:db8::1]:4711"."""
    text = text.strip()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text
