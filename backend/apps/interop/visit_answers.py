"""What a patient can do about one visit by the link of a reminder; without it each answer would be a phone call."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import Any

from django.db import transaction
from django.http import HttpResponse

from backend.apps.appointments import services, zones
from backend.apps.appointments.cancellations import entry_of
from backend.apps.appointments.models import Appointment, AppointmentStatus
from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import AuditLog
from backend.apps.interop.answer_frame import Asked, gone
from backend.apps.messaging import calendar_files, tasks
from backend.apps.messaging.models import PatientLink, StaffTask, TaskKind

MOST_BIRTHS = 5  # wrong dates of birth that one link may name
NOTE_LONGEST = 300
WISH = "The patient asks for another time, by the link of a reminder."
CANCELLED = "By the patient, by the link of a reminder."
BIRTH = (
    re.compile(r"(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})"),  # what a browser's field of a date sends
    re.compile(r"(?P<month>\d{1,2})/(?P<day>\d{1,2})/(?P<year>\d{4})"),
)


def page(asked: Asked) -> HttpResponse:
    """Show the visit of a link, or do what the pressed button says."""
    if asked.request.method != "POST":
        visit = _visit(asked)
        if visit is None:
            return gone(asked)
        asked.note("view", "appointment", visit.pk)
        return shown(asked, visit)
    act = ACTS.get(asked.wants)
    with transaction.atomic():
        visit = _visit(asked, locked=True)
        if visit is None:
            return gone(asked)
        if not is_open(visit):
            return shown(asked, visit)
        if act is None:
            return shown(asked, visit, wrong=asked.words.unclear)
        if asked.request.POST.get("shown") != stamp(visit):
            return shown(asked, visit, wrong=asked.words.changed)
        return act(asked, visit)


def shown(
    asked: Asked, visit: Appointment, *, wrong: str = "", wrong_birth: str = "", status: int = 422
) -> HttpResponse:
    """Return the page of a visit as it is. wrong, wrong_birth: why what was asked for was not done."""
    words = asked.words
    if not is_open(visit):
        title, why = _closed(asked, visit)
        told = {"title": title, "why": why, "calendar": asked.token if _is_called_off(visit) else ""}
        return asked.page("message", told, status=410)
    context = {
        "title": words.visit,
        "visit": visit,
        "stamp": stamp(visit),
        "when": asked.when(visit.appointment_datetime),
        "when_there": asked.when_there(visit.appointment_datetime, zones.recipient_zone(visit.patient, asked.clinic)),
        "confirmed": visit.status == AppointmentStatus.CONFIRMED,
        "wished": StaffTask.objects.filter(cause=_cause(visit), done_at=None).exists(),
        "can_cancel": tries(asked.link) < MOST_BIRTHS,
        "wrong": wrong,
        "wrong_birth": wrong_birth,
        "token": asked.token,
    }
    return asked.page("visit", context, status=status if wrong or wrong_birth else 200)


def is_open(visit: Appointment) -> bool:
    """Whether the patient can still answer."""
    return not visit.is_deleted and visit.is_upcoming


def calendar(asked: Asked) -> HttpResponse:
    """Hand out the visit, or take it out of the calendar again; of one that was moved a newer message tells."""
    visit = _visit(asked)
    if visit is None:
        return gone(asked)
    if not is_open(visit) and not _is_called_off(visit):
        return shown(asked, visit)
    asked.note("calendar", "appointment", visit.pk)
    entry = entry_of(visit)
    file = calendar_files.file_of(
        entry,
        zone=asked.clinic.zone,
        clinic=asked.rules.name_of(asked.clinic),
        phone=asked.clinic.phone,
        language=asked.words.language,
    )
    answer = HttpResponse(file, content_type=calendar_files.content_type(entry))
    answer["Content-Disposition"] = 'attachment; filename="appointment.ics"'
    return answer


def confirm(asked: Asked, visit: Appointment) -> HttpResponse:
    """Note that the patient is coming; once more changes nothing."""
    if visit.status != AppointmentStatus.CONFIRMED:
        try:
            with transaction.atomic():
                services.confirm(visit, by=None)
        except DomainError:
            return _refused(asked, visit, "confirm")
        asked.note("confirm", "appointment", visit.pk)
    return asked.again()


def other_time(asked: Asked, visit: Appointment) -> HttpResponse:
    """Give the front desk the wish for another time, once; a later note replaces the earlier."""
    note = " ".join(asked.request.POST.get("note", "").replace("\x00", "").split())[:NOTE_LONGEST]
    task = tasks.open_once(TaskKind.RESCHEDULE, _cause(visit), WISH, patient=visit.patient, subject_id=visit.pk)
    if note and note != task.note:
        StaffTask.objects.filter(pk=task.pk).update(note=note)
    asked.note("other_time", "appointment", visit.pk, with_note=bool(note))
    return asked.again()


def cancel(asked: Asked, visit: Appointment) -> HttpResponse:
    """Cancel the visit for whoever knows the patient's date of birth."""
    words, birth = asked.words, _birth(asked.request.POST.get("birth", ""))
    list(PatientLink.objects.select_for_update().filter(pk=asked.link.pk).values_list("pk"))  # one try after the other
    if tries(asked.link) >= MOST_BIRTHS:
        return shown(asked, visit, wrong_birth=words.too_many_births)
    if birth is None:
        return shown(asked, visit, wrong_birth=words.birth_missing)
    if birth != visit.patient.date_of_birth:
        asked.note("birth", "patientlink", asked.link.pk, refused=True)
        return shown(asked, visit, wrong_birth=words.birth_wrong)
    try:
        with transaction.atomic():
            services.cancel(visit, by=None, reason=CANCELLED)
    except DomainError:
        return _refused(asked, visit, "cancel")
    asked.note("cancel", "appointment", visit.pk)
    return asked.again()


ACTS: dict[str, Callable[[Asked, Appointment], HttpResponse]] = {
    "confirm": confirm,
    "other_time": other_time,
    "cancel": cancel,
}


def tries(link: PatientLink) -> int:
    """Return how many wrong dates of birth this link has named, as the audit log tells; no restart forgets them."""
    wrong = AuditLog.objects.filter(resource_type="patientlink", resource_id=str(link.pk), action="link.birth")
    return int(wrong.count())


def _visit(asked: Asked, *, locked: bool = False) -> Appointment | None:
    """Return the visit of the link, if it still is the same patient's."""
    rows = Appointment.all_objects.select_for_update(of=("self",), no_key=True) if locked else Appointment.all_objects
    if asked.link.subject_id is None:
        return None
    found = rows.select_related("patient", "doctor").filter(pk=asked.link.subject_id).first()
    return found if found and found.patient_id == asked.link.patient_id else None


def _is_called_off(visit: Appointment) -> bool:
    """Whether it was cancelled and none was booked in its place."""
    moved = Appointment.objects.filter(rescheduled_from=visit)
    return visit.status == AppointmentStatus.CANCELLED and not moved.exists()


def _closed(asked: Asked, visit: Appointment) -> tuple[str, str]:
    words = asked.words
    if visit.status == AppointmentStatus.CANCELLED and not _is_called_off(visit):
        return words.moved, words.moved_why
    if visit.status == AppointmentStatus.CANCELLED or visit.is_deleted:
        return words.cancelled, words.cancelled_why
    return words.over, words.over_why


def _refused(asked: Asked, visit: Appointment, verb: str) -> HttpResponse:
    asked.note(verb, "appointment", visit.pk, refused=True)
    visit.refresh_from_db()
    return shown(asked, visit, wrong=asked.words.refused)


def stamp(visit: Appointment) -> str:
    """Return what a form tells of the visit it showed: nobody answers for a time they have not seen."""
    return f"{visit.appointment_datetime:%Y%m%dT%H%M%S}"


def _cause(visit: Appointment) -> str:
    return f"reschedule:{visit.pk}"


def _birth(text: Any) -> date | None:
    for form in BIRTH:
        if found := form.fullmatch(str(text).strip()):
            try:
                return date(**{name: int(value) for name, value in found.groupdict().items()})
            except ValueError:
                return None
    return None
