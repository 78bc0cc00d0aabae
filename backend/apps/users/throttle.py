"""Slows down guessing of passwords, by address and by login; without it a weak password falls in an afternoon."""

from __future__ import annotations

import ipaddress
import logging
import time
from dataclasses import dataclass

import redis
from django.core.cache import cache
from django.utils.crypto import salted_hmac

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limit:
    name: str
    most: int  # failures in one window
    window_s: int


BY_ADDRESS = Limit("address", most=60, window_s=60)  # a whole clinic may share one address
BY_LOGIN = Limit("login", most=10, window_s=900)


def attempt(address: str, login: str = "", *, by: Limit = BY_ADDRESS) -> int | None:
    """Count one attempt; return how many seconds to wait when there were too many, else None.

    Redis holds keyed digests, never an address or a login. While Redis is away nobody is refused: the password hash is
    slow by itself, and a clinic must be able to sign in.
    """
    try:
        waits = [over(limit, who) for limit, who in _limits(address, login, by)]
    except redis.RedisError:
        log.warning("sign-in throttle is off: Redis does not answer")
        return None
    return max((wait for wait in waits if wait), default=None)


def forgive(address: str, login: str = "", *, by: Limit = BY_ADDRESS) -> None:
    """Take back an attempt that was right, so that only failures count; the login begins anew."""
    try:
        for limit, who in _limits(address, login, by):
            if limit is BY_LOGIN:
                cache.delete(_key(limit, who))
            else:
                cache.incr(_key(limit, who), -1)
    except (redis.RedisError, ValueError):  # ValueError: the window has just ended
        log.info("sign-in throttle: nothing to forgive")


def first_over(address: str, *, by: Limit) -> bool:
    """Return whether nobody was told yet in this window that there were too many attempts from here."""
    try:
        return bool(cache.add(f"{_key(by, network(address))}:told", 1, timeout=by.window_s))
    except redis.RedisError:
        return True


def _limits(address: str, login: str, by: Limit) -> list[tuple[Limit, str]]:
    found = [(by, network(address))]
    if login:
        found.append((BY_LOGIN, login.strip().lower()))
    return found


def over(limit: Limit, who: str) -> int | None:
    """Count one try of `who`; return the seconds to wait when there were too many in this window.

    Raises:
        redis.RedisError: nobody counts.
    """
    key = _key(limit, who)
    cache.add(key, 0, timeout=limit.window_s)
    try:
        count = cache.incr(key)
    except ValueError:  # the window ended between the two commands
        return None
    return limit.window_s - int(time.time()) % limit.window_s if count > limit.most else None


def _key(limit: Limit, who: str) -> str:
    window = int(time.time()) // limit.window_s
    return f"throttle:{limit.name}:{window}:{salted_hmac('users.throttle', who).hexdigest()}"


def network(address: str) -> str:
    """Return what one customer of a provider holds: an IPv4 address, or the /64 of an IPv6 address."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    return str(ip if ip.version == 4 else ipaddress.ip_network((ip, 64), strict=False))
