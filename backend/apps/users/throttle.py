"""Slows down guessing by address; without it one machine could try a password at every login of the clinic."""

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
BY_ADDRESS_LONG = Limit("address-hour", most=600, window_s=3600)  # who goes on and on, through many logins


def try_to_sign_in(address: str) -> int | None:
    """Count one try to sign in from `address`; return how many seconds to wait when there were too many, else None."""
    waits = [attempt(address, by=limit) for limit in (BY_ADDRESS, BY_ADDRESS_LONG)]
    return max((wait for wait in waits if wait), default=None)


def forgive_sign_in(address: str) -> None:
    """Take back a try that was right, so that only failures count."""
    for limit in (BY_ADDRESS, BY_ADDRESS_LONG):
        forgive(address, by=limit)


def attempt(address: str, *, by: Limit = BY_ADDRESS) -> int | None:
    """Count one attempt; return how many seconds to wait when there were too many, else None.

    Redis holds keyed digests, never an address. While Redis is away nobody is refused by address: a login is still
    locked (`guards`), the password hash is slow by itself, and a clinic must be able to sign in.
    """
    try:
        return over(by, network(address))
    except redis.RedisError:
        log.warning("sign-in throttle is off: Redis does not answer")
        return None


def forgive(address: str, *, by: Limit = BY_ADDRESS) -> None:
    """Take back an attempt that was right, so that only failures count."""
    try:
        cache.incr(_key(by, network(address)), -1)
    except (redis.RedisError, ValueError):  # ValueError: the window has just ended
        log.info("sign-in throttle: nothing to forgive")


def first_over(address: str, *, by: Limit) -> bool:
    """Return whether nobody was told yet in this window that there were too many attempts from here."""
    try:
        return bool(cache.add(f"{_key(by, network(address))}:told", 1, timeout=by.window_s))
    except redis.RedisError:
        return True


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
