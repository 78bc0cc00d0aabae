"""One e-mail a day that tells each administrator what is due; without it nobody would see the staff as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from backend.apps.core.models import Clinic
from backend.apps.core.roles import Role
from backend.apps.credentials.models import (
    Audience,
    CredentialAlert,
    CredentialNotice,
    CredentialOverride,
    CredentialRules,
)
from backend.apps.credentials.notices import CALLED, Words, called, told_when
from backend.apps.doctors.models import DoctorCredential
from backend.apps.employees.models import CredentialType, Employee, EmployeeCredential
from backend.apps.employees.models.credentials import Credential
from backend.apps.users.models import User

LINES = 100  # credentials and exceptions that are named, each; of the rest the number is told
SPANS = (("expired", -1), ("within a week", 7), ("within 30 days", 30), ("later", None))
KINDS: tuple[type[Credential], ...] = (DoctorCredential, EmployeeCredential)
HOLDERS = ("doctor_credential__doctor__user", "employee_credential__employee__user")


@dataclass(frozen=True, slots=True)
class Due:
    """What an administrator has to see to.

    spans: how many open alerts by the day of expiry, as in SPANS. rejected: those without another one of their type.
    """

    spans: Sequence[int]
    renewals: int
    rejected: int
    exceptions: int

    @property
    def total(self) -> int:
        return sum(self.spans) + self.renewals + self.rejected + self.exceptions


def plan(day: date, *, now: datetime) -> int:
    """Plan the e-mail of `day` for each administrator, if anything is due; return how many. Safe to repeat."""
    keys = {f"digest:{day}:{user.pk}": user for user in User.objects.filter(role=Role.ADMIN, is_active=True)}
    planned = set(CredentialNotice.work.filter(dedupe_key__in=keys).values_list("dedupe_key", flat=True))
    missing = {key: user for key, user in keys.items() if key not in planned}
    if not missing or not CredentialRules.current().sends_digest or not due(day, now=now).total:
        return 0
    CredentialNotice.work.bulk_create(
        [
            CredentialNotice(audience=Audience.ADMINISTRATOR, recipient=user, day=day, dedupe_key=key)
            for key, user in missing.items()
        ],
        ignore_conflicts=True,
    )
    return len(missing)


def due(today: date, *, now: datetime) -> Due:
    spans, after = {}, None
    for name, days in SPANS:
        until = today + timedelta(days=days) if days is not None else None
        spans[name.replace(" ", "_")] = Count("pk", filter=_between(after, until))
        after = until
    found = open_alerts().aggregate(**spans)
    return Due(list(found.values()), _renewals(), _rejected(), exceptions(now).count())


def _between(after: date | None, until: date | None) -> Q:
    wanted = Q(expiry_date__gt=after) if after else Q()
    return wanted & Q(expiry_date__lte=until) if until else wanted


def open_alerts() -> QuerySet[CredentialAlert]:
    return CredentialAlert.objects.filter(closed_at__isnull=True).order_by("expiry_date", "id")


def exceptions(now: datetime) -> QuerySet[CredentialOverride]:
    rows = CredentialOverride.objects.filter(granted_at__lte=now, expires_at__gt=now, ended_at__isnull=True)
    return rows.order_by("expires_at", "id")


def _renewals() -> int:
    """Return how many renewed credentials nobody has checked yet."""
    return sum(
        _of_who_is_here(model)
        .filter(
            pk__in=model.objects.filter(replaced_by__isnull=False).values("replaced_by"),
            is_verified=False, rejected_at__isnull=True,
        )
        .count()
        for model in KINDS
    )  # fmt: skip


def _rejected() -> int:
    return sum(
        _of_who_is_here(model)
        .filter(rejected_at__isnull=False)
        .filter(~Exists(model.objects.filter(
            **{model.HOLDER: OuterRef(model.HOLDER)}, credential_type=OuterRef("credential_type"), rejected_at=None
        )))
        .count()
        for model in KINDS
    )  # fmt: skip


def _of_who_is_here(model: type[Credential]) -> QuerySet[Any]:
    """Return the credentials of those who have not left, as `ladder_sql` says."""
    holder = model.HOLDER
    here = {f"{holder}__is_deleted": False, f"{holder}__user__is_active": True, f"{holder}__user__is_deleted": False}
    file = f"{holder}__user__employee"
    left = {f"{file}__is_deleted": False, f"{file}__status__in": Employee.ENDED}
    found: QuerySet[Any] = model.objects.filter(**here).exclude(**left)
    return found


def write(*, clinic: Clinic, today: date, now: datetime) -> Words | None:
    """Write what is due by now; None if nothing is any more."""
    found = due(today, now=now)
    if not found.total:
        return None
    lines = [
        f"{clinic.name}: credentials of the staff on {today:%B} {today:%-d, %Y}",
        *(f"{name.capitalize()}: {count:,}" for (name, _), count in zip(SPANS, found.spans, strict=True)),
        f"Renewals to review: {found.renewals:,}",
        f"Rejected, to be filed anew: {found.rejected:,}",
        f"Exceptions in force: {found.exceptions:,}",
        "",
        *_named([_line(one, today) for one in open_alerts().select_related(*HOLDERS)[:LINES]], sum(found.spans)),
        *_named([_exception(one, clinic) for one in exceptions(now).select_related("doctor__user")[:LINES]],
                found.exceptions),
        f"{settings.PUBLIC_BASE_URL}/console/credentials/",
    ]  # fmt: skip
    count = sum(found.spans)
    return Words(
        f"{clinic.name}: {count:,} {'credential' if count == 1 else 'credentials'} due", "\n".join(lines) + "\n"
    )


def _named(lines: list[str], total: int) -> list[str]:
    more = [f"and {total - len(lines):,} more"] if total > len(lines) else []
    return [*lines, *more, ""] if lines else []


def _line(alert: CredentialAlert, today: date) -> str:
    one = alert.credential
    return f"{one.holder.full_name}: {called(one)} {told_when(alert.expiry_date, today)}"


def _exception(one: CredentialOverride, clinic: Clinic) -> str:
    until = timezone.localtime(one.expires_at, clinic.zone)
    return (
        f"{one.doctor.full_name}: may go on without {CALLED[CredentialType(one.credential_type)]} until "
        f"{until:%B} {until:%-d, %Y, %H:%M}"
    )
