"""The keys that seal columns and make blind indexes, and the sealing itself; knows bytes and places, no models.

A sealed value is `MAGIC`, the id of its key (8 bytes), a nonce (12), and AES-256-GCM over the plain bytes (the last 16
are its tag). What it is bound to (table, column and row) is authenticated with it: elsewhere it does not open.
"""

from __future__ import annotations

import hmac
import os
from functools import lru_cache
from typing import NamedTuple, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

MAGIC = b"\xf6CR1"
ID_BYTES, NONCE_BYTES, TAG_BYTES = 8, 12, 16
HEAD = len(MAGIC) + ID_BYTES
OVERHEAD = HEAD + NONCE_BYTES + TAG_BYTES  # bytes by which a sealed value is longer than the plain one
INDEX_BYTES = 16

Entries = tuple[tuple[str, bytes], ...]  # id and 32 bytes of each key; the first writes


class CannotOpen(ValueError):
    """A sealed value was changed or moved, or its key is not known.

    column: as "insurance.PatientInsurance.member_id". row: its primary key. key_id: of the key it is under. Each is ""
    where it is not known.
    """

    column = row = key_id = ""

    @property
    def field(self) -> str:
        return self.column.rpartition(".")[2]

    def at(self, column: str, row: object, key_id: str) -> Self:
        self.column, self.row, self.key_id = column, str(row), key_id
        return self


class UnknownKey(CannotOpen):
    """A value is sealed under a key that is not in the settings."""


class Ring(NamedTuple):
    """head: what a new value begins with. box: seals it. known: what opens, by the id as it stands in a value."""

    head: bytes
    box: AESGCM
    known: dict[bytes, AESGCM]


def seal(plain: bytes, bound_to: bytes) -> bytes:
    ring = _ring(settings.FIELD_KEYS)
    nonce = os.urandom(NONCE_BYTES)
    return ring.head + nonce + ring.box.encrypt(nonce, plain, bound_to)


def unseal(sealed: bytes, bound_to: bytes) -> bytes:
    """Return the plain bytes.

    Raises:
        CannotOpen: not sealed, changed, moved, or under a key that is not in the settings.
    """
    if sealed[: len(MAGIC)] != MAGIC or len(sealed) < OVERHEAD:
        raise CannotOpen("a value that should be sealed is not")
    box = _ring(settings.FIELD_KEYS).known.get(sealed[len(MAGIC) : HEAD])
    if box is None:
        raise UnknownKey(f"a value is sealed under the key {key_id(sealed)}, which is not in CARERELAY_FIELD_KEYS")
    try:
        return box.decrypt(sealed[HEAD : HEAD + NONCE_BYTES], sealed[HEAD + NONCE_BYTES :], bound_to)
    except InvalidTag:
        raise CannotOpen("a sealed value was changed or moved, or its key has another value than it had") from None


def key_id(sealed: bytes) -> str:
    """Return the id of the key a value is sealed under, as far as it is one."""
    return sealed[len(MAGIC) : HEAD].rstrip(b"\0").decode("ascii", "replace")


def writing_id() -> str:
    """Return the id of the key new values are sealed under."""
    return str(settings.FIELD_KEYS[0][0])


def digests(domain: bytes, text: str) -> list[bytes]:
    """Return the blind index of a normalised value under each key: the first is the one that is written."""
    value = domain + b"\0" + text.encode()
    return [hmac.digest(key, value, "sha256")[:INDEX_BYTES] for _, key in settings.INDEX_KEYS]


def digest(domain: bytes, text: str) -> bytes:
    """Return the blind index of a normalised value as it is written."""
    return hmac.digest(settings.INDEX_KEYS[0][1], domain + b"\0" + text.encode(), "sha256")[:INDEX_BYTES]


@lru_cache(maxsize=4)
def _ring(entries: Entries) -> Ring:
    boxes = {name.encode().ljust(ID_BYTES, b"\0"): AESGCM(key) for name, key in entries}
    first = next(iter(boxes))
    return Ring(MAGIC + first, boxes[first], boxes)
