"""Which fields not everybody who sees a row sees whole. API, admin, filters, search and FHIR all ask this one table.

The administrator sees every field. A role that may read the rows and is not named sees the field masked, as ••••1234,
or not at all; it cannot filter, search or order by it, nor write it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db.models import Model

from backend.apps.core.roles import Role

HARMLESS = frozenset({"id", "created_at", "updated_at"})
SHOWN_END = 4  # characters of a masked value; none of one that is no longer than twice that


@dataclass(frozen=True, slots=True)
class FieldRule:
    """Who sees one field whole.

    roles: those of the staff, and patients of their own rows. people: paths from the row to logins that see it
    whatever their role ("user_id", "department.head.user_id"). masked: all others see how it ends; else nothing of it.
    """

    roles: frozenset[str] = frozenset()
    people: tuple[str, ...] = ()
    masked: bool = False

    def sees(self, user: Any, row: Any = None) -> bool:
        """Return whether `user` sees the field whole: of `row`, or without one of any row."""
        if self.sees_as(getattr(user, "role", "")):
            return True
        return row is not None and user is not None and any(_reached(row, path) == user.pk for path in self.people)

    def sees_as(self, role: str) -> bool:
        """Return whether the role alone lets somebody see the field whole."""
        return role == Role.ADMIN or role in self.roles


def rule(*roles: str, people: Iterable[str] = (), masked: bool = False) -> FieldRule:
    return FieldRule(frozenset(map(str, roles)), tuple(people), masked)


SELF, HEAD = "user_id", "department.head.user_id"
HR = rule()
RULES: Mapping[str, Mapping[str, FieldRule]] = MappingProxyType({
    "core.Clinic": {"tax_id": rule(Role.RECEPTIONIST)},
    "doctors.Doctor": {"dea_number": rule(Role.PHARMACIST, people=(SELF,), masked=True)},
    "doctors.DoctorCredential": {"number": rule(Role.DOCTOR, masked=True)},  # of a DEA registration too
    "employees.Employee": {
        "salary": rule(people=(SELF,)),
        "pay_frequency": rule(people=(SELF,)),
        "contract": rule(people=(SELF,)),
        "benefits_enrolled": rule(people=(SELF,)),
        "termination_reason": HR,
        "resume": rule(people=(SELF, HEAD)),
        "performance_rating": rule(people=(SELF, HEAD)),
        "pto_balance": rule(people=(SELF, HEAD)),
    },
    "insurance.BillingEntity": {"tax_id": HR},
    "insurance.PatientInsurance": {
        "member_id": rule(Role.RECEPTIONIST, Role.PHARMACIST, Role.PATIENT, masked=True),
        "policy_number": rule(Role.RECEPTIONIST, Role.PHARMACIST, Role.PATIENT, masked=True),
        "front_card_image": rule(Role.RECEPTIONIST, Role.PHARMACIST, Role.PATIENT),
        "back_card_image": rule(Role.RECEPTIONIST, Role.PHARMACIST, Role.PATIENT),
    },
    "insurance.RemittanceClaim": {"member_id": rule(Role.RECEPTIONIST, masked=True)},
    "prescriptions.Prescription": {"dea_number_used": rule(Role.PHARMACIST, people=("doctor.user_id",), masked=True)},
    "users.User": {"deactivated_because": HR},
})  # fmt: skip

# Roles that see these fields of a model and no others; roles that are not named see all that the rules above let them.
IDENTITY = frozenset({
    "id", "medical_record_number", "first_name", "middle_name", "last_name", "name_suffix", "full_name",
    "date_of_birth", "age", "gender",
})  # fmt: skip
DIRECTORY = frozenset({
    "id", "full_name", "specializations", "primary_specialization", "board_certified", "years_of_experience",
    "consultation_fee", "bio", "education", "languages", "is_accepting_patients",
})  # fmt: skip
WITHOUT_DEA = DIRECTORY | {"user", "license_number", "npi_number", "covering_doctor", "created_at", "updated_at"}
ONLY: Mapping[str, Mapping[str, frozenset[str]]] = MappingProxyType({
    "patients.Patient": {Role.LAB_TECH: IDENTITY, Role.PHARMACIST: IDENTITY | {"phone"}},
    "doctors.Doctor": {
        Role.PATIENT: DIRECTORY,
        Role.RECEPTIONIST: WITHOUT_DEA,
        Role.NURSE: WITHOUT_DEA,
        Role.LAB_TECH: WITHOUT_DEA,
    },
})  # fmt: skip


def mask(value: Any) -> str:
    """Return how a value ends, as ••••1234; of a short one nothing, and of none an empty text."""
    text = "" if value is None else str(value)
    return f"••••{text[-SHOWN_END:] if len(text) > 2 * SHOWN_END else ''}" if text else ""


def of(model: type[Model]) -> Mapping[str, FieldRule]:
    """Return the rules of a model, by field."""
    return RULES.get(model._meta.label, {})


def only(model: type[Model], user: Any) -> frozenset[str] | None:
    """Return the fields of a model that the user's role sees; None: no list of them is made."""
    return ONLY.get(model._meta.label, {}).get(getattr(user, "role", ""))


def hidden(model: type[Model], user: Any, row: Any = None) -> set[str]:
    """Return the fields of a model that `user` does not see whole: of `row`, or without one of any row."""
    return {name for name, one in of(model).items() if not one.sees(user, row)}


@cache
def rule_at(model: type[Model], path: str) -> FieldRule | None:
    """Return the rule of the field at the end of an ORM path from `model`; None where there is none."""
    for step in path.split("__"):
        if found := of(model).get(step):
            return found
        try:
            related = model._meta.get_field(step).related_model
        except FieldDoesNotExist:
            return None
        if not isinstance(related, type):
            return None
        model = related
    return None


def is_oracle(model: type[Model], path: str, user: Any) -> bool:
    """Return whether cutting or ordering rows by this path would tell `user` what they do not see."""
    plain = path.lstrip("-^=@$")
    found = rule_at(model, plain)
    if found is not None and not found.sees(user):
        return True
    owner, name = _end(model, plain)
    seen = only(owner, user)
    return seen is not None and name not in seen | HARMLESS and any(field.name == name for field in owner._meta.fields)


def _end(model: type[Model], path: str) -> tuple[type[Model], str]:
    """Return the last field an ORM path names, and the model it is of; what follows is a lookup."""
    owner, name = model, ""
    for step in path.split("__"):
        try:
            field = model._meta.get_field(step)
        except FieldDoesNotExist:
            break
        owner, name = model, field.name
        if not isinstance(field.related_model, type):
            break
        model = field.related_model
    return owner, name


def _reached(row: Any, path: str) -> Any:
    for step in path.split("."):
        row = getattr(row, step, None)
    return row
