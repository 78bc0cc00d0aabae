"""Says which patients' records are open to a doctor by break-glass; object rules and the audit log both ask here."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.apps import apps
from django.db.models import OuterRef, QuerySet
from django.db.models.functions import Now

from backend.apps.core.roles import Role

GRACE = timedelta(minutes=1)  # a look that began before the end may be written down after it
# SQL for what is added to `detail` of an audit row; its values: the user, and twice the patient (NULL: none is known,
# as of a list: then all that are open are told).
MARK = """COALESCE((SELECT jsonb_build_object('break_glass', jsonb_agg(id::text ORDER BY id))
    FROM patients_emergencyaccess
    WHERE user_id = %s AND ends_at > statement_timestamp() - interval '1 minute'
    AND (%s::uuid IS NULL OR patient_id = %s) HAVING count(*) > 0), '{}'::jsonb)"""


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


def undone(user: Any) -> QuerySet[Any]:
    """Return the looks at the patient of an outer row, which links `user` to them, that were not justified and as part
    of which the row was made: from the opening to the verdict, and by nobody else.
    """
    judged = _of(user).filter(verdict="not_justified", patient_id=OuterRef("patient_id"))
    made = judged.filter(started_at__lte=OuterRef("created_at") + GRACE, reviewed_at__gte=OuterRef("created_at"))
    return made.exclude(kept_links__contains=[OuterRef("pk")])


def _of(user: Any) -> QuerySet[Any]:
    return apps.get_model("patients.EmergencyAccess")._base_manager.filter(user=user, is_deleted=False)
