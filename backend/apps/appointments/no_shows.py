"""Writes once to who missed a visit; without it a missed visit would be the last the clinic hears of a patient."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from backend.apps.appointments import notices
from backend.apps.appointments.models import Appointment
from backend.apps.appointments.planning import Planner
from backend.apps.appointments.recalls import ahead_of
from backend.apps.messaging import tasks
from backend.apps.messaging.models import MessageKind, PatientMessage, StaffTask
from backend.apps.patients.contacts import points_of
from backend.apps.patients.models import Patient

OLD = timedelta(days=3)  # a visit cleared up later than that is no news to the patient
CORRECTED = "The visit does not count as missed any more."
UNREACHED = "Missed a visit and cannot be written to. Please call."


def follow_up(visit: Appointment) -> PatientMessage | None:
    """Plan the one message about a missed visit, for ten o'clock of the patient's next business day.

    Who cannot be written to is called, unless they come again anyway. Called in the transaction that marks the visit;
    twice is one row, and so are two visits missed within a few days. Whether it still helps is decided when it is due.
    """
    now, patient = timezone.now(), visit.patient
    if visit.appointment_datetime < now - OLD or _hears_of_another(visit, now):
        return None
    channel = notices.channel_for(patient, points_of([patient]))
    if channel is None:
        _ask_to_call(visit, now)
        return None
    due_at, until = notices.business_morning(now, Planner.load().hours_of(patient))
    return PatientMessage.work.enqueue(
        dedupe_key=f"no_show:{visit.pk}",
        due_at=due_at,
        patient=patient,
        channel=channel,
        wording=MessageKind.NO_SHOW,
        subject_id=visit.pk,
        scheduled_send_time=due_at,
        useful_until=until,
    )


def take_back(visit: Appointment, *, by: Any) -> None:
    """Take back the message or the task about a visit that was not missed; of another that was, the patient hears now.

    What a worker has begun to send stays: it decides again right before it speaks.
    """
    notices.take_back(MessageKind.NO_SHOW, [visit.pk], CORRECTED)
    for task in StaffTask.objects.filter(cause=f"no_show:{visit.pk}", done_at__isnull=True):
        tasks.complete(task, by=by, note=CORRECTED)
    others = Appointment.objects.filter(patient=visit.patient_id, status=Appointment.Status.NO_SHOW)
    last = others.filter(appointment_datetime__gte=timezone.now() - OLD).order_by("-appointment_datetime").first()
    if last is not None:
        follow_up(last)


def _hears_of_another(visit: Appointment, now: datetime) -> bool:
    """Whether the patient hears of another missed visit these days; nobody else writes to them meanwhile."""
    list(Patient._base_manager.select_for_update(no_key=True).filter(pk=visit.patient_id).values_list("pk"))
    told = PatientMessage.objects.filter(
        patient=visit.patient_id, wording=MessageKind.NO_SHOW, scheduled_send_time__gte=now - OLD
    )
    told = told.exclude(subject_id=visit.pk).exclude(status__in=notices.IN_VAIN)
    missed = Appointment.objects.filter(status=Appointment.Status.NO_SHOW)
    return missed.filter(pk__in=told.values("subject_id")).exists()


def _ask_to_call(visit: Appointment, now: datetime) -> None:
    cause = f"no_show:{visit.pk}"
    of_patient = StaffTask.objects.filter(patient=visit.patient_id, kind=StaffTask.Kind.CALL, done_at__isnull=True)
    if of_patient.filter(cause__startswith="no_show:").exclude(cause=cause).exists():
        return
    if not ahead_of([visit.patient_id], now).exists():
        tasks.open_once(StaffTask.Kind.CALL, cause, UNREACHED, patient=visit.patient, subject_id=visit.pk)


def why_not(visits: Collection[Appointment], *, now: datetime) -> dict[Any, str]:
    """Return for those of `visits` whose message must not go out why not, by key."""
    coming = set(ahead_of([visit.patient_id for visit in visits], now))
    told = {visit.pk: "The patient has another visit ahead." for visit in visits if visit.patient_id in coming}
    missed = {visit.pk for visit in visits if visit.status == Appointment.Status.NO_SHOW and not visit.is_deleted}
    corrected = {visit.pk: CORRECTED for visit in visits if visit.pk not in missed}
    return {**told, **corrected}
