"""Lets an administrator make an exception for some hours, with a reason; else late paper would stop a clinic."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from backend.apps.core import alerts
from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import Alert, Clinic
from backend.apps.credentials.entitlement import name_of
from backend.apps.credentials.models import LONGEST_OVERRIDE, CredentialOverride
from backend.apps.doctors.models import Doctor

KIND = "credential_override"
WINDOW, MOST_IN_WINDOW = timedelta(days=30), LONGEST_OVERRIDE  # of one doctor and type, all exceptions together


@transaction.atomic
def grant(
    *, by: Any, hours: int | None = None, expires_at: datetime | None = None, **fields: Any
) -> CredentialOverride:
    """Let a doctor do for `hours`, or until `expires_at`, what a missing credential forbids; 72 hours at most.

    All of one doctor and type within 30 days are 72 hours at most too: more would be work without the credential.
    While one is in force no other of the type is made: each needs a reason of its own, after the one before.
    """
    now = timezone.now()
    if (hours is None) == (expires_at is None):
        raise DomainError("Say for how many hours, or until when, the exception lasts.")
    until = expires_at or now + timedelta(hours=hours or 0)
    row = CredentialOverride(**fields, granted_by=by, granted_at=now, expires_at=until)
    row.reason = row.reason.strip()
    _lock(row.doctor)
    _refuse(row)
    row.full_clean()
    row.save(force_insert=True)
    _tell(row)
    return row


@transaction.atomic
def end(override: CredentialOverride, *, by: Any) -> CredentialOverride:
    """End an exception before its time; what was done meanwhile stands."""
    now = timezone.now()
    mine = CredentialOverride.objects.filter(pk=override.pk, ended_at=None, expires_at__gt=now)
    if not mine.update(ended_at=now, ended_by=by, updated_at=now):
        raise DomainError("This exception has ended already.")
    override.refresh_from_db()
    alerts.clear(cause_of(override))
    return override


def clear_ended() -> int:
    """Clear the alerts of exceptions that are over by the database's clock; return how many. Safe to repeat."""
    told = {cause.rpartition(":")[2]: cause for cause in alerts.open_causes(KIND)}
    over = CredentialOverride.all_objects.filter(Q(expires_at__lte=Now()) | Q(ended_at__isnull=False), pk__in=told)
    return alerts.clear(*(told[str(key)] for key in over.values_list("pk", flat=True))) if told else 0


def cause_of(override: CredentialOverride) -> str:
    return f"credential override:{override.pk}"


def _lock(doctor: Doctor) -> None:
    """Let one exception be made after the other."""
    list(Doctor.objects.select_for_update(no_key=True).filter(pk=doctor.pk).values_list("pk"))


def _refuse(row: CredentialOverride) -> None:
    if row.granted_by is not None and row.granted_by == row.doctor.user:
        raise DomainError("Somebody else has to make this exception: nobody makes one for themselves.")
    if row.expires_at <= row.granted_at:
        raise DomainError("This time has passed; choose a later one.")
    if row.expires_at > row.granted_at + LONGEST_OVERRIDE:
        raise DomainError("An exception lasts 72 hours at most.")
    others = CredentialOverride.objects.filter(doctor=row.doctor, credential_type=row.credential_type, ended_at=None)
    last = others.filter(expires_at__gt=row.granted_at).first()
    if last is not None:
        raise DomainError(f"There is an exception until {_when(last.expires_at)} already; end it first.")
    left = MOST_IN_WINDOW - _used(row)
    if row.expires_at - row.granted_at > left:
        told = f"{_hours(left)} of these are left"
        raise DomainError(f"Exceptions of one doctor and credential last 72 hours at most within 30 days; {told}.")


def _used(row: CredentialOverride) -> timedelta:
    """Return for how long exceptions of this doctor and type were in force within the 30 days before this one.

    What is soft-deleted counts: the work was done.
    """
    since = row.granted_at - WINDOW
    earlier = CredentialOverride.all_objects.filter(doctor=row.doctor, credential_type=row.credential_type)
    spans = earlier.filter(expires_at__gt=since).values_list("granted_at", "expires_at", "ended_at")
    return sum((_length(max(begin, since), min(end, ended or end)) for begin, end, ended in spans), timedelta())


def _length(begin: datetime, end: datetime) -> timedelta:
    return max(end - begin, timedelta())


def _hours(left: timedelta) -> str:
    whole = max(left, timedelta()) // timedelta(hours=1)
    return f"{whole} hour{'' if whole == 1 else 's'}"


def _tell(row: CredentialOverride) -> None:
    what, until = name_of(row.credential_type), _when(row.expires_at)
    sentence = f"Until {until} an administrator lets doctor {row.doctor_id} go on without a valid {what}."
    alerts.open_once(
        cause_of(row),
        kind=KIND,
        severity=Alert.Severity.WARNING,
        sentence=sentence,
        subject=row,
    )


def _when(moment: datetime) -> str:
    return f"{moment.astimezone(Clinic.current().zone):%Y-%m-%d %H:%M}"
