"""Finds who is due for a visit again, asks them a few times and then hands over; without it nobody would come back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime, time, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from backend.apps.appointments import notices
from backend.apps.appointments.models import (
    AWAITED,
    HOLDS_SLOT,
    Appointment,
    AppointmentStatus,
    Recall,
    RecallRule,
    RecallStatus,
)
from backend.apps.appointments.models.recalls import LIVE
from backend.apps.appointments.planning import Planner
from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import Clinic
from backend.apps.messaging.models import Channel, MessageKind, PatientMessage, StaffTask
from backend.apps.patients.contacts import points_of

MOST, APART = 3, timedelta(days=30)
WRITTEN_IN_VAIN = 2 * MOST  # so often at most, however few of them left
CHUNK = 500
FIRST_BY_MAIL = (Channel.EMAIL, Channel.SMS)  # nothing hurries, and texts to a number are few
ASKED_ENOUGH = "Due for a visit; three messages brought none. Please call."
UNREACHED = "Due for a visit and cannot be written to. Please call."
BOOKED, CAME = "A visit was booked.", "The patient came."
ALONE = "recalls.remind"

# Who is due is found before the first row is written: a scan that meets its own rows takes minutes for 100,000.
OPEN_BY_RULE = """
    WITH due AS MATERIALIZED (
        SELECT last.patient_id, (last.at AT TIME ZONE %(zone)s)::date + %(days)s AS due_on
        FROM (SELECT patient_id, max(appointment_datetime) AS at FROM appointments_appointment
              WHERE appointment_type = %(type)s AND status = 'completed' AND NOT is_deleted
              GROUP BY patient_id HAVING max(appointment_datetime) < %(before)s) AS last
        JOIN patients_patient ON patients_patient.id = last.patient_id AND NOT patients_patient.is_deleted
        LEFT JOIN (SELECT patient_id, max(created_at) AS at FROM appointments_recall
                   WHERE appointment_type = %(type)s AND NOT is_deleted GROUP BY patient_id) AS told
               ON told.patient_id = last.patient_id
        WHERE (told.at IS NULL OR told.at <= last.at)
          AND NOT EXISTS (SELECT FROM appointments_appointment AS ahead
                          WHERE ahead.patient_id = last.patient_id AND ahead.appointment_datetime > now()
                          AND ahead.status IN ('scheduled', 'confirmed') AND NOT ahead.is_deleted)
    )
    INSERT INTO appointments_recall (id, created_at, updated_at, is_deleted, patient_id, rule_id, appointment_type,
                                     due_on, reason, status, reminded_times)
    SELECT uuidv7(), now(), now(), false, patient_id, %(rule)s, %(type)s, due_on, '', 'open', 0 FROM due
    ON CONFLICT DO NOTHING"""


@transaction.atomic
def enter(*, by: Any, **fields: Any) -> Recall:
    """Note by hand that a patient is due."""
    recall = Recall(**fields)
    recall.full_clean()
    if recall.patient.is_deleted:
        raise DomainError("The patient is no longer on file.")
    recall.save(force_insert=True)
    return recall


@transaction.atomic
def dismiss(recall: Recall, *, by: Any) -> Recall:
    """Leave it: nobody is asked again before the next completed visit."""
    recall.move_to(RecallStatus.DISMISSED)
    _close([recall.pk], "The recall was dismissed.")
    return recall


def booked(visit: Appointment) -> None:
    """Close what the patient was due for, when a visit of that type is booked; called in the same transaction."""
    live = Recall.objects.filter(patient=visit.patient_id, appointment_type=visit.appointment_type, status__in=LIVE)
    if visit.has_begun or not live.update(status=RecallStatus.BOOKED, appointment=visit, updated_at=Now()):
        return
    _close(list(Recall.objects.filter(appointment=visit).values_list("pk", flat=True)), BOOKED)


def _close(recalls: Collection[Any], reason: str) -> None:
    notices.take_back(MessageKind.RECALL, recalls, reason)
    StaffTask.objects.filter(kind=StaffTask.Kind.RECALL, subject_id__in=recalls, done_at__isnull=True).update(
        done_at=Now(), note=reason, updated_at=Now()
    )


def open_due() -> int:
    """Open a recall for everybody an active rule says is due; return how many. One statement a rule; safe to repeat.

    Not for who has any visit ahead: a message may not name the kind of visit, so it would only puzzle them.
    """
    clinic = Clinic.current()
    return sum(_open_by(rule, clinic) for rule in RecallRule.objects.filter(is_active=True))


def _open_by(rule: RecallRule, clinic: Clinic) -> int:
    last_day = timezone.localdate(timezone=clinic.zone) - timedelta(days=rule.after_days)
    before = datetime.combine(last_day + timedelta(days=1), time(), clinic.zone)
    given: dict[str, Any] = {
        "rule": rule.pk,
        "type": rule.appointment_type,
        "zone": clinic.zone.key,
        "days": rule.after_days,
        "before": before,
    }
    with connection.cursor() as cursor:
        cursor.execute(OPEN_BY_RULE, given)
        return cursor.rowcount


@transaction.atomic
def settle() -> tuple[int, int]:
    """Close the recalls of who came without our booking it; open those again whose visit was cancelled or missed.

    Returns how many of each.
    """
    visits = Appointment.objects.filter(patient=OuterRef("patient"), appointment_type=OuterRef("appointment_type"))
    came = visits.filter(status=AppointmentStatus.COMPLETED, appointment_datetime__gt=OuterRef("created_at"))
    over = Recall.objects.filter(Exists(came), status__in=LIVE).select_for_update(no_key=True)
    closed = list(over.order_by("pk").values_list("pk", flat=True))
    if closed:
        Recall.objects.filter(pk__in=closed).update(status=RecallStatus.BOOKED, updated_at=Now())
        _close(closed, CAME)
    coming = visits.filter(status__in=HOLDS_SLOT)
    live = Recall.objects.filter(
        patient=OuterRef("patient"), appointment_type=OuterRef("appointment_type"), status__in=LIVE
    )
    lost = Recall.objects.filter(
        ~Exists(came),
        ~Exists(coming),
        ~Exists(live),
        status=RecallStatus.BOOKED,
        appointment__status__in=[AppointmentStatus.CANCELLED, AppointmentStatus.NO_SHOW],
    )
    newest = lost.order_by("patient_id", "appointment_type", "-created_at").distinct("patient_id", "appointment_type")
    again = Recall.objects.filter(pk__in=list(newest.values_list("pk", flat=True)))
    return len(closed), again.update(status=RecallStatus.OPEN, appointment=None, handed_over_at=None, updated_at=Now())


def remind(*, now: datetime) -> tuple[int, int]:
    """Write to those who are due, the longest overdue first; return how many messages and tasks were written.

    At most one message a patient in 30 days and three for one recall; then, or where nobody can be written to, the
    front desk has a task. At most RECALLS_A_DAY rows a run, so that a first run does not fill the lines for a day.
    Safe to repeat; after days of downtime it writes once. Of two runs at once one ends early: it could not see what the
    other has in hand, and would write to the same patient about something else.
    """
    clinic, planner = Clinic.current(), Planner.load()
    written, handed, after = 0, 0, None
    while written + handed < settings.RECALLS_A_DAY:
        with transaction.atomic():
            most = min(CHUNK, settings.RECALLS_A_DAY - written - handed)
            chunk = list(_due(now, clinic, after)[:most]) if _alone() else []
            if not chunk:
                break
            told, to_call = _sorted_out(chunk)
            written += _write(told, planner, now)
            handed += _hand_over(to_call)
        after = chunk[-1]
    return written, handed


def _alone() -> bool:
    """Whether no other run writes; none does then until our transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [ALONE])
        return bool(cursor.fetchone()[0])


def why_not(recalls: Collection[Recall], *, now: datetime) -> dict[Any, str]:
    """Return for those of `recalls` whose message must not go out why not, by key."""
    people = [recall.patient_id for recall in recalls]
    coming = set(ahead_of(people, now))
    told = {recall.pk: "The patient has a visit ahead." for recall in recalls if recall.patient_id in coming}
    closed = {recall.pk: f"The recall is {recall.status}." for recall in recalls if recall.status not in LIVE}
    return {**told, **closed}


def ahead_of(patients: Collection[Any], now: datetime) -> QuerySet[Any]:
    """Return the ids of those of `patients` who have any visit ahead."""
    visits = Appointment.objects.filter(patient__in=patients, status__in=AWAITED, appointment_datetime__gt=now)
    return visits.values_list("patient_id", flat=True)


def _due(now: datetime, clinic: Clinic, after: Recall | None) -> QuerySet[Recall]:
    ahead = Appointment.objects.filter(patient=OuterRef("patient"), status__in=AWAITED, appointment_datetime__gt=now)
    just_asked = Recall.objects.filter(patient=OuterRef("patient"), reminded_at__gt=now - APART)
    rows = Recall.objects.filter(
        ~Exists(ahead),
        ~Exists(just_asked),
        status__in=LIVE,
        handed_over_at__isnull=True,
        due_on__lte=timezone.localdate(now, clinic.zone),
        patient__is_deleted=False,
    )
    if after is not None:
        rows = rows.filter(Q(due_on__gt=after.due_on) | Q(due_on=after.due_on, pk__gt=after.pk))
    rows = rows.select_related("patient").order_by("due_on", "pk")
    return rows.select_for_update(no_key=True, skip_locked=True, of=("self",))


def _sorted_out(chunk: Sequence[Recall]) -> tuple[list[tuple[Recall, str]], list[tuple[Recall, str]]]:
    """Return whom to write to, by which channel, and whom the front desk should call, and why."""
    points, tries, asked = points_of(recall.patient for recall in chunk), _tries(chunk), set[Any]()
    told: list[tuple[Recall, str]] = []
    to_call: list[tuple[Recall, str]] = []
    for recall in chunk:
        channel = notices.channel_for(recall.patient, points, FIRST_BY_MAIL)
        enough = tries[recall.pk] >= MOST
        if enough or channel is None or recall.reminded_times >= WRITTEN_IN_VAIN:
            to_call.append((recall, ASKED_ENOUGH if enough else UNREACHED))
        elif recall.patient_id not in asked:
            told.append((recall, channel))
            asked.add(recall.patient_id)
    return told, to_call


def _tries(chunk: Sequence[Recall]) -> Counter[Any]:
    """Return by recall how many messages left or may yet; one that was too late, say, asked nobody."""
    written = PatientMessage.objects.filter(wording=MessageKind.RECALL, subject_id__in=[recall.pk for recall in chunk])
    return Counter(written.exclude(status__in=notices.IN_VAIN).values_list("subject_id", flat=True))


def _write(told: Sequence[tuple[Recall, str]], planner: Planner, now: datetime) -> int:
    PatientMessage.objects.bulk_create(
        (_message(recall, channel, planner, now) for recall, channel in told),
        ignore_conflicts=True,  # written before: the same message
    )
    keys = [recall.pk for recall, _ in told]
    return Recall.objects.filter(pk__in=keys).update(
        status=RecallStatus.REMINDED, reminded_times=F("reminded_times") + 1, reminded_at=now, updated_at=Now()
    )


def _message(recall: Recall, channel: str, planner: Planner, now: datetime) -> PatientMessage:
    due_at, until = notices.business_morning(now, planner.hours_of(recall.patient), spread_by=recall.pk)
    return PatientMessage(
        patient=recall.patient,
        channel=channel,
        wording=MessageKind.RECALL,
        subject_id=recall.pk,
        scheduled_send_time=due_at,
        due_at=due_at,
        useful_until=until,
        dedupe_key=f"recall:{recall.pk}:{recall.reminded_times + 1}",
    )


def _hand_over(to_call: Sequence[tuple[Recall, str]]) -> int:
    StaffTask.objects.bulk_create(
        (
            StaffTask(
                kind=StaffTask.Kind.RECALL,
                cause=f"recall:{recall.pk}",
                patient=recall.patient,
                subject_id=recall.pk,
                sentence=sentence,
            )
            for recall, sentence in to_call
        ),
        ignore_conflicts=True,  # an open task of the same cause
    )
    keys = [recall.pk for recall, _ in to_call]
    return Recall.objects.filter(pk__in=keys).update(handed_over_at=Now(), updated_at=Now())
