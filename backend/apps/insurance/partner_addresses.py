"""Refuses addresses of partners that hold a secret or send one in the clear; else it would stand in pages and logs."""

from __future__ import annotations

import ipaddress
from urllib.parse import SplitResult, urlsplit

from django.core.exceptions import ValidationError

SECRETS = "Write the address without a user name, a password or a query; the key belongs into the secret's file."
IN_THE_CLEAR = "The address begins with https://; http:// is for a server on this machine."


def validate_address(url: str) -> None:
    """Refuse what is no address of a partner's API. The sentence holds nothing of it.

    Raises:
        ValidationError: see the sentences.
    """
    parts = _parts(url)
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValidationError(SECRETS)
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_here(parts.hostname or "")):
        raise ValidationError(IN_THE_CLEAR)


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        is_whole = bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_whole = False
    if not is_whole or not url.isascii() or not url.isprintable() or " " in url:
        raise ValidationError("This is no address, as https://api.example.com/v1.")
    return parts


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
