"""Columns that only we can read; without this a copy of the database would show social security numbers."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from functools import lru_cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.db import models

PURPOSE = b"carerelay sealed column"


class CannotOpen(ValueError):
    """The value was sealed under a secret key that is no longer known."""


def seal(text: str) -> str:
    return _box(_keys()).encrypt(text.encode()).decode() if text else ""


def unseal(sealed: str) -> str:
    """Return what was sealed under the secret key or one of its predecessors (SECRET_KEY_FALLBACKS)."""
    try:
        return _box(_keys()).decrypt(sealed.encode()).decode() if sealed else ""
    except InvalidToken:
        raise CannotOpen("a sealed value does not open with the secret keys of the settings") from None


class SealedField(models.TextField):
    """Text that is encrypted in the database. It cannot be searched or sorted by."""

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> str | None:
        return value if value is None else unseal(value)

    def get_prep_value(self, value: Any) -> Any:
        return value if value is None else seal(str(value))


def _keys() -> tuple[str, ...]:
    return tuple(map(str, (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)))


@lru_cache(maxsize=4)
def _box(secrets: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(urlsafe_b64encode(_derived(secret))) for secret in secrets])


def _derived(secret: str) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=PURPOSE).derive(secret.encode())
