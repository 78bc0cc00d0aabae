"""Gives PostgreSQL thousands of keys as one array; without it the driver would look at each member several times."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.db.models import BinaryField, F, UUIDField, Value
from django.db.models.functions import Cast

from backend.apps.core.scope import Among


def array_of(keys: Iterable[UUID | bytes]) -> str:
    r"""Return ids or digests as PostgreSQL reads an array: `{0191..., "\\x2f..."}`, to be cast to uuid[] or bytea[]."""
    return "{" + ",".join([f'"\\\\x{key.hex()}"' if isinstance(key, bytes) else key.hex for key in keys]) + "}"


def among_ids(path: str, keys: Iterable[UUID]) -> Among:
    """Return the condition that the id at `path` is one of these."""
    return Among(F(path), Cast(Value(array_of(keys)), ArrayField(UUIDField())))


def among_digests(path: str, digests: Iterable[bytes]) -> Among:
    """Return the condition that the blind index at `path` is one of these."""
    return Among(F(path), Cast(Value(array_of(digests)), ArrayField(BinaryField())))
