"""Object rules: which rows of a model a user may see. API, admin, search and exports all ask here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeVar

from django.apps import apps
from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import BooleanField, F, Func, Model, Q, QuerySet

from backend.apps.core import emergency
from backend.apps.core.roles import Role

Rows = TypeVar("Rows", bound=QuerySet[Any])

# A doctor's own patients are those one of these rows links to the doctor.
CARE_LINKS = (
    "appointments.Appointment",
    "clinical_notes.ClinicalNote",
    "laboratory.LabOrder",
    "prescriptions.Prescription",
)


@dataclass(frozen=True, slots=True)
class Access:
    """How rows of one model belong to people, as ORM paths.

    patient: path from the row to its Patient's primary key ("patient_id", "pk" for Patient itself), None if the
        rows are about no patient.
    patient_user: path to the patient's login, so that patients see their own rows; "" hides the model from patients.
    patient_filter: what else must hold before the patient may see the row (only released results, say).
    doctor_user: path to the login of the doctor the row belongs to, seen by that doctor whoever the patient is.
    shared: reference data (medications, specialisations): everybody who passes the role table sees all rows.
    owners: paths to logins that see the row although their role does not see all rows (an employee's own file).
    sees_all: roles that see every row; the admin always does. None means: every staff role but doctors.
    common: with `sees_all`, which rows everybody who passes the role table sees (a template that belongs to nobody).
    """

    patient: str | None = None
    patient_user: str = ""
    patient_filter: Q = field(default_factory=Q)
    doctor_user: str = ""
    shared: bool = False
    owners: tuple[str, ...] = ()
    sees_all: frozenset[str] | None = None
    common: Q = field(default_factory=Q)


class Among(Func):
    """`value = ANY(array)`: PostgreSQL reads the array first and looks its few members up, three times as fast as IN
    where the value stands in another table.
    """

    template = "(%(expressions)s))"
    arg_joiner = " = ANY("
    output_field = BooleanField()


STAFF_ONLY = Access()
SHARED = Access(shared=True)


def of_patient(path: str = "patient", **more: Any) -> Access:
    """Return the rule of a row that belongs to the patient at `path` ("patient", "lab_order__patient")."""
    return Access(patient=f"{path}_id", patient_user=f"{path}__user", **more)


def visible(rows: Rows, user: Any) -> Rows:
    """Return those of `rows` that `user` may see; an anonymous, inactive or roleless user sees none."""
    if not getattr(user, "is_authenticated", False) or not user.is_active or user.role not in Role:
        return rows.none()
    access: Access = getattr(rows.model, "access", STAFF_ONLY)
    if user.role == Role.ADMIN or access.shared:
        return rows
    if user.role == Role.PATIENT:
        return _own(rows, user, access)
    if access.sees_all is not None:
        return rows if user.role in access.sees_all else _any(rows, user, access)
    if user.role == Role.DOCTOR and access.patient:
        return rows.filter(_of_own_patients(user, access))
    return rows


def own_patient_ids(user: Any) -> list[QuerySet[Any]]:
    """Return one subquery per kind of row that makes a patient this doctor's own.

    What they wrote while a record was open to them, and that was not justified, does not (`core.emergency`).
    """
    models, counts = [apps.get_model(label) for label in CARE_LINKS], emergency.Counts(user.pk)
    mine = [model._base_manager.filter(counts, doctor__user=user, is_deleted=False) for model in models]
    return [rows.values("patient_id") for rows in mine]


def _own(rows: Rows, user: Any, access: Access) -> Rows:
    if not access.patient_user:
        return _any(rows, user, access)
    return rows.filter(access.patient_filter, **{access.patient_user: user})


def _of_own_patients(user: Any, access: Access) -> Q:
    # Those whose record is open to the doctor by an emergency access count as own ones.
    allowed = Q(Among(F(access.patient or "pk"), ArraySubquery(emergency.patient_ids(user))))
    # A part of a row that itself links patient and doctor, as a result is of an order.
    if access.patient and "__" in access.patient:
        for ids in own_patient_ids(user):
            allowed |= Q(Among(F(access.patient), ArraySubquery(ids)))
        return allowed
    for ids in own_patient_ids(user):
        allowed |= Q(**{f"{access.patient}__in": ids})
    if access.doctor_user:
        relation = access.doctor_user.removesuffix("__user")
        own = apps.get_model("doctors.Doctor")._base_manager.filter(user=user).values("pk")
        allowed |= Q(**{f"{relation}__in": own})  # not a join: inside an OR it would be tried for every row
    return allowed


def _any(rows: Rows, user: Any, access: Access) -> Rows:
    wanted = access.common
    for path in access.owners:
        wanted |= _owned(rows.model, path, user)
    return rows.filter(wanted) if wanted else rows.none()


def _owned(model: type[Model], path: str, user: Any) -> Q:
    """Return that the login at `path` is the user's; by keys and not by a join, which an OR would try for every row."""
    first, _, rest = path.partition("__")
    if not rest:
        return Q(**{path: user.pk})
    step: Any = model._meta.get_field(first)
    return Q(
        Among(F(step.attname), ArraySubquery(step.related_model._base_manager.filter(**{rest: user.pk}).values("pk")))
    )
