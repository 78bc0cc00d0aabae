"""Break-glass: opens a record for an hour, tells of it at once, and has every opening reviewed by somebody else.

Only doctors need it: all other roles that may read charts see every patient. While it is open the doctor reads and
writes as for an own patient; what they write then links the patient to them for good, as it does anywhere else, unless
the review finds that it was not justified: then nothing counts that they wrote up to the verdict. What somebody else
wrote counts, such as a visit that the desk booked.
"""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Count, Min, Q, QuerySet
from django.db.models.functions import Least, Now
from django.utils import timezone

from backend.apps.core import alerts, emergency
from backend.apps.core.exceptions import Conflict, DomainError
from backend.apps.core.models import Alert, AuditLog
from backend.apps.core.statements import database_now
from backend.apps.patients.emergency_models import OPEN_FOR, REVIEWED_WITHIN, SHORTEST_REASON, EmergencyAccess, Verdict
from backend.apps.patients.models import Patient
from backend.apps.patients.services import formerly

OPENED, OVERDUE = "break_glass_opened", "break_glass_overdue"
OPEN = Q(ends_at__gt=Now())
UNREVIEWED = Q(verdict="")
MADE = ("create", "admin.create")  # what the audit log calls it, of the API and of FHIR, and of the admin
SEEN = "This patient's record is open to you already."
GONE = "This record was just merged with another one or removed. Find the patient anew."


def find(medical_record_number: str, date_of_birth: date) -> QuerySet[Patient]:
    """Return the patient on file under exactly this record number and birthday, whoever's patient it is."""
    number = medical_record_number.strip().upper()
    named = Q(medical_record_number=number) | formerly(number)
    return Patient.objects.filter(named, date_of_birth=date_of_birth)


@transaction.atomic
def break_glass(patient: Patient, *, by: Any, reason: str) -> EmergencyAccess:
    """Open the record for an hour by the database's clock, and tell whoever is on call.

    Raises:
        Conflict: the record is open to `by` already, or was merged or removed meanwhile.
        DomainError: the reason is too short.
    """
    reason = " ".join(reason.split())
    if len(reason) < SHORTEST_REASON:
        raise DomainError(f"Say why in at least {SHORTEST_REASON} characters.")
    # Of two tries at once the second finds it open, and a merge that has begun takes no open look to the other record.
    if not Patient.objects.select_for_update(no_key=True).filter(pk=patient.pk).values_list("pk").first():
        raise Conflict(GONE)
    if Patient.objects.visible_to(by).filter(pk=patient.pk).exists():
        raise Conflict(SEEN)
    opened: EmergencyAccess = EmergencyAccess.objects.create(
        user=by, patient=patient, reason=reason, started_at=Now(), ends_at=Now() + OPEN_FOR
    )
    opened.refresh_from_db()
    alerts.open_once(
        cause_of(opened),
        kind=OPENED,
        sentence="A doctor opened the record of a patient who is not theirs. Review whether it was justified.",
        subject=opened,
    )
    return opened


@transaction.atomic
def end(opened: EmergencyAccess, *, by: Any) -> EmergencyAccess:
    """Close the record now; whoever opened it or reviews it may."""
    if not EmergencyAccess.objects.filter(OPEN, pk=opened.pk).update(ends_at=Now(), updated_at=timezone.now()):
        raise Conflict("This access has ended already.")
    opened.refresh_from_db()
    return opened


@transaction.atomic
def review(opened: EmergencyAccess, *, by: Any, verdict: str, note: str = "") -> EmergencyAccess:
    """Say whether it was justified, once and by somebody else. One that was not ends at once, and so do its links.

    Raises:
        Conflict: it was reviewed already.
        DomainError: `by` opened it, it is open still and would be justified, or it was not justified and no note says
            why.
    """
    row = EmergencyAccess.objects.select_for_update(no_key=True).get(pk=opened.pk)
    if row.verdict:
        raise Conflict("This access was reviewed already.")
    if row.user_id == by.pk:
        raise DomainError("Somebody else has to review what you opened.")
    if verdict == Verdict.NOT_JUSTIFIED and not note.strip():
        raise DomainError("Say in the note why it was not justified.")
    if verdict == Verdict.JUSTIFIED and row.ends_at > database_now():
        raise DomainError("It is open still: end it first, or wait until it has ended.")
    told = {"verdict": verdict, "review_note": note.strip(), "reviewed_by": by, "reviewed_at": Now()}
    if verdict == Verdict.NOT_JUSTIFIED:
        told["kept_links"] = [*row.kept_links, *_of_others(row)]
    EmergencyAccess.objects.filter(pk=row.pk).update(**told, ends_at=Least("ends_at", Now()), updated_at=timezone.now())
    alerts.clear(cause_of(row))
    watch()
    row.refresh_from_db()
    return row


def watch() -> int:
    """Tell of accesses that nobody reviewed in time, in one alert; return how many there are. Safe to repeat."""
    late = EmergencyAccess.objects.filter(UNREVIEWED, ends_at__lt=Now() - REVIEWED_WITHIN)
    told = late.aggregate(many=Count("pk"), oldest=Min("ends_at"))
    if not told["many"]:
        alerts.clear(OVERDUE)
        return 0
    sentence = f"Emergency accesses that nobody reviewed within {REVIEWED_WITHIN.days} days: {told['many']}."
    alerts.open_once(OVERDUE, kind=OVERDUE, sentence=sentence, severity=Alert.Severity.CRITICAL)
    return int(told["many"])


def may_need(user: Any) -> bool:
    """Return whether there may be patients this user does not see and may open."""
    return emergency.may_have(user)


def refuse_shut(patient: Patient, *, by: Any) -> None:
    """Refuse a doctor to go on with what they began under a look that was not justified: it would link them anew.

    Raises:
        DomainError: it was `by` who looked, and nothing else makes the patient theirs.
    """
    shut = {"user": by, "patient": patient, "verdict": Verdict.NOT_JUSTIFIED}
    if not may_need(by) or not EmergencyAccess.objects.filter(**shut).exists():
        return
    if not Patient.objects.visible_to(by).filter(pk=patient.pk).exists():
        raise DomainError("This patient's record is not open to you any more. Open it with a reason first.")


def refuse_taking_over(patient: Patient, *, by: Any) -> None:
    """Refuse a doctor to take an older row over while their look waits for its review, which could not undo that.

    Raises:
        DomainError: nobody has reviewed yet that `by` opened the record.
    """
    if may_need(by) and EmergencyAccess.objects.filter(UNREVIEWED, user=by, patient=patient).exists():
        raise DomainError("Nobody has reviewed yet that you opened this record: book a visit of your own instead.")


def links_since(opened: EmergencyAccess) -> list[tuple[str, int]]:
    """Return [(kind of rows, how many)] that the doctor wrote of the patient since, which make it an own one."""
    others = {*opened.kept_links, *_of_others(opened)}
    mine = [rows.filter(is_deleted=False).exclude(pk__in=others) for rows in opened.links()]
    found = [(str(rows.model._meta.verbose_name_plural), rows.count()) for rows in mine]
    return [(name, many) for name, many in found if many]


def _of_others(opened: EmergencyAccess) -> list[UUID]:
    """Return the rows since the opening that link the patient to the doctor and that somebody else made.

    Who did is asked of the audit log; where it does not tell, the row counts as the doctor's.
    """
    keys = {str(key): key for rows in opened.links() for key in rows.values_list("pk", flat=True)}
    whose = Patient.all_objects.filter(Q(pk=opened.patient_id) | Q(merged_into=opened.patient_id)).values("pk")
    made = AuditLog.objects.filter(patient_id__in=whose, timestamp__gte=opened.started_at - emergency.GRACE)
    made = made.filter(action__in=MADE, outcome=AuditLog.Outcome.ALLOWED, resource_id__in=keys)
    others = made.filter(user__isnull=False).exclude(user=opened.user_id)
    return [keys[key] for key in sorted(set(others.values_list("resource_id", flat=True)))]


def cause_of(opened: EmergencyAccess) -> str:
    return f"break glass:{opened.pk}"


def seen(opened: EmergencyAccess) -> QuerySet[AuditLog]:
    """Return what the audit log has of what was done under it, the first thing first."""
    during = {"timestamp__gte": opened.started_at, "timestamp__lt": opened.ends_at + emergency.GRACE}
    mine = AuditLog.objects.filter(user=opened.user_id, detail__break_glass__contains=[str(opened.pk)], **during)
    return mine.order_by("timestamp", "pk")
