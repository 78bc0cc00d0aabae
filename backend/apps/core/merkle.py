"""The arithmetic of the audit log's seals: Merkle roots, the chain, signatures. Pure: no database, clock or settings.

A leaf is SHA-256 of "\\0" and the digest of a row, a node that of "\\1" and its two children (RFC 6962, section 2.1: a
leaf never passes for a node). A last one without a neighbour goes up as it is, so no two lists have one root.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import reduce
from hashlib import sha256
from typing import Any, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

KEY, DIGEST = 16, 32
LEAF = KEY + DIGEST  # bytes of one row in the leaves of a seal
GENESIS = bytes(32)  # what the first seal follows
Bytes = bytes | memoryview  # as a binary column gives them
Keys = Mapping[str, Ed25519PublicKey]


class BadKey(ValueError):
    """Not a key we can sign or verify with; the message holds nothing of it."""


class Sealed(Protocol):
    """What the hash of a seal is taken of; `core.models.AuditSeal` has it."""

    n: int
    kind: str
    from_xid: int
    to_xid: int
    rows: int
    leaves: Any
    root: Any
    prev: Any
    key_id: str
    cluster: str
    sealed_at: datetime


def split(leaves: Bytes) -> Iterator[bytes]:
    """Yield the leaf of each row: its key and its digest."""
    whole = bytes(leaves)
    return (whole[at : at + LEAF] for at in range(0, len(whole), LEAF))


def root(leaves: Bytes) -> bytes:
    """Return the Merkle root over the digests in `leaves`."""
    level = [sha256(b"\0" + leaves[at + KEY : at + LEAF]).digest() for at in range(0, len(leaves), LEAF)]
    return climb(level)


def climb(level: list[bytes]) -> bytes:
    """Return the root above these hashes; of none it is the hash of nothing."""
    if not level:
        return sha256(b"").digest()
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2], strict=False)
        level = [_node(left, right) for left, right in pairs] + level[len(level) & ~1 :]
    return level[0]


class Tree:
    """The same root, of leaves that are given one by one: it keeps one hash for each height, whatever their number."""

    def __init__(self) -> None:
        self.rows = 0
        self._open: list[bytes | None] = []  # by height: a node that waits for its neighbour

    def add(self, digest: bytes) -> None:
        """Add the row of this digest."""
        node, self.rows = sha256(b"\0" + digest).digest(), self.rows + 1
        for height, left in enumerate(self._open):
            if left is None:
                self._open[height] = node
                return
            node, self._open[height] = _node(left, node), None
        self._open.append(node)

    def root(self) -> bytes:
        waiting = [node for node in self._open if node is not None]
        return reduce(lambda right, left: _node(left, right), waiting) if waiting else sha256(b"").digest()


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\1" + left + right).digest()


def link(seal: Sealed) -> bytes:
    """Return the hash of a seal, over all that it says and the hash of the one before it."""
    lines = (
        "carerelay audit seal 1", seal.n, seal.kind, seal.from_xid, seal.to_xid, seal.rows, bytes(seal.root).hex(),
        sha256(seal.leaves).hexdigest(), bytes(seal.prev).hex(), seal.key_id, seal.cluster,
        seal.sealed_at.astimezone(UTC).isoformat(timespec="microseconds"),
    )  # fmt: skip
    return sha256("\n".join(map(str, lines)).encode()).digest()


def signer(text: str) -> Ed25519PrivateKey:
    """Return the key written as PEM, or as its seed of 32 bytes in base64.

    Raises:
        BadKey: it is neither.
    """
    try:
        if "PRIVATE KEY" in text:
            found = load_pem_private_key(text.replace("\\n", "\n").encode(), password=None)
            if isinstance(found, Ed25519PrivateKey):
                return found
            raise BadKey("The key of the audit log is not an Ed25519 key.")
        return Ed25519PrivateKey.from_private_bytes(base64.b64decode(text, validate=True))
    except (ValueError, TypeError, binascii.Error):
        raise BadKey("The key of the audit log is an Ed25519 key: PEM, or 32 bytes in base64.") from None


def reader(text: str) -> Ed25519PublicKey:
    """Return the public key written as its 32 bytes in base64.

    Raises:
        BadKey: it is not that.
    """
    try:
        return Ed25519PublicKey.from_public_bytes(base64.b64decode(text, validate=True))
    except (ValueError, binascii.Error):
        raise BadKey("A public key of the audit log is 32 bytes in base64.") from None


def raw(key: Ed25519PublicKey) -> bytes:
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def key_id(key: Ed25519PublicKey) -> str:
    """Return the name of a key: 16 hexadecimal digits of its SHA-256."""
    return sha256(raw(key)).hexdigest()[:16]


def is_signed(keys: Keys, name: str, signature: Bytes, said: Bytes) -> bool:
    """Return whether the key of this name, which we know, signed what was said."""
    if (key := keys.get(name)) is None:
        return False
    try:
        key.verify(bytes(signature), bytes(said))
    except InvalidSignature:
        return False
    return True
