"""Writes the audit log: one row for each read, write, search, refusal and sign-in. No row, no answer."""

from __future__ import annotations

import ipaddress
from typing import Any
from uuid import UUID

from django.db import models
from django.http import HttpRequest

from backend.apps.core.models import AuditLog


def record(
    request: Any,
    action: str,
    resource_type: str,
    resource_id: str = "",
    *,
    outcome: str = AuditLog.Outcome.ALLOWED,
    patient_id: UUID | None = None,
    detail: dict[str, Any] | None = None,
    user: Any = None,
) -> AuditLog:
    """Add one row about `request` (Django's or DRF's; None for a machine).

    detail: names of fields, counts and ids; never values.
    """
    who: Any = user if user is not None else getattr(request, "user", None)
    return AuditLog.objects.create(
        user_id=who.pk if getattr(who, "is_authenticated", False) else None,
        action=action[:60],
        resource_type=resource_type[:60],
        resource_id=str(resource_id)[:64],
        patient_id=patient_id,
        outcome=outcome,
        detail=detail or {},
        **_origin(request),
    )


def log_phi_access(
    user: Any,
    action: str,
    resource: models.Model,
    request: Any = None,
    detail: dict[str, Any] | None = None,
) -> AuditLog:
    """Add one row: `user` did `action` ("retrieve", "download") to the row `resource`."""
    return record(
        request,
        action,
        resource._meta.model_name or "",
        str(resource.pk),
        patient_id=patient_of(resource),
        detail=detail,
        user=user,
    )


def patient_of(row: Any) -> UUID | None:
    """Return the patient a row is about, by the path its access rule names; None when it is about no patient."""
    path = getattr(getattr(type(row), "access", None), "patient", None)
    for step in (path or "").split("__"):
        row = getattr(row, step, None) if step else None
    return row if isinstance(row, UUID) else None


def _origin(request: Any) -> dict[str, str | None]:
    if request is None:
        return {}
    plain: HttpRequest = getattr(request, "_request", request)
    return {
        "ip_address": _ip(plain.META.get("REMOTE_ADDR", "")),
        "user_agent": "".join(c for c in plain.headers.get("User-Agent", "") if c.isprintable())[:300],
        "request_id": getattr(plain, "request_id", ""),
    }


def _ip(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None
