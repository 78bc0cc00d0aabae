"""The rules each type of credential is watched by; without it every caller would fill in the usual ones by itself."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from django.db import transaction

from backend.apps.core import dispatch
from backend.apps.core.bases import save_changes
from backend.apps.core.exceptions import Conflict, DomainError
from backend.apps.core.models import Clinic
from backend.apps.core.roles import Role
from backend.apps.credentials.models import CredentialPolicy, CredentialRules, Needed
from backend.apps.employees.models import CredentialType
from backend.apps.users.models import User

SWEEP = "credentials.sweep"  # the task of `workers.credentials`
NEEDED_FOR = {
    CredentialType.STATE_LICENSE: [Needed.APPOINTMENTS, Needed.PRESCRIPTIONS, Needed.CLAIMS],
    CredentialType.DEA: [Needed.CONTROLLED_SUBSTANCES],
}
USUAL: Mapping[str, CredentialPolicy] = MappingProxyType(
    {
        str(kind): CredentialPolicy(
            credential_type=str(kind), needed_for=[str(one) for one in NEEDED_FOR.get(kind, ())]
        )
        for kind in CredentialType
    }
)


def of_types() -> dict[str, CredentialPolicy]:
    """Return the rules of every type, by one query; a type without a row has the usual ones, unsaved."""
    return {**USUAL, **{row.credential_type: row for row in CredentialPolicy.objects.all()}}


@transaction.atomic
def set_policy(*, by: Any, **fields: Any) -> CredentialPolicy:
    """Write down the rules of one type; the next sweep, which is asked for, looks at its credentials by them."""
    row = CredentialPolicy(**fields)
    row.full_clean()
    row.save(force_insert=True)
    dispatch.ring(SWEEP)
    return row


@transaction.atomic
def change(row: CredentialPolicy, *, by: Any, **fields: Any) -> CredentialPolicy:
    """Change the rules of one type; what was told already is not told again by the new ones."""
    if fields.get("credential_type", row.credential_type) != row.credential_type:
        raise DomainError("The rules stay with their type; write down those of the other type beside them.")
    save_changes(row, fields)
    dispatch.ring(SWEEP)
    return row


@transaction.atomic
def write_rules(*, by: Any, **fields: Any) -> CredentialRules:
    """Write the one row there is."""
    row = CredentialRules(**fields)
    row.full_clean()
    _refuse_officer(row)
    list(Clinic.objects.select_for_update(no_key=True).order_by("pk")[:1])  # two at once: the second finds the first
    if CredentialRules.objects.exists():
        raise Conflict("There are rules already; change those.")
    row.save(force_insert=True)
    return row


@transaction.atomic
def change_rules(row: CredentialRules, *, by: Any, **fields: Any) -> CredentialRules:
    save_changes(row, fields)
    _refuse_officer(row)
    return row


def _refuse_officer(row: CredentialRules) -> None:
    officer = row.compliance_officer
    if officer is not None and not sees_to_it(officer):
        raise DomainError("The compliance officer is an administrator whose login is open: they see all credentials.")


def sees_to_it(officer: User) -> bool:
    """Return whether what is told a compliance officer may be told this one, who has to open what it is about."""
    return officer.role == Role.ADMIN and officer.is_active and not officer.is_deleted
