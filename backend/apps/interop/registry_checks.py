"""Looks the staff up in the registries that are loaded; without it their files would lie there unread."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.models import Prefetch, Q, QuerySet

from backend.apps.core import closed_values, roles
from backend.apps.core.models import Clinic
from backend.apps.credentials import registries
from backend.apps.credentials.models import RegistrySource
from backend.apps.credentials.models.registries import license_digest
from backend.apps.doctors.models import DoctorCredential
from backend.apps.employees.models import CredentialType, Employee
from backend.apps.users.models import User
from integrations.registries import Finding, Licence, Person, Registry
from integrations.registries.store import opened

BATCH = 500
# Who works here, and who may sign in without a file of HR.
STAFF = (
    (Q(employee__is_deleted=False) & ~Q(employee__status__in=Employee.ENDED))
    | Q(doctor__is_deleted=False, is_active=True)
    | (Q(is_active=True, role__in=roles.STAFF) & (Q(employee=None) | Q(employee__is_deleted=True)))
)
SOURCES = (RegistrySource.LEIE, RegistrySource.NPPES)  # first who may not bill at all
LICENCES = DoctorCredential.objects.filter(
    credential_type=CredentialType.STATE_LICENSE, rejected_at=None, replaced_by=None
).exclude(number="")


def folder() -> Path:
    """Return where the indexes of registries are kept."""
    return Path(settings.DATA_DIR) / "registries"


def check(source: str) -> Counter[str]:
    """Look everybody on the staff up in one registry and tell of who is not clear; return how many by outcome.

    Safe to run twice: one check a person and edition, and what has not changed is not written again.
    """
    with opened(source, folder()) as registry:
        registries.tell_age(source, _since(registry) if registry else None, Clinic.today())
        found = _check(registry) if registry else Counter[str]()
    return Counter({f"{source} {outcome}": count for outcome, count in found.items()})


def _since(registry: Registry) -> date:
    """Return how old the edition is by its own day or by that of its loading, whichever is the earlier one."""
    made = registry.edition
    return min(made.published_on, made.loaded_at.astimezone(Clinic.current().zone).date())


def _check(registry: Registry) -> Counter[str]:
    counts, seen = Counter[str](), set[Any]()
    source, edition, loaded_at = registry.edition.source, registry.edition.name, registry.edition.loaded_at
    for people in _batches(_staff(source)):
        answers = [registries.Answer(user.pk, *_answer(registry.look_up(_person(user)))) for user in people]
        counts += registries.note(source, edition, answers, loaded_at=loaded_at)
        seen |= {answer.user for answer in answers}
    registries.tell(source, seen)
    return counts


def _staff(source: str) -> QuerySet[User]:
    """Return whom this registry may know: of NPIs only those who have one."""
    rows = User.objects.filter(STAFF).select_related("doctor").order_by("pk")
    rows = rows.prefetch_related(Prefetch("doctor__credentials", queryset=LICENCES))
    return (
        rows if source == RegistrySource.LEIE else rows.filter(doctor__is_deleted=False).exclude(doctor__npi_number="")
    )


def _batches(rows: QuerySet[User]) -> Iterator[list[User]]:
    last, more = None, True
    while more:
        found = list(rows.filter(pk__gt=last)[:BATCH] if last else rows[:BATCH])
        if found:
            yield found
            last = found[-1].pk
        more = len(found) == BATCH


def _person(user: User) -> Person:
    doctor = getattr(user, "doctor", None)
    licences = doctor.credentials.all() if doctor else ()
    return Person(
        last_name=user.last_name,
        first_name=user.first_name,
        npi=doctor.npi_number if doctor else "",
        born_on=user.date_of_birth,
        licences=tuple(
            Licence(licence.state, number) for licence in licences if (number := closed_values.read(licence, "number"))
        ),
    )


def _answer(found: Finding) -> tuple[str, dict[str, Any]]:
    """Return the outcome and what is kept of the finding: nothing empty, and nobody's name."""
    told = {
        "by": found.by,
        "lines": list(found.lines),
        "entries": list(found.entries),
        "differs": list(found.differs),
        "excluded_on": found.excluded_on.isoformat() if found.excluded_on else "",
        "waived_in": found.waived_in,
        "licenses": sorted({license_digest(held.state, held.number) for held in found.licences}),
    }
    return str(found.verdict), {name: value for name, value in told.items() if value}
