"""Short texts sealed under the secret key: where a list goes on, say. Without it a link would show what it holds."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

from backend.apps.core.keyring import CannotOpen

PURPOSE = b"carerelay sealed column"


def seal(text: str) -> str:
    return _box(_keys()).encrypt(text.encode()).decode() if text else ""


def unseal(sealed: str) -> str:
    """Return what was sealed under the secret key or one of its predecessors (SECRET_KEY_FALLBACKS)."""
    try:
        return _box(_keys()).decrypt(sealed.encode()).decode() if sealed else ""
    except InvalidToken:
        raise CannotOpen("a sealed value does not open with the secret keys of the settings") from None


def _keys() -> tuple[str, ...]:
    return tuple(map(str, (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)))


@lru_cache(maxsize=4)
def _box(secrets: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(urlsafe_b64encode(_derived(secret))) for secret in secrets])


def _derived(secret: str) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=PURPOSE).derive(secret.encode())
