"""Writes the audit log: one row for each read, write, search, refusal and sign-in. No row, no answer."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import cache
from operator import attrgetter
from typing import Any
from uuid import UUID

from django.db import models
from django.http import HttpRequest
from psycopg.types.json import Jsonb

from backend.apps.core import emergency, statements
from backend.apps.core.addresses import client_of
from backend.apps.core.models import AuditLog

WHOSE, ASSIGNED = "audited_patient", "assigned_patient_id"
STAMPED = "timestamp"  # by the database's own clock


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
    told = {"outcome": outcome, "patient_id": patient_id, "detail": detail or {}}
    row = _row(request, action, resource_type, resource_id, user=user, **told)
    _insert(row, under=emergency.may_have(_who(request, user)))
    return row


def _insert(row: AuditLog, *, under: bool) -> None:
    """Add the row; every request does, so its SQL is not worked out anew each time.

    under: let the database add the emergency accesses it was made under, which costs no query of its own.
    """
    sql, values_of = _statement(under)
    values = list(values_of(row))
    values[-1] = Jsonb(values[-1])
    values += [row.user_id, row.patient_id, row.patient_id] if under else []
    with statements.cursor() as cursor:
        cursor.execute(sql, values)
        (row.timestamp,) = cursor.fetchone()
    row._state.adding = False


@cache
def _statement(under: bool) -> tuple[str, attrgetter[tuple[Any, ...]]]:
    """Return the SQL, and what reads its values from a row, `detail` last; `under` takes those of `emergency.MARK`."""
    written = [field for field in AuditLog._meta.concrete_fields if field.name not in {STAMPED, "detail"}]
    columns = [*(str(field.column) for field in written), "detail"]
    names, places = ", ".join(f'"{name}"' for name in columns), ", ".join(["%s"] * len(columns))
    places += f" || {emergency.MARK}" if under else ""
    sql = f'INSERT INTO core_auditlog ({names}) VALUES ({places}) RETURNING "{STAMPED}"'  # noqa: S608  # our own names only
    return sql, attrgetter(*(field.attname for field in written), "detail")


def record_for_each(
    request: Any, action: str, resource_type: str, resource_id: str, *, patients: Iterable[UUID]
) -> None:
    """Add one row for each of the patients of whom something was shown, all in one statement."""
    named, mark = (action, resource_type, resource_id), emergency.marks(_who(request))
    AuditLog.objects.bulk_create(
        [_row(request, *named, patient_id=patient, detail=mark(patient)) for patient in sorted(set(patients))]
    )


def record_rows(request: Any, action: str, rows: Iterable[models.Model], *, detail: dict[str, Any]) -> None:
    """Add one row for each of the rows something was done to, all in one statement."""
    told = [(row._meta.model_name or "", str(row.pk), patient_of(row)) for row in rows]
    mark = emergency.marks(_who(request))
    AuditLog.objects.bulk_create(
        [
            _row(request, action, name, key, patient_id=patient, detail={**detail, **mark(patient)})
            for name, key, patient in told
        ]
    )


def _row(request: Any, action: str, resource_type: str, resource_id: str, *, user: Any = None, **told: Any) -> AuditLog:
    who = _who(request, user)
    return AuditLog(
        user_id=who.pk if getattr(who, "is_authenticated", False) else None,
        action=action[:60],
        resource_type=resource_type[:60],
        resource_id=str(resource_id)[:64],
        **_origin(request),
        **told,
    )


def _who(request: Any, user: Any = None) -> Any:
    return user if user is not None else getattr(request, "user", None)


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
    """Return the patient a row is about, by the path its access rule names; None when it is about no patient.

    A row that a person assigned to a patient is about them before it is filed.
    """
    path = getattr(getattr(type(row), "access", None), "patient", None)
    found = row
    for step in (path or "").split("__"):
        found = getattr(found, step, None) if step else None
    return found if isinstance(found, UUID) else getattr(row, ASSIGNED, None)


def patients_of(rows: Iterable[models.Model]) -> dict[str, list[str]]:
    """Return for `detail` whom a list of rows shows, so that `who-saw` finds the list; nothing where it shows nobody.

    One query for each kind of rows that lead to their patient through another table and do not carry it (`whose`).
    """
    shown, unknown = set[UUID | None](), dict[type[models.Model], list[Any]]()
    for row in rows:
        if WHOSE in row.__dict__:
            shown.add(row.__dict__[WHOSE])
        elif _carries(row):
            shown.add(patient_of(row))
        else:
            unknown.setdefault(type(row), []).append(row.pk)
    for model, keys in unknown.items():
        assigned = [ASSIGNED] if hasattr(model, ASSIGNED) else []
        found = model._base_manager.filter(pk__in=keys).order_by().values_list(_path(model), *assigned)
        shown.update(next(filter(None, one), None) for one in found)
    return {"patients": sorted(map(str, shown - {None}))} if shown - {None} else {}


def whose(rows: models.QuerySet[Any]) -> models.QuerySet[Any]:
    """Return the rows with whom each is about, where that stands in another table, so that a list asks no more."""
    path = _path(rows.model)
    return rows.annotate(**{WHOSE: models.F(path)}) if "__" in path else rows


def _path(model: type[models.Model]) -> str:
    return getattr(getattr(model, "access", None), "patient", None) or ""


def _carries(row: models.Model) -> bool:
    """Return whether a row's patient can be told without a query."""
    *steps, last = _path(type(row)).split("__")
    found: Any = row
    if not {last, ASSIGNED}.isdisjoint(row.get_deferred_fields()):
        return False
    for step in steps:
        if found is None or step not in found._state.fields_cache:
            return found is None
        found = found._state.fields_cache[step]
    return True


def _origin(request: Any) -> dict[str, str | None]:
    if request is None:
        return {}
    plain: HttpRequest = getattr(request, "_request", request)
    return {
        "ip_address": _ip(client_of(plain)),
        "user_agent": "".join(c for c in plain.headers.get("User-Agent", "") if c.isprintable())[:300],
        "request_id": getattr(plain, "request_id", ""),
    }


def _ip(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None
