"""Orders of laboratory tests as others write, place and revoke them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from backend.apps.appointments.models import Appointment
from backend.apps.core.exceptions import DomainError
from backend.apps.doctors.models import Doctor
from backend.apps.interop.fhir.sources.orders import ORDERS
from backend.apps.interop.fhir.writing.kinds import Kind, fitting, optional, refuse, target
from backend.apps.interop.fhir.writing.moves import differing, move
from backend.apps.laboratory import permissions, services
from backend.apps.laboratory.models import LabFeed, LabOrder, LabTest, OrderStatus
from backend.apps.patients.models import Patient
from integrations.fhir.ingress import service_request
from integrations.fhir.ingress.service_request import PATHS, Named, ServiceRequestIn
from integrations.fhir.resources.service_request import STATUSES

VERBS: Mapping[str, Callable[..., Any]] = MappingProxyType({
    OrderStatus.ORDERED: services.place,
    OrderStatus.COMPLETED: services.mark_as_completed,
    OrderStatus.CANCELLED: services.cancel,
})  # fmt: skip
MEANT = MappingProxyType({
    "draft": OrderStatus.PENDING,
    "active": OrderStatus.ORDERED,
    "completed": OrderStatus.COMPLETED,
    "revoked": OrderStatus.CANCELLED,
})  # fmt: skip
SEEN = frozenset({"checked_in", "in_progress", "completed"})  # the visits that are encounters


def create(said: ServiceRequestIn, *, by: Any) -> LabOrder:
    if said.status not in {"draft", "active"}:
        raise DomainError("A new order is a draft or active; it moves on from there.")
    return _moved(services.order(by=by, **_fields(said, by)), said, by)


def update(row: LabOrder, said: ServiceRequestIn, stands: ServiceRequestIn, *, by: Any) -> LabOrder:
    if row.is_external:
        raise DomainError("This order was made for a result that came unasked; it is not changed.")
    if stands.feed and not said.feed:
        refuse(
            "Say which laboratory, as it stands; an order does not leave it silently.", PATHS["feed"], code="required"
        )
    if said.status == "revoked" == stands.status and said.cancel_reason != stands.cancel_reason:
        refuse("The reason of what is revoked already stays.", PATHS["cancel_reason"], code="business-rule")
    new = _fields(said, by, stands)
    if new:
        row = services.revise(row, by=by, **new)
    return _moved(row, said, by)


def _moved(row: LabOrder, said: ServiceRequestIn, by: Any) -> LabOrder:
    """Return the order in the status that was said; what R4 calls the same is no move."""
    if STATUSES[row.status] == said.status:
        return row
    more = {}
    if said.status == "revoked":
        if not said.cancel_reason:
            refuse("Say in a note why the order is revoked.", PATHS["cancel_reason"], code="required")
        more["reason"] = fitting(row, "cancellation_reason", said.cancel_reason, PATHS["cancel_reason"])
    wanted = MEANT.get(said.status, said.status)
    moved: LabOrder = move(row, wanted, VERBS, by=by, permissions=permissions.LAB_ORDER, **more)
    return moved


def _fields(said: ServiceRequestIn, by: Any, stands: ServiceRequestIn | None = None) -> dict[str, Any]:
    """Return the fields that are said otherwise than they stand; only those are looked up."""
    new = differing(said, stands, LOOKED_UP)
    found = {field: read(said, by) for name, (field, read) in LOOKED_UP.items() if name in new}
    if not said.feed:
        found.pop("feed", None)  # a new order of which none is said goes where its tests are done
    if stands is None or _codes(said) != _codes(stands):
        found["tests"] = _tests(said)
    else:
        _refuse_other_words(said, stands)
    return {**found, **{PLAIN[name]: getattr(said, name) for name in differing(said, stands, PLAIN)}}


def _patient(said: ServiceRequestIn, by: Any) -> Patient:
    row: Patient = target(Patient, said.patient, by, PATHS["patient"])
    return row


def _doctor(said: ServiceRequestIn, by: Any) -> Doctor | None:
    row: Doctor | None = optional(Doctor, said.doctor, by, PATHS["doctor"])
    return row


def _feed(said: ServiceRequestIn, by: Any) -> LabFeed | None:
    row: LabFeed | None = optional(LabFeed, said.feed, by, PATHS["feed"])
    return row


def _visit(said: ServiceRequestIn, by: Any) -> Appointment | None:
    row: Appointment | None = optional(Appointment, said.encounter, by, PATHS["encounter"])
    if row is not None and row.status not in SEEN:
        refuse("The patient has not come to this visit.", PATHS["encounter"], code="not-found")
    return row


def _codes(said: ServiceRequestIn) -> list[tuple[str, str]]:
    return sorted((named.loinc, named.own) for named in said.tests)


def _tests(said: ServiceRequestIn) -> Sequence[LabTest]:
    rows = [_test(named) for named in said.tests]
    if len({row.pk for row in rows}) < len(rows):
        refuse("Each test is ordered once.", PATHS["details"], code="duplicate")
    names = [row.test_name for row in sorted(rows, key=lambda row: (row.test_name, row.pk))]
    _refuse_another_summary(said, ", ".join(names))
    return rows


def _test(named: Named) -> LabTest:
    rows = LabTest.objects.filter(test_code=named.own) if named.own else LabTest.objects.all()
    row = (rows.filter(test_code=named.loinc, code_system="loinc") if named.loinc else rows).first()
    if row is None:
        refuse("There is no such test in our catalogue.", named.path, code="not-found")
    _refuse_another_name(named, row.test_name)
    return row


def _refuse_other_words(said: ServiceRequestIn, stands: ServiceRequestIn) -> None:
    """Refuse words for the tests that stand if they say something else; they need not be said."""
    names = {(named.loinc, named.own): named.words for named in stands.tests}
    for named in said.tests:
        _refuse_another_name(named, names[named.loinc, named.own])
    _refuse_another_summary(said, stands.summary or ", ".join(names.values()))


def _refuse_another_name(named: Named, name: str) -> None:
    """Refuse words that are not the name of the test, for they would be lost."""
    if named.words and named.words.casefold() != name.casefold():
        refuse("The words are not the name of this test.", f"{named.path}.text")


def _refuse_another_summary(said: ServiceRequestIn, names: str) -> None:
    if said.summary and said.summary.casefold() != names.casefold():
        refuse("Beside orderDetail, code says the names of the tests, with commas between.", PATHS["tests"])


PLAIN = {"priority": "priority", "diagnosis": "diagnosis_code", "indication": "clinical_indication"}
LOOKED_UP: Mapping[str, tuple[str, Callable[[ServiceRequestIn, Any], Any]]] = MappingProxyType({
    "patient": ("patient", _patient),
    "doctor": ("doctor", _doctor),
    "feed": ("feed", _feed),
    "encounter": ("appointment", _visit),
})  # fmt: skip
KIND = Kind(
    source=ORDERS,
    read=service_request.read,
    create=create,
    update=update,
    paths={
        "patient": PATHS["patient"],
        "doctor": PATHS["doctor"],
        "appointment": PATHS["encounter"],
        "feed": PATHS["feed"],
        "priority": PATHS["priority"],
        "diagnosis_code": PATHS["diagnosis"],
        "clinical_indication": PATHS["indication"],
        "cancellation_reason": PATHS["cancel_reason"],
    },
)
