"""Knows a partner's SSH server again; without it whoever answers at its address would be handed the claims."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass

FINGERPRINT = "SHA256:"
RSA = "ssh-rsa"
RSA_ALGORITHMS = ("rsa-sha2-512", "rsa-sha2-256")  # how a key of that type signs today; RFC 8332


@dataclass(frozen=True, slots=True)
class Pin:
    """One host key that is the partner's: its type, "" where only a fingerprint is known, and the SHA-256 of it."""

    kind: str
    digest: bytes

    def fits(self, key: bytes) -> bool:
        """Tell whether the key a server showed, in SSH's own encoding, is this one."""
        return hmac.compare_digest(hashlib.sha256(key).digest(), self.digest)


def pins(text: str) -> list[Pin]:
    """Return the pins of a text, one a line: while a partner changes its key, both are there.

    A line is "ssh-ed25519 AAAA... comment", "SHA256:...", or "ssh-rsa SHA256:..." where the server has keys of several
    types; a line of a known_hosts file is taken too.

    Raises:
        ValueError: no pin, or one that cannot be read.
    """
    found = [_pin(line.split()) for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if not found:
        raise ValueError("no host key")
    return found


def algorithms(wanted: list[Pin]) -> tuple[str, ...]:
    """Return the algorithms to ask the server for, so that it shows a key we can know; empty: whichever it likes."""
    if not all(pin.kind for pin in wanted):
        return ()
    named = [RSA_ALGORITHMS if pin.kind == RSA else (pin.kind,) for pin in wanted]
    return tuple(dict.fromkeys(name for names in named for name in names))


def _pin(words: list[str]) -> Pin:
    place = next((number for number, word in enumerate(words) if word.startswith((FINGERPRINT, "AAAA"))), None)
    if place is None:
        raise ValueError("a host key that is neither a key nor a SHA256 fingerprint")
    kind = words[place - 1] if place else ""
    if words[place].startswith(FINGERPRINT):
        return Pin(kind, _decoded(words[place].removeprefix(FINGERPRINT), size=hashlib.sha256().digest_size))
    return _whole(kind, _decoded(words[place]))


def _whole(kind: str, key: bytes) -> Pin:
    """Return the pin of a whole key, which names its type itself. Source: RFC 4253, 6.6."""
    length = int.from_bytes(key[:4], "big")
    told = key[4 : 4 + length].decode("ascii", "replace")
    if length > len(key) - 4 or (kind and kind != told):
        raise ValueError("a host key of another type than it says")
    return Pin(told, hashlib.sha256(key).digest())


def _decoded(text: str, *, size: int | None = None) -> bytes:
    try:
        value = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("a host key that is not base64") from None
    if size is not None and len(value) != size:
        raise ValueError("a fingerprint of another length")
    return value
