"""Tells a key somebody can guess from one a machine made; without it production would start with "changeme"."""

import base64
import math
from collections import Counter

from cryptography.hazmat.primitives.serialization import load_pem_private_key

SHORTEST = 40  # characters: more than 32 random bytes in base64 without its end
LEAST_BITS = 150  # of characters counted one by one; 40 random ones of base64 have about 190
BYTES = 32
LEAST_DIFFERENT = 16  # of 32 bytes; random ones have 28 or more
SHIPPED = ("development-only", "changeme", "insecure")


def weakness(text: str) -> str:
    """Return what makes this text a poor key, as in "it is short"; empty where nothing does."""
    if is_known_to_all(text):
        return "it is one of those that everybody knows"
    if len(text) < SHORTEST:
        return f"it has fewer than {SHORTEST} characters"
    if text in (text + text)[1:-1] or bits(text) < LEAST_BITS:
        return "it repeats itself"
    return ""


def is_known_to_all(text: str) -> bool:
    """Tell whether a key is like those in examples; then it must not even read what it once signed."""
    return any(word in text.lower() for word in SHIPPED)


def weakness_of_bytes(key: bytes) -> str:
    """Return what is wrong with a key of 32 bytes; empty where nothing is."""
    if len(key) != BYTES:
        return f"it is not {BYTES} bytes in base64"
    return "" if len(set(key)) >= LEAST_DIFFERENT else "it repeats itself"


def weakness_of_signer(text: str) -> str:
    """Return what is wrong with a private key, in PEM or as a seed of 32 bytes in base64; empty where nothing is."""
    try:
        if not text.startswith("-----BEGIN"):
            return weakness_of_bytes(base64.b64decode(text, validate=True))
        load_pem_private_key(text.encode(), None)
    except (ValueError, TypeError):  # what is no base64 too
        return "it is no private key"
    return ""


def bits(text: str) -> float:
    """Return how many bits its characters carry at most, each counted by how often it comes."""
    counts = Counter(text).values()
    return sum(-count * math.log2(count / len(text)) for count in counts)


def encoded(key: bytes) -> str:
    """Return a key of bytes as it is written in a setting, to be compared with others."""
    return base64.b64encode(key).decode()
