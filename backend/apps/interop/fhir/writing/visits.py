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
from backend.apps.interop.fhir.writing.kinds import Kind, fitting, refuse, target
from backend.apps.interop.fhir.writing.moves import differing, move
from backend.apps.patients.models import Patient
from integrations.fhir.ingress import appointment
from integrations.fhir.ingress.appointment import PATHS, AppointmentIn
from integrations.fhir.resources.appointment import STATUSES

Status = AppointmentStatus
VERBS: Mapping[str, Callable[..., Any]] = MappingProxyType({
    Status.CONFIRMED: services.confirm,
    Status.CHECKED_IN: services.check_in,
    Status.COMPLETED: services.complete,
    Status.CANCELLED: services.cancel,
    Status.NO_SHOW: services.mark_no_show,
})  # fmt: skip
MEANT = MappingProxyType({  # that the doctor has begun is not said by FHIR
    "arrived": Status.CHECKED_IN,
    "fulfilled": Status.COMPLETED,
    "cancelled": Status.CANCELLED,
    "noshow": Status.NO_SHOW,
})  # fmt: skip
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


def update(row: Appointment, said: AppointmentIn, stands: AppointmentIn, *, by: Any) -> Appointment:
    row = services.change(row, by=by, **_fields(said, by, stands))
    if said.status == "cancelled" == stands.status and said.cancel_reason != stands.cancel_reason:
        refuse("The reason of what is cancelled already stays.", PATHS["cancel_reason"], code="business-rule")
    return _moved(row, said, by)


def _moved(row: Appointment, said: AppointmentIn, by: Any) -> Appointment:
    """Return the visit in the status that was said; what R4 calls the same is no move, and who has come has arrived."""
    if said.status == "booked":
        return _move(row, Status.CONFIRMED if said.is_confirmed else Status.SCHEDULED, by)
    status = "arrived" if said.status == "checked-in" else said.status
    if STATUSES[row.status] == status:
        return row
    wanted = MEANT.get(status, status)
    if wanted != Status.CANCELLED:
        return _move(row, wanted, by)
    if not said.cancel_reason:
        refuse("Say in words why the visit is cancelled.", PATHS["cancel_reason"], code="required")
    reason = fitting(row, "cancellation_reason", said.cancel_reason, PATHS["cancel_reason"])
    return _move(row, wanted, by, reason=reason)


def _move(row: Appointment, wanted: str, by: Any, **more: Any) -> Appointment:
    moved: Appointment = move(row, wanted, VERBS, by=by, permissions=permissions.APPOINTMENT, **more)
    return moved


def _fields(said: AppointmentIn, by: Any, stands: AppointmentIn | None = None) -> dict[str, Any]:
    """Return the fields that are said otherwise than they stand; only those are looked up."""
    new = differing(said, stands, (*FIELDS, "room"))
    if "place" in new and said.place and said.place != str(Clinic.current().pk):
        refuse("Visits are at our own clinic.", PATHS["place"], code="not-supported")
    people = {"patient": Patient, "doctor": Doctor}
    found = {name: target(model, getattr(said, name), by, PATHS[name]) for name, model in people.items() if name in new}
    plain = {FIELDS[name]: getattr(said, name) for name in ("start", "minutes", "reason") if name in new}
    if "room" in new:
        plain["location"] = said.room
    if "kind" in new and said.kind:
        plain["appointment_type"] = said.kind
    return {**found, **plain}


KIND = Kind(
    source=APPOINTMENTS,
    read=appointment.read,
    create=create,
    update=update,
    paths={FIELDS[name]: PATHS[name] for name in FIELDS},
)
