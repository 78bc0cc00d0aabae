"""Tells who was mailed a visit that it was cancelled; without it the visit would stay in the patient's calendar."""

from __future__ import annotations

from django.db.models import Q
from django.utils import timezone

from backend.apps.appointments import notices, timing
from backend.apps.appointments.models import Appointment, AppointmentReminder
from backend.apps.core.work import WorkState
from backend.apps.messaging.calendar_files import Entry
from backend.apps.messaging.models import Channel, MessageKind, PatientMessage
from backend.apps.patients.contacts import points_of

# Also what was cut off, or is on its way in this moment: nobody knows whether that arrives.
HAS_LEFT = (
    Q(sent_at__isnull=False) | Q(work_state=WorkState.HELD) | Q(work_state=WorkState.RUNNING, begun_at__isnull=False)
)


def tell(visit: Appointment) -> PatientMessage | None:
    """Plan the one e-mail about a visit that was cancelled, if an e-mail has brought it into the patient's calendar.

    Called in the transaction that cancels it; twice is one row. Whether it still helps is decided when it is due.
    """
    now = timezone.now()
    if visit.has_begun or not _was_mailed(visit):
        return None
    if notices.channel_for(visit.patient, points_of([visit.patient]), (Channel.EMAIL,)) is None:
        return None
    return PatientMessage.work.enqueue(
        dedupe_key=f"cancelled:{visit.pk}",
        patient=visit.patient,
        channel=Channel.EMAIL,
        wording=MessageKind.CANCELLED,
        subject_id=visit.pk,
        scheduled_send_time=now,
        useful_until=visit.appointment_datetime,
        lane=timing.lane(visit.appointment_datetime - now),
    )


def entry_of(visit: Appointment) -> Entry:
    """Return what stands of a visit in the patient's calendar."""
    return Entry(
        uid=visit.calendar_key,
        sequence=visit.calendar_sequence,
        starts_at=visit.appointment_datetime,
        ends_at=visit.end_datetime,
        is_cancelled=visit.status == Appointment.Status.CANCELLED,
    )


def _was_mailed(visit: Appointment) -> bool:
    """Whether a mail about this visit has left, or about one it was booked in place of."""
    same = [visit.pk]
    if visit.calendar_id:
        chain = Q(pk=visit.calendar_id) | Q(calendar_id=visit.calendar_id)
        same += Appointment.all_objects.filter(chain).values_list("pk", flat=True)
    mails = AppointmentReminder.all_objects.filter(appointment__in=same, reminder_type=Channel.EMAIL)
    return bool(mails.filter(HAS_LEFT).exists())
