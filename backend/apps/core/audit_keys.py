"""The keys of the audit log: the one that signs, which the database never holds, and those that signed before it."""

from __future__ import annotations

import base64
from functools import cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings

from backend.apps.core import merkle


def signer() -> Ed25519PrivateKey:
    """Return the key that signs now."""
    return _signer(settings.AUDIT_KEY)


def known() -> merkle.Keys:
    """Return every public key whose signatures count, by name."""
    return _known(settings.AUDIT_KEY, tuple(settings.AUDIT_KEYS_OLD))


def name() -> str:
    return merkle.key_id(signer().public_key())


def public() -> str:
    """Return the public key as CARERELAY_AUDIT_KEYS_OLD takes it."""
    return base64.b64encode(merkle.raw(signer().public_key())).decode()


def sign(said: bytes) -> bytes:
    return signer().sign(said)


@cache
def _signer(text: str) -> Ed25519PrivateKey:
    return merkle.signer(text)


@cache
def _known(text: str, old: tuple[str, ...]) -> merkle.Keys:
    keys = [_signer(text).public_key(), *map(merkle.reader, old)]
    return {merkle.key_id(key): key for key in keys}
