"""Visits as others book, change, confirm and cancel them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from backend.apps.appointments import permissions, services
from backend.apps.appointments.models import Appointment, AppointmentStatus
from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import Clinic
from backend.apps.doctors.models import Doctor
from backend.apps.interop.fhir.sources.visits import APPOINTMENTS
from backend.apps.interop.fhir.writing.kinds import Kind, refuse, target
from backend.apps.interop.fhir.writing.moves import changed, move
from backend.apps.patients.models import Patient
from integrations.fhir.ingress import appointment
from integrations.fhir.ingress.appointment import PATHS, AppointmentIn
from integrations.fhir.resources.appointment import STATUSES

Status = AppointmentStatus
VERBS: Mapping[str, Callable[..., Any]] = MappingProxyType({
    Status.CONFIRMED: services.confirm,
    Status.CHECKED_IN: services.check_in,
    Status.IN_PROGRESS: services.start,
    Status.COMPLETED: services.complete,
    Status.CANCELLED: services.cancel,
    Status.NO_SHOW: services.mark_no_show,
})  # fmt: skip
MEANT = MappingProxyType({told: status for status, told in STATUSES.items() if told != "booked"})
FIELDS = {
    "patient": "patient",
    "doctor": "doctor",
    "start": "appointment_datetime",
    "minutes": "duration_minutes",
    "kind": "appointment_type",
    "reason": "reason",
    "place": "location",
}


def create(said: AppointmentIn, *, by: Any) -> Appointment:
    if said.status != "booked":
        raise DomainError("A new visit is booked; it moves on from there.")
    return _moved(services.book(by=by, **_fields(said, by)), said, by)


def update(row: Appointment, said: AppointmentIn, *, by: Any) -> Appointment:
    return _moved(services.change(row, by=by, **changed(row, _fields(said, by))), said, by)


def _moved(row: Appointment, said: AppointmentIn, by: Any) -> Appointment:
    """Return the visit in the status that was said; only a visit that is being cancelled takes a reason."""
    if said.status == "booked":
        return _move(row, Status.CONFIRMED if said.is_confirmed else Status.SCHEDULED, by)
    wanted = MEANT.get(said.status, said.status)
    if wanted != Status.CANCELLED:
        return _move(row, wanted, by)
    if row.status == wanted and said.cancel_reason != row.cancellation_reason:
        refuse("The reason of what is cancelled already stays.", PATHS["cancel_reason"], code="business-rule")
    if not said.cancel_reason:
        refuse("Say in words why the visit is cancelled.", PATHS["cancel_reason"], code="required")
    return _move(row, wanted, by, reason=said.cancel_reason)


def _move(row: Appointment, wanted: str, by: Any, **more: Any) -> Appointment:
    moved: Appointment = move(row, wanted, VERBS, by=by, permissions=permissions.APPOINTMENT, **more)
    return moved


def _fields(said: AppointmentIn, by: Any) -> dict[str, Any]:
    if said.place and said.place != str(Clinic.current().pk):
        refuse("Visits are at our own clinic.", PATHS["place"], code="not-supported")
    return {
        "patient": target(Patient, said.patient, by, PATHS["patient"]),
        "doctor": target(Doctor, said.doctor, by, PATHS["doctor"]),
        "appointment_datetime": said.start,
        "duration_minutes": said.minutes,
        "reason": said.reason,
        "location": said.room,
        **({"appointment_type": said.kind} if said.kind else {}),
    }


KIND = Kind(
    source=APPOINTMENTS,
    read=appointment.read,
    create=create,
    update=update,
    paths={FIELDS[name]: PATHS[name] for name in FIELDS},
)
