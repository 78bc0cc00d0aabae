"""Orders of laboratory tests as others write, place and revoke them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from backend.apps.appointments.models import Appointment
from backend.apps.core.exceptions import DomainError
from backend.apps.doctors.models import Doctor
from backend.apps.interop.fhir.sources.orders import ORDERS
from backend.apps.interop.fhir.writing.kinds import Kind, optional, refuse, target
from backend.apps.interop.fhir.writing.moves import changed, move
from backend.apps.laboratory import permissions, services
from backend.apps.laboratory.models import LabFeed, LabOrder, LabTest, OrderStatus
from backend.apps.patients.models import Patient
from integrations.fhir.ingress import service_request
from integrations.fhir.ingress.service_request import PATHS, Named, ServiceRequestIn
from integrations.fhir.resources.service_request import STATUSES

REVOKED = "Revoked by who ordered it."
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
    fields = {**_fields(said, by), "appointment": _visit(said, by)}
    if said.feed:
        fields["feed"] = optional(LabFeed, said.feed, by, PATHS["feed"])
    return _moved(services.order(by=by, tests=_tests(said), **fields), said, by)


def update(row: LabOrder, said: ServiceRequestIn, *, by: Any) -> LabOrder:
    if row.is_external:
        raise DomainError("This order was made for a result that came unasked; it is not changed.")
    new = changed(row, {**_fields(said, by), **_links(row, said, by)})
    tests = _tests(said)
    if {test.pk for test in tests} != set(row.tests.values_list("pk", flat=True)):
        new["tests"] = tests
    if new:
        row = services.revise(row, by=by, **new)
    return _moved(row, said, by)


def _moved(row: LabOrder, said: ServiceRequestIn, by: Any) -> LabOrder:
    """Return the order in the status that was said; what R4 calls the same is no move."""
    if STATUSES[row.status] != said.status:
        more = {"reason": said.cancel_reason or REVOKED} if said.status == "revoked" else {}
        wanted = MEANT.get(said.status, said.status)
        moved: LabOrder = move(row, wanted, VERBS, by=by, permissions=permissions.LAB_ORDER, **more)
        return moved
    if said.cancel_reason != row.cancellation_reason:
        refuse("The reason of what is revoked already stays.", PATHS["cancel_reason"], code="business-rule")
    return row


def _fields(said: ServiceRequestIn, by: Any) -> dict[str, Any]:
    return {
        "patient": target(Patient, said.patient, by, PATHS["patient"]),
        "doctor": optional(Doctor, said.doctor, by, PATHS["doctor"]),
        "priority": said.priority,
        "diagnosis_code": said.diagnosis,
        "clinical_indication": said.indication,
    }


def _links(row: LabOrder, said: ServiceRequestIn, by: Any) -> dict[str, Any]:
    """Return the visit and the laboratory said of an order that stands; what it names already is not looked up.

    A visit is told once the patient has come, so one that is still ahead stays though nothing says it.
    """
    links: dict[str, Any] = {}
    if said.feed != str(row.feed_id or ""):
        links["feed"] = optional(LabFeed, said.feed, by, PATHS["feed"])
    visit = row.appointment
    told = str(visit.pk) if visit is not None and visit.status in SEEN else ""
    if said.encounter != told:
        links["appointment"] = _visit(said, by)
    return links


def _visit(said: ServiceRequestIn, by: Any) -> Appointment | None:
    row: Appointment | None = optional(Appointment, said.encounter, by, PATHS["encounter"])
    if row is not None and row.status not in SEEN:
        refuse("The patient has not come to this visit.", PATHS["encounter"], code="not-found")
    return row


def _tests(said: ServiceRequestIn) -> Sequence[LabTest]:
    rows = [_test(named) for named in said.tests]
    names = [row.test_name for row in sorted(rows, key=lambda row: (row.test_name, row.pk))]
    if said.summary and said.summary.casefold() != ", ".join(names).casefold():
        refuse("Beside orderDetail, code says the names of the tests, with commas between.", PATHS["tests"])
    return rows


def _test(named: Named) -> LabTest:
    """Return the test of our catalogue; words that are not its name would be lost."""
    rows = LabTest.objects.filter(test_code=named.own) if named.own else LabTest.objects.all()
    row = (rows.filter(test_code=named.loinc, code_system="loinc") if named.loinc else rows).first()
    if row is None:
        refuse("There is no such test in our catalogue.", named.path, code="not-found")
    if named.words and named.words.casefold() != row.test_name.casefold():
        refuse("The words are not the name of this test.", f"{named.path}.text")
    return row


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
