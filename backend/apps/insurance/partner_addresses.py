"""Refuses addresses that tell a secret, and host keys that are none; else they would be found out when claims wait."""

from __future__ import annotations

import base64
import binascii
import ipaddress
from urllib.parse import SplitResult, urlsplit

from django.core.exceptions import ValidationError

SECRETS = "Write the address without a user name, a password or a query; the key belongs into the secret's file."
NO_KEY = "Write the whole public key of the server, as ssh-ed25519 AAAA..., or its fingerprint, as SHA256:..."
FINGERPRINT = "SHA256:"
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


def validate_host_key(text: str) -> None:
    """Refuse what nobody could read as pinned keys, one a line; the forms are those of the transport that reads them.

    Raises:
        ValidationError: no key, or one that is cut off or mistyped.
    """
    lines = [line.split() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if not lines or not all(map(_is_pin, lines)):
        raise ValidationError(NO_KEY)


def _is_pin(words: list[str]) -> bool:
    place = next((number for number, word in enumerate(words) if word.startswith((FINGERPRINT, "AAAA"))), None)
    if place is None:
        return False
    text = words[place].removeprefix(FINGERPRINT)
    try:
        value = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return False
    return len(value) == 32 if words[place].startswith(FINGERPRINT) else _is_key(value, words[place - 1 : place])


def _is_key(value: bytes, kind: list[str]) -> bool:
    """Whether it is whole: fields with their lengths, the first of which names its type. Source: RFC 4253, 6.6."""
    fields, rest = list[bytes](), value
    while len(rest) >= 4 and len(rest) - 4 >= (length := int.from_bytes(rest[:4], "big")):
        fields.append(rest[4 : 4 + length])
        rest = rest[4 + length :]
    return not rest and len(fields) > 1 and (not kind or kind[0].encode() == fields[0])


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
