"""Says which patients' records are open to a doctor by break-glass; object rules and the audit log both ask here."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.apps import apps
from django.db.models import BooleanField, F, Func, QuerySet
from django.db.models.functions import Now

from backend.apps.core.roles import Role

GRACE = timedelta(minutes=1)  # a look that began before the end may be written down after it
# SQL for what is added to `detail` of an audit row; its values: the user, and twice the patient (NULL: none is known,
# as of a list: then all that are open are told).
MARK = """COALESCE((SELECT jsonb_build_object('break_glass', jsonb_agg(id::text ORDER BY id))
    FROM patients_emergencyaccess
    WHERE user_id = %s AND ends_at > statement_timestamp() - interval '1 minute'
    AND (%s::uuid IS NULL OR patient_id = %s) HAVING count(*) > 0), '{}'::jsonb)"""
# SQL for `Counts`; its value: the user.
COUNTS = """NOT EXISTS (SELECT FROM patients_emergencyaccess look
    WHERE look.user_id = %s AND look.patient_id = {row}.patient_id AND look.verdict = 'not_justified'
    AND look.started_at <= {row}.created_at + interval '1 minute' AND look.reviewed_at >= {row}.created_at
    AND NOT look.is_deleted AND NOT look.kept_links @> ARRAY[{row}.id])"""


def may_have(user: Any) -> bool:
    """Return whether this user's view is one that an emergency access widens."""
    return getattr(user, "role", "") == Role.DOCTOR


def patient_ids(user: Any) -> QuerySet[Any]:
    """Return a query of the patients whose records are open to `user` now, by the database's clock."""
    return _of(user).filter(ends_at__gt=Now(), patient__is_deleted=False).values("patient_id")


def marks(user: Any) -> Callable[[UUID | None], dict[str, Any]]:
    """Return what says, of a patient, what `MARK` adds; for rows that are written many at once."""
    if not may_have(user):
        return lambda _: {}
    held = list(_of(user).filter(ends_at__gt=Now() - GRACE).order_by("pk").values_list("pk", "patient_id"))

    def mark(patient: UUID | None) -> dict[str, Any]:
        found = [str(pk) for pk, of in held if patient in (None, of)]
        return {"break_glass": found} if found else {}

    return mark


class Counts(Func):
    """Whether a row of `patient_id` and `created_at` counts as a link to its patient for the doctor of a login: it does
    unless it is part of a look that was not justified, made from the opening to the verdict and by nobody else.

    Each query of a doctor asks this for each kind of rows; worked out by Django, its SQL would cost more than the rest.
    """

    output_field = BooleanField()

    def __init__(self, user_id: UUID) -> None:
        super().__init__(F("patient_id"))
        self.user_id = user_id

    def as_sql(self, compiler: Any, connection: Any, *_: Any, **__: Any) -> tuple[str, tuple[Any, ...]]:
        (patient,) = self.get_source_expressions()
        column, _params = compiler.compile(patient)
        return COUNTS.format(row=column.rpartition(".")[0]), (self.user_id,)


def _of(user: Any) -> QuerySet[Any]:
    return apps.get_model("patients.EmergencyAccess")._base_manager.filter(user=user, is_deleted=False)
